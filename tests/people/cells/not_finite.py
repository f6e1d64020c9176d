"""Stands for: a cell that divides by a norm that is zero at first."""

import keras

EXPECTED = ", call: its first step returns numbers that are not finite (NaN or infinite)"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units)

    def call(self, inputs, states):
        norm = keras.ops.sqrt(keras.ops.sum(states[0] ** 2, axis=-1, keepdims=True))
        h = self.dense(inputs) + states[0] / norm
        return h, [h]
