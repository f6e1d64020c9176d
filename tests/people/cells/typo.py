"""Stands for: a misspelt name in call, whose cause Keras tells on a later line."""

import keras

EXPECTED = ", call: AttributeError: module 'keras.ops' has no attribute 'tahn' ("


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        h = keras.ops.tahn(h)
        return h, [h]
