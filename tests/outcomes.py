"""An arm's outcome made from numbers instead of training."""

import numpy as np

from memory_trials.evaluation import results, statistics


def made_up(
    seeds, losses, checks, learned, memory=None, confusion=(), confidence: float = 0.95, whole: float | None = 1.0
) -> results.Outcome:
    """losses [T, E], checks [C], learned [T, C] bool; memory [T, C]: by default 0.5 where learned, else 0."""
    final, epochs = learned[:, -1], losses.shape[1]
    memory = learned * 0.5 if memory is None else memory
    margin = np.where(final, 0.05, -0.05)
    first = statistics.first_learned(checks, learned)
    metrics = statistics.summary(
        statistics.Verdicts(final, final * 1.0, final * 1.0), losses[:, -1], first, epochs, confidence
    )
    metrics |= statistics.memory_summary(memory[:, -1], final, margin, confidence)
    metrics |= statistics.chance(margin, np.full(len(seeds), 0.01))
    metrics |= {"verdict_changes": statistics.changes_of_verdict(learned), "memory_whole": whole}
    metrics |= {"parameters": 9, "updates": 4 * epochs, "confidence": confidence}
    trials = (seeds, final, final * 1.0, final * 1.0, losses[:, -1], first, margin, memory[:, -1])
    curves = {
        "loss": (np.arange(1, epochs + 1), *statistics.loss_curves(np.nan_to_num(losses)).T),
        "learned": (checks, *statistics.share_learned(learned, confidence).T),
        "remembered": (checks, *statistics.memory_curves(memory).T),
        "time_to_learn": statistics.time_to_learn(first, epochs, confidence)[0].T,
        "predictions": (),
        "confusion": zip(*confusion),
    }
    frames = {name: results.typed_frame(name, columns) for name, columns in curves.items()}
    return results.Outcome(
        {name: results.rounded(value) for name, value in metrics.items()},
        results.typed_frame("trials", trials),
        **frames,
    )
