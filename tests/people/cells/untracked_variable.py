"""tensorflow/tensorflow#38211: a tf.Variable, which is none of the layer's weights."""

import keras
import tensorflow as tf

EXPECTED = ", call: it uses a tf.Variable (Variable:0), which Keras does not train"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.into = keras.layers.Dense(units)
        self.recurrent = tf.Variable(tf.ones((units, units)) / 10)

    def call(self, inputs, states):
        h = keras.ops.tanh(self.into(inputs) + states[0] @ self.recurrent)
        return h, [h]
