"""One of the published cells in Flax's nnx: (carry, x) -> (carry, y)."""

import jax
import jax.numpy as jnp
from flax import nnx


class MinGRU(nnx.Module):
    def __init__(self, inputs, units, *, rngs):
        kernel = nnx.initializers.glorot_uniform()
        self.units = units
        self.bh, self.bz = nnx.Param(jnp.zeros(units)), nnx.Param(jnp.zeros(units))
        self.wh = nnx.Param(kernel(rngs.params(), (inputs, units)))
        self.wz = nnx.Param(kernel(rngs.params(), (inputs, units)))

    def __call__(self, h, x):
        z = jax.nn.sigmoid(x @ self.wz + self.bz)
        h = (1 - z) * h + z * (x @ self.wh + self.bh)
        return h, h

    def initialize_carry(self, input_shape, rngs):
        return jnp.zeros((*input_shape[:-1], self.units))
