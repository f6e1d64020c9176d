"""The one loop in which a shard of trials is trained. It can be interrupted and continued with the same bytes.

A trial's result depends neither on its shard nor on the calls into which training is divided. What a call does depends
on the kind of task: `table_shards` trains on a table of updates, `stream_shards` on streams.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from memory_trials.training import cache, stream_shards, table_shards
from memory_trials.training.cache import TrialBatch
from memory_trials.training.job import TrainingJob

if TYPE_CHECKING:
    from jaxtyping import Float32, Int

NO_RESULT_DEPENDS_ON_THIS = "it cuts training into calls, and no trial depends on where"

Progress = Callable[[int, int, bool], None]


@runtime_checkable
class Shard(Protocol):
    """Trials on their way through a job. over: none of them is to be trained further."""

    @property
    def over(self) -> bool: ...

    def advance(self) -> tuple[int, int]:
        """Train for some tenths of a second: how many epochs, summed over trials, and how many have newly learned."""
        ...

    def checkpoint(self) -> TrialBatch:
        """Return all that is needed to go on from here.

        seeds; done [T], the epochs that each trial needs no more; learned [T, C], at checks so far; and what the kind
        of shard needs.
        """
        ...

    def result(self) -> TrialBatch:
        """Return seeds [T], losses [T, E], learned, margin and memory [T, C], weights/* [T, ...], and of streams
        met_criterion_at/* [T], as in `trained.Trained`."""
        ...


class ChunkProgress(NamedTuple):
    """What a call of a shard's program has come to.

    epochs, newly_learned: since the chunk before, summed over trials (kept: they were trained earlier). batch:
    a checkpoint that is to be kept, or where `over`, the trained shard.
    """

    epochs: int
    newly_learned: int
    kept: bool = False
    batch: TrialBatch | None = None
    over: bool = False


def new_shard(
    job: TrainingJob, program: Any, weights: list[Float32[np.ndarray, "T ..."]], seeds: Int[np.ndarray, " T"]
) -> TrialBatch:
    """Return the checkpoint of a shard before its first epoch, with these initial weights."""
    if job.task.endless:
        return stream_shards.new_shard(job, program, weights, seeds)
    return table_shards.new_shard(program, weights, seeds, job.training.shuffle)


def resumed(job: TrainingJob, program: Any, batch: TrialBatch, first_call: int = 1) -> Shard:
    """Return a shard that goes on from its checkpoint, whose arrays are used up.

    first_call: epochs for which the program is entered at first, where an epoch may take any time.
    """
    if job.task.endless:
        return stream_shards.StreamShard(job, program, batch)
    return table_shards.TableShard(program, batch, job.checks, first_call)


def run_shard(
    shard: Shard,
    keep: Callable[[TrialBatch], None] = lambda batch: None,
    report: Progress = lambda epochs, learned, kept: None,
) -> TrialBatch:
    """Train a shard to its end, and return its result. Now and then `keep` is given a checkpoint."""
    for chunk in chunks(shard, cache.SECONDS):
        if not chunk.over:
            report(chunk.epochs, chunk.newly_learned, chunk.kept)
            if chunk.batch is not None:
                keep(chunk.batch)
    return chunk.batch  # type: ignore[return-value]  # the last one is over, and has it


def chunks(shard: Shard, seconds: float) -> Iterator[ChunkProgress]:
    """Yield what `run_shard` goes through: each call, with a checkpoint every so many seconds; the last is over."""
    yield ChunkProgress(*so_far(shard.checkpoint()), kept=True)
    kept = time.monotonic()
    while not shard.over:
        chunk = ChunkProgress(*shard.advance())
        now = time.monotonic()
        if now - kept >= seconds and not shard.over:
            kept = now
            chunk = chunk._replace(batch=shard.checkpoint())
        yield chunk
    yield ChunkProgress(0, 0, batch=shard.result(), over=True)


def so_far(batch: TrialBatch) -> tuple[int, int]:
    """Return what a checkpoint has come to: epochs, summed over trials, and how many have learned."""
    return int(batch["done"].sum()), int(batch["learned"][:, -1:].sum())
