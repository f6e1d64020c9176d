"""The built-in cells as three plain functions on JAX's arrays, from their equations: what a person would bring."""

import jax
import jax.numpy as jnp


class OfKeras:
    """Weights as Keras has them, in its order; `step` is each cell's own."""

    gates, states = 1, 1

    def __init__(self, units):
        self.units = units

    def init(self, key, inputs):
        width = self.gates * self.units
        return [jnp.zeros(shape) for shape in ((inputs, width), (self.units, width), self.bias(width))]

    def bias(self, width):
        return (width,)

    def initial_state(self, params, batch):
        return [jnp.zeros((batch, self.units))] * self.states


class LSTM(OfKeras):
    gates, states = 4, 2

    def step(self, params, state, x):
        kernel, recurrent, bias = params
        i, f, g, o = jnp.split(x @ kernel + state[0] @ recurrent + bias, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return [h, c], h


class GRU(OfKeras):
    gates = 3

    def bias(self, width):
        return (2, width)

    def step(self, params, state, x):
        kernel, recurrent, bias = params
        (xz, xr, xh), (hz, hr, hh) = (
            jnp.split(z, 3, axis=-1) for z in (x @ kernel + bias[0], state[0] @ recurrent + bias[1])
        )
        z, r = jax.nn.sigmoid(xz + hz), jax.nn.sigmoid(xr + hr)
        h = z * state[0] + (1 - z) * jnp.tanh(xh + r * hh)
        return [h], h


class SimpleRNN(OfKeras):
    def step(self, params, state, x):
        kernel, recurrent, bias = params
        h = jnp.tanh(x @ kernel + state[0] @ recurrent + bias)
        return [h], h


CELLS = {"lstm": LSTM, "gru": GRU, "simple_rnn": SimpleRNN}
