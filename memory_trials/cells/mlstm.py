"""The mLSTM of Beck et al. 2024, "xLSTM: extended long short-term memory", equations 19 to 27, a matrix as its memory.

m' = max(log f + m, i), f' = e^(log f + m - m'), i' = e^(i - m'), C <- f' C + i' k v^T, n <- f' n + i' k,
y = sigmoid(o) (q^T C) / max(|q n|, e^-m'), for each head, where q, k, v, i, f and o are linear in x, k is divided by
sqrt(d_k), and log f is the logarithm of sigmoid(f). m keeps the exponentials finite and cancels in y, so no gradient
flows through it. i and f are one number for each head, o one for each unit. One layer, without the convolution, the
normalisation of groups and the projections that the block has around it. As in the authors' code, q, k and v have no
biases, the weights of i and f begin with zeros, their biases normal with a deviation of 0.1, and from 3 to 6 over
heads.

State: d_k d + heads (d_k + 1) numbers for d units; d_k = d / heads, unless key_size says otherwise. Parameters:
(2 heads d_k + 2 d + 2 heads) inputs + d + 2 heads.
"""

from __future__ import annotations

import numpy as np

from memory_trials.cells.interface import Cell, Functions, Jax, Shown
from memory_trials.cells.projections import (
    Heads,
    check,
    glorot,
    look_up,
    normal,
    of_heads,
    read,
    scores,
    sizes,
    uniform,
)


def functions(units: int, options: Heads) -> Functions:
    import jax
    import jax.numpy as jnp

    heads = options.heads
    key_size, value_size = sizes(units, heads, options.key_size)
    keys = heads * key_size
    scale = np.float32(key_size**-0.5)

    def init(key, inputs):
        widths = (keys, keys, units, units)  # q, k, v, o
        of_inputs, of_bias = uniform(key, (inputs, sum(widths)), (heads,))
        biases = [
            jnp.zeros(units),  # o, i, f
            0.1 * normal(of_bias),
            jnp.linspace(3.0, 6.0, heads, dtype=jnp.float32),
        ]
        return {
            "kernel": jnp.concatenate([glorot(of_inputs, widths), jnp.zeros((inputs, 2 * heads))], axis=1),  # and i, f
            "bias": jnp.concatenate(biases),
        }

    def initial_state(params, batch):
        memory = jnp.zeros((batch, heads, key_size, value_size))
        return memory, jnp.zeros((batch, heads, key_size)), jnp.zeros((batch, heads))

    def step(params, state, x):
        memory, n, m = state
        q, k, v, gates = jnp.split(x @ params["kernel"], np.cumsum([keys, keys, units]), axis=-1)
        q, k, v = of_heads(q, heads), of_heads(k, heads) * scale, of_heads(v, heads)
        o, i, f = jnp.split(gates + params["bias"], (units, units + heads), axis=-1)
        kept = jax.nn.log_sigmoid(f) + m
        m = jax.lax.stop_gradient(jnp.maximum(kept, i))
        keep, written = jnp.exp(kept - m)[..., None], jnp.exp(i - m)[..., None] * k
        memory = keep[..., None] * memory + written[..., None] * v[..., None, :]
        n = keep * n + written
        norm = jnp.maximum(jnp.abs((q * n).sum(axis=-1)), jnp.exp(-m))
        y = (read(memory, q) / norm[..., None]).reshape(-1, units)
        return (memory, n, m), jax.nn.sigmoid(o) * y

    def call_sequence(params, x):
        q, k, v, gates = jnp.split(x @ params["kernel"], np.cumsum([keys, keys, units]), axis=-1)
        q, k, v = of_heads(q, heads), of_heads(k, heads) * scale, of_heads(v, heads)
        o, i, f = jnp.split(gates + params["bias"], (units, units + heads), axis=-1)
        kept = jnp.cumsum(jax.nn.log_sigmoid(f), axis=1).swapaxes(1, 2)  # since the first step, [batch, heads, steps]
        exponent = kept[..., None] - kept[..., None, :] + i.swapaxes(1, 2)[..., None, :]
        exponent = jnp.where(np.tri(x.shape[1], dtype=bool), exponent, -jnp.inf)
        m = jax.lax.stop_gradient(jnp.maximum(kept, exponent.max(axis=-1)))
        weights = scores(q, k) * jnp.exp(exponent - m[..., None])
        norm = jnp.maximum(jnp.abs(weights.sum(axis=-1)), jnp.exp(-m))
        return jax.nn.sigmoid(o) * look_up(weights / norm[..., None], v)

    return Functions(init, initial_state, step, call_sequence)


CELL = Cell(jax=Jax(functions, Heads, check))
SHOWN = Shown("#20246b", "triangle-left", [2, 2])
