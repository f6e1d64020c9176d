"""The second reference: the cells' equations by NumPy's own functions, in any precision."""

import numpy as np


def outputs(cell: str, output: str, weights: dict[str, np.ndarray], x: np.ndarray, kind=np.float64) -> np.ndarray:
    """Activations [T, K, L, symbols] of T trials' weights for x [K, L, F], the places where the input vector is 1."""
    w = {name: array.astype(kind) for name, array in weights.items()}
    w |= {name: w[name][:, np.newaxis] for name in w if name.endswith("bias")}
    inputs, units = w["cell/kernel"].shape[1], w["output/kernel"].shape[1]
    h = c = np.zeros((len(w["cell/kernel"]), len(x), units), kind)
    activations = []
    for step in np.eye(inputs + 1, inputs, dtype=kind)[x].sum(axis=-2).transpose(1, 0, 2):
        z, bias = step @ w["cell/kernel"], w["cell/bias"]
        if cell == "lstm":
            i, f, g, o = np.split(z + h @ w["cell/recurrent_kernel"] + bias, 4, axis=-1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        elif cell == "gru":
            zx, rx, hx = np.split(z + bias[:, :, 0], 3, axis=-1)
            zh, rh, hh = np.split(h @ w["cell/recurrent_kernel"] + bias[:, :, 1], 3, axis=-1)
            update = sigmoid(zx + zh)
            h = update * h + (1 - update) * np.tanh(hx + sigmoid(rx + rh) * hh)
        elif cell == "simple_rnn":
            h = np.tanh(z + h @ w["cell/recurrent_kernel"] + bias)
        else:
            h = np.tanh(z + bias)
        z = h @ w["output/kernel"] + w["output/bias"]
        activations.append(sigmoid(z) if output == "sigmoid" else softmax(z))
    return np.stack(activations, axis=2)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * z))


def softmax(z: np.ndarray) -> np.ndarray:
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
