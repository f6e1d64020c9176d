"""Stands for: a cell that counts its calls in Python, and computes by the count."""

import keras

EXPECTED = ", call: it computes something else when it is called again"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")
        self.calls = 0

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        self.calls += 1
        return h / self.calls, [h]
