"""Endless streams of sequences: streaming.c, compiled once for this processor and called through ctypes.

It trains the cells of `models.published`, many trials at once, one in each lane of a vector. A trial's bits depend on
neither: streaming.c defines its arithmetic, and `LIBRARY.identity` names that alone.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memory_trials.engines.compiler import Library
from memory_trials.models.published import weight_shapes
from memory_trials.settings import MemoryCellOptions, ModelSettings, TrainingSettings
from memory_trials.tasks.streams import Sequences, Shape

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int, Shaped

LIBRARY = Library(
    Path(__file__).with_name("streaming.c"), headers=("elementary.h", "lanes.h", "net.h", "memory_cell.h")
)
CELLS = ("memory_cell",)  # in the order of net.h's enumeration
_INTS = (
    "cell", "units", "inputs", "outputs", "real_input", "real_target", "every_step", "by_sequence", "through",
    "output_bias", "block_size", "recurrent", "output_gate", "plain", "input_gate_bias", "output_gate_bias",
    "cell_bias", "dormant",
)  # fmt: skip
_FLOATS = ("learning_rate", "range_of_g", "range_of_h")
RANGES = {"equations": (2, 1), "caption": (1, 2), "plain": (1, 1)}  # of g and h
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


class Errors(NamedTuple):
    """Of each sequence, as the outputs were before anything was learned from it.

    worst: the largest absolute error of an output at a scored step. absolute, squared: means over scored steps and
    outputs. right: at every scored step the target (or all symbols that are possible) was more active than every
    other output. NaN and wrong where there was no sequence.
    """

    worst: Float32[np.ndarray, "T N"]
    absolute: Float32[np.ndarray, "T N"]
    squared: Float32[np.ndarray, "T N"]
    right: Bool[np.ndarray, "T N"]


@dataclass
class State:
    """T trials on their way, each with its P weights one after another; some of its rows are a State too."""

    parameters: Float32[np.ndarray, "T P"]

    def arrays(self) -> dict[str, Shaped[np.ndarray, "T ..."]]:
        return dict(vars(self))


class Program:
    """A model, how it is trained, and on what kind of sequences. Nothing here changes, so threads may run it side by
    side."""

    def __init__(self, model: ModelSettings, training: TrainingSettings, shape: Shape):
        self._library = _library()
        self.shape = shape
        options = model.published_options
        assert isinstance(options, MemoryCellOptions)
        self._setting = _Setting(
            cell=CELLS.index(model.cell),
            units=model.units,
            inputs=shape.inputs,
            outputs=shape.outputs,
            real_input=shape.real_input,
            real_target=shape.real_target,
            every_step=shape.every_step,
            by_sequence=training.update == "sequence",
            through=options.connected == "B",
            output_bias=options.output_bias,
            block_size=options.block_size,
            recurrent=options.connected == "F",
            output_gate=options.output_gate,
            plain=options.squashing == "plain",
            input_gate_bias=options.input_gate_bias is not None,
            output_gate_bias=options.output_gate_bias is not None,
            cell_bias=options.cell_bias,
            learning_rate=training.learning_rate,
            range_of_g=RANGES[options.squashing][0],
            range_of_h=RANGES[options.squashing][1],
        )
        shapes = weight_shapes(model, shape.inputs, shape.outputs)
        self.names, self.shapes = list(shapes), list(shapes.values())
        self.size = sum(map(prod, self.shapes))
        if self._library.memory_trials_streaming_size(ctypes.byref(self._setting)) != self.size:
            raise ValueError(f"streaming.c has another number of weights than {self.size}")

    def start(self, weights: list[Float32[np.ndarray, "T ..."]]) -> State:
        """weights: in the order of `names`."""
        trials = len(weights[0])
        if [array.shape for array in weights] != [(trials, *shape) for shape in self.shapes]:
            raise ValueError(f"weights are {[array.shape for array in weights]}, not [T, *] of {self.shapes}")
        return State(np.concatenate([np.reshape(array, (trials, -1)) for array in weights], axis=1, dtype=np.float32))

    def resume(self, arrays: dict[str, Shaped[np.ndarray, "T ..."]]) -> State:
        """From a state's arrays, or some trials of them."""
        return State(**arrays)

    def train(
        self,
        state: State,
        sequences: Sequences,
        first_only: Int[np.ndarray, " T"] | None = None,
        dormant: bool = False,
    ) -> Errors:
        """Train each trial on its sequences, one after another; `state` is changed in place.

        first_only: on how many of them, from the first on; the others are none to it. dormant: as if there were no
        cell: outputs see inputs alone, and no other weight moves.
        """
        if first_only is not None:
            if np.shape(first_only) != (len(state.parameters),):
                raise ValueError(f"first_only is {np.shape(first_only)}, not a number for each of the trials")
            taken = np.arange(sequences.lengths.shape[1]) < np.asarray(first_only)[:, np.newaxis]
            sequences = Sequences(
                np.where(taken, sequences.lengths, np.int32(0)), sequences.x, sequences.y, sequences.possible
            )
        return self._run(state, sequences, training=True, dormant=dormant)

    def test(self, state: State, sequences: Sequences, last_step_only: bool = False) -> Errors:
        """What each trial, as it is, says of its sequences. last_step_only: judged by each one's last step."""
        return self._run(state, sequences, training=False, last_step_only=last_step_only)

    def _run(
        self, state: State, sequences: Sequences, training: bool, last_step_only: bool = False, dormant: bool = False
    ) -> Errors:
        setting = _Setting.from_buffer_copy(self._setting)
        setting.dormant = dormant
        parameters = state.parameters
        trials, count = np.shape(sequences.lengths)
        if (
            parameters.shape != (trials, self.size)
            or parameters.dtype != np.float32
            or not parameters.flags.c_contiguous
        ):
            raise ValueError(f"the state is not that of {trials} trials with {self.size} weights")
        lengths, x, y, possible = _checked(sequences, self.shape)
        kinds = (np.float32, np.float32, np.float32, np.bool_)
        errors = Errors(*(np.empty((trials, count), kind) for kind in kinds))
        pointer = lambda array: None if array is None else array.ctypes.data
        data = _Sequences(
            trials, count, x.shape[1], *map(pointer, (lengths, x, y, possible)), self.shape.every_step, last_step_only
        )
        results = _Errors(*map(pointer, errors))
        enough_memory = self._library.memory_trials_stream(
            ctypes.byref(setting), training, ctypes.byref(data), parameters.ctypes.data, ctypes.byref(results)
        )
        if not enough_memory:
            raise MemoryError("not enough memory for the steps of a sequence")
        return errors

    def weights(self, state: State) -> list[Float32[np.ndarray, "T ..."]]:
        """The trained weights, as `start` takes them."""
        ends = np.cumsum([prod(shape) for shape in self.shapes])
        flat = np.split(state.parameters, ends[:-1], axis=1)
        return [array.reshape(-1, *shape) for array, shape in zip(flat, self.shapes)]


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
    library.memory_trials_stream.argtypes = [pointer, ctypes.c_int32, pointer, pointer, pointer]
    return library
