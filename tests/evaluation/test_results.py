"""What is known of an arm, worked out once: its files say the same, and how it was asked cannot hide."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_trials.errors import UserError
from memory_trials.evaluation import predictions, results
from memory_trials.settings import (
    ComputeSettings,
    EncodingSettings,
    ModelSettings,
    ProblemSettings,
    Settings,
    TrainingSettings,
)  # fmt: skip
from memory_trials.tasks.encoding import make_table
from memory_trials.tasks.problems import make_problem
from memory_trials.training.job import TrainingJob
from memory_trials.training.trainer import train
from tests import outcomes

TUTORIAL = {"sequences": [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]}


def outcome_of(shard: int = 50, **sections) -> results.Outcome:
    settings = Settings(**{"problem": TUTORIAL, **sections})
    problem = make_problem(settings.problem)
    table = make_table(problem, settings.encoding, settings.training, settings.evaluation.stateful)
    compute = ComputeSettings(shard=shard)
    trained = train(TrainingJob(settings.model, settings.training, settings.evaluation.interval, table), compute)
    return results.outcome(settings, problem, table, trained)


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
    assert results.whole_memory(table) == (None if entropy is None else pytest.approx(entropy, abs=1e-6))


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
    if results.whole_memory(table) is None:
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
