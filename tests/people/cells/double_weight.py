"""Stands for: one weight in float64."""

import keras

EXPECTED = ": dtype is float64, which is not supported"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel", dtype="float64")

    def call(self, inputs, states):
        h = keras.ops.tanh(inputs @ keras.ops.cast(self.kernel, "float32") + states[0])
        return h, [h]
