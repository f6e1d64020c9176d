"""keras-team/keras#2209: a cell in float64."""

import keras

EXPECTED = ": dtype is float64, which is not supported: trials are trained in float32"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(dtype="float64", **kwargs)
        self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh", dtype="float64")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return h, [h]
