"""Two of the published cells in Equinox, for one row: (x, state) -> (y, state)."""

import equinox
import jax
import jax.numpy as jnp


class MinGRU(equinox.Module):
    bh: jax.Array
    bz: jax.Array
    wh: jax.Array
    wz: jax.Array
    hidden_size: int = equinox.field(static=True)

    def __init__(self, inputs, units, *, key):
        first, second = jax.random.split(key)
        self.hidden_size, self.bh, self.bz = units, jnp.zeros(units), jnp.zeros(units)
        self.wh, self.wz = (0.3 * jax.random.normal(each, (inputs, units)) for each in (first, second))

    def __call__(self, x, h):
        z = jax.nn.sigmoid(x @ self.wz + self.bz)
        return (1 - z) * h + z * (x @ self.wh + self.bh)


class DeltaNet(equinox.Module):
    wb: jax.Array
    wk: jax.Array
    wq: jax.Array
    wv: jax.Array

    def __init__(self, inputs, units, *, key):
        draw = lambda key, width: 0.3 * jax.random.normal(key, (inputs, width))
        self.wb, self.wk, self.wq, self.wv = map(draw, jax.random.split(key, 4), (1, units, units, units))

    def initial_state(self):
        return jnp.zeros((self.wk.shape[1], self.wk.shape[1]))

    def __call__(self, x, state):
        k, q = jax.nn.softmax(x @ self.wk), jax.nn.softmax(x @ self.wq)
        written = jax.nn.sigmoid(x @ self.wb) * (x @ self.wv - state @ k)
        state = state + jnp.outer(written, k)
        return state @ q, state
