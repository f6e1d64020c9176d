"""The neuromodulated bistable recurrent cell of Vecoven, Ernst & Drion 2021, "A bio-inspired bistable recurrent cell
allows for long-lasting memory".

h <- c h + (1 - c) tanh(U x + a h), where a = 1 + tanh(U_a x + W_a h) and c = sigmoid(U_c x + W_c h): a unit by itself
has two stable states where a > 1. Each of the three sums has a bias, as in the authors' code, which begins with zero.

State: d numbers for d units. Parameters: 3 d inputs + 2 d^2 + 3 d.
"""

from __future__ import annotations

from typing import Any

from memory_trials.cells.interface import Cell, Functions, Jax, Shown
from memory_trials.cells.projections import glorot, uniform


def functions(units: int, options: Any) -> Functions:
    import jax
    import jax.numpy as jnp

    def init(key, inputs):
        of_inputs, of_state = uniform(key, (inputs, 3 * units), (units, 2 * units))
        return {
            "kernel": glorot(of_inputs, (units,) * 3),  # a, c, h
            "recurrent_kernel": glorot(of_state, (units,) * 2),  # a, c
            "bias": jnp.zeros(3 * units),
        }

    def initial_state(params, batch):
        return jnp.zeros((batch, units))

    def step(params, h, x):
        of_a, of_c, of_h = jnp.split(x @ params["kernel"] + params["bias"], 3, axis=-1)
        a, c = jnp.split(h @ params["recurrent_kernel"], 2, axis=-1)
        a, c = 1 + jnp.tanh(of_a + a), jax.nn.sigmoid(of_c + c)
        h = c * h + (1 - c) * jnp.tanh(of_h + a * h)
        return h, h

    return Functions(init, initial_state, step)


CELL = Cell(jax=Jax(functions))
SHOWN = Shown("#6b6b00", "diamond", [10, 2, 2, 2])
