"""All trials at once: shards of trials, side by side in threads, each in an engine that trains it.

Two engines have the same interface: `native` (a small program in C, for the built-in cells) and `xla` (any
Keras cell). A trial's result does not depend on the shard, the threads, or how its epochs are cut into calls.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from memory_trials import forward, native
from memory_trials.backend import CORES
from memory_trials.cells import initial_weights, make_model
from memory_trials.config import ComputeSettings, ModelSettings, TrainingSettings
from memory_trials.encoding import Table
from memory_trials.results import Trained


def train(
    model_settings: ModelSettings,
    settings: TrainingSettings,
    every: int,
    compute: ComputeSettings,
    table: Table,
    progress: Callable[[int, int], None] = lambda epochs, learned: None,
) -> Trained:
    """Train every trial; `progress(trial_epochs, newly_learned)` is told after each call of each shard."""
    seeds = np.arange(settings.first_seed, settings.first_seed + settings.trials)
    model = make_model(model_settings, table.inputs, table.symbols)
    weights = initial_weights(model_settings, table.inputs, table.symbols, seeds)
    threads = compute.threads or CORES
    size = shard_size(len(seeds), compute.shard, threads)
    program = make_program(model_settings, settings, every, table, model, size)
    checks = np.unique(np.append(np.arange(every, settings.epochs + 1, every), settings.epochs))
    losses, learned, trained = run_trials(program, weights, seeds, checks, size, threads, progress, settings.shuffle)
    return Trained(seeds, dict(zip(model.names, trained)), losses, checks, learned)


def make_program(model_settings: ModelSettings, settings: TrainingSettings, every: int, table: Table, model, size: int):
    """The engine: native for the cells it knows where a C compiler is, else xla (or where the settings ask for it)."""
    if settings.engine == "auto" and forward.knows(model_settings):
        if native.available():
            of_model = (model_settings.cell, model_settings.units, model_settings.output)
            return native.Program(*of_model, settings.optimizer, settings.learning_rate, table)
        print("note: no C compiler was found (cc, gcc, clang or $CC), so TensorFlow's XLA trains, more slowly")
    from memory_trials import xla

    return xla.Program(model, settings, table, size, every)


def run_trials(
    program,
    weights: list[np.ndarray],
    seeds: np.ndarray,
    checks: np.ndarray,
    size: int,
    threads: int,
    progress: Callable[[int, int], None] = lambda epochs, learned: None,
    shuffle: bool = False,
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Train from these weights [T, ...], in shards of a size: losses [T, E], verdicts [T, C], final weights."""
    trials = len(seeds)
    report = _locked(progress)

    def run(first: int) -> list[np.ndarray]:
        rows = np.minimum(np.arange(first, first + size), trials - 1)  # the last shard is filled up, then cut
        used = min(size, trials - first)
        shard = _run_shard(program, [w[rows] for w in weights], seeds[rows], checks, used, report, shuffle)
        return [part[:used] for part in shard]

    # xla: the first to be called compiles the program, the others wait for it
    with ThreadPoolExecutor(threads) as pool:
        shards = list(pool.map(run, range(0, trials, size)))
    losses, learned, *trained = (np.concatenate(parts) for parts in zip(*shards))
    return losses, learned, trained


def shard_size(trials: int, largest: int, threads: int) -> int:
    """Trials in each shard: as few shards as fit the bound, but enough for every thread, and evenly filled.

    At least two: tf.vectorized_map loses the shape of a single trial.
    """
    shards = -(-trials // largest)
    shards = min(-(-shards // threads) * threads, trials)
    return max(2, -(-trials // shards))


def _locked(progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
    lock = threading.Lock()

    def report(epochs: int, learned: int) -> None:
        with lock:
            progress(epochs, learned)

    return report


def _run_shard(program, weights: list, seeds, checks, used: int, report, shuffle: bool) -> list[np.ndarray]:
    """Losses [T, E], verdicts [T, C] and final weights of one shard; `used` of its trials are reported.

    Entering a program costs up to milliseconds, so it is entered for more and more checks at a time,
    until a call takes long enough for somebody who watches; the results are the same in any case.
    """
    state = program.start(weights)
    streams = [np.random.default_rng(seed) for seed in seeds] if shuffle else []
    losses, verdicts = [], []
    done, reported, ask_for = 0, 0, 1
    while done < checks[-1]:
        asked = checks[checks > done][: min(ask_for, program.capacity)] - done
        order = np.stack([_orders(stream, program.table.block, asked[-1]) for stream in streams]) if shuffle else None
        started = time.monotonic()
        call_losses, learned = program.run(state, asked, order)
        losses.append(call_losses)
        verdicts.append(learned)
        if time.monotonic() - started < 0.2:
            ask_for *= 2
        learned_now = int(learned[:used, -1].sum())
        report(int(asked[-1]) * used, learned_now - reported)
        done, reported = done + int(asked[-1]), learned_now
    return [np.concatenate(losses, axis=1), np.concatenate(verdicts, axis=1), *program.weights(state)]


def _orders(stream: np.random.Generator, block: np.ndarray, epochs: int) -> np.ndarray:
    """[epochs, U] int32: the updates in a new order each epoch, those of one block staying together.

    block [U]: ascending from 0. The stream gives the same orders however epochs are cut into calls.
    """
    updates = [np.flatnonzero(block == b) for b in range(block[-1] + 1)]
    return np.array(
        [np.concatenate([updates[b] for b in stream.permutation(len(updates))]) for _ in range(epochs)], np.int32
    )
