"""keras-team/keras-core#269: state_size is a tuple of numbers, which are two states and no shape."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = (units, units)
        self.gates = keras.layers.Dense(2 * units)

    def call(self, inputs, states):
        h, c = states
        z, f = keras.ops.split(self.gates(keras.ops.concatenate([inputs, h], axis=-1)), 2, axis=-1)
        c = keras.ops.sigmoid(f + 1) * c + keras.ops.tanh(z)
        return keras.ops.tanh(c), (keras.ops.tanh(c), c)
