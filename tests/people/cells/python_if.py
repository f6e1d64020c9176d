"""tensorflow/tensorflow#38920: a Python if on a tensor, which is not converted in a cell."""

import keras

EXPECTED = ", call: TracerBoolConversionError: Attempted boolean conversion of traced array with shape bool[]"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        if keras.ops.sum(h) > 0:
            h = -h
        return h, [h]
