"""Kaixhin/NoisyNet-A3C#2: Gaussian noise in a recurrent cell."""

import keras

EXPECTED = "works on JAX"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")
        self.noise = keras.layers.GaussianNoise(0.1)

    def call(self, inputs, states, training=None):
        h = self.dense(keras.ops.concatenate([inputs, self.noise(states[0], training=training)], axis=-1))
        return h, [h]
