"""DeltaNet: linear attention that corrects what a key finds (Schlag, Irie & Schmidhuber 2021, "Linear transformers are
secretly fast weight programmers", equations 23 to 25; with keys of norm 1 as in Yang et al. 2024, "Parallelizing linear
transformers with the delta rule over sequence length").

S <- S + beta k (v - S^T k)^T, y = S^T q / sqrt(d_k), for each head, where k, q and v are linear in x, k and q are
brought to norm 1, and beta = b sigmoid(w x). With b = 1, S stays bounded, and no eigenvalue of a step is negative; with
b = 2, one of them can be (Grazzi et al. 2024, "Unlocking state-tracking in linear RNNs through negative eigenvalues").
One layer, without the convolutions, activations of keys and normalisation of outputs that models have around it.

State: d_k d numbers for d units; d_k = d / heads, unless key_size says otherwise. Parameters: (2 heads d_k + d + heads)
inputs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from memory_trials.cells.interface import Cell, Functions, Jax, Shown
from memory_trials.cells.projections import Heads, check, glorot, look_up, of_heads, read, scores, sizes, uniform

EPSILON = 1e-6  # under the root, so that an input of zeros has a gradient


class Options(Heads):
    """beta_to: b, the largest strength with which a step writes."""

    beta_to: Literal[1, 2] = 1


def functions(units: int, options: Options) -> Functions:
    import jax
    import jax.numpy as jnp

    heads = options.heads
    key_size, value_size = sizes(units, heads, options.key_size)
    keys = heads * key_size

    def init(key, inputs):
        widths = (keys, keys, units, heads)  # q, k, v, beta
        (drawn,) = uniform(key, (inputs, sum(widths)))
        return {"kernel": glorot(drawn, widths)}

    def initial_state(params, batch):
        return jnp.zeros((batch, heads, key_size, value_size))

    def of_norm_1(vectors):
        return vectors * jax.lax.rsqrt((vectors * vectors).sum(axis=-1, keepdims=True) + EPSILON)

    def step(params, memory, x):
        q, k, v, beta = jnp.split(x @ params["kernel"], np.cumsum([keys, keys, units]), axis=-1)
        q, k, v = of_norm_1(of_heads(q, heads)), of_norm_1(of_heads(k, heads)), of_heads(v, heads)
        beta = options.beta_to * jax.nn.sigmoid(beta)[..., None]
        correction = beta * (v - read(memory, k))
        memory = memory + k[..., None] * correction[..., None, :]
        y = read(memory, q) * np.float32(key_size**-0.5)
        return memory, y.reshape(-1, units)

    def call_sequence(params, x):
        q, k, v, beta = jnp.split(x @ params["kernel"], np.cumsum([keys, keys, units]), axis=-1)
        q, k, v = of_norm_1(of_heads(q, heads)), of_norm_1(of_heads(k, heads)), of_heads(v, heads)
        beta = options.beta_to * jax.nn.sigmoid(beta).swapaxes(1, 2)[..., None]  # [batch, heads, steps, 1]
        # a correction is beta (v - what the corrections of all steps before come to for its key)
        before = np.tri(x.shape[1], k=-1, dtype=np.float32)
        corrections = jax.scipy.linalg.solve_triangular(
            beta * scores(k, k) * before, beta * v.swapaxes(1, 2), lower=True, unit_diagonal=True
        )
        so_far = np.tri(x.shape[1], dtype=np.float32) * np.float32(key_size**-0.5)
        return look_up(scores(q, k) * so_far, corrections.swapaxes(1, 2))

    return Functions(init, initial_state, step, call_sequence)


CELL = Cell(jax=Jax(functions, Options, check))
SHOWN = Shown("#c62828", "triangle-up", [3, 1])
