"""S6, the selective state space model in Mamba (Gu & Dao 2023, "Mamba: linear-time sequence modeling with selective
state spaces", algorithm 2): diagonal, with a step size and projections that depend on the input.

u = W x, h <- e^(Delta A) h + Delta B(u) u, y = C(u) h + D u, for each unit with a state of its own, where B(u) and C(u)
are linear and shared by all units, and Delta = softplus(V R u + bias) with R of low rank. One layer, without the
convolution, its activation, and the gate that the block has around it. As in the authors' code, A begins with -1, -2,
..., D with ones, V uniform within +- 1 / sqrt(rank), and the bias so that Delta is log-uniform from 0.001 to 0.1.

State: d state_size numbers for d units. Parameters: d inputs + d (rank + 2 state_size) + d rank + d state_size + 2 d.
"""

from __future__ import annotations

import functools
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from memory_trials.cells.interface import Cell, Functions, Jax, Shown
from memory_trials.cells.projections import glorot, uniform
from memory_trials.sections import Section

SLOWEST, FASTEST = 0.001, 0.1  # Delta at first


class Options(Section):
    """state_size: numbers in a unit's state. rank: of the matrix that Delta depends on; null: units / 16, rounded up.
    eigenvalues: positive, e^(Delta A); or signed, 2 e^(Delta A) - 1, from -1 to 1 (Grazzi et al. 2024)."""

    state_size: Annotated[int, Field(ge=1, le=1024)] = 16
    rank: Annotated[int, Field(ge=1, le=4096)] | None = None
    eigenvalues: Literal["positive", "signed"] = "positive"


def functions(units: int, options: Options) -> Functions:
    import jax
    import jax.numpy as jnp

    size, rank = options.state_size, options.rank or -(-units // 16)

    def init(key, inputs):
        widths = (rank, size, size)  # R, B, C
        shapes = (inputs, units), (units, sum(widths)), (rank, units), (units,)
        of_inputs, of_selection, of_rate, of_bias = uniform(key, *shapes)
        rate = SLOWEST * (FASTEST / SLOWEST) ** of_bias
        return {
            "input_kernel": glorot(of_inputs, (units,)),
            "selection_kernel": glorot(of_selection, widths),
            "rate_kernel": (2 * of_rate - 1) * np.float32(rank**-0.5),
            "rate_bias": rate + jnp.log(-jnp.expm1(-rate)),  # whose softplus is rate
            "log_decay": jnp.log(jnp.tile(jnp.arange(1.0, size + 1), (units, 1))),
            "skip": jnp.ones(units),
        }

    def initial_state(params, batch):
        return jnp.zeros((batch, size, units))  # units last: a sixth faster

    def selected(params, x):
        """What depends on the input alone: u, Delta, B and C."""
        u = x @ params["input_kernel"]
        low, b, c = jnp.split(u @ params["selection_kernel"], (rank, rank + size), axis=-1)
        return u, jax.nn.softplus(low @ params["rate_kernel"] + params["rate_bias"]), b, c

    def moved(a, h, given):
        u, delta, b, c = given
        kept = jnp.exp(delta[:, None, :] * a)
        if options.eigenvalues == "signed":
            kept = 2 * kept - 1
        h = kept * h + (delta * u)[:, None, :] * b[:, :, None]
        return h, (h * c[:, :, None]).sum(axis=1)

    def step(params, h, x):
        given = selected(params, x)
        h, y = moved(-jnp.exp(params["log_decay"]).T, h, given)
        return h, y + params["skip"] * given[0]

    def call_sequence(params, x):
        given = selected(params, x.swapaxes(0, 1))
        a = -jnp.exp(params["log_decay"]).T
        _, ys = jax.lax.scan(functools.partial(moved, a), initial_state(params, len(x)), given)
        return (ys + params["skip"] * given[0]).swapaxes(0, 1)

    return Functions(init, initial_state, step, call_sequence)


CELL = Cell(jax=Jax(functions, Options))
SHOWN = Shown("#5b2a9d", "triangle-right", [8, 2])
