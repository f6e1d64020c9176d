"""What a cell's module says: `CELL`, what it computes and who trains it, and `SHOWN`, how charts and pages show it.

No result depends on `SHOWN`, so a changed colour trains nothing anew (see `memory_trials.meaning`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from memory_trials.sections import Section

OUTPUTS = ("sigmoid", "softmax")  # activations of the output layer that every cell takes
Shapes = dict[str, tuple[int, ...]]  # of weights, by name, in the order in which they are kept


@dataclass(frozen=True)
class Keras:
    """A cell's form in Keras, and what it takes to draw its initial weights without Keras.

    cell: the cell's class, in keras.layers or by its dotted path. layer: the class in keras.layers by which a .keras
    file names it. constructed: in which order the cell's initializers receive an integer from the seed; "cell" stands
    for the cell itself, which takes one where it is given no seed. arguments: the cell's arguments that
    `models.initializers` knows.
    """

    cell: str
    layer: str
    constructed: tuple[str, ...]
    arguments: frozenset[str]


@dataclass(frozen=True)
class Layout:
    """The weights and options of a cell that is none of Keras's; streaming.c trains it.

    options: the model of `model.cell_options`; its field `weights` is the width of the uniform initial weights.
    shapes: units, options, inputs, outputs -> all weights, those of the output layer too; empty ones are dropped.
    state_size: units, options -> numbers that the cell carries from step to step.
    setting: options -> the fields of engines/net.h's setting that follow from them.
    check: units, options -> raises `ValueError` for what does not fit together.
    set_biases: weights by name [T, ...], units, options -> puts in place the biases that options give.
    """

    options: type[Section]
    shapes: Callable[[int, Any, int, int], Shapes]
    setting: Callable[[Any], dict[str, int | float]]
    state_size: Callable[[int, Any], int]
    check: Callable[[int, Any], None] = lambda units, options: None
    set_biases: Callable[[dict[str, np.ndarray], int, Any], None] = lambda weights, units, options: None


class Functions(NamedTuple):
    """A cell of a fixed size as pure functions of JAX, on trees of float32 arrays.

    init: key, inputs -> params, one trial's weights. initial_state: params, batch -> state, arrays [batch, ...].
    step: params, state, x [batch, inputs] -> state, y [batch, width].
    call_sequence: params, x [batch, steps, inputs] -> y [batch, steps, width], all steps from the initial state at
    once, of a cell that is quicker so.
    """

    init: Callable[..., Any]
    initial_state: Callable[..., Any]
    step: Callable[..., Any]
    call_sequence: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Jax:
    """A cell that is none of Keras's, written in JAX, which trains it on tables and on streams.

    functions: units, options -> `Functions`; it imports JAX when it is called. options: the model of
    `model.cell_options`. check: units, options -> raises `ValueError` for what does not fit together.
    """

    functions: Callable[[int, Any], Functions]
    options: type[Section] = Section
    check: Callable[[int, Any], None] = lambda units, options: None


@dataclass(frozen=True)
class Cell:
    """What a cell computes, and which programs train it; what it does not have is None or left out.

    engines: the programs in C that train it, by the names of their modules in memory_trials.engines.
    outputs: values of `model.output` that they take with it.
    gates: blocks of `units` columns in its kernels. states: vectors of `units` numbers that it carries from step to
    step. recurrent: whether it has a recurrent kernel. bias_rows: rows of its bias; 0 for a vector.
    predicts_its_input: whether it can learn nothing else.
    step: the equations in NumPy: weights by name, x [T, K, gates * units], h and c [T, K, units] -> h and c after the
    step. x is the product of the input vectors and the kernel. A cell without c returns it as it is.
    set_forget_bias: bias [T, ...], units, value, chrono -> writes what forgetting begins with into the bias; None
    for a cell without a gate that forgets.
    """

    engines: tuple[str, ...] = ()
    outputs: tuple[str, ...] = OUTPUTS
    gates: int = 1
    states: int = 1
    recurrent: bool = True
    bias_rows: int = 0
    predicts_its_input: bool = False
    step: Callable[..., tuple[Any, Any]] | None = None
    set_forget_bias: Callable[[np.ndarray, int, Any, bool], None] | None = None
    keras: Keras | None = None
    layout: Layout | None = None
    jax: Jax | None = None

    @property
    def own_form(self) -> Layout | Jax | None:
        """What determines its weights and options where Keras does not."""
        return self.layout or self.jax

    @property
    def takes_tables(self) -> bool:
        """Whether it can be trained on a table of updates, by native, by XLA or by JAX."""
        return "native" in self.engines or self.keras is not None or self.jax is not None

    @property
    def takes_streams(self) -> bool:
        """Whether it can be trained on an endless stream."""
        return "streaming" in self.engines or self.jax is not None

    def shapes(self, units: int, inputs: int, outputs: int) -> Shapes:
        """Return the shapes of the weights of the cell and of its output layer, as Keras has them."""
        columns = self.gates * units
        recurrent: Shapes = {"cell/recurrent_kernel": (units, columns)} if self.recurrent else {}
        bias = (self.bias_rows, columns) if self.bias_rows else (columns,)
        of_cell: Shapes = {"cell/kernel": (inputs, columns), **recurrent, "cell/bias": bias}
        return of_cell | {"output/kernel": (units, outputs), "output/bias": (outputs,)}


class Gate(NamedTuple):
    """A block of columns in the microscope. key: its letter in equations. squash: sigmoid or tanh."""

    key: str
    title: str
    squash: str
    equation: str


@dataclass(frozen=True)
class Shown:
    """How charts show a cell, and the equations that the report's microscope writes beside its numbers.

    colour, marker, dashes: of its points and lines; dark enough on white, and apart in black and white too. gates: in
    the order of their columns. c, h: equations of the states; of a cell that the microscope cannot show, h is None.
    """

    colour: str
    marker: str
    dashes: list[int]
    gates: tuple[Gate, ...] = ()
    c: str | None = None
    h: str | None = None
