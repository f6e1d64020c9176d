"""francesco-mannella/Echo-State-Networks#4: a reservoir, drawn once by NumPy and kept as a constant."""

import keras
import numpy as np

EXPECTED = ", call: it computes something else when it is made after another seed, with equal weights"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.reservoir = np.random.normal(size=(units, units)).astype("float32") / units
        self.into = keras.layers.Dense(units)

    def call(self, inputs, states):
        h = keras.ops.tanh(self.into(inputs) + states[0] @ self.reservoir)
        return h, [h]
