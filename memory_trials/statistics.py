"""Rates, intervals and curves over trials: pure NumPy and SciPy, no pictures, no files."""

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
    predicted: np.ndarray, targets: np.ndarray, scored: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What T trials got right: learned [T] bool, sequence accuracy [T], step accuracy [T].

    predicted [T, K, L] and targets [K, L]: indices of symbols; scored [K, L] bool.
    A sequence is right when each of its scored steps is; learned means that every sequence is right.
    """
    right = predicted == targets
    sequence_right = (right | ~scored).all(axis=2)
    step_accuracy = right[:, scored].mean(axis=1)
    return sequence_right.all(axis=1), sequence_right.mean(axis=1), step_accuracy


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


def summary(
    learned: np.ndarray,
    sequence_accuracy: np.ndarray,
    step_accuracy: np.ndarray,
    final_loss: np.ndarray,
    epochs_to_learn: list[int | None],
    confidence: float,
) -> dict[str, int | float | None]:
    """The content of metrics.json; all arrays [T].

    median_epochs_to_learn is over the trials that ever learned, None where none did.
    """
    rate, low, high = success_rate(int(learned.sum()), len(learned), confidence)
    reached = [epoch for epoch in epochs_to_learn if epoch is not None]
    return {
        "trials": len(learned),
        "successes": int(learned.sum()),
        "success_rate": rate,
        "success_rate_low": low,
        "success_rate_high": high,
        "mean_sequence_accuracy": float(sequence_accuracy.mean()),
        "mean_step_accuracy": float(step_accuracy.mean()),
        "mean_final_loss": float(final_loss.mean()) if np.isfinite(final_loss).all() else None,
        "median_epochs_to_learn": float(np.median(reached)) if reached else None,
    }
