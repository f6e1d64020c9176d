"""Causal attention, softmax(q K^T / sqrt(d_k)) V over this step and those before (Vaswani et al. 2017, "Attention is
all you need", equation 1), as a cell whose state is the last `context` keys and values.

A step that is `context` or more steps ago is forgotten. No weight depends on `context`, so a model that was trained
with a small one can be evaluated with a larger one. q, k and v are linear in x, and heads stand side by side. One
layer, without the projection of outputs, which the output layer is, and without residual connection and normalisation.
Positions: none, so that the order of the past does not count; or ALiBi (Press, Smith & Lewis 2022, "Train short, test
long"), which takes slope * distance from each score, with slopes 2^(-8 head / heads), head from 1.

State: context (heads d_k + d) + 1 numbers for d units; d_k = d / heads, unless key_size says otherwise. Parameters:
(2 heads d_k + d) inputs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from memory_trials.cells.interface import Cell, Functions, Jax, Shown
from memory_trials.cells.projections import Heads, check, glorot, look_up, of_heads, scores, sizes, uniform


class Options(Heads):
    """positions: none, or ALiBi's. context: steps that are kept, this one among them."""

    positions: Literal["none", "alibi"] = "none"
    context: Annotated[int, Field(ge=1, le=100_000)] = 128


def functions(units: int, options: Options) -> Functions:
    import jax
    import jax.numpy as jnp

    heads, context = options.heads, options.context
    key_size, value_size = sizes(units, heads, options.key_size)
    keys = heads * key_size
    distance = np.arange(context)[::-1].astype(np.float32)  # the last key is this step's
    slopes = 2.0 ** (-8 * np.arange(1, heads + 1) / heads) * (options.positions == "alibi")
    penalty = slopes.astype(np.float32)[:, np.newaxis] * distance

    def init(key, inputs):
        widths = (keys, keys, units)  # q, k, v
        (drawn,) = uniform(key, (inputs, sum(widths)))
        return {"kernel": glorot(drawn, widths)}

    def initial_state(params, batch):
        return jnp.zeros((batch, context, heads, key_size)), jnp.zeros((batch, context, units)), jnp.zeros((batch, 1))

    def step(params, state, x):
        past_keys, past_values, seen = state
        q, k, v = jnp.split(x @ params["kernel"], (keys, 2 * keys), axis=-1)
        all_keys = jnp.concatenate([past_keys[:, 1:], of_heads(k, heads)[:, None]], axis=1)
        all_values = jnp.concatenate([past_values[:, 1:], v[:, None]], axis=1)
        scores = jnp.einsum("bhk,bchk->bhc", of_heads(q, heads), all_keys) * np.float32(key_size**-0.5)
        there = distance <= seen  # [batch, context]
        scores = jnp.where(there[:, None], scores - penalty, -jnp.inf)
        weights = jax.nn.softmax(scores, axis=-1)
        y = jnp.einsum("bhc,bchv->bhv", weights, all_values.reshape(-1, context, heads, value_size))
        return (all_keys, all_values, seen + 1), y.reshape(-1, units)

    def call_sequence(params, x):
        q, k, v = jnp.split(x @ params["kernel"], (keys, 2 * keys), axis=-1)
        ago = np.subtract.outer(*[np.arange(x.shape[1])] * 2)
        fits = scores(of_heads(q, heads), of_heads(k, heads)) * np.float32(key_size**-0.5)
        fits = fits - (slopes[:, np.newaxis, np.newaxis] * ago).astype(np.float32)
        there = (ago >= 0) & (ago < context)
        return look_up(jax.nn.softmax(jnp.where(there, fits, -jnp.inf), axis=-1), of_heads(v, heads))

    return Functions(init, initial_state, step, call_sequence)


CELL = Cell(jax=Jax(functions, Options, check))
SHOWN = Shown("#000000", "cross", [1, 0])
