"""Five published cells from their equations, as Keras cells that are written with keras.ops."""

import keras
from keras import ops


class Cell(keras.layers.Layer):
    """What they share: each of `shapes(inputs, units)` is a weight, drawn like Keras's kernels, or zeros for a bias."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        for name, shape in self.shapes(input_shape[-1], self.units).items():
            kind = "glorot_uniform" if len(shape) > 1 else "ones" if name.startswith("gain") else "zeros"
            setattr(self, name, self.add_weight(shape=shape, name=name, initializer=kind))


class MinGRU(Cell):
    """Feng et al. 2024, "Were RNNs all we needed?": gate and candidate see the input alone."""

    def shapes(self, inputs, units):
        return {"bh": (units,), "bz": (units,), "wh": (inputs, units), "wz": (inputs, units)}

    def call(self, inputs, states):
        z = ops.sigmoid(inputs @ self.wz + self.bz)
        h = (1 - z) * states[0] + z * (inputs @ self.wh + self.bh)
        return h, [h]


class PeepholeLSTM(Cell):
    """Gers & Schmidhuber 2000, "Recurrent nets that time and count": gates see what the cells hold."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.state_size = [units, units]

    def shapes(self, inputs, units):
        return {"b": (4 * units,), "p": (3, units), "u": (units, 4 * units), "w": (inputs, 4 * units)}

    def call(self, inputs, states):
        h, c = states
        i, f, g, o = ops.split(inputs @ self.w + h @ self.u + self.b, 4, axis=-1)
        i, f = ops.sigmoid(i + self.p[0] * c), ops.sigmoid(f + self.p[1] * c)
        c = f * c + i * ops.tanh(g)
        h = ops.sigmoid(o + self.p[2] * c) * ops.tanh(c)
        return h, [h, c]


class LayerNormLSTM(PeepholeLSTM):
    """Ba, Kiros & Hinton 2016, "Layer normalization", equations 20 to 22."""

    def shapes(self, inputs, units):
        gains = {"gain_c": (units,), "gain_h": (4 * units,), "gain_x": (4 * units,)}
        biases = {"b": (4 * units,), "b_c": (units,)}
        return biases | gains | {"u": (units, 4 * units), "w": (inputs, 4 * units)}

    def call(self, inputs, states):
        h, c = states
        z = self.gain_x * normal(inputs @ self.w) + self.gain_h * normal(h @ self.u) + self.b
        i, f, g, o = ops.split(z, 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(self.gain_c * normal(c) + self.b_c)
        return h, [h, c]


def normal(z):
    centred = z - ops.mean(z, axis=-1, keepdims=True)
    return centred / ops.sqrt(ops.mean(centred**2, axis=-1, keepdims=True) + 1e-5)


class DropoutLSTM(PeepholeLSTM):
    """Semeniuta, Severyn & Barth 2016, "Recurrent dropout without memory loss": only what is written is dropped."""

    def __init__(self, units, rate=0.25, **kwargs):
        super().__init__(units, **kwargs)
        self.rate, self.seed_generator = rate, keras.random.SeedGenerator()

    def shapes(self, inputs, units):
        return {"b": (4 * units,), "u": (units, 4 * units), "w": (inputs, 4 * units)}

    def call(self, inputs, states, training=False):
        h, c = states
        i, f, g, o = ops.split(inputs @ self.w + h @ self.u + self.b, 4, axis=-1)
        g = ops.tanh(g)
        if training:
            g = keras.random.dropout(g, self.rate, seed=self.seed_generator)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * g
        h = ops.sigmoid(o) * ops.tanh(c)
        return h, [h, c]


class DeltaNet(Cell):
    """Schlag, Irie & Schmidhuber 2021, "Linear transformers are secretly fast weight programmers", equations 22 to 25,
    with softmax keys: the state is a matrix, in which values are overwritten by the delta rule."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.state_size = [(units, units)]

    def shapes(self, inputs, units):
        return {"wb": (inputs, 1), "wk": (inputs, units), "wq": (inputs, units), "wv": (inputs, units)}

    def call(self, inputs, states):
        k, q = ops.softmax(inputs @ self.wk), ops.softmax(inputs @ self.wq)
        old = ops.einsum("bij,bj->bi", states[0], k)
        written = ops.sigmoid(inputs @ self.wb) * (inputs @ self.wv - old)
        state = states[0] + ops.einsum("bi,bj->bij", written, k)
        return ops.einsum("bij,bj->bi", state, q), [state]
