"""Full back-propagation through sequences of 100 and 1,000 steps: plain Keras (jit_compile), JAX and this project.

Microseconds per trial, step and sequence, medians of rounds in which the peers take turns (make bench). An LSTM of
20 units, 3 symbols, the loss on the last step, an update after each of the two sequences, Adam; all compiled before.
`xla` is this project's engine for cells of the user's.
"""

import json
import subprocess
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.tutorial import note, run_trials, seconds
from memory_trials.models.backend import CORES, keras
from memory_trials.models.initializers import initial_weights
from memory_trials.settings import EncodingSettings, GeneratedSettings, ModelSettings, ProblemSettings, TrainingSettings
from memory_trials.tasks.encoding import make_table, one_hot
from memory_trials.tasks.problems import make_problem
from memory_trials.training.job import TrainingJob, make_program, shard_size

HERE = Path(__file__).parent
TRIALS, ROUNDS = 100, 5
EPOCHS = {100: 50, 1000: 5}


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


def jax(lag: int, epochs: int) -> float:
    command = [".venv-bench/bin/python", str(HERE / "jax_long_lag.py"), str(lag), str(TRIALS), str(epochs), "3"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return median(float(line) for line in printed.split())


def main() -> None:
    figures = {}
    for lag, epochs in EPOCHS.items():
        problem = make_problem(ProblemSettings(generate=GeneratedSettings(lag=lag, middle="fixed"), scored="last"))
        peers = {}
        for name, engine in (("ours", "native"), ("xla", "xla")):
            if name == "xla" and lag > 100:
                continue  # XLA has no code for so long a sum ("Fusion kind not implemented on CPU")
            settings = TrainingSettings(trials=TRIALS, window="sequence", epochs=epochs)
            table = make_table(problem, EncodingSettings(), settings, False)
            size = shard_size(TRIALS, 50, CORES)
            program = make_program(TrainingJob(ModelSettings(), settings, epochs, table), engine, size)
            weights = initial_weights(ModelSettings(), 3, 3, np.arange(TRIALS))
            peers[name] = (run_trials, program, size, weights, np.array([epochs]))
        plain = Keras(table)
        plain.train(1)
        for arguments in peers.values():
            seconds(*arguments)  # compiles
        measured: dict[str, list[float]] = {}
        steps = 2 * (lag + 1) * epochs
        for _ in range(ROUNDS):
            measured.setdefault("jax", []).append(jax(lag, epochs))
            measured.setdefault("keras_jit", []).append(1e6 * seconds(plain.train, epochs) / steps)
            for name, arguments in peers.items():
                measured.setdefault(name, []).append(1e6 * seconds(*arguments) / TRIALS / steps)
        figures[str(lag)] = {name: round(median(values), 4) for name, values in measured.items()}
        ratio = figures[str(lag)]["jax"] / figures[str(lag)]["ours"]
        print(f"lag {lag}: {json.dumps(figures[str(lag)])}; {ratio:.1f} times faster than JAX", flush=True)
    note("long_lag", figures)


if __name__ == "__main__":
    main()
