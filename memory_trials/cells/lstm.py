"""The LSTM of Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, as in keras.layers.LSTMCell."""

from __future__ import annotations

import numpy as np

from memory_trials.cells.interface import Cell, Gate, Keras, Shown
from memory_trials.numerics.elementary import product, sigmoid, tanh


def step(weights, x, h, c):
    z = product(h, weights["cell/recurrent_kernel"])
    z += x
    z += weights["cell/bias"]
    input_gate, forget_gate, candidate, output_gate = np.split(z, 4, axis=-1)
    input_gate, forget_gate, output_gate = sigmoid(np.stack([input_gate, forget_gate, output_gate]))
    c = forget_gate * c + input_gate * tanh(candidate)
    return output_gate * tanh(c), c


def set_forget_bias(bias: np.ndarray, units: int, value, chrono: bool) -> None:
    """bias: [T, 4 units], in the order i, f, c, o. By chrono, the input gate begins with the negative."""
    bias[:, units : 2 * units] = value
    if chrono:
        bias[:, :units] = -value


CELL = Cell(
    engines=("native", "streaming"),
    gates=4,
    states=2,
    step=step,
    set_forget_bias=set_forget_bias,
    keras=Keras(
        "LSTMCell",
        "LSTM",
        constructed=("kernel", "recurrent", "bias", "cell", "output"),
        arguments=frozenset(
            {"kernel_initializer", "recurrent_initializer", "bias_initializer", "seed", "unit_forget_bias"}
        ),
    ),
)
SHOWN = Shown(
    "#0b5394",
    "circle",
    [1, 0],
    gates=(
        Gate("i", "input gate", "sigmoid", "i = sigmoid(x·W + h before·U + b)"),
        Gate("f", "forget gate", "sigmoid", "f = sigmoid(x·W + h before·U + b)"),
        Gate("g", "candidate", "tanh", "g = tanh(x·W + h before·U + b)"),
        Gate("o", "output gate", "sigmoid", "o = sigmoid(x·W + h before·U + b)"),
    ),
    c="c = f · c before + i · g",
    h="h = o · tanh(c)",
)
