"""keras-team/keras#19482 and tensorflow/tensorflow#27817: two LSTM cells, one above the other."""

import keras

EXPECTED = "works"


class Cell(keras.layers.StackedRNNCells):
    def __init__(self, units, **kwargs):
        super().__init__([keras.layers.LSTMCell(units), keras.layers.LSTMCell(units + 1)], **kwargs)
