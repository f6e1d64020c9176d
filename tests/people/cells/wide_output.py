"""tensorlayer/TensorLayer#145: the output holds the state beside what is new, so it is wider than units."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = units
        self.dense = keras.layers.Dense(units, "tanh")

    def call(self, inputs, states):
        h = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return keras.ops.concatenate([h, states[0], inputs], axis=-1), [h]
