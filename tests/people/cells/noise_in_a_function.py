"""Stands for: random numbers that are drawn within a function or a branch that TensorFlow traces."""

import keras
import tensorflow as tf

EXPECTED = ", call: it draws random numbers ("


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    @tf.function
    def noise(self, h):
        return tf.cond(tf.reduce_sum(h) > 0, lambda: tf.random.uniform(tf.shape(h)), lambda: tf.zeros_like(h))

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        h += self.noise(h)
        return h, [h]
