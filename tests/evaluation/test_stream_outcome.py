"""What is told of trials that learned from a stream, against numbers worked out here."""

import dataclasses

import numpy as np
import pytest

from memory_trials.engines.streaming import LIBRARY, Program
from memory_trials.evaluation import of_streams, results, statistics
from memory_trials.models import weights as model_weights
from memory_trials.settings import Settings
from memory_trials.tasks.streams import Stream
from memory_trials.training.trained import Trained

SEEDS = np.array([3, 4, 5, 6])
BUDGET = 4000

pytestmark = pytest.mark.skipif(not LIBRARY.available(), reason="no C compiler")


def settings_of(stream: dict, confidence: float = 0.95) -> Settings:
    return Settings.model_validate({
        "problem": {"stream": stream},
        "model": {"cell": "memory_cell", "units": 2},
        "training": {"trials": 4, "first_seed": 3, "epochs": BUDGET, "optimizer": "sgd", "update": "sequence"},
        "evaluation": {"interval": 1000, "confidence": confidence},
    })  # fmt: skip


def trained_as(settings: Settings, until: dict[str, list[int]], scale: float = 1.0) -> Trained:
    """Trials that were not trained: so many times their initial weights."""
    shape = Stream(settings.problem.stream).shape
    program = Program(settings.model, settings.training, shape)
    weights = model_weights.initial_weights(settings.model, shape.inputs, shape.outputs, SEEDS)
    checks = np.array([1000, 2000, BUDGET])
    first = np.array(next(iter(until.values())))[:, np.newaxis]
    return Trained(
        SEEDS, {name: (scale * w).astype(np.float32) for name, w in zip(program.names, weights)},
        losses=np.array([[0.5, 0.4, 0.3], [0.5, 0.2, 0.1], [0.5, 0.5, 0.5], [0.5, 0.3, 0.3]], np.float32), checks=checks,
        learned=(first > 0) & (first <= checks), margin=np.full((4, 3), np.nan, np.float32),
        memory=np.full((4, 3), np.nan, np.float32), met_criterion_at={name: np.array(met) for name, met in until.items()},
    )  # fmt: skip


def outcome_of(settings: Settings, trained: Trained) -> results.Outcome:
    stream = Stream(settings.problem.stream)
    return results.outcome(settings, stream, stream, trained)


@pytest.fixture
def signals():
    settings = settings_of({"task": "two_sequence", "length": 20, "signal": 1}, confidence=0.9)
    # one trial learned in the first look, one late, two never; the second criterion is met sooner
    return settings, trained_as(settings, {"ST2": [1000, 0, 0, 3000], "ST1": [1000, 2000, 0, 1000]})


@pytest.fixture
def outcome(signals):
    return outcome_of(*signals)


def by_hand(settings, trained, trial: int) -> tuple[int, float]:
    """Of one trial alone, its 2,560 sequences drawn at once: how many are wrong, and the mean absolute error."""
    stream = Stream(settings.problem.stream)
    program = Program(settings.model, settings.training, stream.shape)
    state = program.start([array[trial : trial + 1] for array in trained.weights.values()])
    sequences = stream.draw(trained.seeds[trial : trial + 1], "test", 0, 2560)
    criterion = next(iter(stream.criteria.values()))
    errors = program.test(state, sequences, criterion.last_step_only)
    return int((~errors.meet(criterion)).sum()), float(errors.absolute.astype(float).mean())


def test_trials_are_tested_on_fresh_sequences_of_their_own(signals):
    settings, trained = signals
    wrong, error = of_streams.tested(settings, Stream(settings.problem.stream), trained)
    expected = [by_hand(settings, trained, trial) for trial in range(4)]
    assert wrong.tolist() == [count for count, _ in expected] and len(set(error)) == 4
    assert error == pytest.approx([mean for _, mean in expected], rel=1e-6)


def test_where_only_the_last_step_is_judged_the_others_do_not_count():
    settings = settings_of({"task": "keys", "length": 4, "middle": "random"})
    trained = trained_as(settings, {"success": [0, 0, 0, 0]}, scale=3.0)
    wrong, error = of_streams.tested(settings, Stream(settings.problem.stream), trained)
    assert [(int(w), pytest.approx(float(e), rel=1e-6)) for w, e in zip(wrong, error)] == [
        by_hand(settings, trained, trial) for trial in range(4)
    ]


def test_the_metrics_are_those_of_the_first_criterion_and_few_of_the_others(signals, outcome):
    settings, trained = signals
    numbers = outcome.metrics
    wrong, error = of_streams.tested(settings, Stream(settings.problem.stream), trained)
    learned = [0, 3]
    expected = {
        "trials": 4, "successes": 2, "success_rate": 0.5, "ever_learned": 2, "forgotten": 0, "verdict_changes": 0.0,
        "mean_final_loss": (0.3 + 0.1 + 0.5 + 0.3) / 4, "epochs_budget": BUDGET, "confidence": 0.9,
        "mean_sequence_accuracy": 1 - wrong.mean() / 2560, "mean_step_accuracy": 1 - wrong.mean() / 2560,
        "mean_epochs_to_learn": 2000.0, "restricted_mean_epochs_to_learn": (1000 + 2 * BUDGET + 3000) / 4,
        "updates": (1000 + 2 * BUDGET + 3000) // 4, "test_sequences": 2560,
        "test_wrong": wrong[learned].mean(), "test_error": error[learned].mean(),
        "ST1_successes": 3, "ST1_mean_epochs_to_learn": (1000 + 2000 + 1000) / 3, "ST1_median_epochs_to_learn": 1000.0,
        "median_epochs_to_learn": 3000.0,
        "parameters": sum(array[0].size for array in trained.weights.values()),
    }  # fmt: skip
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    interval = statistics.mean_time(trained.met_criterion_at["ST2"], BUDGET, 0.9)
    assert numbers["mean_epochs_to_learn_low"] == pytest.approx(interval["mean_epochs_to_learn_low"])
    nothing = [name for name, number in numbers.items() if number is None]
    assert {"memory_whole", "memory_median", "memory_p10", "signal_median", "bias_median", "chance_rate"} <= set(
        nothing
    )
    assert {f"successes_margin_{lead:g}" for lead in statistics.MARGINS} <= set(nothing)
    assert numbers["success_rate_low"] == pytest.approx(statistics.success_rate(2, 4, 0.9)[1], rel=1e-6)
    assert outcome.of_stream


def test_the_tables_are_those_of_any_other_arm(signals, outcome):
    settings, trained = signals
    wrong, _ = of_streams.tested(settings, Stream(settings.problem.stream), trained)
    trials = outcome.trials
    assert trials["seed"].tolist() == SEEDS.tolist() and trials["learned"].tolist() == [1, 0, 0, 1]
    assert trials["step_accuracy"].tolist() == pytest.approx((1 - wrong / 2560).tolist(), abs=1e-6)
    assert trials["sequence_accuracy"].tolist() == trials["step_accuracy"].tolist()
    assert trials["final_loss"].tolist() == pytest.approx([0.3, 0.1, 0.5, 0.3])
    assert trials["first_learned_epoch"].fillna(0).tolist() == [1000, 0, 0, 3000]
    assert trials["margin"].isna().all() and trials["memory"].isna().all()
    assert outcome.loss["epoch"].tolist() == [1000, 2000, BUDGET]
    assert outcome.loss["median"].tolist() == pytest.approx([0.5, 0.35, 0.3])
    assert outcome.learned["share_learned"].tolist() == [0.25, 0.25, 0.5]
    assert outcome.learned["low"].iloc[-1] == pytest.approx(statistics.success_rate(2, 4, 0.9)[1], rel=1e-5)
    assert outcome.remembered["epoch"].tolist() == [1000, 2000, BUDGET] and outcome.remembered["median"].isna().all()
    curve = statistics.time_to_learn([1000, None, None, 3000], BUDGET, 0.9)[0]
    assert np.allclose(outcome.time_to_learn.to_numpy(), curve, atol=1e-5)
    assert outcome.predictions.empty and outcome.confusion.empty and outcome.free_run is None


def test_where_nobody_learned_there_is_nothing_to_tell_of_the_learners():
    settings = settings_of({"task": "adding", "length": 20})
    numbers = outcome_of(settings, trained_as(settings, {"absolute": [0] * 4, "squared": [0] * 4})).metrics
    assert [numbers[name] for name in ("successes", "test_wrong", "test_error", "mean_epochs_to_learn")] == [
        0,
        None,
        None,
        None,
    ]
    assert numbers["updates"] == BUDGET and numbers["squared_successes"] == 0


def test_a_trial_may_learn_from_its_first_sequence_and_a_part_of_an_update_is_none():
    settings = settings_of({"task": "adding", "length": 20})
    numbers = outcome_of(settings, trained_as(settings, {"absolute": [1, 0, 0, 2], "squared": [1, 0, 1, 3]})).metrics
    assert numbers["successes"] == 2 and numbers["squared_successes"] == 3
    assert numbers["updates"] == (1 + 2 * BUDGET + 2) // 4 and isinstance(numbers["updates"], int)
    alone = trained_as(settings, {"absolute": [1, 0, 0, 2], "squared": [1, 0, 1, 3]})
    alone = dataclasses.replace(
        alone, seeds=SEEDS[:1], losses=alone.losses[:1], learned=alone.learned[:1], margin=alone.margin[:1], memory=alone.memory[:1],
        weights={name: array[:1] for name, array in alone.weights.items()}, met_criterion_at={name: met[:1] for name, met in alone.met_criterion_at.items()},
    )  # fmt: skip
    assert outcome_of(settings, alone).metrics["parameters"] == numbers["parameters"]
