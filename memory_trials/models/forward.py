"""What a trained model computes, written out from the equations in NumPy: no TensorFlow, any number of trials.

This answers "how do I calculate the outputs from the model's weights?", evaluates trials independently of the
framework that trained them, and starts in no time. A row of a Keras kernel belongs to an input, a column to
a unit; a cell's gates are side by side in the columns. The equations of one step are in the cell's module.

All is computed in double precision, by operations whose bits are the same on every machine (`elementary`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from memory_trials.cells import registry
from memory_trials.numerics.elementary import product, sigmoid, sliced, softmax
from memory_trials.settings import ModelSettings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int, Int64

# arguments of a Keras cell that change where training starts, but not what the trained cell computes
_OF_NO_CONSEQUENCE = {"kernel_initializer", "recurrent_initializer", "bias_initializer", "unit_forget_bias", "seed"}


def supports(model: ModelSettings) -> bool:
    """Return whether the equations in the cell's module are those of this model."""
    cell = registry.find(model.cell)
    return cell is not None and cell.step is not None and set(model.cell_options) <= _OF_NO_CONSEQUENCE


def outputs(
    model: ModelSettings,
    weights: dict[str, Float[np.ndarray, "T ..."]],
    x: Int[np.ndarray, "K L F"],
    wanted: Bool[np.ndarray, " L"] | None = None,
) -> Iterator[tuple[int, Float64[np.ndarray, "T K symbols"]]]:
    """Yield the number of each step and the activations of the output layer for K sequences, from a zero state.

    Args:
        weights: The variables of T trials of the model, by name (cell/kernel, ..., output/bias).
        x: The indices at which the input vector is 1.
        wanted: The steps to yield; None for all.
    """
    state = _State(model, weights, len(x))
    for t in range(x.shape[1]):
        state.step(x[:, t])
        if wanted is None or wanted[t]:
            yield t, state.read_out()


def free_run(
    model: ModelSettings, weights: dict[str, Float[np.ndarray, "T ..."]], prefix: Int[np.ndarray, "K P"], steps: int
) -> Int64[np.ndarray, "T K {steps}"]:
    """Return the indices of the symbols that follow when each prediction is fed back as the next input.

    Args:
        prefix: The indices of the symbols that each of the K runs is shown first.
    """
    state = _State(model, weights, len(prefix))
    following = np.empty((len(weights["output/bias"]), len(prefix), steps), np.int64)
    for index in prefix.T:
        state.step(index[:, np.newaxis])
    for t in range(steps):
        following[:, :, t] = state.read_out().argmax(axis=-1)
        state.step(following[:, :, t, np.newaxis])
    return following


class _State:
    """T trials of a model, each working on K sequences, and what their cells hold so far."""

    def __init__(self, model: ModelSettings, weights: dict[str, Float[np.ndarray, "T ..."]], sequences: int):
        self.kernel = weights["cell/kernel"]
        bias = lambda name: weights[name].astype(np.float64)[:, np.newaxis]  # [T, 1, ...]: the same for every sequence
        self.weights = {
            name: sliced(weights[name]) if name.endswith("kernel") else bias(name)
            for name in weights
            if name.startswith("cell/") and name != "cell/kernel"
        }
        self.output_kernel, self.output_bias = sliced(weights["output/kernel"]), bias("output/bias")
        equations = registry.all_cells()[model.cell].step
        assert equations is not None
        self.equations, self.squash = equations, OUTPUTS[model.output]
        zeros = np.zeros((len(self.kernel), sequences, model.units))
        self.h, self.c = zeros, zeros

    def step(self, indices: Int[np.ndarray, "*T K F"]) -> None:
        """Take one step. indices: where the input vectors are 1, in all trials or in each of them."""
        trials = np.arange(len(self.kernel))[:, np.newaxis]
        x: Float64[np.ndarray, "*T K gates"] | float = 0.0
        for feature in range(indices.shape[-1]):
            index = indices[..., feature]
            x += np.where(index[..., np.newaxis] >= 0, self.kernel[trials, index], 0).astype(np.float64)
        self.h, self.c = self.equations(self.weights, x, self.h, self.c)

    def read_out(self) -> Float64[np.ndarray, "T K symbols"]:
        """Return the activations of the output layer."""
        return self.squash(product(self.h, self.output_kernel) + self.output_bias)


OUTPUTS = {"sigmoid": sigmoid, "softmax": softmax}
