"""The minGRU of Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, "Were RNNs all we needed?".

h <- (1 - z) h + z g(W_h x), z = sigmoid(W_z x), where g(a) = a + 1/2 for a >= 0 and sigmoid(a) below: the form of its
appendix B, which the authors train, in which h stays positive. Nothing depends on the state before, so that neither
does how much is kept. One layer, whose state begins with zeros; without biases, as in lucidrains/minGRU-pytorch.

State: d numbers for d units. Parameters: 2 d inputs.
"""

from __future__ import annotations

from typing import Any

from memory_trials.cells.interface import Cell, Functions, Jax, Shown
from memory_trials.cells.projections import glorot, uniform


def functions(units: int, options: Any) -> Functions:
    import jax
    import jax.numpy as jnp

    def init(key, inputs):
        widths = (units, units)  # z, h
        (drawn,) = uniform(key, (inputs, sum(widths)))
        return {"kernel": glorot(drawn, widths)}

    def initial_state(params, batch):
        return jnp.zeros((batch, units))

    def step(params, h, x):
        z, a = jnp.split(x @ params["kernel"], 2, axis=-1)
        g = jnp.where(a >= 0, a + 0.5, jax.nn.sigmoid(a))
        h = h + jax.nn.sigmoid(z) * (g - h)
        return h, h

    return Functions(init, initial_state, step)


CELL = Cell(jax=Jax(functions))
SHOWN = Shown("#c2347a", "diamond", [4, 2])
