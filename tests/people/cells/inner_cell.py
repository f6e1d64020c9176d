"""tensorflow/tensorflow#39626: a cell around Keras's LSTM cell, with a state of its own beside the LSTM's."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.LSTMCell(units)
        self.state_size = [units, units, 1]
        self.output_size = units

    def call(self, inputs, states):
        h, c, mean = states
        output, (h, c) = self.inner(keras.ops.concatenate([inputs, mean], axis=-1), [h, c])
        mean = 0.5 * mean + 0.5 * keras.ops.mean(h, axis=-1, keepdims=True)
        return output, [h, c, mean]
