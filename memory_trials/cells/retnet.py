"""Multi-scale retention of Sun et al. 2023, "Retentive network: a successor to transformer for large language models".

S <- gamma S + k v^T, y = q^T S / sqrt(d_k), for each head (equation 6), with gamma = 1 - 2^(-5 - head), head from 0
(equation 8). q, k and v are linear in x. One layer, without the rotation of q and k by position, the normalisation of
groups and the gate of outputs that models have around it.

State: d_k d numbers for d units; d_k = d / heads, unless key_size says otherwise. Parameters: (2 heads d_k + d) inputs.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import Field

from memory_trials.cells.interface import Cell, Functions, Jax, Shown
from memory_trials.cells.projections import glorot, look_up, of_heads, read, scores, sizes, uniform
from memory_trials.sections import Section


class Options(Section):
    """heads: each with a decay of its own; null: 4, or as many as divide 4 and the units. key_size: numbers in a key of
    one head; null: as many as in a value, which is units / heads. decay: false lets gamma be 1, which is linear
    attention."""

    heads: Annotated[int, Field(ge=1, le=19)] | None = None  # with more, gamma rounds to 1
    key_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    decay: bool = True


def heads_of(units: int, options: Options) -> int:
    return options.heads or math.gcd(units, 4)


def check(units: int, options: Options) -> None:
    sizes(units, heads_of(units, options), options.key_size)


def functions(units: int, options: Options) -> Functions:
    import jax.numpy as jnp

    heads = heads_of(units, options)
    key_size, value_size = sizes(units, heads, options.key_size)
    keys = heads * key_size
    gamma = 1 - 2.0 ** (-5 - np.arange(heads)) if options.decay else np.ones(heads)
    gamma = gamma.astype(np.float32)[:, np.newaxis, np.newaxis]

    def init(key, inputs):
        widths = (keys, keys, units)  # q, k, v
        (drawn,) = uniform(key, (inputs, sum(widths)))
        return {"kernel": glorot(drawn, widths)}

    def initial_state(params, batch):
        return jnp.zeros((batch, heads, key_size, value_size))

    def step(params, memory, x):
        parts = jnp.split(x @ params["kernel"], (keys, 2 * keys), axis=-1)
        q, k, v = (of_heads(part, heads) for part in parts)
        memory = gamma * memory + k[..., None] * v[..., None, :]
        y = read(memory, q) * np.float32(key_size**-0.5)
        return memory, y.reshape(-1, units)

    def call_sequence(params, x):
        parts = jnp.split(x @ params["kernel"], (keys, 2 * keys), axis=-1)
        q, k, v = (of_heads(part, heads) for part in parts)
        ago = np.subtract.outer(*[np.arange(x.shape[1])] * 2)
        decays = np.where(ago >= 0, np.float64(gamma) ** np.maximum(ago, 0), 0).astype(np.float32)
        return look_up(scores(q, k) * (decays * np.float32(key_size**-0.5)), v)

    return Functions(init, initial_state, step, call_sequence)


CELL = Cell(jax=Jax(functions, Options, check))
SHOWN = Shown("#7a1f1a", "square", [1, 2])
