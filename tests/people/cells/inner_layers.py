"""tensorflow/tensorflow#27445: the layers within a cell are not built, since it has no build of its own."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = units
        self.x, self.h = keras.layers.Dense(units), keras.layers.Dense(units)

    def call(self, inputs, states):
        h = keras.ops.tanh(self.x(inputs) + self.h(states[0]))
        return h, [h]
