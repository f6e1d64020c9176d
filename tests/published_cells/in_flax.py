"""One of the published cells in Flax's linen: (carry, x) -> (carry, y)."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class PeepholeLSTM(nn.Module):
    features: int

    @nn.compact
    def __call__(self, carry, x):
        h, c = carry
        units, kernel, zeros = self.features, nn.initializers.glorot_uniform(), nn.initializers.zeros
        w = self.param("w", kernel, (x.shape[-1], 4 * units))
        u, p = self.param("u", kernel, (units, 4 * units)), self.param("p", kernel, (3, units))
        i, f, g, o = jnp.split(x @ w + h @ u + self.param("b", zeros, (4 * units,)), 4, axis=-1)
        c = jax.nn.sigmoid(f + p[1] * c) * c + jax.nn.sigmoid(i + p[0] * c) * jnp.tanh(g)
        h = jax.nn.sigmoid(o + p[2] * c) * jnp.tanh(c)
        return (h, c), h

    def initialize_carry(self, rng, input_shape):
        zeros = jnp.zeros((*input_shape[:-1], self.features))
        return zeros, zeros
