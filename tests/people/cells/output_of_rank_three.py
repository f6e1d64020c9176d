"""tensorflow/tensorflow#32951: a cell whose output is a picture and no vector."""

import keras

EXPECTED = ", call: it returns an output of shape (1, 1, 4) for one row, not (1, width)"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return h[:, None], [h]
