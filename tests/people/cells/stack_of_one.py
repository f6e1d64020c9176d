"""tensorflow/tensorflow#35731: a stack of one cell, which Keras unpacks."""

import keras

EXPECTED = "works"


class Cell(keras.layers.StackedRNNCells):
    def __init__(self, units, **kwargs):
        super().__init__([keras.layers.GRUCell(units)], **kwargs)
