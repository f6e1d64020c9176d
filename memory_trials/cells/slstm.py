"""The sLSTM of Beck et al. 2024, "xLSTM: extended long short-term memory", equations 8 to 17, with one head.

m' = max(log f + m, i), c <- e^(log f + m - m') c + e^(i - m') tanh(z), n <- e^(log f + m - m') n + e^(i - m'),
y = sigmoid(o) c / n, where i, f, z and o are linear in x and in the y before, and log f is the logarithm of
sigmoid(f), which the authors' code takes. m keeps the exponentials finite and cancels in y, so no gradient flows
through it. One layer, without the convolution and the normalisation of groups that the block has around it. As in
that code, recurrent weights begin with zeros, and f's biases with 5 - 12 (k / (d - 1))^0.3 for unit k of d.

State: 4 d numbers for d units (y, c, n, m); m begins with a number that acts as minus infinity. Parameters:
4 d inputs + 4 d^2 + 4 d.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from memory_trials.cells.interface import Cell, Functions, Jax, Shown
from memory_trials.cells.projections import glorot, uniform
from memory_trials.sections import Section

NEVER = -1e30  # the logarithm of what nothing is left of


class Options(Section):
    """recurrent: what the recurrent weights begin with: zero, or uniform within +- 1 / sqrt(units)."""

    recurrent: Literal["zero", "uniform"] = "zero"


def functions(units: int, options: Options) -> Functions:
    import jax
    import jax.numpy as jnp

    def init(key, inputs):
        of_inputs, of_state = uniform(key, (inputs, 4 * units), (units, 4 * units))
        width = np.float32(units**-0.5 if options.recurrent == "uniform" else 0)
        bias = np.zeros((4, units), np.float32)  # i, f, z, o
        bias[1] = 5 - 12 * (np.arange(units) / max(1, units - 1)) ** 0.3
        return {
            "kernel": glorot(of_inputs, (units,) * 4),
            "recurrent_kernel": (2 * of_state - 1) * width,
            "bias": jnp.asarray(bias.ravel()),
        }

    def initial_state(params, batch):
        zeros = jnp.zeros((batch, units))
        return zeros, zeros, zeros, jnp.full((batch, units), NEVER)

    def step(params, state, x):
        y, c, n, m = state
        gates = x @ params["kernel"] + y @ params["recurrent_kernel"] + params["bias"]
        i, f, z, o = jnp.split(gates, 4, axis=-1)
        kept = jax.nn.log_sigmoid(f) + m
        m = jax.lax.stop_gradient(jnp.maximum(kept, i))
        keep, write = jnp.exp(kept - m), jnp.exp(i - m)
        c = keep * c + write * jnp.tanh(z)
        n = keep * n + write
        y = jax.nn.sigmoid(o) * c / n
        return (y, c, n, m), y

    return Functions(init, initial_state, step)


CELL = Cell(jax=Jax(functions, Options))
SHOWN = Shown("#3c78d8", "cross", [5, 2])
