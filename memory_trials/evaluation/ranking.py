"""Which model is better, and how sure is that? Statistics over runs of several models on several tasks.

All functions are pure: they take scores, of which more is better, and return numbers. Scores of one model on one task
are an array [S], one for each seed. Where models are compared on the same seeds, position s of both arrays is seed s.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memory_trials.evaluation.statistics import holm, success_rate

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

SEEDS = (1, 3, 5, 10)  # how many seeds comparisons are often made with
RESAMPLES = 10_000
EXACT = 12  # pairs up to which all ways to flip their signs are counted: 4,096

Runs = Mapping[str, "Float[np.ndarray, ' _']"]  # one task: a model's scores, by the name of the model


class Comparison(NamedTuple):
    """Two models on one task: `better` has the larger mean over all seeds.

    p: of the permutation test that both have one mean, two-sided, not adjusted. smallest_p: what it would be at the
    least with so many seeds. wins: the share of pairs of runs, one of each model, in which `better` scores more; equal
    scores count half (the probability of improvement, Agarwal et al. 2021).
    """

    better: str
    worse: str
    difference: float
    p: float
    smallest_p: float
    wins: float


class Misleading(NamedTuple):
    """How often a comparison by so many seeds orders two models otherwise than all seeds do, and how often it finds
    them equal: by the mean of the seeds, and by the best of them."""

    seeds: int
    wrong: float
    equal: float
    wrong_by_best: float
    equal_by_best: float


def mean_interval(scores: Float[np.ndarray, " S"], confidence: float) -> tuple[float, float, float]:
    """Return the mean of some scores with the interval of the bias-corrected and accelerated bootstrap (Efron 1987).

    Its draws depend on the scores alone. A single run, or equal runs, leave it without a width.

    Args:
        scores: the scores of one model on one task, [S].
        confidence: between 0 and 1.

    Returns:
        mean, low and high.
    """
    from scipy.stats import bootstrap

    mean = float(scores.mean())
    if np.ptp(scores) == 0:
        return mean, mean, mean
    draws = np.random.default_rng(0)
    interval = bootstrap(
        (scores,), np.mean, confidence_level=confidence, n_resamples=RESAMPLES, rng=draws, method="BCa"
    ).confidence_interval
    return mean, float(interval.low), float(interval.high)


def compare(first: str, second: str, runs: Runs, paired: bool) -> Comparison:
    """Compare two models on one task by a permutation test of the difference of their means.

    Paired, the signs of the differences are flipped; otherwise the runs are dealt out anew. Of scores that are 0 or 1
    these are the exact McNemar (1947) and Fisher (1935) tests. Up to `EXACT` pairs all permutations are counted;
    beyond, `RESAMPLES` are drawn from a generator of their own, so the same scores give the same p.

    Args:
        first, second: names of two models in `runs`.
        runs: scores by model.
        paired: whether position s of both is the same seed.

    Returns:
        The comparison, the better model first; of equal means, `first`.
    """
    if runs[second].mean() > runs[first].mean():
        first, second = second, first
    a, b = runs[first], runs[second]
    p, smallest = _paired(a - b) if paired else _unpaired(a, b)
    return Comparison(first, second, float(a.mean() - b.mean()), p, smallest, float(_won(a, b).mean()))


def _won(a: Float[np.ndarray, " S"], b: Float[np.ndarray, " R"]) -> Float[np.ndarray, "S R"]:
    """Whether a run of the first scores more than a run of the second, for all pairs; equal scores count half."""
    return (a[:, np.newaxis] > b) + (a[:, np.newaxis] == b) / 2


def _paired(differences: Float[np.ndarray, " S"]) -> tuple[float, float]:
    """The p value of the sign-flip test, and the least that it can be."""
    exact = len(differences) <= EXACT
    p = _share(_signs(len(differences)) @ differences, differences.sum())
    least = 2.0 ** (1 - len(differences))
    return (p, min(1.0, least)) if exact else (_with_observed(p), max(1 / (RESAMPLES + 1), least))


@functools.cache
def _signs(count: int) -> Float[np.ndarray, "N count"]:
    """All ways to flip the signs of so many differences, or where there are too many, some."""
    if count <= EXACT:
        return np.array(list(itertools.product((1.0, -1.0), repeat=count)))
    return np.random.default_rng(0).choice((1.0, -1.0), size=(RESAMPLES, count))


def _unpaired(a: Float[np.ndarray, " S"], b: Float[np.ndarray, " R"]) -> tuple[float, float]:
    """The p value of the test by dealing runs out anew, and the least that it can be."""
    both, ways = np.concatenate([a, b]), math.comb(len(a) + len(b), len(a))
    sums = _deals(len(a), len(b)) @ both
    p = _share(sums / len(a) - (both.sum() - sums) / len(b), a.mean() - b.mean())
    least = (2 if len(a) == len(b) else 1) / ways
    return (p, least) if ways <= RESAMPLES else (_with_observed(p), max(1 / (RESAMPLES + 1), least))


@functools.cache
def _deals(first: int, second: int) -> Float[np.ndarray, "N runs"]:
    """All ways to deal runs to two models, or where there are too many, some: 1 where a run is the first model's."""
    runs = first + second
    if math.comb(runs, first) <= RESAMPLES:
        dealt = np.array(list(itertools.combinations(range(runs), first)))
    else:
        dealt = np.random.default_rng(0).permuted(np.tile(np.arange(runs), (RESAMPLES, 1)), axis=1)[:, :first]
    mine = np.zeros((len(dealt), runs))
    np.put_along_axis(mine, dealt, 1.0, axis=1)
    return mine


def _share(found: Float[np.ndarray, " N"], observed: float) -> float:
    """How many of the permutations are at least as far from 0, up to rounding."""
    return float((np.abs(found) >= abs(observed) * (1 - 1e-12) - 1e-300).mean())


def _with_observed(share: float) -> float:
    """Count the observed order among the drawn ones, so that p is never 0 (Phipson & Smyth 2010)."""
    return (share * RESAMPLES + 1) / (RESAMPLES + 1)


def all_pairs(runs: Runs, paired: bool) -> list[Comparison]:
    """Compare every two models on one task."""
    return [compare(*two, runs, paired) for two in itertools.combinations(runs, 2)]


def misleading(a: Float[np.ndarray, " S"], b: Float[np.ndarray, " R"], paired: bool) -> list[Misleading]:
    """Return how often n seeds order two models otherwise than all seeds do, for each n of `SEEDS`.

    The measured runs represent all possible ones: n of them are drawn with replacement, the same seeds for both models
    where these are paired. The generator has a seed of its own.

    Args:
        a: the scores of the model that has the larger mean, [S].
        b: those of the other, [R].
        paired: whether position s of both is the same seed.
    """
    found = []
    for seeds in SEEDS:
        mine = _drawn(len(a), seeds, 0)
        theirs = mine if paired else _drawn(len(b), seeds, 1)
        by_mean = np.round(a[mine].mean(axis=1) - b[theirs].mean(axis=1), 12)
        by_best = a[mine].max(axis=1) - b[theirs].max(axis=1)
        shares = [float(share.mean()) for gap in (by_mean, by_best) for share in (gap < 0, gap == 0)]
        found.append(Misleading(seeds, *shares))
    return found


@functools.cache
def _drawn(runs: int, seeds: int, stream: int) -> Int64[np.ndarray, "N seeds"]:
    """So many of the runs, drawn with replacement again and again."""
    return np.random.default_rng([stream, runs, seeds]).integers(runs, size=(RESAMPLES, seeds))


def profile(runs: Runs, thresholds: Float[np.ndarray, " N"]) -> dict[str, Float[np.ndarray, " N"]]:
    """Return, for each model, the share of its runs that score at least each threshold (Dolan & Moré 2002)."""
    return {model: (scores[:, np.newaxis] >= thresholds).mean(axis=0) for model, scores in runs.items()}


def improvement(
    tasks: list[tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]], confidence: float
) -> tuple[float, float, float]:
    """Return the probability that one model improves on another, in the mean over tasks, with its interval.

    On one task it is the share of pairs of runs, one of each model, in which the first scores more; equal scores count
    half. The interval is the percentile bootstrap's, runs drawn within each task (Agarwal et al. 2021).

    Args:
        tasks: the scores of both models, for each task.
        confidence: between 0 and 1.
    """
    draws, count = np.random.default_rng(0), 2000
    mean, drawn = 0.0, np.zeros(count)
    for a, b in tasks:
        won = _won(a, b)
        mean += float(won.mean()) / len(tasks)
        rows = draws.multinomial(len(a), np.full(len(a), 1 / len(a)), size=count)
        columns = draws.multinomial(len(b), np.full(len(b), 1 / len(b)), size=count)
        drawn += np.einsum("ni,ij,nj->n", rows, won, columns, optimize=True) / (len(a) * len(b)) / len(tasks)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return mean, float(low), float(high)


def summarize(
    tasks: Mapping[str, Runs], paired: bool, confidence: float, lower_is_better: bool = False
) -> dict[str, Any]:
    """Work out all that is said about a table of scores.

    Args:
        tasks: runs by task, of which more is better; at least two models on each.
        paired: whether position s of all models of a task is the same seed.
        confidence: of intervals; 1 - confidence is the level of tests.
        lower_is_better: scores are negative errors, and means and thresholds are to be given as errors. A table of 0
            and 1 alone, or of 0 and -1 then, is one of successes.

    Returns:
        tasks: for each, its models with mean and interval, the best one by the mean, and from which others it is not
        decided, by p values adjusted for the number of others (comparisons with the best, as in Hsu 1984). models: how
        often each is the best, and how often that is decided. improvement: of every two models, how probable it is that
        a run of the first scores more, over the tasks of both. misleading: how often few seeds order two models
        otherwise than all seeds, over all pairs of models on one task, and over those whose order is decided (adjusted
        for the number of pairs in a task). profile: shares of runs that score at least some thresholds.
    """
    level, sign = 1 - confidence, -1 if lower_is_better else 1
    successes = all(np.isin(scores, (0, sign)).all() for runs in tasks.values() for scores in runs.values())
    successes &= any(scores.any() for runs in tasks.values() for scores in runs.values())
    interval = lambda scores: (
        success_rate(int(np.abs(scores).sum()), len(scores), confidence)
        if successes
        else _given(mean_interval(scores, confidence), sign)
    )
    of_tasks, pairs = [], []
    for task, runs in tasks.items():
        compared = all_pairs(runs, paired)
        decided = [p < level for p in holm([pair.p for pair in compared])]
        pairs += [(pair, is_decided, runs) for pair, is_decided in zip(compared, decided)]
        of_tasks.append(_of_task(task, runs, compared, level, interval))
    models = list(dict.fromkeys(model for runs in tasks.values() for model in runs))
    best = lambda model: [task for task in of_tasks if task["best"] == model]
    return {
        "paired": paired,
        "lower_is_better": lower_is_better,
        "confidence": confidence,
        "seeds": sorted({len(scores) for runs in tasks.values() for scores in runs.values()}),
        "tasks": of_tasks,
        "models": [
            {
                "model": model,
                "tasks": sum(model in runs for runs in tasks.values()),
                "best": len(best(model)),
                "decided": sum(not task["undecided"] for task in best(model)),
            }
            for model in models
        ],
        "improvement": _improvements(tasks, models, confidence),
        "misleading": _misleading(pairs, paired),
        "profile": _profile(tasks, models, sign),
    }


def _given(interval: tuple[float, float, float], sign: int) -> tuple[float, float, float]:
    """Mean, low and high as the scores were given: of negative errors, those of the errors."""
    mean, low, high = interval
    return interval if sign == 1 else (0.0 - mean, 0.0 - high, 0.0 - low)


def _of_task(
    task: str,
    runs: Runs,
    compared: list[Comparison],
    level: float,
    interval: Callable[[Float[np.ndarray, " S"]], tuple[float, float, float]],
) -> dict[str, Any]:
    best = max(runs, key=lambda model: runs[model].mean())
    with_best = [pair for pair in compared if best in (pair.better, pair.worse)]
    adjusted = holm([pair.p for pair in with_best])
    other = lambda pair: pair.worse if pair.better == best else pair.better
    return {
        "task": task,
        "best": best,
        "undecided": [other(pair) for pair, p in zip(with_best, adjusted) if p >= level],
        "decidable": max(holm([pair.smallest_p for pair in with_best])) < level,
        "models": {
            model: dict(zip(("mean", "low", "high"), interval(scores))) | {"runs": len(scores)}
            for model, scores in runs.items()
        },
    }


def _improvements(tasks: Mapping[str, Runs], models: list[str], confidence: float) -> list[dict[str, Any]]:
    found = []
    for first, second in itertools.combinations(models, 2):
        shared = [(runs[first], runs[second]) for runs in tasks.values() if first in runs and second in runs]
        if shared:
            numbers = dict(zip(("probability", "low", "high"), improvement(shared, confidence)))
            found.append({"first": first, "second": second, "tasks": len(shared)} | numbers)
    return found


def _misleading(pairs: list[tuple[Comparison, bool, Runs]], paired: bool) -> dict[str, Any]:
    """Means over pairs of models: over all of which one is better, and over those whose order is decided."""
    ordered = [(pair, is_decided, runs) for pair, is_decided, runs in pairs if pair.difference > 0]
    shares = np.array([misleading(runs[pair.better], runs[pair.worse], paired) for pair, _, runs in ordered])
    decided = np.array([is_decided for _, is_decided, _ in ordered], bool)
    return {
        name: {"pairs": int(which.sum()), "seeds": [dict(zip(Misleading._fields, row)) for row in means]}
        for name, which in (("all", np.ones(len(ordered), bool)), ("decided", decided))
        for means in [shares[which].mean(axis=0).tolist() if which.any() else []]
    }


def _profile(tasks: Mapping[str, Runs], models: list[str], sign: int) -> dict[str, Any]:
    """Shares of all runs of each model, over the tasks that every model has."""
    shared = [runs for runs in tasks.values() if set(models) <= set(runs)]
    if not shared:
        return {"tasks": 0, "thresholds": [], "models": {}}
    whole = {model: np.concatenate([runs[model] for runs in shared]) for model in models}
    thresholds = np.unique(np.quantile(np.concatenate(list(whole.values())), np.linspace(0, 1, 101)))
    shares = {model: share.tolist() for model, share in profile(whole, thresholds).items()}
    return {"tasks": len(shared), "thresholds": (sign * thresholds + 0).tolist(), "models": shares}
