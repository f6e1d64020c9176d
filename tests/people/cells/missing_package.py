"""Stands for: a cell that imports what is not installed."""

import keras
import tensorflow_addons as tfa

EXPECTED = (
    ", import: ModuleNotFoundError: No module named 'tensorflow_addons' (tests/people/cells/missing_package.py, line 4)"
)


class Cell(keras.layers.LSTMCell):
    norm = tfa.layers
