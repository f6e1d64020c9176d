"""arXiv 1606.01305 (TanUkkii007/papers-i-read#99 links it): zoneout, drawn by keras.random."""

import keras

EXPECTED = ", call: it draws random numbers ("


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        keep = keras.random.uniform(keras.ops.shape(h)) < 0.1
        h = keras.ops.where(keep, states[0], h)
        return h, [h]
