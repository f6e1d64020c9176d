"""What is known of an arm, worked out once: its files say the same, and how it was asked cannot hide."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_trials.errors import UserError
from memory_trials.evaluation import predictions, results, statistics
from memory_trials.settings import ComputeSettings, Settings
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


def test_memory_in_closed_form():
    bits = lambda right, *wrong: predictions.memory_bits(np.array([[[right, *wrong]]]), np.array([0]))[0, 0]
    assert bits(0.5, 0.5) == 0 and bits(0.3, 0.3, 0.3) == pytest.approx(0, abs=1e-12)
    assert bits(0.75, 0.25) == pytest.approx(np.log2(1.5)) and bits(0.25, 0.75) == -1
    assert bits(0.9, 0.0) == pytest.approx(1) and bits(0.9, 0.0, 0.0, 0.0) == pytest.approx(2)
    assert bits(0.09, 0.03) == pytest.approx(bits(0.9, 0.3))  # sigmoids need not sum to 1
    assert bits(0.75, 0.25, np.nan) == bits(0.75, 0.25)  # smaller sets are filled up
    assert np.isfinite(bits(0.0, 1.0))


@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=6), st.data())
def test_memory_is_the_information_of_the_normalised_outputs(outputs, data):
    right = data.draw(st.integers(0, len(outputs) - 1))
    q = outputs[right] / sum(outputs)
    told = predictions.memory_bits(np.array([[outputs]]), np.array([right]))[0, 0]
    assert told == pytest.approx(np.log2(len(outputs)) + np.log2(q), abs=1e-9)
    assert told <= np.log2(len(outputs)) + 1e-12


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
