"""tensorflow/tensorflow#22102: a cell that XLA cannot compile, here for the NumPy in it."""

import keras
import numpy as np
import tensorflow as tf

EXPECTED = ", call: it runs Python (tf.numpy_function or tf.py_function), which XLA cannot compile"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        h = tf.ensure_shape(tf.numpy_function(np.tanh, [h], tf.float32), h.shape)
        return h, [h]
