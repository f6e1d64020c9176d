"""Whether what was measured of an arm agrees with what was published of it."""

from typing import Any

import numpy as np

from memory_trials.evaluation import statistics
from memory_trials.studies.schema import Reference

RESAMPLES = 10_000


def agreement(reference: Reference, found: dict[str, Any]) -> dict[str, Any]:
    """Compare an arm of a summary with its reference.

    success: Fisher's exact test of the two counts of successes does not reject (p at least 0.05). after: the published
    mean lies where 95 % of the means of as many trials as the reference's would, given ours: between the 2.5 % and the
    97.5 % quantile of the means of so many of our times, drawn with replacement, around our mean, which is drawn anew
    each time, too (bootstrap, 10,000 times, by a seed of its own). None where there is nothing to compare.
    """
    until = np.array(next(iter(found["until"].values())))
    successes = round(reference.successful * reference.trials / 100)
    p = statistics.fisher(successes, reference.trials, int((until > 0).sum()), len(until))
    result: dict[str, Any] = {"success_p": p, "success": p >= 0.05, "after": None, "range": None, "ratio": None}
    times = until[until > 0]
    count = max(1, successes)
    if reference.after is not None and len(times) > 1:
        low, high = statistics.means_of(times, count, RESAMPLES)
        result |= {
            "after": low <= reference.after <= high,
            "range": [low, high],
            "ratio": float(times.mean()) / reference.after,
        }
    return result
