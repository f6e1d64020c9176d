"""Stands for: unnamed layers that `build` builds, whose weights all bear the name kernel."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.x, self.h = keras.layers.Dense(units), keras.layers.Dense(units, use_bias=False)

    def build(self, input_shape):
        self.x.build(input_shape)
        self.h.build((None, self.units))

    def call(self, inputs, states):
        h = keras.ops.tanh(self.x(inputs) + self.h(states[0]))
        return h, [h]
