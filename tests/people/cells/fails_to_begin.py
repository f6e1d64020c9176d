"""tensorflow/tensorflow#34541: an initial state that cannot be made."""

import keras

EXPECTED = ", get_initial_state: AttributeError: 'Cell' object has no attribute 'widht' ("


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def get_initial_state(self, batch_size=None):
        return [keras.ops.zeros((batch_size, self.widht))]

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return h, [h]
