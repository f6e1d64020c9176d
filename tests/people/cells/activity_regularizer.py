"""tensorflow/tensorflow#35671: an activity_regularizer, of a layer within the cell."""

import keras

EXPECTED = ": activity_regularizer (of its layer Dense) is not supported"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh", activity_regularizer="l2")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return h, [h]
