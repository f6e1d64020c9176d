"""keras-team/keras#4264: an initial state that is learned."""

import keras

EXPECTED = ", get_initial_state: it depends on weights, which is not supported"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.begin = self.add_weight(shape=(self.units,), name="begin", initializer="zeros")

    def get_initial_state(self, batch_size=None):
        return [keras.ops.tile(self.begin[None], (batch_size, 1))]

    def call(self, inputs, states):
        h = keras.ops.tanh(inputs @ self.kernel + 0.5 * states[0])
        return h, [h]
