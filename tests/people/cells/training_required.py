"""tensorflow/tensorflow#12316: whether it is training is an argument of call, here one without a default."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states, training):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return h, [h]
