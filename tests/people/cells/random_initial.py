"""Stands for: an initial state that is drawn."""

import keras

EXPECTED = ", get_initial_state: it returns other states for other rows of a batch, or each time that it is called"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def get_initial_state(self, batch_size=None):
        return [keras.random.normal((1, self.units)) * keras.ops.ones((batch_size, 1))]

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return h, [h]
