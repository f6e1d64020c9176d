"""The GRU of Cho et al. 2014 in cuDNN's form: the reset gate acts after the matrix product (Keras's reset_after)."""

from __future__ import annotations

import numpy as np

from memory_trials.cells.interface import Cell, Gate, Keras, Shown
from memory_trials.numerics.elementary import product, sigmoid, tanh


def step(weights, x, h, c):
    units = h.shape[-1]
    x = x + weights["cell/bias"][:, :, 0]
    z = product(h, weights["cell/recurrent_kernel"])
    z += weights["cell/bias"][:, :, 1]
    update, reset = np.split(sigmoid(x[..., : 2 * units] + z[..., : 2 * units]), 2, axis=-1)
    candidate = tanh(x[..., 2 * units :] + reset * z[..., 2 * units :])
    return update * h + (1 - update) * candidate, c


def set_forget_bias(bias: np.ndarray, units: int, value, chrono: bool) -> None:
    """bias: [T, 2, 3 units], in the order z, r, h. The update gate keeps where it is open, so one bias is enough."""
    bias[:, 0, :units] = value


CELL = Cell(
    engines=("native", "streaming"),
    gates=3,
    bias_rows=2,  # of the inputs, and of the hidden state
    step=step,
    set_forget_bias=set_forget_bias,
    keras=Keras(
        "GRUCell",
        "GRU",
        constructed=("kernel", "recurrent", "bias", "cell", "output"),
        arguments=frozenset({"kernel_initializer", "recurrent_initializer", "bias_initializer", "seed"}),
    ),
)
SHOWN = Shown(
    "#b45f06",
    "square",
    [7, 3],
    gates=(
        Gate("z", "update gate", "sigmoid", "z = sigmoid(x·W + b + h before·U + b′)"),
        Gate("r", "reset gate", "sigmoid", "r = sigmoid(x·W + b + h before·U + b′)"),
        Gate("g", "candidate", "tanh", "g = tanh(x·W + b + r · (h before·U + b′))"),
    ),
    h="h = z · h before + (1 − z) · g",
)
