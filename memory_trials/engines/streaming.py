"""Endless streams of sequences: streaming.c, compiled once for this processor and called through ctypes.

It trains the cells that name it in their `engines`: many trials at once, one in
each lane of a vector. A trial's bits depend on neither: streaming.c defines its arithmetic, and `LIBRARY.identity`
names that alone.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memory_trials.cells import registry
from memory_trials.engines.compiler import Library
from memory_trials.engines.interface import Errors
from memory_trials.errors import UserError
from memory_trials.models import flat
from memory_trials.models.initializers import supports
from memory_trials.models.weights import weight_shapes
from memory_trials.settings import ModelSettings, TrainingSettings
from memory_trials.tasks.interface import Sequences, Shape

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64, Shaped

LIBRARY = Library(
    Path(__file__).with_name("streaming.c"),
    headers=(
        "elementary.h", "lanes.h", "net.h", "memory_cell.h", "fully_recurrent.h", "chunker.h", "keras_cells.h",
    ),
)  # fmt: skip
# in the order of net.h's enumerations
CELLS = ("memory_cell", "fully_recurrent", "chunker", "lstm", "gru", "simple_rnn")
OPTIMIZERS = {"sgd": 0, "adam": 2, "rmsprop": 1}  # and how many slots each has
_INTS = (
    "cell", "units", "inputs", "outputs", "real_input", "real_target", "every_step", "by_sequence", "through",
    "output_bias", "block_size", "recurrent", "output_gate", "plain", "input_gate_bias", "output_gate_bias",
    "cell_bias", "optimizer", "cross_entropy", "dormant", "linear", "sees_gates",
)  # fmt: skip
_FLOATS = ("learning_rate", "range_of_g", "range_of_h")
_POSSIBLE = 32  # bits of what may follow


class _Setting(ctypes.Structure):
    """As in net.h."""

    _fields_ = [*((name, ctypes.c_int32) for name in _INTS), *((name, ctypes.c_float) for name in _FLOATS)]


class _Sequences(ctypes.Structure):
    """As in streaming.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("trials", "count", "steps")),
        *((name, ctypes.c_void_p) for name in ("lengths", "x", "y", "possible")),
        *((name, ctypes.c_int32) for name in ("every_step", "last_step_only")),
    ]


class _Errors(ctypes.Structure):
    """As in streaming.c."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("worst", "absolute", "squared", "right")]


@dataclass
class State:
    """T trials on their way, each with its P weights one after another; some of its rows are a State too.

    slots: the optimizer's. steps: how many sequences were trained on.
    """

    parameters: Float32[np.ndarray, "T P"]
    slots: Float32[np.ndarray, "T slots P"]
    steps: Int64[np.ndarray, " T"]

    def arrays(self) -> dict[str, Shaped[np.ndarray, "T ..."]]:
        return dict(vars(self))


class Program:
    """A model, how it is trained, and on what kind of sequences. Nothing here changes, so threads may run it side by
    side."""

    def __init__(self, model: ModelSettings, training: TrainingSettings, shape: Shape):
        self._library = _library()
        self.shape = shape
        _check(model, training, shape)
        self.slots = OPTIMIZERS.get(training.optimizer, 0)  # who guesses has none
        self._setting = _Setting(
            cell=CELLS.index(model.cell),
            units=model.units,
            inputs=shape.inputs,
            outputs=shape.outputs,
            real_input=shape.real_input,
            real_target=shape.real_target,
            every_step=shape.every_step,
            by_sequence=training.update == "sequence",
            optimizer=list(OPTIMIZERS).index(training.optimizer) if training.optimizer in OPTIMIZERS else 0,
            cross_entropy=training.loss == "cross_entropy",
            linear=model.output == "linear",
            learning_rate=training.learning_rate,
            **_of_cell(model),
        )
        shapes = weight_shapes(model, shape.inputs, shape.outputs)
        self.names, self.shapes = list(shapes), list(shapes.values())
        self.size = sum(map(prod, self.shapes))
        if self._library.memory_trials_streaming_size(ctypes.byref(self._setting)) != self.size:
            raise ValueError(f"streaming.c has another number of weights than {self.size}")

    def start(self, weights: list[Float32[np.ndarray, "T ..."]]) -> State:
        """Start trials. weights: in the order of `names`."""
        parameters = flat.joined(weights, self.shapes)
        trials = len(parameters)
        slots = np.zeros((trials, self.slots, self.size), np.float32)
        return State(parameters, slots, np.zeros(trials, np.int64))

    def resume(self, arrays: dict[str, Shaped[np.ndarray, "T ..."]]) -> State:
        """Continue from a state's arrays, or from those of some of its trials."""
        return State(**arrays)

    def train(self, state: State, sequences: Sequences, dormant: bool = False) -> Errors:
        """Train each trial on its sequences, one after another; `state` is changed in place.

        dormant: as if there were no cell: outputs see inputs alone, and no other weight moves.
        """
        return self._run(state, sequences, training=True, dormant=dormant)

    def test(self, state: State, sequences: Sequences, last_step_only: bool = False) -> Errors:
        """Return the errors of each trial on its sequences, without training. last_step_only: at the last step of
        each."""
        return self._run(state, sequences, training=False, last_step_only=last_step_only)

    def _run(
        self, state: State, sequences: Sequences, training: bool, last_step_only: bool = False, dormant: bool = False
    ) -> Errors:
        setting = _Setting.from_buffer_copy(self._setting)
        setting.dormant = dormant
        trials, count = np.shape(sequences.lengths)
        shapes = {"parameters": (trials, self.size), "slots": (trials, self.slots, self.size), "steps": (trials,)}
        for name, array in state.arrays().items():
            kind = np.int64 if name == "steps" else np.float32
            if array.shape != shapes[name] or array.dtype != kind or not array.flags.c_contiguous:
                raise ValueError(f"the state's {name} are not those of {trials} trials with {self.size} weights")
        lengths, x, y, possible = _checked(sequences, self.shape)
        kinds = (np.float32, np.float32, np.float32, np.bool_)
        errors = Errors(*(np.empty((trials, count), kind) for kind in kinds))
        pointer = lambda array: None if array is None else array.ctypes.data
        data = _Sequences(
            trials, count, x.shape[1], *map(pointer, (lengths, x, y, possible)), self.shape.every_step, last_step_only
        )
        results = _Errors(*map(pointer, errors))
        enough_memory = self._library.memory_trials_stream(
            ctypes.byref(setting), training, ctypes.byref(data), *map(pointer, state.arrays().values()),
            ctypes.byref(results),
        )  # fmt: skip
        if not enough_memory:
            raise MemoryError("not enough memory for the steps of a sequence")
        return errors

    def weights(self, state: State) -> list[Float32[np.ndarray, "T ..."]]:
        """Return the trained weights, in the order in which `start` takes them."""
        return flat.parted(state.parameters, self.shapes)


def _of_cell(model: ModelSettings) -> dict[str, int | float]:
    """The fields of `_Setting` that follow from the model alone."""
    layout = registry.all_cells()[model.cell].layout
    return layout.setting(model.options) if layout else {"output_bias": True}  # as Keras has them


def _check(model: ModelSettings, training: TrainingSettings, shape: Shape) -> None:
    """`UserError` for what streaming.c does not train."""
    if shape.masked:
        raise UserError("streaming.c scores every step of a sequence or its last one: a task with a mask needs JAX")
    if training.optimizer in ("adam", "rmsprop") and training.update != "sequence":
        raise UserError(
            f"training.optimizer: {training.optimizer} takes the gradient of a whole sequence: set training.update: "
            "sequence, or training.optimizer: sgd"
        )
    cell = registry.all_cells()[model.cell]
    predicts = shape.predicts and shape.every_step and not shape.real_input and shape.inputs == shape.outputs
    if cell.predicts_its_input and not predicts:
        raise UserError(f"the cell {model.cell} predicts its next input: it is for the tasks reber and keys")
    if not cell.layout and not supports(model):
        raise UserError(
            f"of the cell {model.cell} in a stream, cell_options may be unit_forget_bias, seed, and initializers by "
            "their names: for others set training.engine: jax"
        )


def _checked(sequences: Sequences, shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """lengths, x, y and possible as C reads them: wherever an index points to, so wrong ones must not get there."""
    lengths = np.ascontiguousarray(sequences.lengths, np.int32)
    x = np.ascontiguousarray(sequences.x, np.float32 if shape.real_input else np.int32)
    y = np.ascontiguousarray(sequences.y, np.float32 if shape.real_target else np.int32)
    possible = None if sequences.possible is None else np.ascontiguousarray(sequences.possible, np.uint32)
    if lengths.ndim != 2 or x.ndim != 2 + shape.real_input:
        raise ValueError(f"lengths are {lengths.shape} and inputs {x.shape}, not [T, N] and [T, S] or [T, S, inputs]")
    trials, steps = x.shape[:2]
    shapes_agree = (
        len(lengths) == trials
        and x.shape[2:] == ((shape.inputs,) if shape.real_input else ())
        and y.shape == ((trials, steps) if shape.every_step else lengths.shape)
        and (possible is None or possible.shape == (trials, steps))
    )
    if not shapes_agree or not x.size:
        raise ValueError("the arrays of the sequences do not fit together")
    if (lengths < 0).any() or (lengths.sum(axis=1, dtype=np.int64) > steps).any():
        raise ValueError("the sequences have more steps than there are")
    within = lambda array, end: not array.size or (array.min() >= 0 and array.max() < end)
    if not (shape.real_input or within(x, shape.inputs)) or not (shape.real_target or within(y, shape.outputs)):
        raise ValueError("the sequences have an index outside the inputs or outputs")
    if shape.real_target and (shape.every_step or shape.outputs != 1):
        raise ValueError("a real target is that of one output at the last step")
    if possible is not None and shape.outputs > _POSSIBLE:
        raise ValueError(f"which of {shape.outputs} symbols are possible does not fit into {_POSSIBLE} bits")
    return lengths, x, y, possible


@functools.cache
def _library() -> ctypes.CDLL:
    library = LIBRARY.load()
    pointer = ctypes.c_void_p
    library.memory_trials_streaming_size.restype = ctypes.c_int64
    library.memory_trials_streaming_size.argtypes = [pointer]
    library.memory_trials_stream.restype = ctypes.c_int32
    library.memory_trials_stream.argtypes = [pointer, ctypes.c_int32, *[pointer] * 5]
    return library
