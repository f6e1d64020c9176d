"""Rates, intervals, curves and comparisons over trials: NumPy, SciPy, statsmodels; no pictures, no files."""

import warnings

import numpy as np


def success_rate(successes: int, trials: int, confidence: float) -> tuple[float, float, float]:
    """The share that learned and its Wilson (1927) score interval: rate, low, high, each in [0, 1].

    A bootstrap or a normal interval is wrong here: at 0 or 100 % it has no width.
    """
    # SciPy's statistics take a second to import, and only the stages that need them should wait
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return successes / trials, float(interval.low), float(interval.high)


def verdicts(
    predicted: np.ndarray, targets: np.ndarray, scored: np.ndarray, sequence: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What T trials got right: learned [T] bool, sequence accuracy [T], step accuracy [T].

    predicted [T, K, L] and targets [K, L]: indices of symbols; scored [K, L] bool; sequence [K, L]: which
    sequence a step belongs to. A sequence is right when each of its scored steps is; learned means that
    every sequence is right.
    """
    right = predicted[:, scored] == targets[scored]  # [T, steps]
    of = sequence[scored]
    sequence_right = np.stack([right[:, of == number].all(axis=1) for number in np.unique(of)], axis=1)
    return sequence_right.all(axis=1), sequence_right.mean(axis=1), right.mean(axis=1)


def first_learned(checks: np.ndarray, learned: np.ndarray) -> list[int | None]:
    """For each trial the first checked epoch after which it had learned; None if it never had.

    checks [C] int, ascending; learned [T, C] bool.
    """
    return [int(checks[np.argmax(row)]) if row.any() else None for row in learned]


def loss_curves(losses: np.ndarray) -> np.ndarray:
    """losses [T, E] -> [E, 3]: in each epoch the median, the 10 % and the 90 % quantile over trials."""
    return np.quantile(losses, [0.5, 0.1, 0.9], axis=0).T


def share_learned(learned: np.ndarray, confidence: float) -> np.ndarray:
    """learned [T, C] -> [C, 3]: at each check the share of trials that know it then, and its interval."""
    return np.array([success_rate(int(column.sum()), len(column), confidence) for column in learned.T])


def time_to_learn(
    epochs_to_learn: list[int | None], epochs: int, confidence: float
) -> tuple[np.ndarray, float | None, float | None, float | None]:
    """Kaplan-Meier: a trial that never learned in these epochs is censored, not left out.

    Returns the curve [N, 4] (epoch, share that has learned by then, low, high), and the median epoch with the
    ends of its interval, each None where the curve (or its band) does not reach one half.
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


def compare(learned: np.ndarray, others: list[np.ndarray]) -> list[float]:
    """Is the success rate of each other arm that of the first? p values, adjusted by Holm (1979) for their number.

    learned [T] bool and each of the others [T]: trial by trial the same seeds, so the exact McNemar (1947) test is
    the right one: it looks at the seeds that learned in one arm only.
    """
    if not others:
        return []
    from statsmodels.stats.contingency_tables import mcnemar
    from statsmodels.stats.multitest import multipletests

    tables = [
        [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]] for a, b in ((learned, o) for o in others)
    ]
    values = [min(1.0, float(mcnemar(table, exact=True).pvalue)) for table in tables]
    return [float(value) for value in multipletests(values, method="holm")[1]]


def summary(
    learned: np.ndarray,
    sequence_accuracy: np.ndarray,
    step_accuracy: np.ndarray,
    final_loss: np.ndarray,
    epochs_to_learn: list[int | None],
    epochs: int,
    confidence: float,
) -> dict[str, int | float | None]:
    """The content of metrics.json; all arrays [T].

    median_epochs_to_learn: by Kaplan and Meier, so None where fewer than half ever learned. forgotten: how many
    had learned at some check, but not in the end.
    """
    rate, low, high = success_rate(int(learned.sum()), len(learned), confidence)
    ever = np.array([epoch is not None for epoch in epochs_to_learn])
    _, median, median_low, median_high = time_to_learn(epochs_to_learn, epochs, confidence)
    return {
        "trials": len(learned),
        "successes": int(learned.sum()),
        "success_rate": rate,
        "success_rate_low": low,
        "success_rate_high": high,
        "mean_sequence_accuracy": float(sequence_accuracy.mean()),
        "mean_step_accuracy": float(step_accuracy.mean()),
        "mean_final_loss": float(final_loss.mean()) if np.isfinite(final_loss).all() else None,
        "median_epochs_to_learn": median,
        "median_epochs_to_learn_low": median_low,
        "median_epochs_to_learn_high": median_high,
        "ever_learned": int(ever.sum()),
        "forgotten": int((ever & ~learned).sum()),
    }
