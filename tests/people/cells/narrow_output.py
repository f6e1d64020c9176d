"""keras-team/keras#11615: the output is not as wide as the state, and the cell has no output_size."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return h[:, 1:], [h]
