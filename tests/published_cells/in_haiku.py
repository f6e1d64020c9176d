"""One of the published cells in Haiku: (x, state) -> (y, state)."""

import haiku as hk
import jax
import jax.numpy as jnp


class LayerNormLSTM(hk.RNNCore):
    def __init__(self, units, name="cell"):
        super().__init__(name)
        self.units = units

    def __call__(self, x, state):
        (h, c), units = state, self.units
        kernel = hk.initializers.VarianceScaling(1.0, "fan_avg", "uniform")
        w = hk.get_parameter("w", (x.shape[-1], 4 * units), init=kernel)
        u = hk.get_parameter("u", (units, 4 * units), init=kernel)
        gain_x, gain_h = (hk.get_parameter(name, (4 * units,), init=jnp.ones) for name in ("gain_x", "gain_h"))
        b, b_c = hk.get_parameter("b", (4 * units,), init=jnp.zeros), hk.get_parameter("b_c", (units,), init=jnp.zeros)
        z = gain_x * normal(x @ w) + gain_h * normal(h @ u) + b
        i, f, g, o = jnp.split(z, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(hk.get_parameter("gain_c", (units,), init=jnp.ones) * normal(c) + b_c)
        return h, (h, c)

    def initial_state(self, batch_size):
        return jnp.zeros((batch_size, self.units)), jnp.zeros((batch_size, self.units))


def normal(z):
    return (z - z.mean(axis=-1, keepdims=True)) / jnp.sqrt(z.var(axis=-1, keepdims=True) + 1e-5)
