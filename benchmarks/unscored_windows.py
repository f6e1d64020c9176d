"""Measure what a step of Adam on zero gradients does, where a window holds nothing that is scored.

    python -m benchmarks.unscored_windows      (some minutes on one core)

Two sequences as the tutorial's (lag 3), and longer ones, with `scored: last` and a window of 1: of the windows of a
sequence, the last one is scored. This project makes no update in the others. Plain Keras makes one: `train_on_batch`
with a sample weight of 0 has a gradient of zero, and Adam then moves every weight by what is left of its momentum. Both
are trained here in NumPy, all trials at once, from the weights that their seeds begin with; the engine is measured
beside them.
"""

import numpy as np

import memory_trials
from memory_trials.evaluation.statistics import success_rate
from memory_trials.models.initializers import initial_weights
from memory_trials.settings import ModelSettings

CASES = (
    (3, 100, (250, 500)),
    (10, 32, (250, 500, 1000)),
)  # lag, trials, after which epochs it is counted who has learned
RATE, FIRST, SECOND, EPSILON = 0.001, 0.9, 0.999, 1e-7  # Keras's Adam


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def step(w: list[np.ndarray], x: int, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, ...]:
    """One step of Keras's LSTM: the gates i, f, g and o, the new c and h, and the outputs."""
    nets = w[0][:, x] + np.einsum("tu,tuv->tv", h, w[1]) + w[2]
    i, f, g, o = np.split(nets, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    new = f * c + i * g
    y = o * np.tanh(new)
    return i, f, g, o, new, y, sigmoid(np.einsum("tu,tuv->tv", y, w[3]) + w[4])


def gradients(w: list[np.ndarray], x: int, target: int, h: np.ndarray, c: np.ndarray, said: tuple) -> list[np.ndarray]:
    """Of the mean binary cross-entropy of the outputs, back through this one step."""
    i, f, g, o, new, y, outputs = said
    symbols = outputs.shape[1]
    delta = (outputs - np.eye(symbols)[target]) / symbols
    by_y = np.einsum("tuv,tv->tu", w[3], delta)
    by_c = by_y * o * (1 - np.tanh(new) ** 2)
    nets = np.concatenate(
        [by_c * g * i * (1 - i), by_c * c * f * (1 - f), by_c * i * (1 - g**2), by_y * np.tanh(new) * o * (1 - o)],
        axis=1,
    )
    kernel = np.zeros_like(w[0])
    kernel[:, x] = nets
    return [kernel, h[:, :, None] * nets[:, None], nets, y[:, :, None] * delta[:, None], delta]


def made(lag: int) -> np.ndarray:
    """The two sequences: key, 0, 1, ... lag - 1, key."""
    return np.array([[key, *range(lag), key] for key in (lag, lag + 1)])


def learned(w: list[np.ndarray], sequences: np.ndarray) -> np.ndarray:
    """Whether each trial predicts the last symbol of both sequences."""
    right = np.ones(len(w[0]), bool)
    for sequence in sequences:
        h = c = np.zeros((len(w[0]), w[3].shape[1]))
        for x in sequence[:-1]:
            *_, c, h, outputs = step(w, x, h, c)
        right &= outputs.argmax(axis=1) == sequence[-1]
    return right


def train(lag: int, trials: int, looks: tuple[int, ...], steps_on_zero: bool) -> dict[int, int]:
    """How many trials have learned after so many epochs."""
    model, sequences = ModelSettings(), made(lag)
    w = [array.astype(float) for array in initial_weights(model, lag + 2, lag + 2, np.arange(trials))]
    mean, square, steps, found = [np.zeros_like(a) for a in w], [np.zeros_like(a) for a in w], 0, {}
    for epoch in range(1, max(looks) + 1):
        for sequence in sequences:
            h = c = np.zeros((trials, model.units))
            for place, x in enumerate(sequence[:-1]):
                said = step(w, x, h, c)
                scored = place == len(sequence) - 2
                if scored or steps_on_zero:
                    steps += 1
                    rate = RATE * np.sqrt(1 - SECOND**steps) / (1 - FIRST**steps)
                    gradient = gradients(w, x, sequence[-1], h, c, said) if scored else [0.0] * len(w)
                    for weight, m, v, by in zip(w, mean, square, gradient):
                        m += (by - m) * (1 - FIRST)
                        v += (by * by - v) * (1 - SECOND)
                        weight -= m * rate / (np.sqrt(v) + EPSILON)
                c, h = said[4], said[5]
        if epoch in looks:
            found[epoch] = int(learned(w, sequences).sum())
    return found


def main() -> None:
    for lag, trials, looks in CASES:
        for name, steps_on_zero in (("no step where nothing is scored", False), ("a step on zero gradients", True)):
            for epochs, count in train(lag, trials, looks, steps_on_zero).items():
                _, low, high = success_rate(count, trials, 0.95)
                share = f"{count} of {trials} ({100 * low:.0f} to {100 * high:.0f} %)"
                print(f"lag {lag}, {name}: {share} learn by {epochs} epochs", flush=True)
        examples = [(s[:-1].tolist(), s[1:].tolist(), [0] * lag + [1]) for s in made(lag)]
        for epochs in looks:
            result = memory_trials.measure("lstm", examples, trials=trials, epochs=epochs, progress=False)
            print(f"lag {lag}, the engine, {epochs} epochs: {result.metrics['successes']} of {trials}", flush=True)


if __name__ == "__main__":
    main()
