"""Endless streams in JAX, for any cell of the protocol: each trial learns from its sequences, batch after batch.

The loss of a sequence is the sum over its scored steps, of half the squared error or of the cross-entropy, as
streaming.c has it; that of a batch is the mean over its sequences. Sequences are padded to a common number of steps, in
which nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memory_trials.engines.interface import Errors
from memory_trials.engines.jax_engine import Model, State, started, step_optimizers
from memory_trials.settings import TrainingSettings
from memory_trials.tasks.interface import Sequences, Shape

if TYPE_CHECKING:
    from jaxtyping import Float32

TOGETHER = 4  # trials in a call of a program; with more, a step of each is not quicker
LEAST_BITS = np.float32(-100)  # no output counts as less, so that sums are finite


class _Plan(NamedTuple):
    """What is part of the compiled program."""

    shape: Shape
    optimizer: str
    cross_entropy: bool
    last_step_only: bool
    padded: bool
    tolerance: float | None = None


class Answers(NamedTuple):
    """Of each sequence: how many steps are scored, at how many of them the target (or all symbols that are possible)
    was more active than every other output, and the sum over them of the target's logarithm of base 2. Where targets
    are numbers, at how many of them the output was close, and no bits (NaN)."""

    scored: Float32[np.ndarray, "T N"]
    right: Float32[np.ndarray, "T N"]
    bits: Float32[np.ndarray, "T N"]


class Program:
    """A model, how it is trained, and the shape of its sequences; see `interface.StreamProgram`."""

    def __init__(self, model: Model, settings: TrainingSettings, shape: Shape):
        self.model, self.shape, self.names, self.batch = model, shape, list(model.names), settings.batch
        loss = settings.loss == "cross_entropy"
        self._plan = _Plan(shape, settings.optimizer, loss, False, not shape.equally_long)
        self._rate = np.float32(settings.learning_rate)  # an argument, so that one program serves all rates

    def start(self, weights: list[np.ndarray]) -> State:
        return started(self.model, self._plan.optimizer, weights, rows=0)

    def resume(self, arrays: dict[str, np.ndarray]) -> State:
        return State({name: jnp.asarray(array) for name, array in arrays.items()})

    def weights(self, state: State) -> list[np.ndarray]:
        return [np.asarray(state.held[str(index)]) for index in range(len(self.names))]

    def train(self, state: State, sequences: Sequences) -> Errors:
        trials, count = sequences.lengths.shape
        rows = {}
        for name, array in laid(sequences, self.shape).items():
            # the last batch is filled with sequences of no step
            whole = np.pad(array, [(0, 0), (0, -count % self.batch)] + [(0, 0)] * (array.ndim - 2))
            rows[name] = whole.reshape(trials, -1, self.batch, *array.shape[2:])
        plan = self._plan._replace(padded=self._plan.padded or count % self.batch > 0)
        by = partial(_train, self.model, plan, self._rate)
        state.held, errors = _few_by_few(by, trials, state.held, rows)
        return Errors(*(array.reshape(trials, -1)[:, :count] for array in errors))

    def test(self, state: State, sequences: Sequences, last_step_only: bool = False) -> Errors:
        return Errors(*self._found(_errors, state, sequences, last_step_only=last_step_only))

    def answer(self, state: State, sequences: Sequences, tolerance: float | None = None) -> Answers:
        """Return how each trial, with the weights it has now, answers at the scored steps of its sequences.

        Args:
            state: the trials; nothing of it changes.
            sequences: N for each trial.
            tolerance: where targets are numbers, by how much less than this a right output is off.
        """
        return Answers(*self._found(_answers, state, sequences, tolerance=tolerance))

    def _found(self, by: Callable, state: State, sequences: Sequences, **how: Any) -> Any:
        weights = [state.held[str(index)] for index in range(len(self.names))]
        plan = self._plan._replace(**how)
        return _few_by_few(
            partial(_test, by, self.model, plan), len(sequences.lengths), weights, laid(sequences, self.shape)
        )


def _few_by_few(program: Callable, trials: int, *given: Any) -> Any:
    """What a program returns for so many trials, which it is always given `TOGETHER` at a time, the last ones with
    copies of the last one: of another number of trials XLA makes another program, whose last bits differ."""
    given = jax.tree.map(np.asarray, given)
    found = []
    for first in range(0, trials, TOGETHER):
        taken = np.minimum(np.arange(first, first + TOGETHER), trials - 1)
        found.append(program(*jax.tree.map(lambda array, taken=taken: array[taken], given)))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:trials], *found)


def laid(sequences: Sequences, shape: Shape) -> dict[str, np.ndarray]:
    """Sequences side by side: lengths [T, N]; x, y, mask and possible [T, N, S, ...], zero where they are padded.

    Of x where symbols have a history, the present symbol and those before it, [T, N, S, history], -1: there is none.
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
    if shape.history > 1:
        before = np.full((*found["x"].shape[:2], steps + shape.history - 1), -1, np.int32)
        before[..., shape.history - 1 :] = found["x"]
        found["x"] = np.lib.stride_tricks.sliding_window_view(before, shape.history, axis=-1)[..., ::-1]
    found["y"] = sequences.y[trial, at] if shape.every_step else sequences.y
    for name in ("mask", "possible"):
        array = getattr(sequences, name)
        if array is not None:
            found[name] = array[trial, at]
    return found


def _vectors(shape: Shape, x: Any) -> Any:
    """Input vectors [..., inputs] of symbols [...], of which each may have a history."""
    if shape.real_input:
        return x
    hot = jax.nn.one_hot(x, shape.inputs // shape.history)
    return hot.reshape(*x.shape[: x.ndim - (shape.history > 1)], shape.inputs)


def _outputs(model: Model, plan: _Plan, arrays: list, rows: dict[str, Any], key: Any) -> Any:
    """Logits [B, S, outputs] of B sequences."""
    params, kernel, bias = model.weights(arrays)
    batch, count = rows["x"].shape[:2]
    if model.cell.call_sequence is not None:  # what comes after a sequence's end has no part in what is scored
        return model.cell.call_sequence(params, _vectors(plan.shape, rows["x"])) @ kernel + bias

    def step(state, of_step):
        x, number, drawn = of_step
        new, y = model.cell.step(params, state, _vectors(plan.shape, x), key if drawn is None else drawn)
        if not plan.padded:
            return new, y
        there = number < rows["lengths"]
        kept = lambda new, old: jnp.where(there.reshape(-1, *[1] * (new.ndim - 1)), new, old)
        return jax.tree.map(kept, new, state), y

    keys = jax.random.split(key, count) if key is not None and model.cell.random else None
    steps = (jnp.moveaxis(rows["x"], 1, 0), jnp.arange(count), keys)
    _, ys = jax.lax.scan(step, model.cell.initial_state(params, batch), steps)
    return jnp.moveaxis(ys @ kernel + bias, 0, 1)


def _goals(plan: _Plan, of_one: dict[str, Any]) -> tuple[Any, Any]:
    """The targets [S, outputs], and which steps are scored [S]."""
    steps, y = jnp.arange(of_one["x"].shape[0]), of_one["y"]
    goal = y[..., jnp.newaxis] if plan.shape.real_target else jax.nn.one_hot(y, plan.shape.outputs)
    goal = jnp.broadcast_to(goal, (len(steps), plan.shape.outputs))
    scored = steps < of_one["lengths"] if plan.shape.every_step else steps == of_one["lengths"] - 1
    if "mask" in of_one:
        scored &= of_one["mask"]
    if plan.last_step_only:
        scored &= steps == of_one["lengths"] - 1
    return goal, scored


def _leads(plan: _Plan, goal: Any, outputs: Any, of_one: dict[str, Any]) -> Any:
    """At which steps [S] all that is right is more active than all that is not."""
    if "possible" in of_one:
        bits = of_one["possible"][:, jnp.newaxis] >> jnp.arange(plan.shape.outputs, dtype=jnp.uint32)
        allowed = (bits & 1).astype(bool)
    else:
        allowed = jnp.ones_like(goal, bool) if plan.shape.real_target else goal > 0
    least = jnp.where(allowed, outputs, jnp.inf).min(axis=1)
    return least > jnp.where(allowed, -jnp.inf, outputs).max(axis=1)


def _errors(model: Model, plan: _Plan, logits: Any, of_one: dict[str, Any]) -> tuple:
    """As `interface.Errors`, of one sequence."""
    goal, scored = _goals(plan, of_one)
    outputs = model.activation(logits)
    error = jnp.abs(outputs - goal)
    count = scored.sum() * plan.shape.outputs
    mean = lambda array: jnp.where(scored[:, jnp.newaxis], array, 0).sum() / count
    worst = jnp.where(scored, error.max(axis=1), 0).max()
    worst = jnp.where(jnp.isnan(jnp.where(scored[:, jnp.newaxis], error, 0)).any(), jnp.nan, worst)
    right = (count > 0) & jnp.where(scored, _leads(plan, goal, outputs, of_one), True).all()
    return jnp.where(count > 0, worst, jnp.nan), mean(error), mean(error**2), right


def _answers(model: Model, plan: _Plan, logits: Any, of_one: dict[str, Any]) -> tuple:
    """As `Answers`, of one sequence."""
    goal, scored = _goals(plan, of_one)
    outputs = model.activation(logits)
    if plan.tolerance is not None:
        right = jnp.abs(outputs - goal).max(axis=1) < plan.tolerance
        bits = jnp.full(len(logits), jnp.nan)
    else:
        right = _leads(plan, goal, outputs, of_one)
        log = jax.nn.log_softmax(logits) if model.softmax else jax.nn.log_sigmoid(logits)
        bits = jnp.maximum((log * goal).sum(axis=1) / np.float32(np.log(2)), LEAST_BITS)
    summed = lambda array: jnp.where(scored, array, 0).sum().astype(jnp.float32)
    return summed(jnp.ones(len(logits))), summed(right), summed(bits)


def _losses(model: Model, plan: _Plan, logits: Any, goal: Any) -> Any:
    """The loss [S] of each step."""
    if model.softmax:
        return -(jax.nn.log_softmax(logits) * goal).sum(axis=1)
    if plan.cross_entropy:
        losses = jax.nn.relu(logits) - logits * goal + jnp.log1p(jnp.exp(-jnp.abs(logits)))
    else:
        losses = 0.5 * (jax.nn.sigmoid(logits) - goal) ** 2
    return losses.sum(axis=1)


@partial(jax.jit, static_argnums=(0, 1))
def _train(model: Model, plan: _Plan, rate, held, sequences):
    def loss(arrays, rows, key):
        logits = _outputs(model, plan, arrays, rows, key)
        goal, scored = jax.vmap(partial(_goals, plan))(rows)
        losses = jax.vmap(partial(_losses, model, plan))(logits, goal)
        there = jnp.maximum((rows["lengths"] > 0).sum(), 1)
        return jnp.where(scored, losses, 0).sum() / there, logits

    def trial(held, sequences):
        def one(carry, rows):
            weights, slots, steps, counted = carry
            trial_key = jax.random.wrap_key_data(held["key"])
            key = jax.random.fold_in(trial_key, counted) if model.cell.random else jax.random.key(0)
            (_, logits), gradients = jax.value_and_grad(loss, has_aux=True)(weights, rows, key)
            new = step_optimizers(plan.optimizer, rate, steps, weights, gradients, slots)
            there = (rows["lengths"] > 0).any()
            new = jax.tree.map(
                lambda new, old: jnp.where(there, new, old), (*new, steps + 1.0), (weights, slots, steps)
            )
            return (*new, counted + np.uint32(1)), jax.vmap(partial(_errors, model, plan))(logits, rows)

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


@partial(jax.jit, static_argnums=(0, 1, 2))
def _test(found, model: Model, plan: _Plan, weights, sequences):
    """`_errors` or `_answers` of all sequences."""

    def trial(weights, sequences):
        logits = _outputs(model, plan, weights, sequences, None)
        return jax.vmap(partial(found, model, plan))(logits, sequences)

    return jax.vmap(trial)(weights, sequences)
