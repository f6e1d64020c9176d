"""A hidden layer that sees the present symbol and nothing else: h = tanh(x W + b). It has no memory at all."""

from __future__ import annotations

from memory_trials.cells.interface import Cell, Keras, Shown
from memory_trials.numerics.elementary import tanh


def step(weights, x, h, c):
    return tanh(x + weights["cell/bias"]), c


CELL = Cell(
    engines=("native",),
    states=0,
    recurrent=False,
    step=step,
    keras=Keras(
        "memory_trials.models.layers.MLPCell",
        "Dense",
        constructed=("kernel", "bias", "output"),
        arguments=frozenset({"kernel_initializer", "bias_initializer"}),
    ),
)
SHOWN = Shown("#595959", "diamond", [2, 3], h="h = tanh(x·W + b)")
