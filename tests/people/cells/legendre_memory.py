"""abr/keras-lmu#22: a Legendre memory, whose matrices are constants, beside any hidden cell."""

import keras
import numpy as np

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, order=3, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.SimpleRNNCell(units)
        self.encode = keras.layers.Dense(1, use_bias=False)
        self.state_size = [units, order]
        self.output_size = units
        i, j = np.meshgrid(np.arange(order), np.arange(order), indexing="ij")
        continuous = np.where(i < j, -1.0, (-1.0) ** (i - j + 1)) * (2 * i + 1)
        self.a = (np.eye(order) + continuous / 8).T.astype("float32")
        self.b = ((2 * np.arange(order) + 1) * (-1.0) ** np.arange(order) / 8).astype("float32")[None]

    def call(self, inputs, states):
        h, memory = states
        memory = memory @ self.a + self.encode(inputs) @ self.b
        h, _ = self.hidden(keras.ops.concatenate([inputs, memory], axis=-1), [h])
        return h, [h, memory]
