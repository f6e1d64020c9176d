"""tensorflow/tensorflow#59319: add_loss on activations within a cell."""

import keras

EXPECTED = ", call: add_loss (or an activity_regularizer) is not supported"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        self.add_loss(keras.ops.sum(h))
        return h, [h]
