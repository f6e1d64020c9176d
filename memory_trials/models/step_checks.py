"""What must not be in a step of a cell of JAX's, whatever library it was written in, since many trials share it.

Tracing a step takes milliseconds and computes nothing, so most is read from traces: two traces of the same function are
equal to the letter. Only whether rows are mixed, and whether the first step is finite, is computed.
"""

from __future__ import annotations

import contextlib
import random
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memory_trials.models.protocol import Cell
from memory_trials.models.user_code import Refusal, during

ROWS, NEAR = 3, 1e-4  # of a batch that a cell is tried with; between two ways of computing the same
STEPS, STEPS_NEAR = 12, 1e-3  # of whole sequences
CALLBACKS = {"pure_callback", "io_callback", "debug_callback", "debug_print"}
FALLS_SHORT = "Explicitly requested dtype"  # JAX's warning that it computes in single precision instead
NOT_FINITE = "its first step returns numbers that are not finite (NaN or infinite): look for 0 / 0, log(0), sqrt(-1)"
AGAIN = "when it is called again: it draws random numbers, or keeps something from call to call"
MIXED = (
    "it computes something else for a row alone than for a batch: its rows are sequences and steps, which must not be "
    "mixed"
)


def check_step(cell: Cell, inputs: int) -> None:
    """Check that a step depends on its arguments alone, row by row, and that the first one is finite.

    Args:
        cell: whose states, outputs and weights have the shapes that they must have.
        inputs: length of the input vector.

    Raises:
        Refusal: what else it depends on.
    """
    initial = lambda key: cell.init(key, inputs)
    with during("init"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=FALLS_SHORT)
        params = cell.draw([1]) if cell.draw else jax.jit(initial)(jax.random.key(1))
        params = jax.tree.map(lambda leaf: leaf[0], params) if cell.draw else params
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, inputs)).astype(np.float32)
    moved = lambda leaf: leaf + rng.standard_normal(leaf.shape).astype(np.float32)
    with during("step"), _in_single_precision():
        state = jax.tree.map(moved, cell.initial_state(params, ROWS))
        with draws_nothing():
            traces = [jax.make_jaxpr(lambda *given: cell.step(*given, None))(params, state, x) for _ in range(2)]
        if callbacks := sorted(primitives(traces[0].jaxpr) & CALLBACKS):
            raise Refusal(f"it runs Python (jax's {callbacks[0]}), which trials cannot share")
        if not equal(*traces):
            raise Refusal(f"it computes something else {AGAIN}")
        batch, alone, first = _computed(cell, params, state, x)
        near = lambda one, other: np.allclose(one[:1], other, NEAR, NEAR, equal_nan=True)
        if not all(map(near, batch, alone)):
            raise Refusal(MIXED)
        if not all(np.isfinite(array).all() for array in first):
            raise Refusal(NOT_FINITE)
    if cell.call_sequence is not None:
        xs = rng.standard_normal((ROWS, STEPS, inputs)).astype(np.float32)
        with during("call_sequence"), _in_single_precision():
            _check_sequence(cell, params, xs)
    with during("init"), _in_single_precision():  # of some libraries a step is part of it, and was looked at before
        traces = [jax.make_jaxpr(lambda key: initial(key))(jax.random.key(1)) for _ in range(2)]
        if not equal(*traces):
            raise Refusal("the same key gives it other weights each time: draw them from the key by jax.random")


@contextlib.contextmanager
def draws_nothing() -> Iterator[None]:
    """Refuse what draws from Python's or NumPy's generator of the whole process; a coin that falls alike in two traces
    is not seen in these."""
    before = _generators()
    yield
    if _generators() != before:
        raise Refusal(f"it computes something else {AGAIN}")


def _generators() -> tuple[Any, str]:
    with np.printoptions(threshold=sys.maxsize):
        return random.getstate(), repr(np.random.get_state(legacy=False))


def _computed(cell: Cell, params: Any, state: Any, x: np.ndarray) -> tuple[list, list, list]:
    """Return what a batch comes to, its first row alone, and the first step from the initial state."""

    def step(params, state, x):
        return jax.tree.leaves(cell.step(params, state, x, None))

    def all_three(params, state, x):
        first = step(params, cell.initial_state(params, 1), jnp.eye(1, x.shape[1]))
        return step(params, state, x), step(params, jax.tree.map(lambda leaf: leaf[:1], state), x[:1]), first

    return jax.device_get(jax.jit(all_three)(params, state, x))


def _check_sequence(cell: Cell, params: Any, xs: np.ndarray) -> None:
    """Check that whole sequences come to the same as step by step."""
    assert cell.call_sequence is not None
    found = np.asarray(jax.jit(cell.call_sequence)(params, xs))
    step = lambda state, x: cell.step(params, state, x, None)
    by_steps = lambda xs: jax.lax.scan(step, cell.initial_state(params, ROWS), xs.swapaxes(0, 1))[1].swapaxes(0, 1)
    expected = np.asarray(jax.jit(by_steps)(xs))
    if found.shape != expected.shape:
        raise Refusal(f"it returns the shape {found.shape}, and step by step it is {expected.shape}")
    if not np.allclose(found, expected, STEPS_NEAR, STEPS_NEAR):
        difference = np.abs(found - expected).max()
        raise Refusal(f"it differs from step by step by {difference:.3g}: one of the two is wrong")


@contextlib.contextmanager
def _in_single_precision() -> Iterator[None]:
    """Refuse numbers that are asked for in double precision, which JAX would make single ones of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=FALLS_SHORT)
        try:
            yield
        except Refusal as refusal:
            if FALLS_SHORT in str(refusal):
                raise Refusal("it asks for float64, and trials are trained in float32", refusal.method) from None
            raise
        except UserWarning as warning:
            if FALLS_SHORT not in str(warning):
                raise
            raise Refusal("it asks for float64, and trials are trained in float32") from None


def equal(trace: Any, other: Any) -> bool:
    """Return whether two traces compute the same from the same constants."""
    same = lambda some, others: np.array_equal(np.asarray(some), np.asarray(others), equal_nan=True)
    return (
        str(trace.jaxpr) == str(other.jaxpr)
        and len(trace.consts) == len(other.consts)
        and all(map(same, trace.consts, other.consts))
    )


def primitives(jaxpr: Any) -> set[str]:
    """Return the names of all operations in a trace, also in the functions that it calls."""
    found = set()
    for equation in jaxpr.eqns:
        found.add(equation.primitive.name)
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda each: hasattr(each, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                found |= primitives(inner)
    return found
