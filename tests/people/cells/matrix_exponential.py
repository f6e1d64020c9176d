"""tensorflow/tensorflow#77693: the matrix exponential of a weight, whose gradient XLA cannot compile."""

import keras
import tensorflow as tf

EXPECTED = ", trained by XLA, which compiles not every operation of TensorFlow: InvalidArgumentError"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.generator = self.add_weight(shape=(self.units, self.units), name="generator")

    def call(self, inputs, states):
        rotation = tf.linalg.expm(self.generator - tf.transpose(self.generator))
        h = keras.ops.tanh(inputs @ self.kernel + states[0] @ rotation)
        return h, [h]
