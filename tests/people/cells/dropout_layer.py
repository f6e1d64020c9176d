"""tensorflow/tensorflow#8381: dropout within a cell, which has no training argument to say when."""

import keras

EXPECTED = "works on JAX"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")
        self.drop = keras.layers.Dropout(0.3)

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        h = self.drop(h)
        return h, [h]
