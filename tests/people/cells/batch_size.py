"""Stands for: a cell that reads how many rows its batch has."""

import keras

EXPECTED = ", call: it computes something else for a row alone than for a batch"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        rows = keras.ops.cast(keras.ops.shape(inputs)[0], "float32")
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1)) / rows
        return h, [h]
