"""Endless streams in JAX, for any cell of the protocol: each trial learns from its sequences one after another.

The loss of a sequence is the sum over its scored steps, of half the squared error or of the cross-entropy, as
streaming.c has it. Sequences are padded to a common number of steps, in which nothing happens.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memory_trials.engines.interface import Errors
from memory_trials.engines.jax_engine import Model, State, started, step_optimizers
from memory_trials.settings import TrainingSettings
from memory_trials.tasks.interface import Sequences, Shape


class _Plan(NamedTuple):
    """What is part of the compiled program."""

    shape: Shape
    optimizer: str
    learning_rate: float
    cross_entropy: bool
    last_step_only: bool


class Program:
    """A model, how it is trained, and the shape of its sequences; see `interface.StreamProgram`."""

    def __init__(self, model: Model, settings: TrainingSettings, shape: Shape):
        self.model, self.shape, self.names = model, shape, list(model.names)
        loss = settings.loss == "cross_entropy"
        self._plan = _Plan(shape, settings.optimizer, settings.learning_rate, loss, False)

    def start(self, weights: list[np.ndarray]) -> State:
        return started(self.model, self._plan.optimizer, weights, rows=0)

    def resume(self, arrays: dict[str, np.ndarray]) -> State:
        return State({name: jnp.asarray(array) for name, array in arrays.items()})

    def weights(self, state: State) -> list[np.ndarray]:
        return [np.asarray(state.held[str(index)]) for index in range(len(self.names))]

    def train(self, state: State, sequences: Sequences) -> Errors:
        state.held, errors = _train(self.model, self._plan, state.held, laid(sequences, self.shape))
        return Errors(*map(np.asarray, errors))

    def test(self, state: State, sequences: Sequences, last_step_only: bool = False) -> Errors:
        plan = self._plan._replace(last_step_only=last_step_only)
        weights = [state.held[str(index)] for index in range(len(self.names))]
        return Errors(*map(np.asarray, _test(self.model, plan, weights, laid(sequences, self.shape))))


def laid(sequences: Sequences, shape: Shape) -> dict[str, np.ndarray]:
    """Sequences side by side: lengths [T, N]; x, y, mask and possible [T, N, S, ...], zero where they are padded.

    S is a power of two, or the longest that there can be, so that few programs are compiled.
    """
    lengths = np.asarray(sequences.lengths)
    steps = min(shape.longest, 1 << int(max(1, lengths.max()) - 1).bit_length())
    begins = np.cumsum(lengths, axis=1) - lengths
    at = begins[..., np.newaxis] + np.arange(steps)
    inside = np.arange(steps) < lengths[..., np.newaxis]
    at = np.where(inside, at, 0)
    trial = np.arange(len(lengths))[:, np.newaxis, np.newaxis]
    found = {"lengths": lengths, "x": sequences.x[trial, at]}
    found["y"] = sequences.y[trial, at] if shape.every_step else sequences.y
    for name in ("mask", "possible"):
        array = getattr(sequences, name)
        if array is not None:
            found[name] = array[trial, at]
    return found


def _outputs(model: Model, plan: _Plan, arrays: list, of_one: dict[str, Any], key: Any) -> Any:
    """Logits [S, outputs] of one sequence."""
    params, kernel, bias = model.weights(arrays)
    count = of_one["x"].shape[0]

    def step(state, of_step):
        x, number, key = of_step
        x = x[jnp.newaxis] if plan.shape.real_input else jax.nn.one_hot(x, model.inputs)[jnp.newaxis]
        new, y = model.cell.step(params, state, x, key)
        return jax.tree.map(lambda new, old: jnp.where(number < of_one["lengths"], new, old), new, state), y[0]

    keys = None if key is None else jax.random.split(key, count)
    _, ys = jax.lax.scan(step, model.cell.initial_state(params, 1), (of_one["x"], jnp.arange(count), keys))
    return ys @ kernel + bias


def _goals(plan: _Plan, of_one: dict[str, Any]) -> tuple[Any, Any]:
    """The targets [S, outputs], and which steps are scored [S]."""
    steps, y = jnp.arange(of_one["x"].shape[0]), of_one["y"]
    goal = y[..., jnp.newaxis] if plan.shape.real_target else jax.nn.one_hot(y, plan.shape.outputs)
    goal = jnp.broadcast_to(goal, (len(steps), plan.shape.outputs))
    scored = steps < of_one["lengths"] if plan.shape.every_step else steps == of_one["lengths"] - 1
    if "mask" in of_one:
        scored &= of_one["mask"]
    return goal, scored


def _errors(plan: _Plan, logits: Any, of_one: dict[str, Any]) -> tuple:
    """As `interface.Errors`, of one sequence."""
    goal, scored = _goals(plan, of_one)
    if plan.last_step_only:
        scored &= jnp.arange(len(logits)) == of_one["lengths"] - 1
    outputs = jax.nn.sigmoid(logits)
    error = jnp.abs(outputs - goal)
    count = scored.sum() * plan.shape.outputs
    mean = lambda array: jnp.where(scored[:, jnp.newaxis], array, 0).sum() / count
    if "possible" in of_one:
        bits = of_one["possible"][:, jnp.newaxis] >> jnp.arange(plan.shape.outputs, dtype=jnp.uint32)
        allowed = (bits & 1).astype(bool)
    else:
        allowed = jnp.ones_like(goal, bool) if plan.shape.real_target else goal > 0
    least = jnp.where(allowed, outputs, jnp.inf).min(axis=1)
    most = jnp.where(allowed, -jnp.inf, outputs).max(axis=1)
    worst = jnp.where(scored, error.max(axis=1), 0).max()
    worst = jnp.where(jnp.isnan(jnp.where(scored[:, jnp.newaxis], error, 0)).any(), jnp.nan, worst)
    right = (count > 0) & jnp.where(scored, least > most, True).all()
    return jnp.where(count > 0, worst, jnp.nan), mean(error), mean(error**2), right


@partial(jax.jit, static_argnums=(0, 1))
def _train(model: Model, plan: _Plan, held, sequences):
    def loss(arrays, of_one, key):
        logits = _outputs(model, plan, arrays, of_one, key)
        goal, scored = _goals(plan, of_one)
        if plan.cross_entropy:
            losses = jax.nn.relu(logits) - logits * goal + jnp.log1p(jnp.exp(-jnp.abs(logits)))
        else:
            losses = 0.5 * (jax.nn.sigmoid(logits) - goal) ** 2
        return jnp.where(scored[:, jnp.newaxis], losses, 0).sum(), logits

    def trial(held, sequences):
        def one(carry, of_one):
            weights, slots, steps, counted = carry
            trial_key = jax.random.wrap_key_data(held["key"])
            key = jax.random.fold_in(trial_key, counted) if model.cell.random else jax.random.key(0)
            (_, logits), gradients = jax.value_and_grad(loss, has_aux=True)(weights, of_one, key)
            new = step_optimizers(plan.optimizer, plan.learning_rate, steps, weights, gradients, slots)
            there = of_one["lengths"] > 0
            new = jax.tree.map(
                lambda new, old: jnp.where(there, new, old), (*new, steps + 1.0), (weights, slots, steps)
            )
            return (*new, counted + np.uint32(1)), _errors(plan, logits, of_one)

        count = len(model.names)
        arrays = [held[str(index)] for index in range(len(held) - 3)]
        each = (len(arrays) - count) // count
        slots = [tuple(arrays[count + index * each : count + (index + 1) * each]) for index in range(count)]
        carry = (arrays[:count], slots, held["steps"], held["count"])
        (weights, slots, steps, counted), errors = jax.lax.scan(one, carry, sequences)
        flat = [*weights, *(slot for of_weight in slots for slot in of_weight)]
        of_trial = {"steps": steps, "count": counted, "key": held["key"]}
        return {str(index): array for index, array in enumerate(flat)} | of_trial, errors

    return jax.vmap(trial)(held, sequences)


@partial(jax.jit, static_argnums=(0, 1))
def _test(model: Model, plan: _Plan, weights, sequences):
    def trial(weights, sequences):
        of_one = lambda of_one: _errors(plan, _outputs(model, plan, weights, of_one, None), of_one)
        return jax.vmap(of_one)(sequences)

    return jax.vmap(trial)(weights, sequences)
