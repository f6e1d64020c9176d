"""tensorflow/tensorflow#29329: a layer within the cell that is not to be trained."""

import keras

EXPECTED = ": trainable (of its layer Dense) is false, which is not supported"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh", trainable=False)

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return h, [h]
