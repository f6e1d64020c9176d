"""tensorflow/tensorflow#33297: noise of tf.random, whose numbers depend on when a function is traced."""

import keras
import tensorflow as tf

EXPECTED = ", call: it draws random numbers ("


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        h += tf.random.normal(tf.shape(h), stddev=0.1)
        return h, [h]
