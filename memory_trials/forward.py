"""What a trained model computes, written out from the equations in NumPy: no TensorFlow, any number of trials.

This answers "how do I calculate the outputs from the model's weights?", judges trials independently of the
framework that trained them, and starts in no time. A row of a Keras kernel belongs to an input, a column to
a unit; a cell's gates stand side by side in the columns, in the order in which they are split below.
"""

from collections.abc import Iterator

import numpy as np

from memory_trials.config import ModelSettings
from memory_trials.encoding import one_hot

# arguments of a Keras cell that change where training starts, but not what the trained cell computes
_OF_NO_CONSEQUENCE = {"kernel_initializer", "recurrent_initializer", "bias_initializer", "unit_forget_bias", "seed"}


def knows(model: ModelSettings) -> bool:
    """Whether the equations below are those of this model."""
    return model.cell in STEPS and set(model.cell_options) <= _OF_NO_CONSEQUENCE


def outputs(
    model: ModelSettings, weights: dict[str, np.ndarray], x: np.ndarray, wanted: np.ndarray | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Each step's number and the output layer's activations [T, K, symbols] for K sequences, each from a zero state.

    weights: for each variable of the model (cell/kernel, ..., output/bias) an array [T, ...] over T trials.
    x [K, L, F]: the places where the input vector is 1. wanted [L] bool: the steps to yield; None: all.
    """
    state, read_out = _Cell(model, weights, len(x)), _readout(model, weights)
    for t in range(x.shape[1]):
        h = state.step(x[:, t])
        if wanted is None or wanted[t]:
            yield t, read_out(h)


def free_run(model: ModelSettings, weights: dict[str, np.ndarray], prefix: np.ndarray, steps: int) -> np.ndarray:
    """The symbols [T, K, steps] that follow when each prediction is fed back as the next input.

    prefix [K, P]: the places of the symbols that each of the K runs is shown first.
    """
    state, read_out = _Cell(model, weights, len(prefix)), _readout(model, weights)
    following = np.empty((len(weights["output/bias"]), len(prefix), steps), np.int64)
    for place in prefix.T:
        h = state.step(place[:, np.newaxis])
    for t in range(steps):
        following[:, :, t] = read_out(h).argmax(axis=-1)
        h = state.step(following[:, :, t, np.newaxis])
    return following


class _Cell:
    """T trials of a cell, each working on K sequences, and their states so far."""

    def __init__(self, model: ModelSettings, weights: dict[str, np.ndarray], sequences: int):
        self.weights = {name.removeprefix("cell/"): w for name, w in weights.items() if name.startswith("cell/")}
        if "bias" in self.weights:
            self.weights["bias"] = self.weights["bias"][:, np.newaxis]  # [T, 1, ...]: the same for every sequence
        self.equations = STEPS[model.cell]
        zeros = np.zeros((len(weights["output/bias"]), sequences, model.units), np.float32)
        self.h, self.c = zeros, zeros

    def step(self, places: np.ndarray) -> np.ndarray:
        """places [K, F] or [T, K, F]: where the input vectors are 1 -> h [T, K, units]."""
        seen = np.unique(
            places[places >= 0]
        )  # of a large alphabet a step sees little: only these rows of the kernel count
        small = np.where(places >= 0, np.searchsorted(seen, places), -1)
        weights = self.weights | {"kernel": self.weights["kernel"][:, seen]}
        self.h, self.c = self.equations(weights, one_hot(small, len(seen)), self.h, self.c)
        return self.h


def _readout(model: ModelSettings, weights: dict[str, np.ndarray]):
    """h [T, K, units] -> the output layer's activations [T, K, symbols]."""
    squash = sigmoid if model.output == "sigmoid" else softmax
    return lambda h: squash(h @ weights["output/kernel"] + weights["output/bias"][:, np.newaxis])


# A step: weights, x [K, inputs] or [T, K, inputs], h and c [T, K, units] -> h and c after it.
# Cells without c leave it as it is.


def lstm(cell, x, h, c):
    """Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, as in keras.layers.LSTMCell."""
    input_gate, forget_gate, candidate, output_gate = np.split(
        x @ cell["kernel"] + h @ cell["recurrent_kernel"] + cell["bias"], 4, axis=-1
    )
    c = sigmoid(forget_gate) * c + sigmoid(input_gate) * np.tanh(candidate)
    return sigmoid(output_gate) * np.tanh(c), c


def gru(cell, x, h, c):
    """Cho et al. 2014 in cuDNN's form: the reset gate acts after the matrix product (Keras's reset_after)."""
    input_bias, recurrent_bias = cell["bias"][:, :, 0], cell["bias"][:, :, 1]
    update_x, reset_x, candidate_x = np.split(x @ cell["kernel"] + input_bias, 3, axis=-1)
    update_h, reset_h, candidate_h = np.split(h @ cell["recurrent_kernel"] + recurrent_bias, 3, axis=-1)
    update = sigmoid(update_x + update_h)
    candidate = np.tanh(candidate_x + sigmoid(reset_x + reset_h) * candidate_h)
    return update * h + (1 - update) * candidate, c


def simple_rnn(cell, x, h, c):
    """Elman 1990: h = tanh(x W + h U + b)."""
    return np.tanh(x @ cell["kernel"] + h @ cell["recurrent_kernel"] + cell["bias"]), c


def mlp(cell, x, h, c):
    """A hidden layer that sees the present symbol and nothing else."""
    return np.tanh(x @ cell["kernel"] + cell["bias"]), c


STEPS = {"lstm": lstm, "gru": gru, "simple_rnn": simple_rnn, "mlp": mlp}


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * z))  # 1 / (1 + exp(-z)), without overflow


def softmax(z: np.ndarray) -> np.ndarray:
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
