"""What is found of trained trials, whatever they were trained on: what `results.outcome` is worked out from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memory_trials.evaluation.statistics import Verdicts
from memory_trials.evaluation.tables import typed_frame

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

Metrics = dict[str, int | float | None]


@dataclass(frozen=True)
class Findings:
    """What is found of T trials, at C checks and in the end.

    verdicts: who has learned, and the shares of sequences and steps that are right. epochs_to_learn: after how many
    epochs; None where a trial never had. margin, memory: NaN where the task has none. signal, bias: in logits, as
    `predictions.Answers.signal_and_bias`. updates: of a trial. about_margin, otherwise, further: metrics that only some
    tasks have, in the order in which metrics.json holds them.
    """

    verdicts: Verdicts
    learned_at_checks: Bool[np.ndarray, "T C"]
    epochs_to_learn: list[int | None]
    verdict_changes: float
    memory_whole: float | None
    margin: Float[np.ndarray, " T"]
    memory: Float[np.ndarray, " T"]
    signal: Float[np.ndarray, " T"]
    bias: Float[np.ndarray, " T"]
    updates: int
    about_margin: Metrics = field(default_factory=dict)
    otherwise: Metrics = field(default_factory=dict)
    further: Metrics = field(default_factory=dict)
    predictions: pd.DataFrame = field(default_factory=lambda: typed_frame("predictions", ()))
    confusion: pd.DataFrame = field(default_factory=lambda: typed_frame("confusion", ()))
    free_run: pd.DataFrame | None = None
