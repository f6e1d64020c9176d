"""keras-team/keras#14905: cells in a cell, whose states are nested lists, without get_initial_state."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.lower, self.upper = keras.layers.GRUCell(units), keras.layers.LSTMCell(units)
        self.state_size = [[units], [units, units]]

    def call(self, inputs, states):
        lower, upper = states
        output, lower = self.lower(inputs, lower)
        output, upper = self.upper(output, upper)
        return output, [list(lower), list(upper)]
