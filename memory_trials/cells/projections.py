"""What the cells that are written in JAX share: projections of the input side by side in one kernel, and heads."""

from __future__ import annotations

from typing import Annotated, Any

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


def glorot_uniform(key: Any, rows: int, widths: tuple[int, ...]) -> Any:
    """Draw kernels side by side, each as by itself (Glorot & Bengio 2010, equation 16): float32 [rows, sum(widths)]."""
    import jax
    import jax.numpy as jnp

    draw = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(key, len(widths))
    return jnp.concatenate([draw(each, (rows, width)) for each, width in zip(keys, widths)], axis=1)


def of_heads(array: Any, heads: int) -> Any:
    """[batch, heads * size] -> [batch, heads, size]."""
    return array.reshape(array.shape[0], heads, -1)


def read(memory: Any, key: Any) -> Any:
    """Return what a key finds in a matrix of keys and values: memory [..., d_k, d_v], key [..., d_k] -> [..., d_v]."""
    return (key[..., None] * memory).sum(axis=-2)
