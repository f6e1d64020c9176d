"""tensorflow/tensorflow#33886: a matrix in the state, given as a TensorShape, that begins as the identity."""

import keras
import tensorflow as tf

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = [tf.TensorShape([units]), tf.TensorShape([units, units])]
        self.new, self.key = keras.layers.Dense(units, "tanh"), keras.layers.Dense(units, "tanh")

    def get_initial_state(self, batch_size=None):
        identity = tf.eye(self.units, batch_shape=[batch_size])
        return [tf.zeros((batch_size, self.units)), identity]

    def call(self, inputs, states):
        h, fast = states
        key = self.key(inputs)
        fast = 0.9 * fast + 0.5 * key[:, :, None] * h[:, None, :]
        h = keras.ops.tanh(self.new(inputs) + keras.ops.einsum("bij,bj->bi", fast, h))
        return h, [h, fast]
