"""Seconds per trial of the tutorial: plain Keras, JAX and this project, side by side in one run (make bench).

Every figure is a median; the peers take turns, because the speed of a shared machine drifts. Keras's loops
are timed over some epochs and scaled to 250. `ours` and `jax` are warm (compiled before); `ours_cold` is all
that a first run needs: initial weights, then training.
`xla` is this project's engine for cells of the user's.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from statistics import median

import numpy as np

from memory_trials import files
from memory_trials.models.backend import CORES, keras
from memory_trials.models.initializers import initial_weights
from memory_trials.settings import load_settings
from memory_trials.tasks.encoding import make_table, one_hot
from memory_trials.tasks.problems import make_problem
from memory_trials.training import shards
from memory_trials.training.job import TrainingJob, first_call, make_program, shard_size
from memory_trials.training.trainer import side_by_side, train

HERE = Path(__file__).parent
SIZES = (10, 100, 1000)
ROUNDS = 3
EPOCHS = 250


def seconds(function, *arguments) -> float:
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def job(trials: int) -> TrainingJob:
    settings = load_settings()
    table = make_table(make_problem(settings.problem), settings.encoding, settings.training, False)
    return TrainingJob(settings.model, settings.training.model_copy(update={"trials": trials}), 10, table)


def peer(job: TrainingJob, engine: str, largest: int) -> tuple:
    """A function that trains all trials of a job with this engine, and its arguments. The first call of xla compiles.

    largest: trials in a shard at most.
    """
    trials, table = job.training.trials, job.task
    size = shard_size(trials, largest, CORES)
    weights = initial_weights(job.model, table.inputs, table.symbols, np.arange(trials))
    return run_trials, job, make_program(job, engine, size), size, first_call(job, engine, size), weights


def run_trials(job: TrainingJob, program, size: int, first: int, weights: list[np.ndarray]) -> None:
    """Train all trials from these weights, in shards of this size, on all cores; first: epochs of the first call."""
    rows = [slice(start, start + size) for start in range(0, len(weights[0]), size)]
    new = [
        shards.new_shard(job, program, [w[some] for w in weights], np.arange(len(weights[0]))[some]) for some in rows
    ]
    run = lambda batch, report: shards.run_shard(shards.resumed(job, program, batch, first), report=report)
    side_by_side(run, new, CORES, progress=lambda *_: None)


class Keras:
    """The tutorial's own loop, with fit as it is printed or with the leaner train_on_batch."""

    def __init__(self, table):
        self.sequences = [(one_hot(x[:, np.newaxis], 5), one_hot(y[:, np.newaxis], 5)) for x, y in
                          zip(table.eval_x, table.eval_y)]  # fmt: skip
        keras.utils.set_random_seed(0)
        layers = [keras.layers.LSTM(20, stateful=True), keras.layers.Dense(5, activation="sigmoid")]
        self.model = keras.Sequential([keras.Input(batch_shape=(1, 1, 5)), *layers])
        self.model.compile(loss="binary_crossentropy", optimizer="adam")

    def fit(self, epochs: int) -> None:
        for _ in range(epochs):
            for x, y in self.sequences:
                self.model.fit(x, y, epochs=1, batch_size=1, verbose=0, shuffle=False)
                self.model.layers[0].reset_states()

    def train_on_batch(self, epochs: int) -> None:
        for _ in range(epochs):
            for x, y in self.sequences:
                for step in range(len(x)):
                    self.model.train_on_batch(x[step : step + 1], y[step : step + 1])
                self.model.layers[0].reset_states()


def note(name: str, figures: dict) -> None:
    """Into results.json, beside what other benchmarks have measured."""
    path = HERE / "results.json"
    earlier = json.loads(path.read_text()) if path.exists() else {}
    files.write_json(path, earlier | {name: figures})


def jax(script: str, *arguments: int, flags: str = "") -> float:
    """What a script prints, the median of three runs. Without the flags that this project sets for its own engine (in
    models/backend.py): they keep XLA on one core."""
    command = [".venv-bench/bin/python", str(HERE / script), *map(str, arguments), "3"]
    environment = os.environ | {"XLA_FLAGS": flags}
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return median(float(line) for line in printed.split())


def main() -> None:
    compute, jobs = load_settings().compute, {n: job(n) for n in SIZES}
    plain = Keras(jobs[SIZES[0]].table)
    peers = {
        engine: {n: peer(jobs[n], name, compute.shard) for n in SIZES}
        for engine, name in (("ours", "native"), ("xla", "xla"))
    }

    def ours(n: int, engine: str = "ours") -> float:
        return seconds(*peers[engine][n]) / n

    def cold(n: int) -> float:
        return seconds(train, jobs[n], compute) / n

    for n in SIZES:
        ours(n), ours(n, "xla")  # compiles
    plain.fit(2), plain.train_on_batch(2)
    figures: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        figures.setdefault("keras_fit", []).append(seconds(plain.fit, 10) * EPOCHS / 10)
        figures.setdefault("keras_train_on_batch", []).append(seconds(plain.train_on_batch, 50) * EPOCHS / 50)
        for n in SIZES:
            figures.setdefault(f"jax {n}", []).append(jax("jax_tutorial.py", n))
            figures.setdefault(f"ours {n}", []).extend(ours(n) for _ in range(3 if n < 1000 else 1))
            figures.setdefault(f"xla {n}", []).append(ours(n, "xla"))
        figures.setdefault("ours_cold 100", []).append(cold(100))
        figures.setdefault("initial_weights", []).append(
            seconds(initial_weights, jobs[100].model, 5, 5, np.arange(100)) / 100
        )
    results: dict = {}
    for name, values in figures.items():
        key, _, size = name.partition(" ")
        if size:
            results.setdefault(key, {})[size] = round(median(values), 6)
        else:
            results[key] = round(median(values), 6)
    note("tutorial", results)
    print(json.dumps(results, indent=2))
    for name, value in (("Keras's fit", results["keras_fit"]), ("JAX", results["jax"]["100"])):
        print(f"at 100 trials {value / results['ours']['100']:,.1f} times faster than {name}")


if __name__ == "__main__":
    main()
