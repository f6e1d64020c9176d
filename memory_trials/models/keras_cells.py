"""A Keras cell as `protocol.Cell`, in a process in which Keras runs on JAX (`backend`).

Its weights are those that Keras on TensorFlow would draw, so that a seed means the same in every engine: what a seed
changes are the integers that initializers receive when layers are constructed, and `initializers` draws from these.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memory_trials.models import initializers, layers, traced_cells, user_cells
from memory_trials.models.backend import declaring, keras, seeded
from memory_trials.models.protocol import Cell
from memory_trials.models.user_code import Refusal, during

DRAWS = 64  # integers drawn while layers are constructed
TEMPLATE = 1  # the seed after which the layers are made whose calls are traced


def adapted(kind: type, units: int, options: dict[str, Any], inputs: int) -> Cell:
    """Return a Keras cell as three pure functions.

    Raises:
        Refusal: the cell does what trials cannot share, or a library raises in it.
    """
    cell, output, states = _declared(kind, units, options, inputs, TEMPLATE)
    other, *_ = _declared(kind, units, options, inputs, TEMPLATE + 1)
    with during("get_initial_state"):
        nested = layers.initial_states(cell, 1)
    user_cells.check_options(cell)
    user_cells.check_shapes(nested, output, states)
    check = lambda: traced_cells.check_call(cell, other, inputs)
    generators = traced_cells.seed_generators(cell)
    initial = [np.asarray(state)[0] for state in keras.tree.flatten(nested)]

    def initial_state(params, batch):
        return [jnp.broadcast_to(state, (batch, *state.shape)) for state in initial]

    def step(params, state, x, key=None):
        # the seed's state, of which keras.random makes a key, is one that follows from the trial and the step
        states = [] if key is None else jax.random.bits(key, (len(generators), 2), jnp.uint32)
        mapping = [*zip(cell.trainable_variables, params), *zip((each.state for each in generators), states)]
        with keras.StatelessScope(state_mapping=mapping, initialize_variables=False):
            before = keras.tree.pack_sequence_as(nested, state)
            output, after = layers.Step(cell)(x, before, training=key is not None)
        return keras.tree.flatten(after), output

    def init(key, inputs):
        return [jnp.zeros(variable.shape) for variable in cell.trainable_variables]

    names = tuple(layers.weight_names(cell, "cell"))
    draw = lambda seeds: _drawn(kind, units, options, inputs, seeds)
    return Cell(init, initial_state, step, bool(generators), names, draw, _received(kind, units, options), check)


def _declared(kind: type, units: int, options: dict[str, Any], inputs: int, seed: int) -> tuple:
    """A cell that was made after a seed, whose weights have shapes and no values; what it returns of one row."""
    with seeded(seed), traced_cells.seeded_draws(), declaring() as scope:
        cell = _constructed(kind, units, options)
        result = layers.built(cell, inputs)
        for weight in cell.weights:
            given = scope.get_current_value(weight)
            if given is not None and not isinstance(
                given, jax.core.Tracer
            ):  # which a call assigns, and is refused there
                raise Refusal(
                    f"it assigns to the weight {weight.name}, which would be lost: give add_weight an initializer for "
                    "the value that a weight begins with",
                    "build",
                )
    return cell, *result


def _constructed(kind: type, units: int, options: dict[str, Any]) -> keras.layers.Layer:
    """The cell, and an output layer after it, which receives an integer before the cell is built."""
    cell = layers.constructed(kind, units, options)
    keras.layers.Dense(1)
    return cell


def _received(kind: type, units: int, options: dict[str, Any]) -> int:
    """How many integers are received while the cell is constructed: the output layer's is the next one."""
    with seeded(TEMPLATE), declaring():
        layers.constructed(kind, units, options)
        following = random.randint(1, 10**9)
    return initializers.integers(TEMPLATE, DRAWS).index(following)


@functools.lru_cache(maxsize=32)
def _initializers(kind: type, units: int, options: str, inputs: int) -> list[tuple[Any, tuple[int, ...]]]:
    """Of each weight, as they are after the template's seed, and its shape; options: as JSON."""
    cell, *_ = _declared(kind, units, json.loads(options), inputs, TEMPLATE)
    return [(variable._initializer, tuple(variable.shape)) for variable in cell.trainable_variables]


def _drawn(kind: type, units: int, options: dict[str, Any], inputs: int, seeds: Sequence[int]) -> list[np.ndarray]:
    """The weights of each seed, stacked.

    The layers are made once, and it is found which integer each initializer received; those of `initializers` are then
    drawn for all seeds. Other initializers are called for each seed, with Keras on JAX, which draws other numbers.
    """
    order = {integer: index for index, integer in enumerate(initializers.integers(TEMPLATE, DRAWS))}
    declared = _initializers(kind, units, json.dumps(options), inputs)
    given = [getattr(initializer, "seed", None) for initializer, _ in declared]
    last = max((order.get(seed, 0) for seed in given if isinstance(seed, int)), default=0)
    received = np.array([initializers.integers(int(seed), last + 1) for seed in seeds])
    arrays = [_like_keras(initializer, shape, order, received) for initializer, shape in declared]
    if any(array is None for array in arrays):  # such as of an LSTM's bias, or of the author's own
        made = [_declared(kind, units, options, inputs, int(seed))[0].trainable_variables for seed in seeds]
        own = lambda variable: np.asarray(variable._initializer(variable.shape, dtype=variable.dtype))
        for index, array in enumerate(arrays):
            if array is None:
                arrays[index] = np.stack([own(variables[index]) for variables in made])
    return arrays


def _like_keras(initializer: Any, shape: tuple[int, ...], order: dict[int, int], received: np.ndarray):
    """[T, *shape] as `initializers.draw` has it; None where it is not one of its own with default arguments."""
    name = initializers.NAMES.get(type(initializer).__name__)
    if name is None or (name in initializers.MATRICES and len(shape) != 2):
        return None
    plain, config = type(initializer)().get_config(), initializer.get_config()
    if {k: v for k, v in plain.items() if k != "seed"} != {k: v for k, v in config.items() if k != "seed"}:
        return None
    if name not in initializers.RANDOM:
        return initializers.draw(name, shape, received[:, 0])
    seed = getattr(initializer, "seed", None)
    if not isinstance(seed, int) or not shape:
        return None
    return initializers.draw(name, shape, received[:, order[seed]] if seed in order else np.full(len(received), seed))
