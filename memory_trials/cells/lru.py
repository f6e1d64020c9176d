"""The linear recurrent unit of Orvieto et al. 2023, "Resurrecting recurrent neural networks for long sequences".

h <- lambda h + exp(gamma) B x, y = Re(C h) + D x, with complex h, and lambda = exp(-exp(nu) + i exp(theta)) for each
unit (section 3.4, with the initial values of its lemma 3.2 and appendix A). One layer, and nothing that is not linear
in it: whoever wants more stacks it. D is a matrix, since inputs and units differ in number.

State: 2 d numbers for d units. Parameters: 3 d + 3 d inputs + 2 d^2.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from memory_trials.cells.interface import Cell, Functions, Jax, Shown
from memory_trials.cells.projections import normal, uniform
from memory_trials.sections import Section


class Options(Section):
    """r_min, r_max: between which |lambda| is drawn, uniformly on the ring between these two radii."""

    r_min: Annotated[float, Field(ge=0, lt=1)] = 0.0
    r_max: Annotated[float, Field(gt=0, le=1)] = 1.0


def check(units: int, options: Options) -> None:
    if options.r_min >= options.r_max:
        raise ValueError(f"cell_options.r_min is {options.r_min}, and r_max is {options.r_max}: r_max must be larger")


def functions(units: int, options: Options) -> Functions:
    import jax.numpy as jnp

    def init(key, inputs):
        shapes = (units,), (units,), (inputs, 2 * units), (2 * units, units), (inputs, units)
        of_radius, of_angle, of_b, of_c, of_d = uniform(key, *shapes)
        squared = of_radius * (options.r_max**2 - options.r_min**2) + options.r_min**2
        nu = jnp.log(-0.5 * jnp.log(squared))
        theta = jnp.log(2 * np.pi * of_angle)
        gamma = 0.5 * jnp.log(-jnp.expm1(-2 * jnp.exp(nu)))  # log sqrt(1 - |lambda|^2)
        scaled = lambda drawn, count: normal(drawn) * np.float32(count**-0.5)
        return {
            "nu": nu,
            "theta": theta,
            "gamma": gamma,
            "input_kernel": scaled(of_b, 2 * inputs),  # B's real part, B's imaginary part
            # C's real part, minus C's imaginary part, D
            "output_kernel": jnp.concatenate([scaled(of_c, units), scaled(of_d, inputs)]),
        }

    def initial_state(params, batch):
        return jnp.zeros((batch, units)), jnp.zeros((batch, units))

    def step(params, state, x):
        real, imaginary = state
        radius, angle = jnp.exp(-jnp.exp(params["nu"])), jnp.exp(params["theta"])
        cosine, sine = radius * jnp.cos(angle), radius * jnp.sin(angle)
        of_real, of_imaginary = jnp.split(x @ params["input_kernel"], 2, axis=-1)
        scale = jnp.exp(params["gamma"])
        state = (
            cosine * real - sine * imaginary + scale * of_real,
            sine * real + cosine * imaginary + scale * of_imaginary,
        )
        return state, jnp.concatenate([*state, x], axis=-1) @ params["output_kernel"]

    return Functions(init, initial_state, step)


CELL = Cell(jax=Jax(functions, Options, check))
SHOWN = Shown("#10798a", "triangle-down", [6, 2, 1, 2])
