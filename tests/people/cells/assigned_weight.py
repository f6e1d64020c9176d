"""Stands for: a cell that changes a weight itself while it is called."""

import keras

EXPECTED = ", call: it assigns to the weight kernel, which only training may change"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")

    def call(self, inputs, states):
        self.kernel.assign(0.99 * self.kernel)
        h = keras.ops.tanh(inputs @ self.kernel + states[0])
        return h, [h]
