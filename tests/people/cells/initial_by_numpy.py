"""Stands for: an initial state made by NumPy, in double precision, which needs a batch size that is a number."""

import keras
import numpy as np

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = self.output_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def get_initial_state(self, batch_size=None):
        return [np.tile(np.linspace(-1, 1, self.state_size), (batch_size, 1))]

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return h, [h]
