"""What streaming.c makes of streams must have the same bits on every machine: one digest, which is in git.

`python -m tests.streaming_battery` renews the digest, where the arithmetic of streaming.c is meant to change.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memory_trials.engines.streaming import Program
from memory_trials.settings import ModelSettings, TrainingSettings
from memory_trials.tasks.interface import Sequences, Shape
from tests import battery
from tests.published_numpy import ARCHITECTURES

SOURCE = Path(__file__).with_name("streaming_battery.c")
DIGEST = Path(__file__).with_name("streaming_battery.json")


@dataclass(frozen=True)
class Case:
    """What Program, and its train or test, take; weights: multiples of scale / 128."""

    name: str
    model: ModelSettings
    shape: Shape
    update: str
    scale: float
    training: bool = True
    last_step_only: bool = False
    possible: bool = False
    wrong: float | None = None  # the first weights of a trial
    optimizer: str = "sgd"
    loss: str | None = None
    trials: int = 19
    count: int = 6

    def program(self) -> Program:
        training = TrainingSettings(optimizer=self.optimizer, learning_rate=0.5, update=self.update, loss=self.loss)
        return Program(self.model, training, self.shape)

    def weights(self, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
        draws = battery.Draws(self.name)
        arrays = [draws.fractions((self.trials, *shape), self.scale) for shape in shapes]
        if self.wrong is not None:
            arrays[0][3] = np.float32(self.wrong)
        return arrays

    def sequences(self) -> Sequences:
        """Of 1 to 20 steps, and some that are none."""
        draws, shape = battery.Draws(self.name + " sequences"), self.shape
        lengths = (draws.integers(1, 21, (self.trials, self.count)) * (draws.integers(0, 9, (self.trials, self.count)) > 0)).astype(np.int32)  # fmt: skip
        steps = int(lengths.sum(axis=1).max())
        at = (self.trials, steps)
        x = draws.fractions((*at, shape.inputs), 2.0) if shape.real_input else draws.integers(0, shape.inputs, at)
        scored = at if shape.every_step else lengths.shape
        y = draws.fractions(scored, 1.0) if shape.real_target else draws.integers(0, shape.outputs, scored)
        possible = draws.integers(0, 2**shape.outputs, at).astype(np.uint32) if self.possible else None
        integers = lambda array: array.astype(np.int32) if array.dtype == np.int64 else array
        return Sequences(lengths, integers(x), integers(y), possible)


def cases() -> Iterator[Case]:
    for name, (model, shape, _) in ARCHITECTURES.items():
        if shape.inputs > 200:
            continue
        for update, scale in (("window", 0.5), ("sequence", 3.0)):
            yield Case(
                f"{name} {update}", model, shape, update, scale, possible=shape.outputs <= 16 and shape.every_step
            )
        yield Case(f"{name} test", model, shape, "window", 1.0, training=False, last_step_only=shape.every_step)
    for update in ("window", "sequence"):
        for name in ("1 3x2", "2a", "4"):
            model, shape, _ = ARCHITECTURES[name]
            for wrong in (np.nan, 1e38, -0.0, 1e-42):
                yield Case(f"{name} {update} {wrong}", model, shape, update, 1.0, wrong=wrong)
        for name in ("1 3x2", "2c 50", "3", "4"):
            model, shape, _ = ARCHITECTURES[name]
            yield Case(f"{name} {update} cross-entropy", model, shape, update, 2.0, loss="cross_entropy")
    yield from rivals()


def rivals() -> Iterator[Case]:
    symbols, pairs = Shape(5, 5, False, False, True, 20), Shape(2, 1, True, True, False, 20)
    classes = Shape(6, 3, False, False, False, 20)
    for cell, shapes, updates, optimizers in (
        ("fully_recurrent", (symbols, pairs, classes), ("window", "sequence"), ("sgd",)),
        ("chunker", (symbols,), ("window", "sequence"), ("sgd",)),
        ("lstm", (symbols, pairs), ("sequence",), ("adam", "sgd")),
        ("gru", (symbols, pairs), ("sequence",), ("adam", "rmsprop")),
        ("simple_rnn", (symbols, classes), ("sequence",), ("adam", "rmsprop")),
    ):
        for shape, update, optimizer in itertools.product(shapes, updates, optimizers):
            for units, wrong in ((1, None), (3, -0.0), (5, None), (9, np.nan)):
                model = ModelSettings(cell=cell, units=units)
                name = f"{cell} {units} {shape.inputs} {update} {optimizer} {wrong}"
                loss = "cross_entropy" if units == 5 else None
                yield Case(name, model, shape, update, 1.0, wrong=wrong, optimizer=optimizer, loss=loss)


def trained(case: Case) -> bytes:
    program = case.program()
    state = program.start(case.weights(program.shapes))
    sequences = case.sequences()
    errors = program.train(state, sequences) if case.training else program.test(state, sequences, case.last_step_only)
    return b"".join(array.tobytes() for array in (state.parameters, state.slots, *errors))


def written(case: Case) -> bytes:
    """A case as streaming_battery.c reads it."""
    program, data = case.program(), case.sequences()
    steps = data.x.shape[1]
    head = [case.training, case.last_step_only, case.trials, case.count, steps, data.possible is not None]
    arrays = [data.lengths, data.x, data.y, *([] if data.possible is None else [data.possible])]
    arrays.append(program.start(case.weights(program.shapes)).parameters)
    return bytes(program._setting) + np.array(head, np.int64).tobytes() + b"".join(a.tobytes() for a in arrays)


def digest(results: bytes) -> str:
    return battery.digest(results, {})["trials"]


if __name__ == "__main__":
    DIGEST.write_text(json.dumps({"trials": digest(b"".join(map(trained, cases())))}, indent=2) + "\n")
    print(f"{DIGEST.name} is written")
