"""Stands for: a weight with a constraint, in add_weight."""

import keras

EXPECTED = ": its weight kernel has a constraint, which is not supported"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel", constraint="non_neg")

    def call(self, inputs, states):
        h = keras.ops.tanh(inputs @ self.kernel + states[0])
        return h, [h]
