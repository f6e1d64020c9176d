"""Endless streams of random sequences: each trial has three of its own, to train on, to check its success, to test it.

Sequence n of a stream follows from the task's settings, the trial's seed, the stream's purpose and n alone, not from
the portions it is drawn in. What a task is says its module in tasks/endless/; what the paper of 1997 leaves open of
its tasks, and what is chosen here, docs/paper.md.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks import endless
from memory_trials.tasks.interface import Criterion, Purpose, Rule, Sequences, Shape

if TYPE_CHECKING:
    from jaxtyping import Int, Int64

FORMAT = "memory-trials stream 1"
POINTS = 200
SHOWN = 3  # sequences of which files tell
LATER = {"masked": False, "history": 1, "predicts": True}  # of a shape, what files leave out
UNSAID = "equally_long"  # of a shape, what files never say: their readers see the lengths


def module_of(task: str) -> str:
    """Return the dotted name of an endless task's module, which is that of the task in settings."""
    return f"{endless.__name__}.{task}"


@dataclass(frozen=True)
class Stream:
    """An endless task, as its settings describe it. history: see `interface.Shape`."""

    settings: StreamSettings
    history: int = 1
    endless = True

    def __post_init__(self) -> None:
        if self.history > 1 and self.shape.real_input:
            raise UserError(
                f"encoding.history is {self.history}: the task {self.settings.task} has real numbers as inputs, for "
                "which only 1 is allowed"
            )

    @property
    def rule(self) -> Rule:
        return importlib.import_module(module_of(self.settings.task))

    @cached_property
    def shape(self) -> Shape:
        shape = self.rule.shape(self.settings)
        return replace(shape, inputs=self.history * shape.inputs, history=self.history)

    @cached_property
    def criteria(self) -> dict[str, Criterion]:
        """By name; the first one decides, and of the others it is recorded when they were met first."""
        return self.rule.criteria(self.settings)

    @property
    def inputs(self) -> int:
        return self.shape.inputs

    @property
    def outputs(self) -> int:
        return self.shape.outputs

    def steps(self, epochs: int = 1, interval: int = 1) -> int:
        """Return how many steps are trained on at most; an epoch is one sequence."""
        return epochs * self.shape.longest

    def checks(self, epochs: int, interval: int) -> Int64[np.ndarray, " C"]:
        """Return after which epochs errors and verdicts are kept: of all evaluations at most POINTS, evenly spread over
        the logarithm of their numbers."""
        evaluations = -(-epochs // interval)
        numbers = np.unique(np.geomspace(1, evaluations, min(evaluations, POINTS)).round().astype(np.int64))
        return np.minimum(numbers * interval, epochs)

    def identity(self) -> tuple[dict, dict[str, Any]]:
        """Return what a trial's result depends on: settings and arrays."""
        history = {"history": self.history} if self.history > 1 else {}
        return self.settings.model_dump() | history, {}

    def draw(self, seeds: Int[np.ndarray, " T"], purpose: Purpose, first: int, count: int) -> Sequences:
        """Return sequences `first` to `first + count` of each trial's stream of this purpose.

        A trial's are the same whatever others are drawn with them, on every machine. `ValueError` where reber's check
        is asked for another number than its two sets hold (which it gives whatever is the first).
        """
        trials = [self.rule.draw(self.settings, int(seed), purpose, first, count) for seed in seeds]
        arrays = {}
        for name in trials[0]._fields:
            parts = [getattr(drawn, name) for drawn in trials]
            if parts[0] is None:
                continue
            longest = max(len(part) for part in parts)
            arrays[name] = np.zeros((len(parts), longest, *parts[0].shape[1:]), parts[0].dtype)
            for row, part in zip(arrays[name], parts):
                row[: len(part)] = part
        return Sequences(**arrays)

    def to_json(self, seed: int) -> str:
        """Return the content of sequences.json: settings, when a trial has learned, and how the stream of the trial of
        this seed begins."""
        sequences, shape = self.draw(np.array([seed]), "train", 0, SHOWN), self.shape
        ends = np.cumsum(sequences.lengths[0])
        shown = []
        for number, (first, last) in enumerate(zip(ends - sequences.lengths[0], ends)):
            x, y = sequences.x[0, first:last], sequences.y[0]
            shown.append({"x": x.tolist(), "y": y[first:last].tolist() if shape.every_step else y[number].item()})
            if sequences.mask is not None:
                shown[-1]["scored"] = sequences.mask[0, first:last].astype(int).tolist()
        content = {
            "stream": self.settings.model_dump(exclude_none=True),
            "shape": {
                name: value for name, value in asdict(shape).items() if name != UNSAID and LATER.get(name) != value
            },
            "criteria": {name: asdict(criterion) for name, criterion in self.criteria.items()},
            "first_sequences": {"seed": seed, "sequences": shown},
        }
        lines = [f"{json.dumps(name)}: {json.dumps(part, ensure_ascii=False)}" for name, part in content.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def described(self) -> str:
        """Return how large its sequences are, in one line."""
        guessing = self.rule.guessing(self.settings)
        return (
            f"an endless stream of the task {self.settings.task} for each trial: sequences of up to "
            f"{self.shape.longest} steps, {self.inputs} inputs, {self.outputs} outputs"
            + (f"; without memory, {100 * guessing:g} % of them can be right" if guessing else "")
        )

    def write(self, path: Path, seed: int) -> None:
        """Write the first sequences of the trial of this seed as arrays, as training sees them."""
        sequences = self.draw(np.array([seed]), "train", 0, SHOWN)
        arrays = {"seeds": np.array([seed]), "lengths": sequences.lengths, "x": sequences.x, "y": sequences.y}
        if sequences.mask is not None:
            arrays["mask"] = sequences.mask
        files.write_arrays(path, FORMAT, arrays, settings=self.settings.model_dump(exclude_none=True))

    def epoch(self) -> str:
        """Return what an epoch is, in one line."""
        return "an epoch is a sequence of the stream, another one for each trial"
