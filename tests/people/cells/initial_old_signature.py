"""tensorflow/tensorflow#34850: get_initial_state as TensorFlow 2 asked for it, by inputs, batch_size and dtype."""

import keras
import tensorflow as tf

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = [units, units]
        self.gate, self.new = keras.layers.Dense(units, "sigmoid"), keras.layers.Dense(units, "tanh")

    def get_initial_state(self, inputs=None, batch_size=None, dtype=None):
        return [tf.fill((batch_size, size), value) for size, value in zip(self.state_size, (0.25, -0.5))]

    def call(self, inputs, states):
        h, c = states
        both = keras.ops.concatenate([inputs, h], axis=-1)
        c = self.gate(both) * c + self.new(both)
        h = keras.ops.tanh(c)
        return h, [h, c]
