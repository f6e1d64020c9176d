"""keras-team/keras#10193 and #5637: batch normalization within a cell."""

import keras

EXPECTED = ": it has weights that are not trained ("


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")
        self.norm = keras.layers.BatchNormalization()

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        h = self.norm(h)
        return h, [h]
