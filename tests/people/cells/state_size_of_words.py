"""tensorflow/tensorflow#36796: a state_size that is no number."""

import keras

EXPECTED = ", get_initial_state: state_size holds 'units', which is neither a number of units nor a shape"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = ["units"]
