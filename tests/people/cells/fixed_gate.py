"""Stands for: what one writes after a first tutorial: variables in lists and dicts, options, a clipped state."""

import keras
import numpy as np

EXPECTED = "works"
OPTIONS = {"gates": 3}


class Cell(keras.layers.Layer):
    def __init__(self, units, gates=2, **kwargs):
        super().__init__(**kwargs)
        self.state_size = [np.int64(units)]
        self.gates = {f"gate {number}": keras.layers.Dense(units, "sigmoid") for number in range(gates)}
        self.new = keras.layers.Dense(units)

    def call(self, inputs, states):
        both = keras.ops.concatenate([inputs, states[0]], axis=-1)
        h = self.new(both)
        for gate in self.gates.values():
            h = gate(both) * h + 0.1 * states[0]
        h = keras.ops.clip(h, -1.0, 1.0)
        return h, [h]
