"""Rates and curves against published, exact and brute-force values."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_trials.evaluation.statistics import (
    Verdicts,
    chance,
    changes_of_verdict,
    compare,
    first_learned,
    fisher,
    loss_curves,
    mean_time,
    means_of,
    memory_curves,
    memory_summary,
    quantile,
    seeds_for_width,
    share_learned,
    success_rate,
    summary,
    time_to_learn,
    verdicts,
    wrongly_ranked,
)


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
    sequence = np.array([[0] * 4, [1] * 4])
    right = predicted == targets
    learned, sequence_accuracy, step_accuracy = verdicts(right, scored, sequence)
    assert learned.tolist() == [True, False, False]
    assert sequence_accuracy.tolist() == [1.0, 0.5, 0.0]
    assert step_accuracy.tolist() == [1.0, 6 / 7, 4 / 7]
    # one flow that holds both sequences, one after the other
    one_flow = (right.reshape(3, 1, 8), scored.reshape(1, 8), sequence.reshape(1, 8))
    assert all(np.array_equal(a, b) for a, b in zip(verdicts(*one_flow), (learned, sequence_accuracy, step_accuracy)))


def test_first_learned_is_the_first_check_also_when_it_was_forgotten():
    learned = np.array([[False, True, False], [False, False, False], [True, True, True]])
    assert first_learned(np.array([10, 20, 25]), learned) == [20, None, 10]


def test_curves():
    assert loss_curves(np.arange(11.0)[:, np.newaxis]).tolist() == [[5.0, 1.0, 9.0]]
    shares = share_learned(np.array([[False, True], [False, True]]), 0.95)
    assert shares[:, 0].tolist() == [0.0, 1.0] and shares[0, 2] == pytest.approx(0.6576, abs=1e-4)


def test_summary():
    learned = np.array([True, False, True, False])
    right = Verdicts(learned, np.array([1, 0.5, 1, 0]), np.array([1, 0.9, 1, 0.5]))
    metrics = summary(right, np.full(4, 0.1), [30, None, 10, 20], 40, 0.95)
    assert metrics["ever_learned"] == 3 and metrics["forgotten"] == 1
    assert metrics["trials"] == 4 and metrics["successes"] == 2 and metrics["success_rate"] == 0.5
    assert metrics["mean_sequence_accuracy"] == 0.625 and metrics["median_epochs_to_learn"] == 20
    never = summary(Verdicts(np.zeros(2, bool), np.zeros(2), np.zeros(2)), np.array([np.nan, 1]), [None] * 2, 40, 0.95)
    assert never["median_epochs_to_learn"] is None and never["mean_final_loss"] is None


def test_time_to_learn_is_the_published_kaplan_meier_curve():
    """Freireich et al. 1963, 6-mercaptopurine: the 21 patients of the usual textbook example, censored ones at 35 here
    as trials are (all at the end), so against the product formula; and uncensored against the plain share."""
    times = [6, 6, 6, 7, 10, 13, 16, 22, 23] + [None] * 12
    curve, median, low, high = time_to_learn(times, 35, 0.95)
    survival, at_risk, expected = 1.0, 21, []
    for time in sorted({t for t in times if t}):
        survival *= 1 - times.count(time) / at_risk
        at_risk -= times.count(time)
        expected.append((time, 1 - survival))
    assert np.allclose(curve[:-1, :2], expected)
    assert median is None and low is not None and high is None  # 9 of 21 is less than half
    assert (curve[:, 2] <= curve[:, 1]).all() and (curve[:, 1] <= curve[:, 3]).all()
    assert time_to_learn([10, 20, 30], 40, 0.95)[1] == 20
    assert time_to_learn([None, None], 40, 0.95)[1:] == (None, None, None)


def brute_force_mcnemar(a, b):
    """The share of all ways to relabel the discordant seeds that are at least as uneven as this one."""
    discordant = [(x, y) for x, y in zip(a, b) if x != y]
    n, k = len(discordant), sum(x for x, _ in discordant)
    uneven = abs(2 * k - n)
    return sum(abs(2 * bin(ways).count("1") - n) >= uneven for ways in range(2**n)) / 2**n


@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=9))
def test_one_comparison_is_the_exact_mcnemar_test(pairs):
    a, b = (np.array(column) for column in zip(*pairs))
    assert compare(a, [b])[0] == pytest.approx(brute_force_mcnemar(a, b))


def test_comparisons_are_adjusted_by_holm():
    a = np.zeros(10, bool)
    others = [np.arange(10) < n for n in (10, 7, 6)]  # p = 2 / 2^10, 2 / 2^7, 2 / 2^6
    expected = [3 * 2 / 2**10, 2 * 2 / 2**7, 2 / 2**6]
    assert compare(a, others) == pytest.approx([expected[0], expected[1], max(expected[1:])])
    assert compare(a, []) == []


@pytest.mark.parametrize(
    ("n", "p", "confidence"), [(16, 0.75, 0.9), (100, 0.5, 0.95), (100, 0.1, 0.95), (40, 0.9, 0.8)]
)
def test_a_quantiles_interval_is_that_of_the_binomial_distribution(n, p, confidence):
    """Of the ranks 1 to n: at each end, as few values lie beyond it as chance alone allows. By the formula."""
    below = lambda k: sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k))  # P(fewer than k are below)
    tail = (1 - confidence) / 2
    value, low, high = quantile(np.arange(1.0, n + 1), p, confidence)
    assert value == pytest.approx(1 + p * (n - 1))
    assert below(int(low)) <= tail < below(int(low) + 1)
    assert 1 - below(int(high)) <= tail < 1 - below(int(high) - 1)
    assert quantile(np.arange(3.0), 0.5, 0.95) == (1.0, None, None)  # too few for an interval


@settings(max_examples=20)
@given(st.lists(st.floats(-2, 1), min_size=2, max_size=60), st.sampled_from([0.1, 0.5, 0.9]))
def test_a_quantile_lies_within_its_interval(values, p):
    value, low, high = quantile(np.array(values), p, 0.9)
    assert (low is None or low <= value + 1e-12) and (high is None or value <= high + 1e-12)


def test_how_much_is_remembered():
    memory, learned = np.array([0.0, 0.5, 1.0, np.nan]), np.array([False, True, True, False])
    told = memory_summary(memory, learned, np.array([-0.2, 0.05, 0.7, np.nan]), 0.95)
    assert told["memory_median"] == 0.25  # what diverged remembers nothing
    assert told["memory_learned_median"] == 0.75 and told["margin_learned_median"] == pytest.approx(0.375)
    assert [told[f"successes_margin_{margin}"] for margin in ("0.01", "0.1", "0.5")] == [2, 1, 1]
    none = memory_summary(np.full(4, np.nan), np.zeros(4, bool), np.zeros(4), 0.95)
    assert none["memory_median"] is None and none["memory_learned_median"] is None
    assert memory_curves(np.array([[0.0, 1.0], [np.nan, 3.0], [0.0, 2.0]], np.float32))[:, 0].tolist() == [0.0, 2.0]
    assert np.isnan(memory_curves(np.full((3, 2), np.nan))).all()


def test_changes_of_verdict():
    learned = np.array([[False, True, False, True], [True, True, True, True]])
    assert changes_of_verdict(learned) == 1.5 and changes_of_verdict(learned[:, :1]) == 0


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_chance_is_the_share_of_all_pairs_in_which_the_signal_exceeds_the_bias(pairs):
    signal, bias = (np.array(column, float) for column in zip(*pairs))
    brute = np.mean([s > b for s in signal for b in bias])
    told = chance(np.append(signal, np.nan), np.append(bias, 1.0))
    assert told["chance_rate"] == pytest.approx(brute) and told["signal_median"] == np.median(signal)
    assert chance(np.full(3, np.nan), np.zeros(3))["chance_rate"] is None


RATES = st.floats(0, 1).map(lambda rate: round(rate, 9))  # SciPy overflows at subnormal ones


@settings(max_examples=25)
@given(RATES, RATES, st.integers(1, 4))
def test_wrong_rankings_are_those_of_all_outcomes(rate, other, seeds):
    better, worse = max(rate, other), min(rate, other)
    wrong = alike = 0.0
    for ways in range(4**seeds):
        bits = [(ways >> place) & 1 for place in range(2 * seeds)]
        mine, theirs = bits[:seeds], bits[seeds:]
        likely = np.prod([better if b else 1 - better for b in mine]) * np.prod(
            [worse if b else 1 - worse for b in theirs]
        )
        wrong, alike = wrong + likely * (sum(theirs) > sum(mine)), alike + likely * (sum(theirs) == sum(mine))
    assert wrongly_ranked(rate, other, seeds) == pytest.approx((wrong, alike), abs=1e-9)


@pytest.mark.parametrize(("rate", "width"), [(0.39, 0.2), (0.5, 0.1), (0.0, 0.05), (1.0, 0.4)])
def test_the_fewest_seeds_for_an_interval_are_found(rate, width):
    from statsmodels.stats.proportion import proportion_confint

    seeds = seeds_for_width(rate, width, 0.95)
    wide = lambda n: np.ptp(proportion_confint(rate * n, n, 0.05, "wilson"))
    assert wide(seeds) <= width < wide(seeds - 1)
    assert seeds_for_width(0.5, 1e-9, 0.95, most=1000) == 1000


def test_the_mean_time_to_learn_has_a_t_interval_and_counts_the_budget_of_those_that_never_did():
    until = np.array([10, 0, 20, 60, 0])
    found = mean_time(until, 100, 0.95)
    # Student's t, 2 degrees of freedom, 97.5 %: 4.302653; the deviation of 10, 20, 60 is 26.457513
    half = 4.302652729911275 * 26.457513110645905 / np.sqrt(3)
    assert found == pytest.approx({
        "mean_epochs_to_learn": 30, "mean_epochs_to_learn_low": 30 - half, "mean_epochs_to_learn_high": 30 + half,
        "sd_epochs_to_learn": 26.457513110645905, "restricted_mean_epochs_to_learn": (10 + 100 + 20 + 60 + 100) / 5,
    })  # fmt: skip
    assert mean_time(until, 100, 0.9)["mean_epochs_to_learn_high"] < found["mean_epochs_to_learn_high"]
    two = mean_time(np.array([1, 3]), 100, 0.95)  # 1 degree of freedom: 12.706205
    assert two["mean_epochs_to_learn_low"] == pytest.approx(2 - 12.706204736432095)


@pytest.mark.parametrize(("until", "mean", "restricted"), [([0, 0], None, 50.0), ([7, 0], 7.0, 28.5)])
def test_of_one_time_or_none_there_is_no_interval(until, mean, restricted):
    found = mean_time(np.array(until), 50, 0.95)
    assert found == {
        "mean_epochs_to_learn": mean, "mean_epochs_to_learn_low": None, "mean_epochs_to_learn_high": None,
        "sd_epochs_to_learn": None, "restricted_mean_epochs_to_learn": restricted,
    }  # fmt: skip


@pytest.mark.parametrize(("share", "deviations"), [(0.95, 1.96), (0.5, 0.6745)])
def test_both_ends_of_where_further_means_lie_are_as_far_away_as_both_samples_make_them(share, deviations):
    times = np.random.default_rng(5).normal(1000, 50, size=400).round().astype(int)
    low, high = means_of(times, 25, 4_000, share)
    # the mean of 25 further ones varies by s / 5, ours by s / 20
    away = deviations * times.std() * np.sqrt(1 / 25 + 1 / 400)
    assert low == pytest.approx(times.mean() - away, abs=0.05 * away)
    assert high == pytest.approx(times.mean() + away, abs=0.05 * away)
    assert means_of(times, 25, 4_000, share) == (low, high)  # the same draws
    narrower = means_of(times, 400, 4_000, share)
    assert narrower[1] - narrower[0] == pytest.approx(2 * deviations * times.std() * np.sqrt(2 / 400), rel=0.05)


def test_further_means_are_drawn_from_all_times_and_from_no_others():
    low, high = means_of(np.array([1, 3]), 1, 4000, share=0.999)
    assert (low, high) == (0.0, 4.0)  # 1 - (3 - 2) and 3 - (1 - 2)


def test_fisher_is_the_published_tea_tasting():
    assert fisher(3, 4, 1, 4) == pytest.approx(34 / 70)  # Fisher 1935: 0.486, two-sided
    assert fisher(4, 4, 0, 4) == pytest.approx(2 / 70) and fisher(0, 4, 4, 4) == pytest.approx(2 / 70)
    assert fisher(1, 2, 10, 20) == 1


def test_the_interval_of_a_time_to_learn_is_narrower_with_less_confidence():
    times = [10, 20, None, 40, 50, None, 70, 80]
    curve, _, low, high = time_to_learn(times, 100, 0.95)
    other, _, *ends = time_to_learn(times, 100, 0.5)
    assert (other[:, 3] - other[:, 2] < curve[:, 3] - curve[:, 2]).any()
    assert np.array_equal(curve[:, :2], other[:, :2]) and ends[0] >= low and (high is None or ends[1] <= high)


def test_arms_that_differ_on_equally_many_seeds_either_way_are_alike_and_an_arm_alone_has_none_beside_it():
    learned = np.array([True, False, True, False, True])
    assert compare(learned, [np.array([False, True, True, False, True])]) == [1.0]
    assert compare(learned, [learned, ~learned])[0] == 1.0 and compare(learned, []) == []


@pytest.mark.parametrize("most", [1, 6, 7, 1000])
def test_no_more_seeds_are_asked_for_than_there_may_be(most):
    assert seeds_for_width(0.5, 1e-3, 0.95, most) == most
    assert seeds_for_width(0.5, 0.99, 0.95, most) <= most


def test_a_summary_counts_what_was_forgotten_and_has_no_loss_where_training_diverged():
    found = Verdicts(np.array([True, False, False]), np.array([1, 0.5, 0]), np.array([1, 0.75, 0.5]))
    numbers = summary(found, np.array([0.1, 0.2, 0.6]), [10, 20, None], 100, 0.95)
    assert numbers["mean_final_loss"] == pytest.approx(0.3) and numbers["mean_step_accuracy"] == 0.75
    assert (numbers["trials"], numbers["successes"], numbers["ever_learned"], numbers["forgotten"]) == (3, 1, 2, 1)
    assert summary(found, np.array([0.1, np.inf, 0.6]), [10, 20, None], 100, 0.95)["mean_final_loss"] is None
