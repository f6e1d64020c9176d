"""tensorflow/tensorflow#34269: states of higher order, nested: a shape, and a tuple of shapes."""

import keras
import tensorflow as tf

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = (tf.TensorShape([1, units]), (tf.TensorShape([units]), tf.TensorShape([2, units])))
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        row, (vector, matrix) = states
        new = self.dense(keras.ops.concatenate([inputs, row[:, 0], vector, matrix[:, 1]], axis=-1))
        matrix = keras.ops.stack([new, matrix[:, 0]], axis=1)
        return new, [row * 0.5 + new[:, None], (new + vector * 0.1, matrix)]
