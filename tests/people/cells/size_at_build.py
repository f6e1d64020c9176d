"""keras-team/keras#11472: state_size and output_size are known only when the cell is built."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = self.output_size = None

    def build(self, input_shape):
        self.state_size = self.output_size = input_shape[-1]
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, inputs, states):
        h = 0.5 * states[0] + inputs * self.scale
        return keras.ops.tanh(h), [h]
