"""A cell on JAX as `check` tries it, in the worker in which JAX trains (`engines.worker`)."""

from __future__ import annotations

import json
import time
import warnings
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from memory_trials.engines import own
from memory_trials.interactive.trying import WHOLE, Tried, changed_attributes
from memory_trials.models import layers
from memory_trials.models.backend import keras, seeded
from memory_trials.models.protocol import FUNCTIONS
from memory_trials.models.user_code import Refusal

if TYPE_CHECKING:
    from jaxtyping import Float32


class OnJax(Tried):
    """Any cell of `models.adapters`."""

    def __init__(self, asked: own.Request, steps: int):
        self._asked, self._model = asked, own._model(asked)
        super().__init__(asked.cell, asked.inputs, list(self._model.names[:-2]), steps)
        self._kind = own.kind_of(asked)
        self._options = json.loads(asked.options)
        self._compiled = jax.jit(self._outputs)
        self._gradient = jax.jit(jax.grad(lambda weights, x, c: (self._outputs(weights, x) * c).sum()))

    def weights(self, seed: int) -> list[Float32[np.ndarray, ...]]:
        """Of Keras's, as Keras on JAX builds the cell after this seed, so that what `build` does counts."""
        if self._of_keras:
            return [np.asarray(variable.value) for variable in self._built(seed).trainable_variables]
        return [np.asarray(array)[0] for array in own._initial_weights(self._asked, np.array([seed]))[:-2]]

    def _built(self, seed: int) -> Any:
        """Return the cell with its weights; `layers.built` only traces a call."""
        with seeded(seed), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`build\(\)` was called on layer")
            cell = layers.constructed(self._kind, self._asked.units, self._options)
            cell.build((1, self._size))
            cell.built = True
            layers.Step(cell)(jnp.zeros((1, self._size)), layers.initial_states(cell, 1))
        return cell

    def outputs(self, weights: list, x: np.ndarray) -> Float32[np.ndarray, "steps rows width"]:
        return np.asarray(self._compiled(weights, x))

    def _outputs(self, weights, x):
        cell, params = self._model.cell, self._params(weights)
        step = lambda state, x: cell.step(params, state, x, None)
        return jax.lax.scan(step, cell.initial_state(params, x.shape[1]), x)[1]

    def _params(self, weights: list) -> Any:
        return jax.tree.unflatten(self._model.structure, [jnp.asarray(weight) for weight in weights])

    def loss(self, weights: list, x: np.ndarray, coefficients: np.ndarray) -> float:
        return float((self.outputs(weights, x) * coefficients).sum(dtype=np.float64))

    def gradients(self, weights: list, x: np.ndarray, coefficients: np.ndarray) -> list[Float32[np.ndarray, ...]]:
        return [np.asarray(gradient) for gradient in self._gradient(weights, x, coefficients)]

    def last(self, weights: list, x: np.ndarray) -> tuple[int | None, float, float]:
        cell, steps = self._model.cell, len(x)

        @jax.jit
        def loop(params, x):
            def body(carry, row):
                state, number, first = carry
                state, y = cell.step(params, state, row, None)
                sound = jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((state, y))]).all()
                return (state, number + 1, jnp.where(sound | (first < steps), first, number)), None

            (state, _, first), _ = jax.lax.scan(body, (cell.initial_state(params, x.shape[1]), 0, steps), x)
            return state, first

        params = self._params(weights)
        jax.block_until_ready(loop(params, x))
        started = time.perf_counter()
        state, first = jax.block_until_ready(loop(params, x))
        seconds = (time.perf_counter() - started) / steps
        largest = max((float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(state)), default=0.0)
        return None if int(first) == steps else int(first), largest, seconds

    def whole(self, weights: list, x: np.ndarray) -> Float32[np.ndarray, "rows steps width"] | None:
        if not callable(getattr(self._kind, WHOLE, None)):
            return None
        if not (self._of_keras or self._of_protocol):
            raise Refusal(
                "it is tried of Keras's cells and of plain ones: write the cell as one of these, or remove it"
            )
        by_rows = jnp.asarray(x).transpose(1, 0, 2)
        if not self._of_keras:
            return np.asarray(getattr(self._object(), WHOLE)(self._params(weights), by_rows))
        cell = self._object()
        with keras.StatelessScope(state_mapping=list(zip(cell.trainable_variables, map(jnp.asarray, weights)))):
            return np.asarray(getattr(cell, WHOLE)(by_rows))

    @property
    def _of_keras(self) -> bool:
        return isinstance(self._kind, type) and issubclass(self._kind, keras.layers.Layer)

    @property
    def _of_protocol(self) -> bool:
        return all(callable(getattr(self._kind, name, None)) for name in FUNCTIONS)

    def _object(self) -> Any:
        """Return the cell itself: of Keras one with weights, else one of the protocol."""
        if self._of_keras:
            return self._built(0)
        return self._kind(self._asked.units, **self._options) if isinstance(self._kind, type) else self._kind

    def side_effects(self) -> list[str]:
        if not self._of_keras:
            return self._side_effects_of_plain() if self._of_protocol else []  # `models.adapters` sees them of others
        cell = self._object()
        begin = jnp.zeros((1, self._size)), layers.initial_states(cell, 1)
        return changed_attributes(cell._flatten_layers(), lambda: layers.Step(cell)(*begin, training=False))

    def _side_effects_of_plain(self) -> list[str]:
        cell, params = self._object(), self._params(self.weights(0))
        begin = cell.initial_state(params, 1), jnp.zeros((1, self._size))
        return changed_attributes([cell], lambda: cell.step(params, *begin))

    def states(self) -> int:
        params = self._params(self.weights(0))
        return sum(leaf.size for leaf in jax.tree.leaves(self._model.cell.initial_state(params, 1)))
