"""Stands for: matrices that do not fit together, of which TensorFlow tells in its own words."""

import keras

EXPECTED = ", call: TypeError: dot_general requires contracting dimensions to have the same shape"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(self.units + 3, self.units), name="kernel")

    def call(self, inputs, states):
        h = keras.ops.tanh(inputs @ self.kernel + states[0])
        return h, [h]
