"""The built-in cells without TensorFlow: native.c, compiled once for this processor and called through ctypes.

A trial's bits depend on neither: native.c defines its arithmetic, and `identity` names that alone.

XLA compiles a program for every setting, which takes seconds, and spends microseconds on every step of a long
sequence; native.c is compiled once in a few seconds, for all settings, and trains one trial after another in
the processor's nearest cache. Its equations are those of `models.forward` and `engines.optimizers`.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memory_trials.cells import registry
from memory_trials.engines.compiler import Library, compiler
from memory_trials.models import flat, forward
from memory_trials.settings import ModelSettings
from memory_trials.tasks.encoding import UpdateTable

if TYPE_CHECKING:
    from jaxtyping import Float32, Int, Int64, Shaped

LIBRARY = Library(Path(__file__).with_name("native.c"), headers=("elementary.h",))
available, identity, build = LIBRARY.available, LIBRARY.identity, LIBRARY.build
library, install = LIBRARY.content, LIBRARY.install

CELLS = ("lstm", "gru", "simple_rnn", "mlp")  # in the order of native.c's enumerations
OUTPUTS = ("sigmoid", "softmax")
OPTIMIZERS = ("adam", "rmsprop", "sgd")
SLOTS = {"adam": 2, "rmsprop": 1, "sgd": 0}

_INTS = (
    "cell", "output", "optimizer", "units", "inputs", "symbols",
    "updates", "steps", "batch", "features", "sequences", "length", "most",
)  # fmt: skip
_ARRAYS = {
    "x": np.int32, "y": np.int32, "loss_mask": np.bool_, "step_mask": np.bool_, "reset": np.bool_, "detach": np.bool_,
    "eval_x": np.int32, "eval_y": np.int32, "eval_mask": np.bool_,
    "eval_group": np.int32, "candidates": np.int32, "eval_frequency": np.float32,
}  # fmt: skip


class _Task(ctypes.Structure):
    """As in native.c."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in _INTS),
        ("learning_rate", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
    ]


def trains(model: ModelSettings) -> bool:
    """Return whether native.c has this model's cell, with equations that its options leave as they are."""
    return model.cell in CELLS and forward.supports(model)


@dataclass
class State:
    """T trials on their way; some of the trials, taken from every array, are a State too.

    parameters: each trial's P weights one after another. slots: the optimizer's. states: the cell's in each of B rows,
    n * units. steps: optimizer steps taken.
    """

    parameters: Float32[np.ndarray, "T P"]
    slots: Float32[np.ndarray, "T slots P"]
    states: Float32[np.ndarray, "T B states"]
    steps: Int64[np.ndarray, " T"]

    def arrays(self) -> dict[str, Shaped[np.ndarray, "T ..."]]:
        return dict(vars(self))


class Program:
    """What to train, and on which table. Nothing here changes, so threads may run it side by side."""

    capacity = 1000  # checks in one call at most: it keeps the arrays of a call small

    def __init__(self, cell: str, units: int, output: str, optimizer: str, learning_rate: float, table: UpdateTable):
        self._library = _library()
        self.table = table
        self._arrays = {name: np.ascontiguousarray(getattr(table, name), kind) for name, kind in _ARRAYS.items()}
        _check_table(table)
        updates, steps, batch, features = table.x.shape
        sizes = (
            units,
            table.inputs,
            table.symbols,
            updates,
            steps,
            batch,
            features,
            *table.eval_y.shape,
            table.candidates.shape[1],
        )
        kinds = (CELLS.index(cell), OUTPUTS.index(output), OPTIMIZERS.index(optimizer))
        pointers = (array.ctypes.data for array in self._arrays.values())
        self._task = _Task(*kinds, *sizes, learning_rate, *pointers)
        known = registry.all_cells()[cell]
        self.updates, self.state_shape = updates, (batch, known.states * units)
        self.slots = SLOTS[optimizer]
        shapes = known.shapes(units, table.inputs, table.symbols)
        self.names, self.shapes = list(shapes), list(shapes.values())

    def start(self, weights: list[Float32[np.ndarray, "T ..."]]) -> State:
        """Start trials. weights: kernel, recurrent kernel, bias, output kernel, output bias."""
        parameters = flat.joined(weights, self.shapes)
        trials = len(parameters)
        return State(
            parameters,
            np.zeros((trials, self.slots, parameters.shape[1]), np.float32),
            np.zeros((trials, *self.state_shape), np.float32),
            np.zeros(trials, np.int64),
        )

    def resume(self, arrays: dict[str, Shaped[np.ndarray, "T ..."]]) -> State:
        """Continue from a state's arrays, or from those of some of its trials."""
        return State(**arrays)

    def run(
        self, state: State, checks: Int[np.ndarray, " C"], order: Int[np.ndarray, "T E U"] | None = None
    ) -> tuple[Float32[np.ndarray, "T E"], dict[str, Shaped[np.ndarray, "T C"]]]:
        """Train E = checks[-1] epochs, evaluating after each that `checks` names; `state` is changed in place.

        order: None, or in which order each trial takes the updates in each epoch.
        Returns losses, and learned, margin and memory, as in `trained.Trained`.
        """
        checks = np.ascontiguousarray(checks, np.int64)
        if not len(checks) or checks[0] < 1 or (np.diff(checks) < 1).any():
            raise ValueError(f"checks are {checks}, not ascending numbers of epochs")
        trials, epochs = len(state.parameters), int(checks[-1])
        if order is not None:
            order = np.ascontiguousarray(order, np.int32)
            if order.shape != (trials, epochs, self.updates) or order.min() < 0 or order.max() >= self.updates:
                raise ValueError(f"order is {order.shape}, not indices in the table [T, epochs, updates]")
        arrays = (state.parameters, state.slots, state.states, state.steps)
        for array, kind in zip(arrays, (np.float32, np.float32, np.float32, np.int64)):
            if array.dtype != kind or not array.flags.c_contiguous or len(array) != trials:
                raise ValueError("state is not as start made it")
        losses = np.empty((trials, epochs), np.float32)
        kinds = {"learned": np.bool_, "margin": np.float32, "memory": np.float32}
        found = {name: np.empty((trials, len(checks)), kind) for name, kind in kinds.items()}
        enough_memory = self._library.memory_trials_run(
            ctypes.byref(self._task), trials, *(array.ctypes.data for array in arrays), len(checks),
            checks.ctypes.data, None if order is None else order.ctypes.data, losses.ctypes.data,
            *(array.ctypes.data for array in found.values()),
        )  # fmt: skip
        if not enough_memory:
            raise MemoryError("not enough memory for the steps of an update")
        return losses, found

    def weights(self, state: State) -> list[Float32[np.ndarray, "T ..."]]:
        """Return the trained weights, in the order in which `start` takes them."""
        return flat.parted(state.parameters, self.shapes)


def _check_table(table: UpdateTable) -> None:
    """C reads wherever an index points to, so a wrong table must not get there."""
    shapes_agree = (
        table.x.shape[:3] == table.y.shape == table.loss_mask.shape == table.step_mask.shape
        and table.x.shape[:2] == table.reset.shape == table.detach.shape
        and table.eval_x.shape[:2] == table.eval_y.shape == table.eval_mask.shape == table.eval_group.shape
        and table.eval_frequency.shape == table.eval_y.shape
        and table.x.shape[3] == table.eval_x.shape[2]
    )
    if not shapes_agree or not table.x.size:
        raise ValueError("the table's arrays do not fit together")
    within = lambda array, first, end: not array.size or (array.min() >= first and array.max() < end)
    targets = (table.y[table.loss_mask], table.eval_y[table.eval_mask])
    is_right = [within(array, -1, table.inputs) for array in (table.x, table.eval_x)]
    if not all(is_right + [within(array, 0, table.symbols) for array in targets]):
        raise ValueError("the table has an index outside its inputs or symbols")
    if not (within(table.eval_group, -1, len(table.candidates)) and within(table.candidates, -1, table.symbols)):
        raise ValueError("the table has an index outside its candidates or symbols")
    if not ((table.eval_frequency > 0) & np.isfinite(table.eval_frequency)).all():
        raise ValueError("the table has a frequency that is no positive number")
    if (table.loss_mask & ~table.step_mask).any():
        raise ValueError("the table scores padding")


@functools.cache
def _library() -> ctypes.CDLL:
    library = LIBRARY.load()
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.memory_trials_run.restype = ctypes.c_int32
    library.memory_trials_run.argtypes = [
        pointer, number, *[pointer] * 4, number, *[pointer] * 6,
    ]  # fmt: skip
    return library


if __name__ == "__main__":  # when the environment is set up
    if compiler() is not None:
        _library()
