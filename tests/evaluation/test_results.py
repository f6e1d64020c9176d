"""What is known of an arm, worked out once: its files say the same, and how it was asked cannot hide."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_trials.errors import UserError
from memory_trials.evaluation import of_tables, predictions, results, statistics
from memory_trials.settings import (
    ComputeSettings,
    EncodingSettings,
    ModelSettings,
    ProblemSettings,
    Settings,
    TrainingSettings,
)  # fmt: skip
from memory_trials.tasks.encoding import UpdateTable, make_table
from memory_trials.tasks.problems import Problem, make_problem
from memory_trials.training.job import TrainingJob
from memory_trials.training.trained import Trained
from memory_trials.training.trainer import train
from tests import outcomes

TUTORIAL = {"sequences": [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]}


def trained_arm(shard: int = 50, **sections) -> tuple[Settings, Problem, UpdateTable, Trained]:
    settings = Settings(**{"problem": TUTORIAL, **sections})
    problem = make_problem(settings.problem)
    table = make_table(problem, settings.encoding, settings.training, settings.evaluation.stateful)
    compute = ComputeSettings(shard=shard)
    trained = train(TrainingJob(settings.model, settings.training, settings.evaluation.interval, table), compute)
    return settings, problem, table, trained


def outcome_of(shard: int = 50, **sections) -> results.Outcome:
    return results.outcome(*trained_arm(shard, **sections))


@pytest.fixture(scope="module")
def tutorial() -> results.Outcome:
    return outcome_of(training={"trials": 12})


def test_what_is_written_is_read_again(tutorial, tmp_path):
    results.write(tmp_path, tutorial)
    again = results.read(tmp_path)
    assert again.metrics == tutorial.metrics and again.free_run is None
    for name in set(results.TABLES) - {"free_run"}:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(tutorial, name), check_exact=True)


@pytest.mark.parametrize("text", ["", "seed,learned\n1,1\n", "\x00", "a,b\n1\n"])
def test_a_damaged_table_is_told(tutorial, tmp_path, text):
    results.write(tmp_path, tutorial)
    (tmp_path / "trials.csv").write_text(text)
    with pytest.raises(UserError, match=r"trials\.csv is damaged"):
        results.read(tmp_path)


def test_symbols_that_look_like_nothing_stay_what_they_are(tmp_path):
    said = [(0, 1, 1, "NA", "", "null"), (0, 1, 2, "a,b", '"', "1")]
    losses, learned = np.ones((1, 2)), np.ones((1, 1), bool)
    outcome = outcomes.made_up(np.arange(1), losses, np.array([2]), learned, confusion=said)
    results.write(tmp_path, outcome)
    assert results.read(tmp_path).confusion[["input", "target", "predicted"]].to_numpy().tolist() == [
        list(row[3:]) for row in said
    ]


def test_shards_change_no_bit_of_how_much_is_remembered(tutorial):
    other = outcome_of(shard=5, training={"trials": 12})
    assert other.metrics == tutorial.metrics and other.trials.equals(tutorial.trials)
    assert other.remembered.equals(tutorial.remembered)


def test_more_of_a_lead_asked_for_is_less_often_had(tutorial):
    trials = tutorial.trials
    asked = sorted(trials["margin"][trials["learned"] == 1])[1]  # all but one lead by so much
    stricter = outcome_of(training={"trials": 12}, evaluation={"margin": asked - 1e-6})
    assert stricter.metrics["successes"] == tutorial.metrics["successes"] - 1 > 0
    assert stricter.learned["share_learned"].iloc[-1] == pytest.approx(stricter.metrics["success_rate"])
    assert stricter.metrics["memory_median"] == tutorial.metrics["memory_median"]
    assert (
        stricter.metrics["margin_required"] == pytest.approx(asked - 1e-6) and tutorial.metrics["margin_required"] == 0
    )
    led = [
        f"successes_margin_{lead:g}" for lead in statistics.MARGINS
    ]  # these say who would have learned by such a lead
    assert [stricter.metrics[name] for name in led] == [tutorial.metrics[name] for name in led]
    assert (
        outcome_of(training={"trials": 12}, evaluation={"margin": 0.9}).metrics[led[0]] == tutorial.metrics[led[0]] > 0
    )


def test_the_least_lead_of_a_trials_scored_steps_is_its_margin(tutorial):
    shown = tutorial.predictions
    assert ((shown["lead"] > 0) == (shown["right"] == 1)).all()
    least = shown[shown["scored"] == 1].groupby("seed")["lead"].min()
    assert least.tolist() == pytest.approx(tutorial.trials["margin"].tolist(), abs=1e-6)


def test_full_gradients_remember_all_of_the_bit():
    sure = outcome_of(training={"trials": 6, "window": "sequence", "epochs": 1000})
    assert sure.metrics["successes_margin_0.5"] == 6 and sure.metrics["memory_median"] > 0.9
    assert sure.metrics["memory_whole"] == 1


def test_both_ways_of_asking_stand_where_they_differ(tutorial):
    assert not any(name.startswith(("afresh_", "stateful_")) for name in tutorial.metrics)
    one_after_the_other = {"training": {"trials": 6, "reset": "epoch"}}
    stateful = outcome_of(**one_after_the_other, evaluation={"stateful": True}).metrics
    afresh = outcome_of(**one_after_the_other).metrics
    for name in ("successes", "success_rate", "memory_median"):
        assert stateful[f"afresh_{name}"] == afresh[name] and afresh[f"stateful_{name}"] == stateful[name]
    assert stateful["successes"] > afresh["successes"]  # the state tells the first sequence from the second


def test_a_problem_that_needs_no_memory_has_none_to_measure():
    simple = outcome_of(problem={"sequences": [[0, 1, 2]]}, training={"trials": 3, "epochs": 20})
    assert simple.metrics["memory_whole"] is None and simple.metrics["memory_median"] is None
    assert simple.metrics["chance_rate"] is None and simple.trials["memory"].isna().all()


def bits_of(outputs, right=0, frequency=1.0) -> float:
    return float(predictions.memory_bits(np.array([[outputs]]), np.array([right]), np.array([frequency]))[0, 0])


def test_memory_in_closed_form():
    assert bits_of([0.5, 0.5]) == 0 and bits_of([0.3, 0.3, 0.3]) == pytest.approx(0, abs=1e-12)
    assert bits_of([0.75, 0.25]) == pytest.approx(np.log2(1.5)) and bits_of([0.25, 0.75]) == -1
    assert bits_of([0.9, 0.0]) == pytest.approx(1) and bits_of([0.9, 0.0, 0.0, 0.0]) == pytest.approx(2)
    assert bits_of([0.09, 0.03]) == pytest.approx(bits_of([0.9, 0.3]))  # sigmoids need not sum to 1
    assert bits_of([0.75, 0.25, np.nan]) == bits_of([0.75, 0.25])  # smaller sets are filled up
    assert np.isfinite(bits_of([0.0, 1.0]))
    # where one of two candidates follows in 3 of 4 cases, saying so is no memory, and being sure is log2(4/3) bits
    assert bits_of([0.75, 0.25], frequency=1.5) == bits_of([0.75, 0.25], 1, frequency=0.5) == 0
    assert bits_of([1.0, 0.0], frequency=1.5) == pytest.approx(np.log2(4 / 3))
    assert bits_of([0.0, 1.0], 1, frequency=0.5) == 2


@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=6), st.data())
def test_memory_is_the_information_of_the_normalised_outputs_beyond_the_base_rate(outputs, data):
    right, p = data.draw(st.integers(0, len(outputs) - 1)), data.draw(st.floats(0.01, 1))
    q = outputs[right] / sum(outputs)
    found = bits_of(outputs, right, p * len(outputs))
    assert found == pytest.approx(np.log2(q) - np.log2(p), abs=1e-9)
    assert found <= -np.log2(p) + 1e-12


def by_hand(problem, table) -> dict[tuple[int, int], tuple[set, float]]:
    """The evaluation's steps (sequence, step) that need memory: the symbols that may follow, and the frequency of the
    one that does, counted over all scored steps with the same input."""
    seen = [
        (tuple(table.eval_x[row, t]), problem.alphabet[table.eval_y[row, t]], tuple(table.eval_position[row, t]))
        for row, t in np.argwhere(table.eval_mask)
    ]
    found = {}
    for shown, target, position in seen:
        same = [other for other_shown, other, _ in seen if other_shown == shown]
        if len(set(same)) > 1:
            found[position] = (set(same), same.count(target) / len(same))
    return found


PROBLEMS = st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=6), min_size=1, max_size=5).map(
    lambda sequences: make_problem(ProblemSettings(sequences=[*sequences, [0, 1]]))
)


@given(PROBLEMS, st.integers(1, 3), st.sampled_from(["all", "last"]))
@settings(max_examples=40)
def test_memory_is_needed_where_the_input_does_not_determine_the_next_symbol(problem, history, scored):
    problem = dataclasses.replace(problem, last_only=scored == "last")
    table = make_table(problem, EncodingSettings(history=history), TrainingSettings(), False)
    expected = by_hand(problem, table)
    needed = np.argwhere(table.eval_group >= 0).tolist()
    assert {tuple(table.eval_position[row, t]) for row, t in needed} == set(expected)
    for row, t in needed:
        symbols, frequency = expected[tuple(table.eval_position[row, t])]
        among = table.candidates[table.eval_group[row, t]]
        assert [problem.alphabet[index] for index in among if index >= 0] == sorted(symbols)
        assert table.eval_frequency[row, t] == np.float32(frequency * len(symbols)) or table.eval_frequency[
            row, t
        ] == pytest.approx(frequency * len(symbols), rel=1e-6)
    entropy = -np.mean([np.log2(frequency) for _, frequency in expected.values()]) if expected else None
    assert of_tables.whole_memory(table) == (None if entropy is None else pytest.approx(entropy, abs=1e-6))


@given(PROBLEMS, st.integers(1, 3), st.integers(0, 2**31 - 1))
@settings(max_examples=40)
def test_what_has_no_memory_is_never_measured_to_have_any(problem, history, seed):
    """Outputs of any size that follow from the input alone; the best of them, the frequencies, have exactly none."""
    table = make_table(problem, EncodingSettings(history=history), TrainingSettings(), False)
    draw, shown = np.random.default_rng(seed), {}
    outputs = np.array([
        [shown.setdefault(tuple(x), 10.0 ** draw.uniform(-6, 0, (8, table.symbols))) for x in row]
        for row in table.eval_x
    ]).transpose(2, 0, 1, 3)  # fmt: skip
    counts = {x: np.full(table.symbols, 1e-12) for x in shown}
    for row, t in np.argwhere(table.eval_mask):
        counts[tuple(table.eval_x[row, t])][table.eval_y[row, t]] += 1
    outputs[0] = [[counts[tuple(x)] / counts[tuple(x)].sum() for x in row] for row in table.eval_x]
    steps = ((t, outputs[:, :, t]) for t in range(outputs.shape[2]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions, "_outputs", lambda *_: steps)
        said = predictions.answers(
            ModelSettings(), {"output/bias": np.zeros((8, 1))}, table, np.ones(outputs.shape[2], bool)
        )
    memory, (signal, _) = said.memory(table), said.signal_and_bias(table)
    if of_tables.whole_memory(table) is None:
        assert np.isnan(memory).all() and np.isnan(signal).all()
        return
    assert (memory <= 1e-7).all() and (signal <= 1e-6).all()
    assert memory[0] == pytest.approx(0, abs=1e-6)  # frequencies are kept in single precision


@pytest.mark.parametrize(
    ("problem", "whole"),
    [  # after a 0, nine 0 and one key in each of two sequences; after 1, 2 three times of four, after 2, 0 twice of three
        ({"generate": {"lag": 10, "middle": "fixed"}}, -0.9 * np.log2(0.9) - 0.1 * np.log2(0.05)),
        ({"sequences": [[0, 1, 2, 0], [0, 1, 3, 0], [0, 1, 2, 0], [0, 1, 2, 1]]}, 6 / 7),
    ],
)
def test_a_trained_network_without_memory_remembers_nothing_on_an_unbalanced_problem(problem, whole):
    outcome = outcome_of(
        problem=problem, model={"cell": "mlp", "output": "softmax"},
        training={"trials": 4, "epochs": 400, "learning_rate": 0.01},
    )  # fmt: skip
    assert outcome.metrics["memory_whole"] == pytest.approx(whole, abs=1e-6)
    assert -0.05 < outcome.metrics["memory_median"]
    assert (outcome.trials["memory"] <= 0).all()


def test_signal_exceeds_bias_exactly_where_all_steps_that_need_memory_are_right():
    settings = Settings(problem=TUTORIAL, training={"trials": 40})
    problem = make_problem(settings.problem)
    table = make_table(problem, settings.encoding, settings.training, False)
    trained = train(TrainingJob(settings.model, settings.training, 250, table), settings.compute)
    said = predictions.answers(settings.model, trained.weights, table, np.ones(4, bool))
    signal, bias = said.signal_and_bias(table)
    needed = table.eval_group >= 0
    assert np.argwhere(needed).tolist() == [[0, 3], [1, 3]]
    first, second = said.logit_lead[:, needed].T
    assert np.allclose(signal, (first + second) / 2) and np.allclose(bias, np.abs(first - second) / 2)
    assert np.array_equal(signal > bias, said.right(table, 0)[:, needed].all(axis=1))


def test_rounding_hides_the_last_bits():
    numbers = outcomes.made_up(np.arange(2), np.ones((2, 3)), np.array([3]), np.array([[True], [False]]))
    shifted = dataclasses.replace(numbers)
    noisy = {
        name: value * (1 + 1e-15) if isinstance(value, float) else value for name, value in numbers.metrics.items()
    }
    assert {name: results.rounded(value) for name, value in noisy.items()} == shifted.metrics
    assert results.rounded(float("nan")) is None and results.rounded(3) == 3


BRIEF = {"trials": 3, "first_seed": 5, "epochs": 4}  # too few epochs to learn


@pytest.fixture
def words():
    """An arm of words in sequences of different lengths, of which only the last step is scored."""
    problem = {"sequences": [["b", "a", "c"], ["c", "a", "b", "a", "d"]], "scored": "last"}
    arm = trained_arm(problem=problem, training=BRIEF, model={"units": 3})
    _, _, table, trained = arm
    return arm, results.outcome(*arm), predictions.answers(arm[0].model, trained.weights, table, np.ones(4, bool))


def test_each_step_is_shown_with_what_was_seen_and_said_there(words):
    (_, problem, _, trained), outcome, said = words
    rows = (
        outcome.predictions[["seed", "sequence", "step", "input", "target", "predicted", "scored", "right"]]
        .to_numpy()
        .tolist()
    )
    expected = []
    for trial, seed in enumerate(trained.seeds.tolist()):
        for k, sequence in enumerate(problem.sequences):
            for step, (seen, target) in enumerate(itertools.pairwise(sequence)):
                predicted = problem.alphabet[said.predicted[trial, k, step]]
                last = step == len(sequence) - 2
                expected.append([seed, k + 1, step + 1, seen, target, predicted, int(last), int(predicted == target)])
    assert rows == expected and {row[-1] for row in rows} == {0, 1}
    assert outcome.predictions["activation"].tolist() == pytest.approx(
        [
            said.activation[trial, k, step]
            for trial in range(3)
            for k, steps in ((0, 2), (1, 4))
            for step in range(steps)
        ],
        abs=1e-6,
    )


def test_what_is_said_where_memory_is_needed_is_shown_apart(words):
    (_, problem, _, trained), outcome, said = words
    assert problem.sequences[0][1] == problem.sequences[1][3] == "a"  # which c or d may follow at the scored steps
    rows = outcome.confusion.to_numpy().tolist()
    assert rows == [
        [seed, k + 1, step + 1, "a", target, problem.alphabet[said.predicted[trial, k, step]]]
        for trial, seed in enumerate(trained.seeds.tolist())
        for k, step, target in ((0, 1, "c"), (1, 3, "d"))
    ]


@pytest.mark.parametrize(("steps", "shown"), [(50, 50), (51, 1)])
def test_of_long_rows_only_scored_steps_are_shown(steps, shown):
    sequences = [[3, *[0] * (steps - 1), 3], [4, *[0] * (steps - 1), 4]]
    outcome = outcome_of(
        problem={"sequences": sequences, "scored": "last"}, training=BRIEF | {"epochs": 1}, model={"units": 2}
    )
    told = outcome.predictions
    assert len(told) == 3 * 2 * shown and told["step"].max() == steps
    assert told[told["scored"] == 1][["sequence", "step", "target"]].to_numpy().tolist() == 3 * [
        [1, steps, "3"],
        [2, steps, "4"],
    ]


def test_the_curves_are_those_of_the_trials(words):
    (_, _, _, trained), outcome, _ = words
    assert outcome.loss["epoch"].tolist() == [1, 2, 3, 4] and outcome.learned["epoch"].tolist() == [4]
    assert outcome.loss["median"].tolist() == pytest.approx(
        np.median(trained.losses.astype(float), axis=0).tolist(), rel=1e-6
    )
    assert outcome.trials["seed"].tolist() == [5, 6, 7]
    assert outcome.trials["final_loss"].tolist() == pytest.approx(
        trained.losses[:, -1].astype(float).tolist(), rel=1e-6
    )
    assert outcome.verdicts() == dict(zip([5, 6, 7], (outcome.trials["learned"] == 1).tolist()))
    assert outcome.metrics["updates"] == 4 * 2 and outcome.metrics["confidence"] == 0.95  # two scored steps an epoch


def test_a_free_run_is_told_in_words_and_counted(tmp_path):
    arm = trained_arm(
        problem={"sequences": [["b", "a", "c"], ["c", "a", "b", "a"]]}, training=BRIEF, model={"units": 3},
        evaluation={"free_run": {"prefix": 2, "beyond": 1}},
    )  # fmt: skip
    settings, problem, _, trained = arm
    outcome = results.outcome(*arm)
    following = predictions.free_run(settings.model, trained.weights, problem, settings.evaluation.free_run)
    assert outcome.free_run.to_numpy().tolist() == [
        [seed, k + 1, prefix, " ".join(problem.alphabet[index] for index in following[trial, k])]
        for trial, seed in enumerate([5, 6, 7])
        for k, prefix in enumerate(["b a", "c a"])
    ]
    learned = (outcome.trials["learned"] == 1).to_numpy()
    assert predictions.recited(following, problem, 2, learned).items() <= outcome.metrics.items()
    assert outcome.metrics["trials"] == 3
    results.write(tmp_path, outcome)
    again = results.read(tmp_path)
    pd.testing.assert_frame_equal(again.free_run, outcome.free_run)
    assert b"\r" not in (tmp_path / "free_run.csv").read_bytes()


def test_numbers_keep_seven_digits_and_leads_six_decimals():
    assert results.rounded(0.12345678901) == 0.1234568 and results.rounded(1.23456789e-7) == 1.23e-7
    assert results.rounded(float("inf")) is None and results.rounded(True) is True and results.rounded(None) is None
    columns = ([1], [1], [1.0], [0.123456789], [1.23456789e-8], [None], [0.123456789], [np.nan])
    row = results.typed_frame("trials", columns).iloc[0]
    assert row["step_accuracy"] == 0.123457 and row["final_loss"] == 1.234568e-8 and row["margin"] == 0.123457
    assert results.typed_frame("loss", ([1], [1.23456789e-8], [1.0], [1.0]))["median"][0] == 1.234568e-8
    assert results.typed_frame("remembered", ([1], [1.23456789e-8], [1.0], [1.0]))["median"][0] == 0


def test_a_trial_that_diverged_remembers_nothing_by_the_other_way_of_evaluating_too():
    settings, problem, table, trained = trained_arm(training=BRIEF | {"reset": "epoch"})
    weights = {
        name: np.where(np.arange(3).reshape(3, *[1] * (array.ndim - 1)) < 2, np.nan, array)
        for name, array in trained.weights.items()
    }
    diverged = dataclasses.replace(trained, weights={name: array.astype(np.float32) for name, array in weights.items()})
    assert results.outcome(settings, problem, table, diverged).metrics["stateful_memory_median"] == 0


def test_what_is_missing_in_a_table_is_read_as_missing(tmp_path):
    simple = outcome_of(problem={"sequences": [[0, 1, 2]]}, training=BRIEF)  # no memory, and nobody learned
    results.write(tmp_path, simple)
    again = results.read(tmp_path)
    assert again.trials["memory"].isna().all() and again.remembered["median"].isna().all()
    pd.testing.assert_frame_equal(again.trials, simple.trials)
    pd.testing.assert_frame_equal(again.remembered, simple.remembered)


@pytest.mark.parametrize("evaluation", [{}, {"margin": 0.01}])
def test_the_engine_judges_the_last_check_as_the_evaluation_does(evaluation):
    """Two judges of the same weights, in single and in double precision, that agree trial by trial."""
    for cell in ("lstm", "gru", "simple_rnn"):
        settings, problem, table, trained = trained_arm(
            model={"cell": cell}, training={"trials": 20}, evaluation=evaluation
        )
        learned = results.outcome(settings, problem, table, trained).trials["learned"] == 1
        assert learned.tolist() == trained.learned_by(settings.evaluation.margin)[:, -1].tolist()
        assert evaluation or learned.any()


def test_a_trial_is_judged_once(tutorial):
    """Where the engine's last verdict is another, all files have the evaluation's."""
    settings, problem, table, trained = trained_arm(training={"trials": 12})
    other = trained.learned.copy()
    other[:, -1] = ~other[:, -1]
    outcome = results.outcome(settings, problem, table, dataclasses.replace(trained, learned=other))
    assert outcome.metrics["successes"] == tutorial.metrics["successes"]
    assert outcome.learned["share_learned"].iloc[-1] == pytest.approx(outcome.metrics["success_rate"])
    assert outcome.trials["learned"].tolist() == tutorial.trials["learned"].tolist()
    ever = outcome.trials["first_learned_epoch"].notna()
    assert ever[outcome.trials["learned"] == 1].all() and outcome.metrics["ever_learned"] == ever.sum()
