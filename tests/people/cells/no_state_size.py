"""Stands for: a layer that has no state_size."""

import keras

EXPECTED = ": it has no state_size, so it is not a Keras cell"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
