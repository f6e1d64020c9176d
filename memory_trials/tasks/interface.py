"""What a task is to the rest of the library, whether it has finitely many sequences or an endless stream of them.

`Task` is what all tasks keep to. Of endless ones, which `tasks.streams` makes from a `Rule` each, the other classes are
the parts: the arrays of sequences, their shape, and when a trial has learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from memory_trials.stream_settings import StreamSettings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int32, Int64, Shaped, UInt32

Purpose = Literal["train", "check", "test"]


@dataclass(frozen=True)
class Shape:
    """The shape of a task's sequences.

    inputs, outputs: lengths of the input and of the output vector. real_input, real_target: whether input vectors, and
    the target, are real numbers rather than the index of a 1. every_step: whether every step has a target, or the last
    one alone. longest: steps of the longest sequence that can be drawn. masked: whether `Sequences.mask` says which of
    the steps with a target are scored; else all are. history: so many symbols, the present one and those before it, are
    one input vector, each with a part of its own. predicts: whether, where inputs and outputs are as many symbols, they
    are the same ones, and the target is the next input. equally_long: every sequence has `longest` steps.
    """

    inputs: int
    outputs: int
    real_input: bool
    real_target: bool
    every_step: bool
    longest: int
    masked: bool = False
    history: int = 1
    predicts: bool = True
    equally_long: bool = False


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


# at most 1 of 100 unseen sequences has a wrong answer; this project's choice, for tasks of which no paper says when a
# trial has learned
LEARNED = {"learned": Criterion("check", 100, tolerance=1.0, wrong=1, judged="most_active")}


@dataclass(frozen=True)
class Sequences:
    """N sequences for each of T trials, one after another in time, S steps in all at most; zero beyond a trial's last.

    lengths: steps of each sequence. x: the index at which the input vector is 1, or input vectors of I numbers. y: of
    tasks with a target at every step, the index of the target's 1 at each step; of tasks with one at the last step, the
    same of each sequence, or the one output's target. possible: bits of the symbols that may follow, of languages.
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


class Shown(NamedTuple):
    """How a picture shows an example of a task whose inputs and targets are symbols; a module assigns it to `SHOWN`.

    settings: of the example, beyond the task's defaults. inputs, outputs: a letter for each symbol.
    """

    settings: dict[str, Any]
    inputs: str
    outputs: str


@runtime_checkable
class Rule(Protocol):
    """What a module of tasks/endless/ defines: an endless task, given its settings. See CONTRIBUTING.md."""

    @property
    def __name__(self) -> str: ...

    def shape(self, stream: StreamSettings) -> Shape:
        """Return the shape of its sequences."""
        ...

    def criteria(self, stream: StreamSettings) -> dict[str, Criterion]:
        """Return when a trial has learned, by name: the first one decides, of the others it is recorded when they were
        met first."""
        ...

    def guessing(self, stream: StreamSettings) -> float | None:
        """Return the share of sequences that the best guess without memory gets right, as the first criterion asks it
        at the step that needs memory; None where that is not known."""
        ...

    def chance(self, stream: StreamSettings) -> float | None:
        """Return the share of scored steps that the best guess without memory, which sees the present symbol alone,
        gets right as the first criterion asks it; None where that is not known."""
        ...

    def draw(self, stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
        """Return sequences `first` to `first + count` of the trial's stream of this purpose, which follow from these
        arguments alone and do not change with the portions they are drawn in."""
        ...


@runtime_checkable
class Task(Protocol):
    """What trials are trained on, and what an epoch of it is: an `encoding.UpdateTable`, or a `streams.Stream`.

    endless: whether every epoch is another sequence, rather than the same table of updates. inputs, outputs: lengths
    of the input and of the output vector.
    """

    @property
    def endless(self) -> bool: ...

    @property
    def inputs(self) -> int: ...

    @property
    def outputs(self) -> int: ...

    def steps(self, epochs: int = 1, interval: int = 1) -> int:
        """Return how many steps are trained on in so many epochs, or evaluated every `interval` of them, about."""
        ...

    def checks(self, epochs: int, interval: int) -> Int64[np.ndarray, " C"]:
        """Return the epochs, ascending, after which what was found of the trials is kept: all or some of those after
        which they are evaluated, every so many epochs and at the end, which is the last of them."""
        ...

    def identity(self) -> tuple[dict, dict[str, Any]]:
        """Return what a trial's result depends on: settings and arrays."""
        ...

    def write(self, path: Path, seed: int) -> None:
        """Write what training sees as arrays; of an endless task, how the stream of the trial of this seed begins."""
        ...

    def epoch(self) -> str:
        """Return what an epoch is, in one line."""
        ...
