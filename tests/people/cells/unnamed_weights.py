"""tensorflow/tensorflow#33776: weights without names, which Keras numbers through the whole process."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units))
        self.pair = [self.add_weight(shape=(self.units, self.units)) for _ in range(2)]

    def call(self, inputs, states):
        h = keras.ops.tanh(inputs @ self.w + keras.ops.tanh(states[0] @ self.pair[0]) @ self.pair[1])
        return h, [h]
