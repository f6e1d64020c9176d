"""Whether what was measured of an arm agrees with what was published of it."""

from typing import Any

import numpy as np

from memory_trials.evaluation import statistics
from memory_trials.studies.schema import Reference

RESAMPLES = 10_000
MOST = 0.9  # where a smaller share learned, the mean over those that did says little


def agreement(reference: Reference, found: dict[str, Any]) -> dict[str, Any]:
    """Compare an arm of a summary with its reference.

    success: Fisher's exact test of the two counts of successes does not reject (p at least 0.05). after: the published
    mean lies where 95 % of the means of as many trials as the reference's would, given ours: between the 2.5 % and the
    97.5 % quantile of the means of so many of our times, drawn with replacement, around our mean, which is
    resampled too (bootstrap, 10,000 times, by a seed of its own). Where fewer than 90 % learned, the others count with
    all their sequences: our mean is then a lower bound (at_least), and only a smaller published mean disagrees with it;
    nothing agrees. None if there is nothing to compare, or no answer.
    """
    until = np.array(next(iter(found["until"].values())))
    successes = round(reference.successful * reference.trials / 100)
    p = statistics.fisher(successes, reference.trials, int((until > 0).sum()), len(until))
    result: dict[str, Any] = {"success_p": p, "success": p >= 0.05}
    result |= dict.fromkeys(("after", "range", "ratio")) | {"at_least": False}
    at_least = bool((until > 0).mean() < MOST)
    times = np.where(until > 0, until, found["metrics"]["epochs_budget"]) if at_least else until[until > 0]
    count = max(1, successes)
    if reference.after is not None and (until > 0).sum() > (not at_least):
        low, high = statistics.means_of(times, count, RESAMPLES)
        within = bool(low <= reference.after <= high)
        result |= {
            "after": (None if low <= reference.after else False) if at_least else within,
            "range": [low, high],
            "ratio": float(times.mean()) / reference.after,
            "at_least": at_least,
        }
    return result
