"""Rates, intervals, curves and comparisons over trials: NumPy, SciPy, statsmodels; no pictures, no files."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int

METRICS = "metrics.json"  # the file that `summary` begins
MARGINS = (0.01, 0.1, 0.5)  # further leads for which a success rate is computed


def success_rate(successes: int, trials: int, confidence: float) -> tuple[float, float, float]:
    """Return the share that learned and its Wilson (1927) score interval: rate, low, high, each in [0, 1].

    A bootstrap or a normal interval is wrong here: at 0 or 100 % it has no width.
    """
    # SciPy's statistics take a second to import, and only the stages that need them should wait
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return successes / trials, float(interval.low), float(interval.high)


def seeds_for_width(rate: float, width: float, confidence: float, most: int = 1_000_000) -> int:
    """Return the fewest trials whose Wilson interval, at this rate, is at most so wide; `most` if there are none."""

    def is_wider(trials: int) -> bool:
        low, high = proportion_confint(rate * trials, trials, 1 - confidence, "wilson")
        return high - low > width

    from statsmodels.stats.proportion import proportion_confint

    low, high = 0, 1
    while high < most and is_wider(high):
        low, high = high, min(2 * high, most)
    while high - low > 1:  # the width falls with the number of trials
        middle = (low + high) // 2
        low, high = (middle, high) if is_wider(middle) else (low, middle)
    return high


def wrongly_ranked(rate: float, other: float, seeds: int) -> tuple[float, float]:
    """Return how often a few seeds of each of two settings rank the worse one first, and how often they show a tie.

    The numbers of successes are independent and binomial.
    """
    from scipy.stats import binom

    counts = np.arange(seeds + 1)
    better, worse = binom.pmf(counts, seeds, max(rate, other)), binom.pmf(counts, seeds, min(rate, other))
    alike = float(better @ worse)
    return max(0.0, 1 - float(better @ np.cumsum(worse))), alike


def quantile(values: Float[np.ndarray, " N"], p: float, confidence: float) -> tuple[float, float | None, float | None]:
    """Return a quantile of these values, with the interval of the binomial distribution (Conover 1999, section 3.2).

    An end of the interval is None if there are too few values for it.
    """
    from scipy.stats import quantile_test

    interval = quantile_test(values, p=p).confidence_interval(confidence)
    low, high = (None if np.isnan(end) else float(end) for end in (interval.low, interval.high))
    return float(np.quantile(values, p)), low, high


def memory_summary(
    memory: Float[np.ndarray, " T"], learned: Bool[np.ndarray, " T"], margin: Float[np.ndarray, " T"], confidence: float
) -> dict[str, float | int | None]:
    """Return how much is remembered, for metrics.json.

    Args:
        memory: In bits. Its median, 10 % and 90 % quantile over all trials are returned, each with its interval, and
            its median over those that learned; None if no step needs memory. A trial that diverged remembers nothing.
        margin: The leads. Their median over the trials that learned is returned, and how many trials would have learned
            if such a lead were required.
    """
    result: dict[str, float | int | None] = {}
    needed = not np.isnan(memory).all()
    remembered = np.nan_to_num(memory, nan=0.0)
    for name, p in (("median", 0.5), ("p10", 0.1), ("p90", 0.9)):
        numbers = quantile(remembered, p, confidence) if needed else (None, None, None)
        result |= {f"memory_{name}{end}": number for end, number in zip(("", "_low", "_high"), numbers)}
    result["memory_learned_median"] = float(np.median(remembered[learned])) if needed and learned.any() else None
    result["margin_learned_median"] = float(np.median(margin[learned])) if learned.any() else None
    return result | {f"successes_margin_{least:g}": int((margin >= least).sum()) for least in MARGINS}


def memory_curves(memory: Float[np.ndarray, "T C"]) -> Float64[np.ndarray, "C 3"]:
    """Return the median, the 10 % and the 90 % quantile over trials at each check; all NaN if no step needs memory.

    A trial that diverged remembers nothing.
    """
    if np.isnan(memory).all():
        return np.full((memory.shape[1], 3), np.nan)
    return np.quantile(np.nan_to_num(memory.astype(np.float64), nan=0.0), [0.5, 0.1, 0.9], axis=0).T


def changes_of_verdict(learned: Bool[np.ndarray, "T C"]) -> float:
    """Return how often a check has another verdict than the one before, in the mean over trials."""
    return float((learned[:, 1:] != learned[:, :-1]).sum(axis=1).mean())


def chance(signal: Float[np.ndarray, " T"], bias: Float[np.ndarray, " T"]) -> dict[str, float | None]:
    """Return how much of a success rate is luck, for metrics.json, from `predictions.Answers.signal_and_bias`.

    chance_rate is how often a signal exceeds a bias if each is taken from any trial, independently of the other: the
    rate that follows from their spreads alone. It is None if no step needs memory.
    """
    usable = np.isfinite(signal) & np.isfinite(bias)
    if not usable.any():
        return {"signal_median": None, "bias_median": None, "chance_rate": None}
    signal, bias = signal[usable], np.sort(bias[usable])
    smaller = np.searchsorted(bias, signal, side="left")
    return {
        "signal_median": float(np.median(signal)),
        "bias_median": float(np.median(bias)),
        "chance_rate": float(smaller.mean() / len(bias)),
    }


class Verdicts(NamedTuple):
    """What trials got right: learned, every scored step; and the shares of the sequences that are right in every scored
    step, and of these steps."""

    learned: Bool[np.ndarray, " T"]
    sequence_accuracy: Float64[np.ndarray, " T"]
    step_accuracy: Float64[np.ndarray, " T"]


def verdicts(
    right: Bool[np.ndarray, "T K L"], scored: Bool[np.ndarray, "K L"], sequence: Int[np.ndarray, "K L"]
) -> Verdicts:
    """Return the verdicts of trials.

    Args:
        right: Which steps are right.
        scored: Which steps are scored.
        sequence: The sequence to which each step belongs.
    """
    right = right[:, scored]  # [T, steps]
    of = sequence[scored]
    sequence_right = np.stack([right[:, of == number].all(axis=1) for number in np.unique(of)], axis=1)
    return Verdicts(np.all(sequence_right, axis=1), sequence_right.mean(axis=1), right.mean(axis=1))


def first_learned(checks: Int[np.ndarray, " C"], learned: Bool[np.ndarray, "T C"]) -> list[int | None]:
    """Return the first check after which each trial had learned; None if it never had. checks: ascending epochs."""
    return [int(checks[np.argmax(row)]) if row.any() else None for row in learned]


def loss_curves(losses: Float[np.ndarray, "T E"]) -> Float[np.ndarray, "E 3"]:
    """Return the median, the 10 % and the 90 % quantile over trials in each epoch."""
    return np.quantile(losses, [0.5, 0.1, 0.9], axis=0).T


def share_learned(learned: Bool[np.ndarray, "T C"], confidence: float) -> Float64[np.ndarray, "C 3"]:
    """Return the share of trials that are right in every step at each check, and its interval."""
    return np.array([success_rate(int(column.sum()), len(column), confidence) for column in learned.T])


def time_to_learn(
    epochs_to_learn: list[int | None], epochs: int, confidence: float
) -> tuple[Float64[np.ndarray, "N 4"], float | None, float | None, float | None]:
    """Estimate the time to learn by Kaplan and Meier: a trial that never learned is censored, not left out.

    Returns:
        The curve (epoch, share that has learned by then, low, high), and the median epoch with the ends of its
        interval, each None if the curve (or its band) does not reach one half.
    """
    from scipy.stats import CensoredData, ecdf

    learned = [epoch for epoch in epochs_to_learn if epoch is not None]
    censored = [epochs] * (len(epochs_to_learn) - len(learned))
    not_yet = ecdf(CensoredData(uncensored=learned, right=censored)).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no interval where all or none have learned
        band = not_yet.confidence_interval(confidence, method="log-log")
    low, high = 1 - band.high.probabilities, 1 - band.low.probabilities
    share = 1 - not_yet.probabilities
    low, high = np.where(np.isnan(low), share, low), np.where(np.isnan(high), share, high)
    reaches_half = lambda curve: float(not_yet.quantiles[np.argmax(curve >= 0.5)]) if (curve >= 0.5).any() else None
    return (
        np.stack([not_yet.quantiles, share, low, high], axis=1),
        reaches_half(share),
        reaches_half(high),
        reaches_half(low),
    )


def mean_time(until: Int[np.ndarray, " T"], budget: int, confidence: float) -> dict[str, float | None]:
    """Return after how many epochs trials learned, for metrics.json; a time of 0 means never.

    mean_epochs_to_learn is over those that learned, with a t interval and the standard deviation; None if none did, and
    the interval if one did. restricted_mean_epochs_to_learn is the mean of the smaller of that time and the budget,
    over all (the area under Kaplan and Meier's curve up to the budget).
    """
    from scipy.stats import t

    times = until[until > 0].astype(np.float64)
    count = len(times)
    mean = float(times.mean()) if count else None
    low = high = deviation = None
    if mean is not None and count > 1:
        deviation = float(times.std(ddof=1))
        half = float(t.ppf((1 + confidence) / 2, count - 1)) * deviation / count**0.5
        low, high = mean - half, mean + half
    return {
        "mean_epochs_to_learn": mean,
        "mean_epochs_to_learn_low": low,
        "mean_epochs_to_learn_high": high,
        "sd_epochs_to_learn": deviation,
        "restricted_mean_epochs_to_learn": float(np.where(until > 0, until, budget).mean()),
    }


def fisher(successes: int, trials: int, others: int, other_trials: int) -> float:
    """Return the two-sided p value of Fisher's exact test that two counts of successes have the same rate."""
    from scipy.stats import fisher_exact

    return float(fisher_exact([[successes, trials - successes], [others, other_trials - others]]).pvalue)


def means_of(times: Int[np.ndarray, " n"], count: int, resamples: int, share: float = 0.95) -> tuple[float, float]:
    """Return the range in which this share of the means of `count` further trials would lie, given n times.

    Both means are resampled with replacement (Efron's bootstrap): those of further trials around ours. The generator
    has a seed of its own, so the same times give the same range.
    """
    draws = np.random.default_rng(0)
    values = times.astype(np.float64)
    further = values[draws.integers(len(values), size=(resamples, count))].mean(axis=1)
    ours = values[draws.integers(len(values), size=(resamples, len(values)))].mean(axis=1)
    low, high = np.quantile(further - (ours - values.mean()), [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def compare(learned: Bool[np.ndarray, " T"], others: list[Bool[np.ndarray, " T"]]) -> list[float]:
    """Test whether each other arm has the success rate of the first one; return p values, adjusted by Holm (1979).

    Trial by trial the arms have the same seeds, so the exact McNemar (1947) test is the right one: it depends on the
    seeds that learned in one arm only.
    """
    if not others:
        return []
    from statsmodels.stats.contingency_tables import mcnemar

    tables = [
        [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]] for a, b in ((learned, o) for o in others)
    ]
    values = [min(1.0, float(mcnemar(table, exact=True).pvalue)) for table in tables]
    return holm(values)


def holm(p: list[float]) -> list[float]:
    """Adjust p values for their number (Holm 1979)."""
    if not p:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(p, method="holm")[1]]


def summary(
    verdicts: Verdicts,
    final_loss: Float[np.ndarray, " T"],
    epochs_to_learn: list[int | None],
    epochs: int,
    confidence: float,
) -> dict[str, int | float | None]:
    """Return the content of metrics.json.

    median_epochs_to_learn is Kaplan and Meier's, so None if fewer than half ever learned. forgotten counts the trials
    that had learned at some check, but not in the end.
    """
    learned = verdicts.learned
    rate, low, high = success_rate(int(learned.sum()), len(learned), confidence)
    ever = np.array([epoch is not None for epoch in epochs_to_learn])
    _, median, median_low, median_high = time_to_learn(epochs_to_learn, epochs, confidence)
    return {
        "trials": len(learned),
        "successes": int(learned.sum()),
        "success_rate": rate,
        "success_rate_low": low,
        "success_rate_high": high,
        "mean_sequence_accuracy": float(verdicts.sequence_accuracy.mean()),
        "mean_step_accuracy": float(verdicts.step_accuracy.mean()),
        "mean_final_loss": float(final_loss.mean()) if np.isfinite(final_loss).all() else None,
        "median_epochs_to_learn": median,
        "median_epochs_to_learn_low": median_low,
        "median_epochs_to_learn_high": median_high,
        "ever_learned": int(ever.sum()),
        "forgotten": int((ever & ~learned).sum()),
    }
