"""All trials at once: shards of trials, side by side in threads or on a cluster, each in an engine that trains it.

A trial's result does not depend on the shard, the threads, or how its epochs are cut into calls. So what a cache
(`training.cache`) has of a job is taken from it, and training may end at any moment and go on later.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, ThreadPoolExecutor, as_completed, wait
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from memory_trials import files, machine
from memory_trials.engines import own
from memory_trials.models import initializers, weights
from memory_trials.settings import ComputeSettings, TrainingSettings
from memory_trials.training import cache, devices, shards
from memory_trials.training.cache import TrialBatch
from memory_trials.training.job import TrainingJob, engine_of, first_call, key, make_program, size_for
from memory_trials.training.shards import Progress
from memory_trials.training.trained import FOUND, Trained

NO_RESULT_DEPENDS_ON_THIS = "it divides work, and no trial depends on its shard or machine"

NO_CACHE = cache.TrialCache(Path(cache.FOLDER), megabytes=0)
DRAWN_AT_ONCE = 1000  # trials whose initial weights are drawn together

Item = TypeVar("Item")
Result = TypeVar("Result")
_drawing = threading.Lock()  # Keras draws weights after seeding the whole process: one job at a time


def train(
    job: TrainingJob,
    compute: ComputeSettings,
    progress: Progress = lambda epochs, learned, kept: None,
    store: cache.TrialCache = NO_CACHE,
) -> Trained:
    """Train every trial of the job that the cache does not have.

    Args:
        job: what to train, how, and which seeds.
        compute: threads or a cluster, and the size of shards; no result depends on it.
        progress: called with (epochs, summed over trials; trials that have newly learned; whether these come from the
            cache) after each call of each shard.
        store: where trials are looked for, and kept.

    Returns:
        All trials of the job, in the order of their seeds.
    """
    engine = engine_of(job)
    devices.check(engine, compute.gpus_per_shard)
    wanted = bool(compute.gpus_per_shard)  # with ray, each node looks for its own
    on_gpu = wanted if compute.backend == "ray" else devices.uses_gpu(engine, wanted)
    entry = cache.Entry(store, key(job, engine, on_gpu))
    whole = all_trials(entry, job.training, partial(_train_missing, job, engine, entry, compute, progress), progress)
    learned, margin, memory = (whole[name] for name in FOUND)
    weights, met = files.section(whole, "weights/"), files.section(whole, "met_criterion_at/")
    return Trained(whole["seeds"], weights, whole["losses"], job.checks, learned, margin, memory, met)


def all_trials(
    entry: cache.Entry,
    settings: TrainingSettings,
    train_missing: Callable[[np.ndarray], list[TrialBatch]],
    progress: Progress,
) -> TrialBatch:
    """Return all trials of the settings in the order of their seeds.

    Those that the cache does not have are trained by `train_missing`, which is given their seeds.
    """
    seeds = np.arange(settings.first_seed, settings.first_seed + settings.trials)
    finished = entry.finished(seeds)
    missing = cache.without(seeds, finished)
    if kept := len(seeds) - len(missing):
        print(f"{kept} of {len(seeds)} trials are kept from earlier ({entry.store.folder.name}/)", flush=True)
        progress(kept * settings.epochs, sum(int(batch["learned"][:, -1].sum()) for batch in finished), True)
    if len(missing):
        try:
            finished += train_missing(missing)
        finally:
            entry.flush()
    entry.forget_checkpoints(seeds)
    return cache.joined(finished)


def _train_missing(
    job: TrainingJob,
    engine: str,
    entry: cache.Entry,
    compute: ComputeSettings,
    progress: Progress,
    missing: np.ndarray,
) -> list[TrialBatch]:
    """The trials of these seeds: those that were begun from where they are, the others from their initial weights."""
    workers = max_parallel_shards(compute)
    size = size_for(job, len(missing), compute, workers)
    with _drawing:
        program = make_program(job, engine, size)
    resumed = partial(shards.resumed, job, program, first_call=first_call(job, engine, size))
    train_shard: Callable[..., TrialBatch] = lambda batch, *of: shards.run_shard(resumed(batch), *of)
    if compute.backend == "ray":
        from memory_trials.training import cluster  # Ray takes seconds to import, and need not be installed

        train_shard = partial(cluster.run_shard, cluster.send(job, engine, size, compute))

    def run(batch: TrialBatch, report: Progress) -> TrialBatch:
        trained = train_shard(batch, entry.keep_checkpoint, report)
        entry.keep(trained)
        return trained

    def to_train() -> Iterator[TrialBatch]:
        begun = entry.begun(missing)
        for batch in begun:
            print(f"{len(batch['seeds'])} trials go on after epoch {batch['done'].min()}", flush=True)
            yield from (cache.take_trials(batch, some) for some in _cut(len(batch["seeds"]), size))
        fresh = cache.without(missing, begun)
        for several in _cut(len(fresh), max(1, DRAWN_AT_ONCE // size) * size):
            with _drawing:
                weights = _initial_weights(job, engine, fresh[several])
            for some in _cut(len(fresh[several]), size):
                yield shards.new_shard(job, program, [w[some] for w in weights], fresh[several][some])

    return side_by_side(run, to_train(), workers, progress)


def max_parallel_shards(compute: ComputeSettings) -> int:
    """Return how many shards are trained at the same time."""
    if compute.backend == "ray":
        from memory_trials.training import cluster  # Ray takes seconds to import, and need not be installed

        return cluster.slots(compute)
    return compute.threads or machine.cores()


def side_by_side(
    run: Callable[[Item, Progress], Result], items: Iterable[Item], threads: int, progress: Progress
) -> list[Result]:
    """Yield what `run` returns for each item, in any order, from several threads. Items are taken only when needed.

    If one fails, or on Ctrl-C, the others end when they report next; so `run` may itself run things in parallel.
    """
    lock, over = threading.Lock(), threading.Event()

    def report(epochs: int, learned: int, kept: bool) -> None:
        if over.is_set():
            raise CancelledError
        with lock:
            progress(epochs, learned, kept)

    # xla: the first to be called compiles the program, the others wait for it
    results, running = [], set()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                running.add(pool.submit(run, item, report))
                if len(running) > 2 * threads:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    results += [future.result() for future in done]
            results += [future.result() for future in as_completed(running)]
        except BaseException:  # a mistake, or Ctrl-C: nobody waits for the others to come to their end
            over.set()
            pool.shutdown(cancel_futures=True)
            raise
    return results


def _cut(count: int, size: int) -> list[slice]:
    return [slice(first, first + size) for first in range(0, count, size)]


def _initial_weights(job: TrainingJob, engine: str, seeds: np.ndarray) -> list[np.ndarray]:
    inputs, outputs = job.task.inputs, job.task.outputs
    if job.task.endless and engine != "jax":
        return weights.initial_weights(job.model, inputs, outputs, seeds)
    if initializers.supports(job.model):
        return initializers.initial_weights(job.model, inputs, outputs, seeds)
    if engine == "jax":
        return own.initial_weights(job.model, inputs, outputs, seeds)
    from memory_trials.models import keras_model  # TensorFlow takes seconds to import, and may not be needed

    return keras_model.initial_weights(job.model, inputs, outputs, seeds)
