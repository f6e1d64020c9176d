"""Stands for: a weight that call does not use, which has no gradient (None values not supported)."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.forgotten = self.add_weight(shape=(self.units,), name="forgotten", initializer="ones")

    def call(self, inputs, states):
        h = keras.ops.tanh(inputs @ self.kernel + 0.7 * states[0])
        return h, [h]
