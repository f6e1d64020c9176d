"""tensorflow/tensorflow#24610: noise of NumPy, which is drawn once, when a function is traced."""

import keras
import numpy as np

EXPECTED = ", call: it computes something else when it is called again: it draws random numbers"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        h += np.random.default_rng().normal(size=(1, self.units)).astype("float32")
        return h, [h]
