"""Stands for: a cell that computes something else while it is trained, without drawing numbers."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = units
        self.dense = keras.layers.Dense(units)

    def call(self, inputs, states, training=False):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        h = keras.ops.tanh(h) if training else keras.ops.hard_tanh(h)
        return h, [h]
