"""A weight that is given its first value by hand, where trials would begin with what an initializer draws."""

import keras

EXPECTED = ", build: it assigns to the weight kernel, which would be lost"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1] + self.units, self.units), name="kernel")
        self.kernel.assign(keras.ops.full((input_shape[-1] + self.units, self.units), 0.5))

    def call(self, inputs, states):
        h = keras.ops.tanh(keras.ops.matmul(keras.ops.concatenate([inputs, states[0]], axis=-1), self.kernel))
        return h, [h]
