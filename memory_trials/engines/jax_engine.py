"""Any cell of the protocol, all trials of a shard at once, in JAX: vmap over trials, scan over steps, and the gradient
through the scan.

Tables are arguments of the compiled program, so that one program serves all tables of the same shapes. What is true of
a whole table, such as that no step is padded, leaves its part of the program out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memory_trials.engines.optimizers import OPTIMIZERS
from memory_trials.models.protocol import Cell
from memory_trials.models.user_code import Refusal
from memory_trials.settings import TrainingSettings
from memory_trials.tasks.encoding import UpdateTable

if TYPE_CHECKING:
    from jaxtyping import Float32, Int, Shaped

TINY = np.float32(1e-37)  # no output counts as less, so that memory is finite
OUTPUT = ("output/kernel", "output/bias")


class Model(NamedTuple):
    """A cell under a dense output layer; weights of a trial are (params, kernel, bias).

    structure: of params. names: of all weights, in the order in which they are kept.
    """

    cell: Cell
    inputs: int
    symbols: int
    softmax: bool
    width: int
    structure: Any
    names: tuple[str, ...]

    def weights(self, arrays: list) -> tuple:
        *leaves, kernel, bias = arrays
        return jax.tree.unflatten(self.structure, leaves), kernel, bias

    def activation(self, logits):
        return jax.nn.softmax(logits) if self.softmax else jax.nn.sigmoid(logits)

    def loss(self, logits, target):
        """The mean cross-entropy over outputs, or the categorical one: logits [..., symbols], target [...] -> [...]."""
        if self.softmax:
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), target[..., None], axis=-1)[..., 0]
        hot = jax.nn.one_hot(target, self.symbols)
        return (jax.nn.relu(logits) - logits * hot + jnp.log1p(jnp.exp(-jnp.abs(logits)))).mean(axis=-1)


def make_model(cell: Cell, inputs: int, symbols: int, softmax: bool) -> Model:
    """Find out the shapes of a cell's weights, states and output, without computing anything.

    Raises:
        Refusal: states or outputs are not what an engine can train.
    """
    params, state = shapes(cell, inputs)
    x = jax.ShapeDtypeStruct((1, inputs), jnp.float32)
    result = jax.eval_shape(lambda *given: cell.step(*given, None), params, state, x)
    if not isinstance(result, tuple | list) or len(result) != 2:
        kind = f"{len(result)} things" if isinstance(result, tuple | list) else "one value"
        raise Refusal(f"it returns {kind}; it must return two: return state, y", "step")
    after, y = result
    if not hasattr(y, "shape") or len(y.shape) != 2 or y.shape[0] != 1:
        raise Refusal(f"it returns an output of shape {getattr(y, 'shape', None)} for one row, not (1, width)", "step")
    flat = lambda tree: [tuple(leaf.shape) for leaf in jax.tree.leaves(tree)]
    if not _alike(after, state) or flat(after) != flat(state):
        raise Refusal(f"its states have the shapes {flat(state)}, and it returns others: {flat(after)}", "step")
    for leaf in (*jax.tree.leaves(params), *jax.tree.leaves((state, after)), y):
        if leaf.dtype != jnp.float32:
            raise Refusal(f"it has numbers of type {leaf.dtype.name}, and trials are trained in float32", "step")
    names = cell.names
    if names is None:
        path_name = lambda path: "/".join(
            str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path
        )
        names = [f"cell/{path_name(path)}" for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    return Model(cell, inputs, symbols, softmax, y.shape[1], jax.tree.structure(params), (*map(str, names), *OUTPUT))


def shapes(cell: Cell, inputs: int) -> tuple[Any, Any]:
    """Return shapes and types of one trial's weights, and of the state of one row, as trees."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(lambda key: cell.init(key, inputs), key)
    return params, jax.eval_shape(lambda params: cell.initial_state(params, 1), params)


def _alike(tree: Any, other: Any) -> bool:
    structures: list[Any] = [jax.tree.structure(tree), jax.tree.structure(other)]
    return structures[0] == structures[1]


def predict(model: Model, weights: list[np.ndarray], x: Int[np.ndarray, "K L F"]) -> np.ndarray:
    """Activations [T, K, L, symbols] of T trials for K sequences, each from the initial state."""
    return np.asarray(_predict(model, [jnp.asarray(array) for array in weights], jnp.asarray(x)))


@partial(jax.jit, static_argnums=0)
def _predict(model: Model, arrays, x):
    steps = tuple(range(x.shape[1]))
    logits = jax.vmap(lambda arrays: _evaluated(model, model.weights(arrays), x, steps))(arrays)
    return model.activation(logits).transpose(0, 2, 1, 3)


@dataclass
class State:
    """The arrays of `Program.resume`: once a program has run, on JAX's device."""

    held: dict[str, Any]

    def arrays(self) -> dict[str, Shaped[np.ndarray, "T ..."]]:
        return {name: np.asarray(array) for name, array in self.held.items()}


class Program:
    """A model, how it is trained, and on which table; see `interface.TableProgram`.

    A state holds weights, slots and states by their numbers, steps (of the optimizer), count (of updates, also those
    in which nothing is scored) and key, from which a trial's random numbers follow.
    """

    def __init__(self, model: Model, settings: TrainingSettings, table: UpdateTable, interval: int):
        self.model, self.table = model, table
        self.names = list(model.names)
        self.capacity = max(1, min(1000, settings.epochs) // interval)  # checks in one call at most
        first_steps_only = not table.reset[:, 1:].any()
        self._plan = _Plan(
            optimizer=settings.optimizer,
            learning_rate=settings.learning_rate,
            resets="first" if first_steps_only else "any",
            detaches=bool(table.detach[:, 1:].any()),
            padded=not table.step_mask.all(),
            silent=not table.loss_mask.any(axis=(1, 2)).all(),
            scored=tuple(np.flatnonzero(table.loss_mask.any(axis=(0, 2))).tolist()),
            judged=tuple(np.flatnonzero((table.eval_mask | (table.eval_group >= 0)).any(axis=0)).tolist()),
            remembers=bool((table.eval_group >= 0).any()),
            losses=self.capacity * interval,
        )
        share = table.loss_mask / np.maximum(table.loss_mask.sum(axis=(1, 2), keepdims=True), 1)
        frequency = np.log(table.eval_frequency)
        self._arrays = jax.tree.map(
            jnp.asarray,
            {
                "x": table.x, "y": table.y, "share": share.astype(np.float32), "step_mask": table.step_mask,
                "reset": table.reset, "detach": table.detach, "eval_x": table.eval_x, "eval_y": table.eval_y,
                "eval_mask": table.eval_mask, "eval_group": table.eval_group,
                "log_frequency": frequency.astype(np.float32), "candidates": table.candidates,
            },
        )  # fmt: skip

    def start(self, weights: list[Float32[np.ndarray, "T ..."]]) -> State:
        return started(self.model, self._plan.optimizer, weights, self.table.x.shape[2])

    def resume(self, arrays: dict[str, Shaped[np.ndarray, "T ..."]]) -> State:
        return State({name: jnp.asarray(array) for name, array in arrays.items()})

    def weights(self, state: State) -> list[Float32[np.ndarray, "T ..."]]:
        return [np.asarray(state.held[str(index)]) for index in range(len(self.names))]

    def run(
        self, state: State, checks: Int[np.ndarray, " C"], order: Int[np.ndarray, "T E U"] | None
    ) -> tuple[Float32[np.ndarray, "T E"], dict[str, Shaped[np.ndarray, "T C"]]]:
        padded = np.full(self.capacity, checks[-1], np.int32)
        padded[: len(checks)] = checks
        if order is not None:  # of one size, so that one program serves all calls
            whole = np.zeros((order.shape[0], self._plan.losses, order.shape[2]), np.int32)
            whole[:, : order.shape[1]] = order
            order = whole
        held, losses, found = _train(
            self.model, self._plan, state.held, self._arrays, padded, len(checks), None if order is None else order
        )
        state.held = held
        of_each = {name: np.asarray(array)[:, : len(checks)] for name, array in found.items()}
        return np.asarray(losses)[:, : checks[-1]], of_each


def started(model: Model, optimizer: str, weights: list[np.ndarray], rows: int) -> State:
    """Trials before their first update; rows: of the state that is handed on from update to update, 0: none is.

    What a trial draws while it is trained follows from its initial output kernel, which follows from its seed.
    """
    trials = len(weights[0])
    slots = [np.zeros_like(w) for w in weights for _ in range(OPTIMIZERS[optimizer][1])]
    states = map(np.asarray, _initial_states(model, rows, weights)) if rows else []
    numbered = {str(index): array for index, array in enumerate([*weights, *slots, *states])}
    key = np.stack([np.frombuffer(hashlib.sha256(w.tobytes()).digest()[:8], np.uint32) for w in weights[-2]])
    of_trial = {"steps": np.zeros(trials, np.float32), "count": np.zeros(trials, np.uint32), "key": key}
    return State(numbered | of_trial)


@partial(jax.jit, static_argnums=(0, 1))
def _initial_states(model: Model, rows: int, weights):
    begin = lambda arrays: jax.tree.leaves(model.cell.initial_state(model.weights(arrays)[0], rows))
    return jax.vmap(begin)(weights)


def step_optimizers(name: str, learning_rate: Any, steps, weights, gradients, slots) -> tuple[list, list]:
    """Each weight, and its slots, after one more step."""
    optimizer = partial(OPTIMIZERS[name][0], jnp, steps + 1.0, jnp.float32(learning_rate))
    stepped = [optimizer(*of_one) for of_one in zip(weights, gradients, slots)]
    return [weight for weight, _ in stepped], [of_one for _, of_one in stepped]


class _Plan(NamedTuple):
    """What of a table and of the settings is part of the compiled program."""

    optimizer: str
    learning_rate: float
    resets: str
    detaches: bool
    padded: bool
    silent: bool
    scored: tuple[int, ...]
    judged: tuple[int, ...]
    remembers: bool
    losses: int


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def _train(model: Model, plan: _Plan, held, table, checks, count, order):
    trial = partial(_trial, model, plan)
    ordered = None if order is None else 0
    return jax.vmap(trial, in_axes=(0, None, None, None, ordered))(held, table, checks, count, order)


def _trial(model: Model, plan: _Plan, held, table, checks, count, order):
    """One trial, through all epochs of a call: its arrays, losses and what the checks found."""
    updates = table["x"].shape[0]
    structure, carry = _carry(model, plan, held)

    def update(carry, u):
        return _update(model, plan, structure, table, held["key"], carry, u)

    def epoch(number, carry_losses):
        carry, losses = carry_losses
        taken = jnp.arange(updates) if order is None else order[number]
        carry, of_updates = jax.lax.scan(update, carry, taken)
        return carry, losses.at[number].set(of_updates.mean())

    def check(index, everything):
        carry, losses, found = everything
        first = jnp.where(index > 0, checks[index - 1], 0)
        carry, losses = jax.lax.fori_loop(first, checks[index], epoch, (carry, losses))
        now = _judged(model, plan, model.weights(carry[0]), table)
        return carry, losses, {name: array.at[index].set(now[name]) for name, array in found.items()}

    capacity = checks.shape[0]
    kinds = {"learned": jnp.bool_, "margin": jnp.float32, "memory": jnp.float32}
    found = {name: jnp.zeros(capacity, kind) for name, kind in kinds.items()}
    start = (carry, jnp.zeros(plan.losses, jnp.float32), found)
    (weights, slots, states, steps, counted), losses, found = jax.lax.fori_loop(0, count, check, start)
    flat = [*weights, *(each for of_one in slots for each in of_one), *jax.tree.leaves(states)]
    of_trial = {"steps": steps, "count": counted, "key": held["key"]}
    return {str(index): array for index, array in enumerate(flat)} | of_trial, losses, found


def _carry(model: Model, plan: _Plan, held) -> tuple[Any, tuple]:
    arrays = [held[str(index)] for index in range(len(held) - 3)]
    count, slots = len(model.names), OPTIMIZERS[plan.optimizer][1]
    weights, rest = arrays[:count], arrays[count:]
    of_each = [tuple(rest[index * slots : (index + 1) * slots]) for index in range(count)]
    leaves = rest[count * slots :]
    params = model.weights(weights)[0]
    structure = jax.tree.structure(jax.eval_shape(lambda: model.cell.initial_state(params, 1)))
    return structure, (weights, of_each, jax.tree.unflatten(structure, leaves), held["steps"], held["count"])


def _update(model: Model, plan: _Plan, structure, table, key, carry, u):
    weights, slots, states, steps, counted = carry
    of_update = {name: table[name][u] for name in ("x", "y", "share", "step_mask", "reset", "detach")}
    drawn = jax.random.fold_in(jax.random.wrap_key_data(key), counted) if model.cell.random else None
    objective = partial(_loss, model, plan, of_update, states, drawn)
    (loss, new_states), gradients = jax.value_and_grad(objective, has_aux=True)(weights)
    new = (*step_optimizers(plan.optimizer, plan.learning_rate, steps, weights, gradients, slots), steps + 1.0)
    if plan.silent:  # where nothing was scored no step is taken, only the state moves on
        scored = of_update["share"].any()
        new = jax.tree.map(lambda new, old: jnp.where(scored, new, old), new, (weights, slots, steps))
    return (new[0], new[1], new_states, new[2], counted + np.uint32(1)), loss


def _loss(model: Model, plan: _Plan, of_update, states, key, arrays):
    """The loss of one trial in one update, and the states after it."""
    params, kernel, bias = model.weights(arrays)
    x, rows = of_update["x"], of_update["x"].shape[1]
    begin = model.cell.initial_state(params, rows)
    choose = lambda which, some, others: jax.tree.map(lambda a, b: jnp.where(which, a, b), some, others)
    if plan.resets == "first":
        states = choose(of_update["reset"][0], begin, states)

    def step(states, of_step):
        x, step_mask, reset, detach, key = of_step
        if plan.detaches:
            states = choose(detach, jax.lax.stop_gradient(states), states)
        if plan.resets == "any":
            states = choose(reset, begin, states)
        key = jax.random.key(0) if key is None else key  # which says that this is training
        new, y = model.cell.step(params, states, _vectors(x, model.inputs), key)
        if plan.padded:
            kept = lambda new, old: jnp.where(step_mask.reshape(-1, *[1] * (new.ndim - 1)), new, old)
            new = jax.tree.map(kept, new, states)
        return new, y

    keys = None if key is None else jax.random.split(key, x.shape[0])
    given = (x, of_update["step_mask"], of_update["reset"], of_update["detach"], keys)
    if x.shape[0] == 1:
        states, y = step(states, jax.tree.map(lambda array: array[0], given))
        ys = y[None]
    else:
        states, ys = jax.lax.scan(step, states, given)
    scored = _taken(plan.scored, x.shape[0])
    losses = model.loss(ys[scored] @ kernel + bias, of_update["y"][scored])
    return (losses * of_update["share"][scored]).sum(), states


def _taken(steps: tuple[int, ...], count: int):
    """These steps of so many: all of them as a slice, which costs nothing."""
    return slice(None) if len(steps) == count else np.array(steps, np.int32)


def _vectors(indices, size: int):
    """[..., F] indices -> [..., size]: the sum of F one-hot vectors; -1 adds nothing."""
    return jax.nn.one_hot(indices, size).sum(axis=-2)


def _evaluated(model: Model, weights, x, steps):
    """Logits [steps, K, symbols] of one trial for K sequences, without anything random."""
    params, kernel, bias = weights
    step = lambda state, x: model.cell.step(params, state, _vectors(x, model.inputs), None)
    _, ys = jax.lax.scan(step, model.cell.initial_state(params, x.shape[0]), x.transpose(1, 0, 2))
    return ys[_taken(steps, x.shape[1])] @ kernel + bias


def _judged(model: Model, plan: _Plan, weights, table) -> dict[str, Any]:
    """With frozen weights and fresh state: is every scored step of every sequence right; the least lead of a right
    output over the best wrong one; memory in bits (see `predictions.memory_bits`)."""
    at = np.array(plan.judged, np.int32)
    outputs = model.activation(_evaluated(model, weights, table["eval_x"], plan.judged))  # [L, K, symbols]
    target, mask, group, log_frequency = (
        table[name][:, at].T for name in ("eval_y", "eval_mask", "eval_group", "log_frequency")
    )
    is_target = jax.nn.one_hot(target, model.symbols, dtype=jnp.bool_)
    own = jnp.where(is_target, outputs, 0).sum(axis=-1)
    lead = own - jnp.where(is_target, -jnp.inf, outputs).max(axis=-1)
    lead = jnp.where(jnp.isnan(outputs.sum(axis=-1)), jnp.nan, lead)
    margin = jnp.where(mask, lead, jnp.inf).min()
    margin = jnp.where((jnp.isnan(lead) & mask).any(), jnp.nan, margin)
    right = (outputs.argmax(axis=-1) == target) | ~mask
    if not plan.remembers:
        return {"learned": right.all(), "margin": margin, "memory": jnp.float32(jnp.nan)}
    needed = group >= 0
    candidates = table["candidates"][group]  # [L, K, M]
    some = jnp.take_along_axis(outputs, jnp.maximum(candidates, 0), axis=-1)
    among = jnp.where(candidates >= 0, some, 0).sum(axis=-1) / jnp.maximum((candidates >= 0).sum(axis=-1), 1)
    log = lambda array: jnp.log(jnp.maximum(array, TINY))
    bits = jnp.where(needed, (log(own) - log(among) - log_frequency) / np.float32(np.log(2)), 0.0)
    return {"learned": right.all(), "margin": margin, "memory": bits.sum() / needed.sum()}
