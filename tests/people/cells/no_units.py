"""Stands for: a cell that is not made with a number of units."""

import keras

EXPECTED = (
    ", made with units 4 and cell_options {}: TypeError: Cell.__init__() takes 1 positional argument but 2 were given"
)


class Cell(keras.layers.Layer):
    def __init__(self):
        super().__init__()
