"""The simple recurrent network of Elman 1990: h = tanh(x W + h U + b), as in keras.layers.SimpleRNNCell."""

from __future__ import annotations

from memory_trials.cells.interface import Cell, Keras, Shown
from memory_trials.numerics.elementary import product, tanh


def step(weights, x, h, c):
    return tanh(x + product(h, weights["cell/recurrent_kernel"]) + weights["cell/bias"]), c


CELL = Cell(
    engines=("native", "streaming"),
    step=step,
    keras=Keras(
        "SimpleRNNCell",
        "SimpleRNN",
        constructed=("cell", "kernel", "recurrent", "bias", "output"),
        arguments=frozenset({"kernel_initializer", "recurrent_initializer", "bias_initializer", "seed"}),
    ),
)
SHOWN = Shown("#38761d", "triangle-up", [9, 3, 2, 3], h="h = tanh(x·W + h before·U + b)")
