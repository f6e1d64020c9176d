"""Full back-propagation through sequences of 100 and 1,000 steps: plain Keras (jit_compile), JAX and this project.

Microseconds per trial, step and sequence, medians of rounds in which the peers take turns (make bench). An LSTM of
20 units, 3 symbols, the loss on the last step, an update after each of the two sequences, Adam; all compiled before.
`xla` is this project's engine for cells of the user's.
"""

import json
from statistics import median

import numpy as np

from benchmarks.tutorial import jax, note, peer, seconds
from memory_trials.models.backend import keras
from memory_trials.settings import EncodingSettings, GeneratedSettings, ModelSettings, ProblemSettings, TrainingSettings
from memory_trials.tasks.encoding import make_table, one_hot
from memory_trials.tasks.problems import make_problem
from memory_trials.training.job import TrainingJob

TRIALS, SHARD, ROUNDS = 100, 50, 5
LAGS, EPOCHS = (100, 1000), 50  # this project evaluates after the last epoch, its peers never


class Keras:
    """One trial of plain Keras, compiled by XLA, an update after each sequence."""

    def __init__(self, table):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.LSTM(20), keras.layers.Dense(3, activation="sigmoid")]
        self.model = keras.Sequential([keras.Input(batch_shape=(1, table.x.shape[1], 3)), *layers])
        self.model.compile(loss="binary_crossentropy", optimizer="adam", jit_compile=True)
        self.pairs = list(zip(one_hot(table.x[:, :, 0], 3), one_hot(table.y[:, -1], 3)))

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            for x, y in self.pairs:
                self.model.train_on_batch(x[np.newaxis], y[np.newaxis])


def job(lag: int) -> TrainingJob:
    problem = make_problem(ProblemSettings(generate=GeneratedSettings(lag=lag, middle="fixed"), scored="last"))
    settings = TrainingSettings(trials=TRIALS, window="sequence", epochs=EPOCHS)
    return TrainingJob(ModelSettings(), settings, EPOCHS, make_table(problem, EncodingSettings(), settings, False))


def main() -> None:
    figures = {}
    for lag in LAGS:
        trained = job(lag)
        peers = {"ours": peer(trained, "native", SHARD), "xla": peer(trained, "xla", SHARD)}
        plain = Keras(trained.table)
        plain.train(1)
        for arguments in peers.values():
            seconds(*arguments)  # compiles
        measured: dict[str, list[float]] = {}
        steps = 2 * (lag + 1) * EPOCHS
        for _ in range(ROUNDS):
            measured.setdefault("jax", []).append(jax("jax_long_lag.py", lag, TRIALS, EPOCHS))
            measured.setdefault("keras_jit", []).append(1e6 * seconds(plain.train, EPOCHS) / steps)
            for name, arguments in peers.items():
                measured.setdefault(name, []).append(1e6 * seconds(*arguments) / TRIALS / steps)
        figures[str(lag)] = {name: round(median(values), 4) for name, values in measured.items()}
        ratio = figures[str(lag)]["jax"] / figures[str(lag)]["ours"]
        print(f"lag {lag}: {json.dumps(figures[str(lag)])}; {ratio:.1f} times faster than JAX", flush=True)
    note("long_lag", figures)


if __name__ == "__main__":
    main()
