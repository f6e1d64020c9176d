"""tensorflow/addons#2283: an LSTM cell with layer normalization, whose weights share their names."""

import keras

EXPECTED = "works"


class Cell(keras.layers.LSTMCell):
    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.norms = [keras.layers.LayerNormalization() for _ in range(3)]

    def build(self, input_shape):
        super().build(input_shape)
        for norm, width in zip(self.norms, (4 * self.units, 4 * self.units, self.units)):
            norm.build((None, width))

    def call(self, inputs, states, training=None):
        h, c = states
        z = self.norms[0](inputs @ self.kernel) + self.norms[1](h @ self.recurrent_kernel) + self.bias
        i, f, new, o = keras.ops.split(z, 4, axis=-1)
        c = self.norms[2](keras.ops.sigmoid(f) * c + keras.ops.sigmoid(i) * keras.ops.tanh(new))
        h = keras.ops.sigmoid(o) * keras.ops.tanh(c)
        return h, [h, c]
