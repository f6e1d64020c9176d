"""Rates and curves against published, exact and brute-force values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_trials.statistics import first_learned, loss_curves, share_learned, success_rate, summary, verdicts


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3 (Wilson without continuity correction)
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_the_published_ones(successes, trials, low, high):
    rate, our_low, our_high = success_rate(successes, trials, 0.95)
    assert rate == successes / trials
    assert round(our_low, 4) == low and round(our_high, 4) == high


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_an_interval_holds_its_rate_and_stays_within_bounds(successes_of_trials, confidence):
    rate, low, high = success_rate(*successes_of_trials, confidence)
    assert -1e-12 <= low <= rate + 1e-12 and rate - 1e-12 <= high <= 1 + 1e-12 and low < high


def test_verdicts_by_hand():
    targets = np.array([[0, 1, 2, 3], [0, 1, 2, 4]])
    scored = np.array([[True, True, True, True], [True, True, False, True]])
    predicted = np.array([
        [[0, 1, 2, 3], [0, 1, 9, 4]],  # the wrong step is not scored
        [[0, 1, 2, 3], [0, 1, 2, 3]],
        [[9, 1, 2, 3], [9, 1, 2, 9]],
    ])  # fmt: skip
    learned, sequence_accuracy, step_accuracy = verdicts(predicted, targets, scored)
    assert learned.tolist() == [True, False, False]
    assert sequence_accuracy.tolist() == [1.0, 0.5, 0.0]
    assert step_accuracy.tolist() == [1.0, 6 / 7, 4 / 7]


def test_first_learned_is_the_first_check_also_when_it_was_forgotten():
    learned = np.array([[False, True, False], [False, False, False], [True, True, True]])
    assert first_learned(np.array([10, 20, 25]), learned) == [20, None, 10]


def test_curves():
    assert loss_curves(np.arange(11.0)[:, np.newaxis]).tolist() == [[5.0, 1.0, 9.0]]
    shares = share_learned(np.array([[False, True], [False, True]]), 0.95)
    assert shares[:, 0].tolist() == [0.0, 1.0] and shares[0, 2] == pytest.approx(0.6576, abs=1e-4)


def test_summary():
    learned = np.array([True, False, True, False])
    metrics = summary(
        learned, np.array([1, 0.5, 1, 0]), np.array([1, 0.9, 1, 0.5]), np.full(4, 0.1), [30, None, 10, 20], 0.95
    )
    assert list(metrics) == [
        "trials", "successes", "success_rate", "success_rate_low", "success_rate_high", "mean_sequence_accuracy",
        "mean_step_accuracy", "mean_final_loss", "median_epochs_to_learn",
    ]  # fmt: skip
    assert metrics["trials"] == 4 and metrics["successes"] == 2 and metrics["success_rate"] == 0.5
    assert metrics["mean_sequence_accuracy"] == 0.625 and metrics["median_epochs_to_learn"] == 20
    never = summary(np.zeros(2, bool), np.zeros(2), np.zeros(2), np.array([np.nan, 1]), [None, None], 0.95)
    assert never["median_epochs_to_learn"] is None and never["mean_final_loss"] is None
