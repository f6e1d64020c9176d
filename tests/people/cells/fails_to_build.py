"""Stands for: an error while the cell is built."""

import keras

EXPECTED = ", build: ValueError: Could not interpret initializer identifier: glorot"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot")

    def call(self, inputs, states):
        return states[0], states
