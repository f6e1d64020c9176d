"""tensorflow/tensorflow#54464 (also keras-team/keras#16103): the state of a graph, nodes times features."""

import keras

EXPECTED = "works"


class Cell(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = [(4, 4)]
        self.out, self.into = keras.layers.Dense(units, "tanh"), keras.layers.Dense(16, "tanh")
        self.across = keras.layers.Dense(4)

    def call(self, inputs, states):
        nodes = keras.ops.tanh(keras.ops.reshape(self.into(inputs), (-1, 4, 4)) + self.across(states[0]))
        return self.out(keras.ops.reshape(nodes, (-1, 16))), [nodes]
