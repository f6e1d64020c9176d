"""keras-team/keras#15164: a state of complex numbers."""

import keras
import tensorflow as tf

EXPECTED = ", call: it returns numbers of type complex64, and trials are trained in float32"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return h, [tf.complex(h, h)]
