"""tensorflow/tfjs#24: dropout that is an option of Keras's own cell, within another."""

import keras

EXPECTED = ": recurrent_dropout (of its layer GRUCell) is 0.2, which is not supported"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.inner = keras.layers.GRUCell(units, recurrent_dropout=0.2)

    def call(self, inputs, states, training=None):
        return self.inner(inputs, states, training=training)
