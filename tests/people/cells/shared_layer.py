"""keras-team/keras#9765: one layer used twice, whose weights must be counted once."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = units
        self.into = keras.layers.Dense(units, "tanh")
        self.first = self.second = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.second(self.first(self.into(inputs) + states[0]))
        return h, [h]
