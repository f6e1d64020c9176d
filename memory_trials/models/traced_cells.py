"""What must not be in a Keras cell that JAX trains: as `user_cells` has it for TensorFlow, and `step_checks` for other
libraries' cells."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memory_trials.models import layers, user_cells
from memory_trials.models.backend import keras
from memory_trials.models.step_checks import AGAIN, CALLBACKS, MIXED, NOT_FINITE, draws_nothing, equal, primitives
from memory_trials.models.user_code import Refusal, during

UNSEEDED = "you should only use seeded random ops"  # Keras's words for a draw without a SeedGenerator of a layer


def seed_generators(cell: keras.layers.Layer) -> list[Any]:
    """Return the generators from which the cell and the layers in it draw random numbers when it is called."""
    found = {id(each): each for layer in cell._flatten_layers() for each in layer._seed_generators}
    return list(found.values())


@contextlib.contextmanager
def seeded_draws() -> Iterator[None]:
    """Say what a cell must do that draws random numbers without a seed of its own."""
    try:
        yield
    except Refusal as refusal:
        if UNSEEDED in str(refusal):
            raise Refusal(
                "it draws random numbers (keras.random without a seed), which would not be the same on each run: make "
                "a keras.random.SeedGenerator in __init__, and draw with seed=self.seed_generator",
                "call",
            ) from None
        raise


def check_call(cell: keras.layers.Layer, other: keras.layers.Layer, inputs: int) -> None:
    """Check that a call depends on inputs, states and weights alone, row by row.

    Args:
        cell: A built cell; the values of its weights do not matter.
        other: The same cell, made after another seed.
        inputs: The length of the input vector.

    Raises:
        Refusal: It depends on something else; the message says on what.
    """
    if len(cell.weights) != len(other.weights):
        raise Refusal("it has other weights each time it is made")
    user_cells.check_initial_states(cell, other)
    rows = user_cells.ROWS
    x = np.sin(np.arange(rows * inputs, dtype=np.float32)).reshape(rows, inputs)
    begin = [np.asarray(state) for state in layers.flat_states(cell, rows)]
    states = [s + np.cos(np.arange(s.size, dtype=np.float32)).reshape(s.shape) for s in begin]
    weights = [_some(weight.shape) for weight in cell.trainable_variables]
    with during("call"):
        with draws_nothing():
            traces = [jax.make_jaxpr(_stepped(each))(weights, x, states) for each in (cell, cell, other)]
        if callbacks := sorted(primitives(traces[0].jaxpr) & CALLBACKS):
            raise Refusal(f"it runs Python (jax's {callbacks[0]}), which trials cannot share")
        for other_trace, when in (
            (traces[1], AGAIN),
            (traces[2], "when it is made after another seed, with equal weights: it draws random numbers beside them"),
        ):
            if not equal(traces[0], other_trace):
                raise Refusal(f"it computes something else {when}")
        batch, alone, first = _computed(cell, weights, x, states, [state[:1] for state in begin])
        near = lambda some, others: np.allclose(some, others, user_cells.NEAR, user_cells.NEAR, equal_nan=True)
        if not seed_generators(cell) and not all(near(a[:1], b) for a, b in zip(batch, alone)):
            raise Refusal(MIXED)
        if not all(np.isfinite(array).all() for array in first):
            raise Refusal(NOT_FINITE)


def _some(shape: tuple[int, ...]) -> np.ndarray:
    """Numbers like those that weights begin with."""
    size = int(np.prod(shape, dtype=np.int64))
    return (0.3 * np.sin(1.7 * np.arange(1, size + 1))).astype(np.float32).reshape(shape)


def _stepped(cell: keras.layers.Layer):
    """(weights, x, states) -> output and new states in a list, as training calls the cell."""
    drawn = [(generator.state, jnp.zeros(2, jnp.uint32)) for generator in seed_generators(cell)]

    def step(weights, x, states):
        nested = keras.tree.pack_sequence_as(layers.initial_states(cell, 1), states)
        mapping = [*zip(cell.trainable_variables, weights), *drawn]
        with keras.StatelessScope(mapping, collect_losses=True, initialize_variables=False) as scope:
            result = keras.tree.flatten(layers.Step(cell)(x, nested, training=True))
            if scope.losses:
                raise Refusal("add_loss (or an activity_regularizer) is not supported: only the outputs are scored")
            for variable, value in zip(cell.trainable_variables, weights):
                if scope.get_current_value(variable) is not value:
                    raise Refusal(f"it assigns to the weight {variable.name}, which only training may change")
        return result

    return step


def _computed(cell: keras.layers.Layer, weights: list, x: np.ndarray, states: list, begin: list) -> tuple:
    """What a batch comes to, its first row alone, and the first step from the initial state."""
    step = _stepped(cell)

    def all_three(weights, x, states):
        hot = jnp.eye(1, x.shape[1])
        return step(weights, x, states), step(weights, x[:1], [s[:1] for s in states]), step(weights, hot, begin)

    return jax.device_get(jax.jit(all_three)(weights, x, states))
