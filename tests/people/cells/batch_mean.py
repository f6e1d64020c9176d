"""tensorflow/tensorflow#36797: normalization over the rows of a batch, without moving averages."""

import keras

EXPECTED = ", call: it computes something else for a row alone than for a batch"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        h = h - keras.ops.mean(h, axis=0, keepdims=True)
        return h, [h]
