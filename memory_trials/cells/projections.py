"""What the cells that are written in JAX share: initial weights of kernels side by side, and heads."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from memory_trials.sections import Section


class Heads(Section):
    """heads: parts of the cell that keys, values and outputs are split into. key_size: numbers in a key of one head;
    null: as many as in a value, which is units / heads."""

    heads: Annotated[int, Field(ge=1, le=256)] = 1
    key_size: Annotated[int, Field(ge=1, le=4096)] | None = None


def check(units: int, options: Heads) -> None:
    sizes(units, options.heads, options.key_size)


def sizes(units: int, heads: int, key_size: int | None) -> tuple[int, int]:
    """Return the numbers in a key and in a value of one head."""
    value_size, rest = divmod(units, heads)
    if rest:
        raise ValueError(f"{units} units cannot be split into {heads} heads of one size: change units or heads")
    return key_size or value_size, value_size


def uniform(key: Any, *shapes: tuple[int, ...]) -> list[Any]:
    """Draw independent numbers in (0, 1), float32 of each shape, in one call: each takes a while to compile."""
    import jax
    import jax.numpy as jnp

    counts = [math.prod(shape) for shape in shapes]
    drawn = jnp.split(jax.random.uniform(key, (sum(counts),), minval=1e-7), np.cumsum(counts)[:-1])
    return [numbers.reshape(shape) for numbers, shape in zip(drawn, shapes)]


def normal(uniform: Any) -> Any:
    """Numbers in (0, 1) -> normal ones, of mean 0 and variance 1."""
    import jax

    return np.float32(2**0.5) * jax.scipy.special.erfinv(2 * uniform - 1)


def glorot(uniform: Any, widths: tuple[int, ...]) -> Any:
    """Numbers in (0, 1) [rows, sum(widths)] -> kernels side by side, each as by itself (Glorot & Bengio 2010, (16))."""
    limits = [(6 / (uniform.shape[0] + width)) ** 0.5 for width in widths]
    return (2 * uniform - 1) * np.repeat(np.array(limits, np.float32), widths)


def of_heads(array: Any, heads: int) -> Any:
    """[..., heads * size] -> [..., heads, size]."""
    return array.reshape(*array.shape[:-1], heads, -1)


def scores(queries: Any, keys: Any) -> Any:
    """Return how well each step's query fits the key of each step: [batch, steps, heads, d_k] twice ->
    [batch, heads, steps, steps of keys]."""
    import jax.numpy as jnp

    return jnp.einsum("bshk,bthk->bhst", queries, keys)


def look_up(weights: Any, values: Any) -> Any:
    """Return the values of steps, weighted: weights [batch, heads, steps, steps of values],
    values [batch, steps, heads, d_v] -> [batch, steps, heads * d_v]."""
    import jax.numpy as jnp

    found = jnp.einsum("bhst,bthv->bshv", weights, values)
    return found.reshape(*found.shape[:2], -1)


def read(memory: Any, key: Any) -> Any:
    """Return what a key finds in a matrix of keys and values: memory [..., d_k, d_v], key [..., d_k] -> [..., d_v]."""
    return (key[..., None, :] @ memory)[..., 0, :]  # two times faster than a product and a sum
