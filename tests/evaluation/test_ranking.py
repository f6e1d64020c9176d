"""Comparisons of models by their runs, against SciPy, statsmodels, published tests and brute force."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom, fisher_exact, permutation_test
from statsmodels.stats.contingency_tables import mcnemar

from memory_trials.evaluation import ranking
from memory_trials.evaluation.ranking import compare, improvement, mean_interval, misleading, profile, summarize

DRAWS = np.random.default_rng(1)
A, B = DRAWS.normal(0.5, 0.2, 7), DRAWS.normal(0.3, 0.2, 7)


def test_a_paired_comparison_is_scipys_permutation_test():
    difference = lambda x, y, axis=-1: np.mean(x - y, axis=axis)
    expected = permutation_test((A, B), difference, permutation_type="samples", n_resamples=10**6, vectorized=True)
    found = compare("a", "b", {"a": A, "b": B}, paired=True)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.smallest_p == 2 / 2**7
    assert (found.better, found.difference) == ("a", pytest.approx(A.mean() - B.mean()))


def test_an_unpaired_comparison_counts_all_ways_to_deal_the_runs():
    difference = lambda x, y, axis=-1: np.mean(x, axis=axis) - np.mean(y, axis=axis)
    expected = permutation_test((A, B), difference, n_resamples=10**6, vectorized=True)
    assert compare("a", "b", {"a": A, "b": B}, paired=False).p == pytest.approx(expected.pvalue)
    few, both = B[:3], np.concatenate([A, B[:3]])  # of different sizes both tails count by their distance from 0
    gaps = [both[list(some)].mean() - np.delete(both, some).mean() for some in itertools.combinations(range(10), 7)]
    found = compare("b", "a", {"a": A, "b": few}, paired=False)
    assert found.p == pytest.approx((np.abs(gaps) >= abs(A.mean() - few.mean()) - 1e-12).mean())
    assert found.better == "a"


def test_of_many_runs_permutations_are_drawn_and_p_is_near_the_exact_one():
    a, b = np.repeat([1.0, 0.0], [14, 6]), np.repeat([1.0, 0.0], [6, 14])
    assert compare("a", "b", {"a": a, "b": b}, paired=False).p == pytest.approx(
        fisher_exact([[14, 6], [6, 14]]).pvalue, abs=0.005
    )
    a, b = np.tile([1.0, 1.0, 0.0, 0.0], 10), np.tile([1.0, 0.0, 0.0, 0.0], 10)
    assert compare("a", "b", {"a": a, "b": b}, paired=True).p == pytest.approx(2 / 2**10, abs=0.001)


def test_of_successes_it_is_mcnemars_and_fishers_test():
    a, b = np.array([1.0, 1, 1, 1, 0, 1, 1, 0, 1, 1]), np.array([0.0, 1, 0, 0, 0, 1, 0, 1, 0, 0])
    table = [[(a * b).sum(), (a * (1 - b)).sum()], [((1 - a) * b).sum(), ((1 - a) * (1 - b)).sum()]]
    paired = compare("a", "b", {"a": a, "b": b}, paired=True)
    assert paired.p == pytest.approx(mcnemar(table, exact=True).pvalue)
    a, b = a[:6], b[:6]
    unpaired = compare("a", "b", {"a": a, "b": b}, paired=False)
    assert unpaired.p == pytest.approx(fisher_exact([[a.sum(), 6 - a.sum()], [b.sum(), 6 - b.sum()]]).pvalue)


def test_equal_runs_are_never_told_apart():
    for paired in (True, False):
        found = compare("a", "b", {"a": A, "b": A.copy()}, paired)
        assert (found.p, found.difference, found.wins) == (1.0, 0.0, 0.5)


def test_the_probability_of_improvement_counts_pairs_of_runs():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0])
    assert compare("a", "b", {"a": a, "b": b}, paired=False).wins == pytest.approx(0.5)
    brute = np.mean([(x > y) + (x == y) / 2 for x, y in itertools.product(A, B)])
    assert compare("a", "b", {"a": A, "b": B}, paired=True).wins == pytest.approx(brute)
    mean, low, high = improvement([(A, B), (a, b)], 0.95)
    assert mean == pytest.approx((brute + 0.5) / 2)
    assert 0 <= low < mean < high <= 1


def test_few_seeds_mislead_as_often_as_two_binomial_counts_do():
    a, b = np.repeat([1.0, 0.0], [60, 40]), np.repeat([1.0, 0.0], [40, 60])
    for found in misleading(a, b, paired=False):
        seeds = int(found.seeds)
        counts = np.arange(seeds + 1)
        mine, theirs = binom.pmf(counts, seeds, 0.6), binom.pmf(counts, seeds, 0.4)
        assert found.equal == pytest.approx(mine @ theirs, abs=0.015)
        assert found.wrong == pytest.approx(theirs @ (np.cumsum(mine) - mine), abs=0.015)
        none, other = 0.4**seeds, 0.6**seeds  # the best of n is wrong where none of a's and some of b's succeed
        assert found.wrong_by_best == pytest.approx(none * (1 - other), abs=0.015)


def test_paired_seeds_that_always_agree_never_mislead():
    for found in misleading(A, A - 0.1, paired=True):
        assert found.wrong == found.equal == found.wrong_by_best == found.equal_by_best == 0


def test_a_profile_is_the_share_of_runs_at_or_above_each_threshold():
    shares = profile({"a": np.array([0.1, 0.5, 0.9])}, np.array([0.0, 0.5, 0.6, 1.0]))
    assert shares["a"] == pytest.approx([1, 2 / 3, 1 / 3, 0])


def test_an_interval_holds_the_mean_and_depends_on_the_scores_alone():
    mean, low, high = mean_interval(A, 0.95)
    assert low < mean < high and mean == pytest.approx(A.mean())
    assert mean_interval(A.copy(), 0.95) == (mean, low, high)
    assert mean_interval(np.full(5, 0.25), 0.95) == (0.25, 0.25, 0.25)


def test_a_summary_says_whether_the_best_is_decided():
    clear = {"a": np.linspace(0.8, 0.9, 10), "b": np.linspace(0.1, 0.2, 10), "c": np.linspace(0.79, 0.91, 10)[::-1]}
    found = summarize({"x": clear, "y": {"a": clear["a"], "b": clear["b"]}}, False, 0.95)
    x, y = found["tasks"]
    assert (x["undecided"], x["best"] in "ac") == ([{"a": "c", "c": "a"}[x["best"]]], True)
    assert (y["best"], y["undecided"], y["decidable"]) == ("a", [], True)
    assert [row["tasks"] for row in found["models"]] == [2, 2, 1]
    assert sum(row["decided"] for row in found["models"]) == 1
    assert found["profile"]["tasks"] == 1  # c has not run on y


def test_too_few_runs_decide_nothing_and_the_summary_says_so():
    (task,) = summarize({"x": {"a": np.array([9.0, 9.1, 9.2]), "b": np.array([0.1, 0.2, 0.3])}}, True, 0.95)["tasks"]
    assert (task["undecided"], task["decidable"]) == (["b"], False)


def test_errors_are_given_as_errors_and_successes_have_wilsons_interval():
    (task,) = summarize({"x": {"a": -A, "b": -B}}, True, 0.95, lower_is_better=True)["tasks"]
    numbers = task["models"]["a"]
    assert numbers["low"] < numbers["mean"] == pytest.approx(A.mean()) and numbers["mean"] < numbers["high"]
    runs = {"a": np.repeat([1.0, 0.0], [39, 61]), "b": np.zeros(100)}
    (task,) = summarize({"x": runs}, True, 0.95)["tasks"]
    assert task["models"]["a"]["low"] == pytest.approx(0.300, abs=1e-3)  # Wilson's of 39 of 100
    assert task["models"]["b"]["high"] == pytest.approx(0.037, abs=1e-3)


def test_all_ways_are_counted_up_to_a_bound():
    assert len(ranking._signs(10)) == 2**10
    assert len(ranking._deals(5, 5)) == 252
    assert len(ranking._deals(20, 20)) == ranking.RESAMPLES
