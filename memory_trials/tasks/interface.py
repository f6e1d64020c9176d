"""What trials are trained on when sequences never end: their arrays, shapes and criteria, whatever the task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int32, Shaped, UInt32

Purpose = Literal["train", "check", "test"]


@dataclass(frozen=True)
class Shape:
    """The shape of a task's sequences.

    inputs, outputs: lengths of the input and of the output vector. real_input, real_target: whether input vectors, and
    the target, are real numbers rather than the index of a 1. every_step: whether every step has a target, or the last
    one alone. longest: steps of the longest sequence that can be drawn. masked: whether `Sequences.mask` says which of
    the steps with a target are scored; else all are.
    """

    inputs: int
    outputs: int
    real_input: bool
    real_target: bool
    every_step: bool
    longest: int
    masked: bool = False


@dataclass(frozen=True)
class Criterion:
    """When a trial has succeeded.

    on: the last `sequences` sequences of training, each as it was before it was learned from; or as many of the stream
    "check", with frozen weights. judged: a sequence is right if every scored output is off by less than the tolerance
    ("error"), or if at every scored step the symbols that may follow are more active than all others ("most_active";
    then the tolerance is 1, which says nothing of logistic outputs). wrong: so many sequences may be wrong. mean_error:
    the mean absolute error of all sequences must be below. last_step_only: whatever else is scored, success is judged
    at the last step.
    """

    on: Literal["train", "check"]
    sequences: int
    tolerance: float
    wrong: int = 0
    mean_error: float | None = None
    judged: Literal["error", "most_active"] = "error"
    last_step_only: bool = False


@dataclass(frozen=True)
class Sequences:
    """N sequences for each of T trials, one after another in time, S steps in all at most; zero beyond a trial's last.

    lengths: steps of each sequence. x: the index at which the input vector is 1, or input vectors of I numbers. y: of
    tasks with a target at every step, the index of the target's 1 at each step; of tasks with one at the last step, the
    same of each sequence, or the one output's target. possible: bits of the symbols that may follow (reber only).
    mask: which steps are scored, of masked tasks.
    """

    lengths: Int32[np.ndarray, "T N"]
    x: Int32[np.ndarray, "T S"] | Float32[np.ndarray, "T S I"]
    y: Int32[np.ndarray, "T S"] | Int32[np.ndarray, "T N"] | Float32[np.ndarray, "T N"]
    possible: UInt32[np.ndarray, "T S"] | None = None
    mask: Bool[np.ndarray, "T S"] | None = None

    def of(self, trials: Shaped[np.ndarray, " n"]) -> Sequences:
        """Return those of some of the trials, by their indices or by a mask."""
        arrays: dict[str, Any] = {name: None if array is None else array[trials] for name, array in vars(self).items()}
        return Sequences(**arrays)

    def first(self, count: int) -> Sequences:
        """Return the first `count` sequences of each trial."""
        steps = int(self.lengths[:, :count].sum(axis=1).max())
        ends = dict.fromkeys(vars(self), steps) | {"lengths": count}
        if self.y.shape[1] != self.x.shape[1]:
            ends["y"] = count
        arrays: dict[str, Any] = {
            name: None if array is None else array[:, : ends[name]] for name, array in vars(self).items()
        }
        return Sequences(**arrays)


class Drawn(NamedTuple):
    """Sequences of one trial, one after another: `Sequences` without its first dimension."""

    lengths: Int32[np.ndarray, " N"]
    x: Int32[np.ndarray, " S"] | Float32[np.ndarray, "S I"]
    y: Int32[np.ndarray, " S"] | Int32[np.ndarray, " N"] | Float32[np.ndarray, " N"]
    possible: UInt32[np.ndarray, " S"] | None = None
    mask: Bool[np.ndarray, " S"] | None = None
