"""A training job: what trials are trained on and how, which engine does it, and in shards of what size."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from memory_trials.engines import compiler, native, own
from memory_trials.engines.interface import Program
from memory_trials.errors import UserError
from memory_trials.settings import ComputeSettings, ModelSettings, TrainingSettings, streamed_in_c
from memory_trials.tasks.interface import Task
from memory_trials.training import cache

if TYPE_CHECKING:
    from memory_trials.tasks.encoding import UpdateTable
    from memory_trials.tasks.streams import Stream

IN_THE_TABLE = {"window", "update", "reset", "batch", "batch_of", "loss"}  # what training sees only by a table
EPOCH_AT_MOST = 2e9  # multiplications in one epoch of a shard; a slow engine takes ten seconds for it
FIRST_CALL = {
    "native": 4e9,
    "xla": 4e7,
    "jax": 2e8,
}  # multiplications in a program's first call, which takes tenths of a second
TASK_AT_LEAST = 5e9  # in all epochs of a shard that is sent elsewhere; a quarter of a second or more, sending takes ms
LANES = 16  # trials in a shard on streams: two vectors of the engine in C


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """All that the result of a trial depends on, but for its seed; which seeds, training says too.

    eval_interval: after every so many epochs, and at the end, the trials are evaluated; on streams, whose epochs are
    sequences, it is then that they may stop.
    """

    model: ModelSettings
    training: TrainingSettings
    eval_interval: int
    task: Task

    @property
    def stream(self) -> str:
        """The name of the endless task; empty where it is a table of updates."""
        return cast("Stream", self.task).settings.task if self.task.endless else ""

    @property
    def checks(self) -> np.ndarray:
        """[C] int64: the epochs after which what was found of the trials is kept."""
        return self.task.checks(self.training.epochs, self.eval_interval)

    @property
    def epoch_cost(self) -> int:
        """Multiplications in an epoch of one trial, about."""
        units, task = self.model.units, self.task
        return task.steps() * 4 * units * (units + task.inputs + task.outputs)


def engine_of(job: TrainingJob) -> str:
    """native for the cells it supports where a C compiler is, else jax; xla for cells that call TensorFlow, or where
    the settings say so. On streams, streaming for the cells and settings that it supports, else jax."""
    if job.task.endless:
        stream = cast("Stream", job.task)
        if streamed_in_c(job.model, job.training, stream.history, stream.settings):
            return "streaming"
    if job.task.endless and own.calls_tensorflow(job.model.cell):
        where = f"model.cell {job.model.cell}"
        raise UserError(f"{where} calls TensorFlow, and JAX trains cells of your own on streams: use keras.ops")
    if job.task.endless:
        return "jax"
    if job.training.engine != "auto":
        return {"tensorflow": "xla", "jax": "jax"}[job.training.engine]
    if native.trains(job.model):
        if native.available():
            return "native"
        print("note: no C compiler was found (cc, gcc, clang or $CC), so JAX trains, more slowly")
    return "xla" if own.calls_tensorflow(job.model.cell) else "jax"


def make_program(job: TrainingJob, engine: str, size: int) -> Program:
    """An engine's program for shards of at most `size` trials."""
    model, training = job.model, job.training
    if job.task.endless and engine == "jax":
        return own.StreamProgram(model, training, cast("Stream", job.task).shape)
    if job.task.endless:
        from memory_trials.engines import streaming  # not compiled, nor part of what tables depend on

        return streaming.Program(model, training, cast("Stream", job.task).shape)
    table = cast("UpdateTable", job.task)
    if engine == "native":
        of_model = (model.cell, model.units, model.output)
        return native.Program(*of_model, training.optimizer, training.learning_rate, table)
    if engine == "jax":
        return own.Program(model, training, table, job.eval_interval)
    from memory_trials.engines import xla  # TensorFlow takes seconds to import, and may not be needed
    from memory_trials.models import keras_model

    return xla.Program(
        keras_model.make_model(model, table.inputs, table.symbols), training, table, size, job.eval_interval
    )


def library(engine: str) -> compiler.Library | None:
    """What an engine in C is compiled into; it has the same bits on every processor."""
    if engine == "streaming":
        from memory_trials.engines import streaming

        return streaming.LIBRARY
    return native.LIBRARY if engine == "native" else None


def key(job: TrainingJob, engine: str, on_gpu: bool) -> str:
    """Names the results of this job by what they depend on."""
    settings, arrays = job.task.identity()
    unseen = {"trials", "first_seed", "engine"} | (set() if job.task.endless else IN_THE_TABLE)
    what = {
        "engine": f"{engine}{'_gpu' * on_gpu}, {compiler.processor()}" if engine in ("xla", "jax") else engine,
        "model": job.model.model_dump(),
        "training": job.training.model_dump(exclude=unseen),
        "eval_interval": job.eval_interval,
        "task": settings,
    }
    if engine == "jax" and (held := own.pickled(job.model.cell)):  # of a cell in no file, the code counts in this form
        what["cell"] = hashlib.sha256(held).hexdigest()
    return cache.key(what, arrays, engine, job.model.cell, job.stream)


def shard_size(trials: int, largest: int, threads: int) -> int:
    """Trials in each shard: as few shards as fit the bound, but enough for every thread, and evenly filled."""
    count = -(-trials // largest)
    count = min(-(-count // threads) * threads, trials)
    return -(-trials // count)


def size_for(job: TrainingJob, trials: int, compute: ComputeSettings, workers: int) -> int:
    """Trials in each shard. On a cluster not less than are worth to be sent, as far as the bounds allow."""
    if job.task.endless:  # vectors are filled first
        return min(compute.shard, LANES, trials)
    bound = min(compute.shard, largest(job))
    size = shard_size(trials, bound, workers)
    if compute.backend == "ray":
        worth = -(-TASK_AT_LEAST // (job.epoch_cost * job.training.epochs))
        size = max(size, min(bound, trials, int(worth)))
    return size


def largest(job: TrainingJob) -> int:
    """Trials in a shard at most: an epoch is the least that can be kept, so it must not take long."""
    return max(1, int(EPOCH_AT_MOST / job.epoch_cost))


def first_call(job: TrainingJob, engine: str, size: int) -> int:
    """Epochs that the first call of the program trains a shard for."""
    return max(1, int(FIRST_CALL.get(engine, 0) / (job.epoch_cost * size)))


def shard_count(job: TrainingJob, compute: ComputeSettings, workers: int) -> int:
    """Into how many shards a job is cut of which nothing is kept."""
    return -(-job.training.trials // size_for(job, job.training.trials, compute, workers))
