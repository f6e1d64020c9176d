"""The second reference of the networks that the memory cell is compared with: one trial, step by step, in double precision.

A network's weights are a dict by the names of `models.weights.weight_shapes`; x is [steps, inputs], y [steps, outputs],
and where `scored` [steps] is false no error counts.
"""

import numpy as np

CELL = ("cell/kernel", "cell/recurrent_kernel", "cell/bias")
OUTPUT = ("output/kernel", "output/input_kernel", "output/bias")


def logistic(z):
    return 1 / (1 + np.exp(-z))


def slope(out, loss):
    """Of the outputs' sums in the gradient of 1/2 sum (output - y)^2; cross-entropy's has none."""
    return 1 if loss == "cross_entropy" else out * (1 - out)


def zeros_like(weights):
    return {name: np.zeros_like(array) for name, array in weights.items()}


def sources(x, h, weights):
    """What the hidden units see: inputs, hidden units of the step before, and 1 where there is a bias."""
    return np.concatenate([x, h, np.ones(1 if "cell/bias" in weights else 0)])


def rows(weights, names):
    """Their kernels, one below the other: a row for each source."""
    return np.concatenate([np.atleast_2d(weights[name]) for name in names if name in weights])


def split_rows(weights, names, gradient):
    parts, first = {}, 0
    for name in names:
        if name in weights:
            count = len(np.atleast_2d(weights[name]))
            parts[name] = gradient[first : first + count].reshape(weights[name].shape)
            first += count
    return parts


class FullyRecurrent:
    """Its state, and its sensitivities d h_k / d w_ij [k, source i, unit j]."""

    def __init__(self, weights):
        self.weights = weights
        units = weights["cell/recurrent_kernel"].shape[0]
        self.h = np.zeros(units)
        self.sensitivity = np.zeros((units, len(rows(weights, CELL)), units))

    def step(self, x):
        w = self.weights
        self.x, seen = x, sources(x, self.h, w)
        self.h = logistic(seen @ rows(w, CELL))
        through = np.einsum("mk,mij->kij", w["cell/recurrent_kernel"], self.sensitivity)
        for k in range(len(self.h)):
            through[k, :, k] += seen
        self.sensitivity = (self.h * (1 - self.h))[:, None, None] * through
        return self.outputs()

    def above(self):
        """What the outputs see."""
        return np.concatenate([self.h, self.x, np.ones(1 if "output/bias" in self.weights else 0)])

    def outputs(self):
        return logistic(self.above() @ rows(self.weights, OUTPUT))

    def gradient(self, y, h_gradient=0.0, loss=None):
        """Of the loss at this step, and of a further one by the hidden units."""
        out, w = self.outputs(), self.weights
        delta = (out - y) * slope(out, loss)
        by_h = w["output/kernel"] @ delta + h_gradient
        return split_rows(w, OUTPUT, np.outer(self.above(), delta)) | split_rows(
            w, CELL, np.einsum("k,kij->ij", by_h, self.sensitivity)
        )


def loss(weights, x, y, scored):
    """E of a sequence."""
    net = FullyRecurrent(weights)
    return sum(0.5 * ((net.step(x[t]) - y[t]) ** 2).sum() * scored[t] for t in range(len(x)))


def real_time_gradient(weights, x, y, scored):
    """Of a sequence, summed forward in time while the weights stay (Williams & Zipser 1989)."""
    net, total = FullyRecurrent(weights), zeros_like(weights)
    for t in range(len(x)):
        net.step(x[t])
        if scored[t]:
            for name, gradient in net.gradient(y[t]).items():
                total[name] += gradient
    return total


def through_time_gradient(weights, x, y, scored, loss=None):
    """Of a sequence, from its last step to its first."""
    net, total = FullyRecurrent(weights), zeros_like(weights)
    before, seen = [], []
    for t in range(len(x)):
        before.append(net.h)
        net.step(x[t])
        seen.append((net.h, net.above(), net.outputs()))
    carried = np.zeros_like(net.h)
    for t in reversed(range(len(x))):
        h, above, out = seen[t]
        delta = (out - y[t]) * slope(out, loss) * scored[t]
        parts = split_rows(weights, OUTPUT, np.outer(above, delta))
        by_sum = (carried + weights["output/kernel"] @ delta) * h * (1 - h)
        parts |= split_rows(weights, CELL, np.outer(sources(x[t], before[t], weights), by_sum))
        carried = weights["cell/recurrent_kernel"] @ by_sum
        for name, gradient in parts.items():
            total[name] += gradient
    return total


def train(weights, sequences, rate, by_sequence, loss=None):
    """The weights after sequences (x, y, scored), changed after each scored step or after each sequence."""
    weights = {name: array.astype(np.float64) for name, array in weights.items()}
    for x, y, scored in sequences:
        if by_sequence:
            change(weights, through_time_gradient(weights, x, y, scored, loss), rate)
            continue
        net = FullyRecurrent(weights)
        for t in range(len(x)):
            net.step(x[t])
            if scored[t]:
                change(weights, net.gradient(y[t], loss=loss), rate)
    return weights


def change(weights, gradient, rate):
    for name, array in gradient.items():
        weights[name] -= rate * array


def train_chunker(weights, sequences, rate, unexpected, loss=None):
    """The weights after sequences of (x, y), one-hot, changed after each step; and how often the chunker learned."""
    weights = {name: array.astype(np.float64) for name, array in weights.items()}
    own = {name: array for name, array in weights.items() if name.split("/")[0] in ("cell", "output")}
    other = {
        name.split("/")[1].replace("_", "/", 1): array for name, array in weights.items() if name.startswith("chunker/")
    }
    times = 0
    for x, y in sequences:
        automatizer, chunker = FullyRecurrent(own), FullyRecurrent(other)
        surprise = True
        for t in range(len(x)):
            out = automatizer.step(x[t])
            if surprise:
                chunker.step(x[t])
            imitated = logistic(automatizer.h @ weights["imitation/kernel"] + x[t] @ weights["imitation/input_kernel"])
            delta = (imitated - chunker.h) * slope(imitated, loss)
            gradient = automatizer.gradient(y[t], weights["imitation/kernel"] @ delta, loss)
            weights["imitation/kernel"] -= rate * np.outer(automatizer.h, delta)
            weights["imitation/input_kernel"] -= rate * np.outer(x[t], delta)
            change(own, gradient, rate)
            surprise = np.abs(out - y[t]).max() >= unexpected
            if surprise:
                change(other, chunker.gradient(y[t], loss=loss), rate)
                times += 1
    return weights, times
