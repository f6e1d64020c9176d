"""keras-team/keras#1053: a Neural Turing Machine's memory, read and written by attention."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, slots=3, width=2, **kwargs):
        super().__init__(**kwargs)
        self.slots, self.width = slots, width
        self.state_size = [units, (slots, width)]
        self.output_size = units
        self.controller = keras.layers.Dense(units, "tanh")
        self.key, self.value = keras.layers.Dense(width), keras.layers.Dense(width, "tanh")

    def get_initial_state(self, batch_size=None):
        h = keras.ops.zeros((batch_size, self.state_size[0]))
        memory = keras.ops.ones((batch_size, self.slots, self.width))
        return [h, memory * keras.ops.arange(self.slots, dtype="float32")[:, None] / 10]

    def call(self, inputs, states):
        h, memory = states
        where = keras.ops.softmax(keras.ops.einsum("bsw,bw->bs", memory, self.key(h)))
        read = keras.ops.einsum("bs,bsw->bw", where, memory)
        h = self.controller(keras.ops.concatenate([inputs, h, read], axis=-1))
        memory = memory + where[:, :, None] * self.value(h)[:, None, :]
        return h, [h, memory]
