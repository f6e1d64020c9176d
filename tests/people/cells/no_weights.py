"""Stands for: a cell without weights, which adds up what it sees."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = 5

    def call(self, inputs, states):
        total = 0.5 * states[0] + inputs
        return total, [total]
