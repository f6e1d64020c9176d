"""An example of a cell of your own: a leaky integrator, in thirty lines."""

import keras


@keras.saving.register_keras_serializable(package="my_cells")
class LeakyCell(keras.layers.Layer):
    """h' = leak h + (1 - leak) tanh(x W + h U). What it is given beside units comes from model.cell_options."""

    def __init__(self, units: int, leak: float = 0.3, **kwargs):
        super().__init__(**kwargs)
        self.units, self.leak = units, leak
        self.state_size = units  # a list where there are several states, such as an LSTM's h and c

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(self.units, self.units), name="recurrent_kernel")

    def call(self, inputs, states):
        """inputs [batch, inputs], states [[batch, units]] -> output [batch, units] and the new states."""
        h = states[0]
        new = keras.ops.tanh(keras.ops.matmul(inputs, self.kernel) + keras.ops.matmul(h, self.recurrent_kernel))
        h = self.leak * h + (1 - self.leak) * new
        return h, [h]
