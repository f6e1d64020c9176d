"""Trials that learn from endless streams: each trains on sequences of its own until it meets the task's criterion.

An epoch is one sequence. After every `evaluation.interval` of them the criteria of the task are looked at; a trial that
meets the first one stops, and keeps the weights that it has then. A trial's result depends on its seed and settings
alone: not on who trains beside it, on threads, or on where training was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memory_trials import files
from memory_trials.engines import streaming
from memory_trials.engines.interface import Errors
from memory_trials.engines.streaming import Program
from memory_trials.models.weights import guessed_weights, initial_weights
from memory_trials.settings import ComputeSettings, ModelSettings, TrainingSettings
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks import streams
from memory_trials.tasks.interface import Criterion, Sequences
from memory_trials.training import cache
from memory_trials.training.cache import TrialBatch
from memory_trials.training.trained import Trained
from memory_trials.training.trainer import all_trials, at_once, side_by_side

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64

    from memory_trials.training.batches import Progress

NO_STORE = cache.Store(Path(cache.FOLDER), megabytes=0)
SHARD = 16  # trials: two vectors of the engine
POINTS = 200  # checks at most whose errors and verdicts are kept, evenly spread over the logarithm of their numbers
FALLS = 0.01  # an error that falls by less than this share from one block to the next has stopped to decrease
TESTED_AT_ONCE = 256  # sequences; a trial that fails among them is not tested on more
FEW = 8  # sequences that are tested before all others
GUESSED_AT_ONCE = 16  # likewise, since almost every guess fails at once


@dataclass(frozen=True, eq=False)
class StreamingJob:
    """All that the result of a trial depends on, but for its seed. interval: sequences between two looks."""

    model: ModelSettings
    training: TrainingSettings
    stream: StreamSettings
    interval: int

    @property
    def looks(self) -> int:
        """How often the criteria are looked at, at most."""
        return -(-self.training.epochs // self.interval)

    @property
    def checks(self) -> Int64[np.ndarray, " C"]:
        """After how many sequences errors and verdicts are kept."""
        kept = np.geomspace(1, self.looks, min(self.looks, POINTS)).round().astype(np.int64)
        return np.minimum(np.unique(kept) * self.interval, self.looks * self.interval)

    def key(self) -> str:
        """Names the results of this job by what they depend on."""
        what = {
            "engine": streaming.LIBRARY.identity(),
            "model": self.model.model_dump(),
            "training": self.training.model_dump(exclude={"trials", "first_seed", "engine"}),
            "stream": self.stream.model_dump(),
            "interval": self.interval,
        }
        return cache.key(what, {}, "streaming", self.model.cell)


def train(
    job: StreamingJob,
    compute: ComputeSettings,
    progress: Progress = lambda epochs, learned, kept: None,
    store: cache.Store = NO_STORE,
) -> Trained:
    """Train every trial of the job that the store does not have; `losses` are the mean absolute errors of the sequences
    between two of `checks`, the last one's from where a trial stopped on."""
    entry = cache.Entry(store, job.key())
    program = Program(job.model, job.training, streams.shape(job.stream))

    def run(batch: TrialBatch, report: Progress) -> TrialBatch:
        trained = _train_shard(job, program, batch, entry.keep_checkpoint, report)
        entry.keep(trained)
        return trained

    def train_missing(missing: np.ndarray) -> list[TrialBatch]:
        begun = entry.begun(missing)
        fresh = cache.without(missing, begun)
        shards = begun + [_new(job, program, fresh[i : i + SHARD]) for i in range(0, len(fresh), SHARD)]
        return side_by_side(run, shards, at_once(compute), progress)

    return _trained(job, all_trials(entry, job.training, _learned, train_missing, progress))


def _trained(job: StreamingJob, whole: TrialBatch) -> Trained:
    until = files.section(whole, "until/")
    first = next(iter(until.values()))[:, np.newaxis]
    nothing = np.full((len(whole["seeds"]), len(job.checks)), np.nan, np.float32)
    return Trained(
        seeds=whole["seeds"],
        weights=files.section(whole, "weights/"),
        losses=whole["losses"],
        checks=job.checks,
        learned=(first > 0) & (first <= job.checks),
        margin=nothing,
        memory=nothing,
        until=until,
    )


def _learned(batch: TrialBatch) -> Bool[np.ndarray, " T"]:
    return next(array for name, array in batch.items() if name.startswith("until/")) > 0


def _new(job: StreamingJob, program: Program, seeds: np.ndarray) -> TrialBatch:
    """A shard before its first sequence, as a checkpoint holds it.

    done: looks so far. until/*: after how many sequences each criterion was met, 0: not yet. recent/*: of the last
    training sequences that a criterion asks for, the largest and the mean error. since: the sum of errors since the
    last of `checks`, and how many sequences that were. awake: the cell is there; error: of the last block before it
    was.
    """
    shape = streams.shape(job.stream)
    weights = initial_weights(job.model, shape.inputs, shape.outputs, seeds)
    criteria = streams.criteria(job.stream)
    recent = max((c.sequences for c in criteria.values() if c.on == "train"), default=0)
    count = len(seeds)
    state = program.start(weights).arrays() if job.training.optimizer != "guess" else {}
    return {
        "seeds": seeds,
        "done": np.zeros(count, np.int64),
        "losses": np.zeros((count, len(job.checks)), np.float32),
        "since": np.zeros((count, 2), np.float64),
        "awake": np.full(count, job.model.cell_options.get("added") != "later"),
        "error": np.full(count, np.inf),
        "recent/worst": np.full((count, recent), np.inf, np.float32),
        "recent/absolute": np.full((count, recent), np.inf, np.float32),
        **{f"until/{name}": np.zeros(count, np.int64) for name in criteria},
        **{f"weights/{name}": array for name, array in zip(program.names, weights)},
        **{f"state/{name}": array for name, array in state.items()},
    }


def _train_shard(
    job: StreamingJob, program: Program, batch: TrialBatch, keep: Callable[[TrialBatch], None], report: Progress
) -> TrialBatch:
    """Train a shard from where it is until each of its trials has learned, or has had all its sequences."""
    criteria, guesses = streams.criteria(job.stream), job.training.optimizer == "guess"
    batch = {name: array.copy() for name, array in batch.items()}
    active = np.flatnonzero(~_learned(batch))
    done = int(batch["done"][active].max(initial=0))
    report(done * job.interval * len(active), 0, True)
    kept = time.monotonic()
    told, newly = 0, 0
    told_at = kept
    running = {name: array[active] for name, array in batch.items()}  # a trial leaves it when it has learned
    exam = Exam(job, program)
    while len(active) and done < job.looks:
        if guesses:
            done, met, guessed = _guess(job, program, running["seeds"], done, exam)
        else:
            state = program.resume(files.section(running, "state/"))
            sequences = streams.draw(job.stream, running["seeds"], "train", done, job.interval)
            errors = _train_block(program, state, sequences, running)
            _remember(job, running, done, errors)
            running |= {f"state/{name}": array for name, array in state.arrays().items()}
            done += 1
            met = {
                name: running["awake"] & (_met_in_training(criterion, running) if criterion.on == "train" else
                                          exam.passed(criterion, state, running["seeds"]))
                for name, criterion in criteria.items()
            }  # fmt: skip
        running["done"][:] = done
        for name, passed in met.items():
            first = passed & (running[f"until/{name}"] == 0)
            running[f"until/{name}"][first] = done * job.interval
        over = next(iter(met.values())) | (done == job.looks)
        told += len(active) * job.interval
        if over.any():
            weights = guessed if guesses else program.weights(state)
            running |= {f"weights/{name}": array for name, array in zip(program.names, weights)}
            _carry_forward(job, running, over)
            for name, array in running.items():
                batch[name][active[over]] = array[over]
            newly += int(_learned(running)[over].sum())
            told += int(over.sum()) * (job.looks - done) * job.interval  # what these do not need any more
            active, running = active[~over], {name: array[~over] for name, array in running.items()}
        now = time.monotonic()
        if now - told_at > 0.2 or not len(active):
            report(told, newly, False)
            told, newly, told_at = 0, 0, now
        if now - kept >= cache.SECONDS and len(active):
            kept = now
            for name, array in running.items():
                batch[name][active] = array
            keep({name: array.copy() for name, array in batch.items()})
    return {
        name: array
        for name, array in batch.items()
        if not name.startswith(("state/", "recent/", "since", "awake", "error"))
    }


def _train_block(program: Program, state: streaming.State, sequences: Sequences, running: TrialBatch) -> Errors:
    """Train each trial on its block of sequences. A cell that is added later is added after the first block whose mean
    absolute error is not less, by `FALLS`, than that of the block before."""
    dormant = ~running["awake"]
    if not dormant.any():
        return program.train(state, sequences)
    whole = Errors(
        *(np.empty(sequences.lengths.shape, np.bool_ if name == "right" else np.float32) for name in Errors._fields)
    )
    for which in (running["awake"].copy(), dormant):
        if which.any():
            some = program.resume({name: array[which] for name, array in state.arrays().items()})
            errors = program.train(some, sequences.of(which), dormant=bool(which is dormant))
            for name, array in some.arrays().items():
                state.arrays()[name][which] = array
            for array, found in zip(whole, errors):
                array[which] = found
    error = whole.absolute.astype(np.float64).mean(axis=1)
    running["awake"] |= error > (1 - FALLS) * running["error"]
    running["error"] = error
    return whole


def _remember(job: StreamingJob, running: TrialBatch, done: int, errors: Errors) -> None:
    """Put the errors of a block of training sequences where criteria and curves find them."""
    for name, found in (("worst", errors.worst), ("absolute", errors.absolute)):
        recent = running[f"recent/{name}"]
        length = recent.shape[1]
        if length:
            running[f"recent/{name}"] = np.concatenate([recent, found], axis=1)[:, -length:]
    running["since"] += np.stack(
        [errors.absolute.astype(np.float64).sum(axis=1), np.full(len(errors.absolute), errors.absolute.shape[1])],
        axis=1,
    )
    check = np.searchsorted(job.checks, (done + 1) * job.interval)
    if job.checks[check] == (done + 1) * job.interval:
        running["losses"][:, check] = running["since"][:, 0] / running["since"][:, 1]
        running["since"][:] = 0


def _carry_forward(job: StreamingJob, running: TrialBatch, over: Bool[np.ndarray, " T"]) -> None:
    """The error of trials that stop, at all checks from here on."""
    check = int(np.searchsorted(job.checks, running["done"][0] * job.interval))
    for trial in np.flatnonzero(over):
        total, count = running["since"][trial]
        last = total / count if count else running["losses"][trial, max(0, check)]
        running["losses"][trial, check + (count == 0) :] = last


def _met_in_training(criterion: Criterion, running: TrialBatch) -> Bool[np.ndarray, " T"]:
    worst = running["recent/worst"][:, -criterion.sequences :]
    met = (~(worst < criterion.tolerance)).sum(axis=1) <= criterion.wrong
    if criterion.mean_error is not None:
        absolute = running["recent/absolute"][:, -criterion.sequences :].astype(np.float64)
        met &= absolute.mean(axis=1) < criterion.mean_error
    return met


class Exam:
    """Criteria that are decided on sequences of their own, with frozen weights. Each trial has always the same ones."""

    def __init__(self, job: StreamingJob, program: Program):
        self.job, self.program = job, program
        self.at_once = GUESSED_AT_ONCE if job.training.optimizer == "guess" else TESTED_AT_ONCE
        self._drawn: tuple[np.ndarray, Sequences] | None = None

    def passed(self, criterion: Criterion, state: streaming.State, seeds: np.ndarray) -> Bool[np.ndarray, " T"]:
        """Which trials meet the criterion; nobody is tested on more than is needed to tell."""
        together = criterion.judged == "most_active"  # the two sets of the grammar's strings are drawn together
        size = criterion.sequences if together else min(self.at_once, criterion.sequences)
        going = np.flatnonzero(self._can_pass(criterion, state, seeds, size))
        wrong, error = np.full(len(seeds), criterion.wrong + 1), np.zeros(len(seeds))
        wrong[going] = 0
        for block in range(-(-criterion.sequences // size) if len(going) else 0):
            if block == 0:
                sequences = self._first(size, seeds).of(going)
            else:
                sequences = streams.draw(self.job.stream, seeds[going], "check", block, size)
            some = self.program.resume({name: array[going] for name, array in state.arrays().items()})
            errors = self.program.test(some, sequences, criterion.last_step_only)
            counted = min(size, criterion.sequences - block * size)
            wrong[going] += (~errors.meet(criterion)[:, :counted]).sum(axis=1)
            error[going] += errors.absolute[:, :counted].astype(np.float64).sum(axis=1)
            going = going[wrong[going] <= criterion.wrong]
            if not len(going):
                break
        met = wrong <= criterion.wrong
        if criterion.mean_error is not None:
            met &= error / criterion.sequences < criterion.mean_error
        return met

    def _can_pass(
        self, criterion: Criterion, state: streaming.State, seeds: np.ndarray, size: int
    ) -> Bool[np.ndarray, " T"]:
        """Whom the first few sequences do not rule out: most trials at most looks."""
        few = min(FEW, size)
        errors = self.program.test(state, self._first(size, seeds).first(few), criterion.last_step_only)
        return (~errors.meet(criterion)).sum(axis=1) <= criterion.wrong

    def _first(self, size: int, seeds: np.ndarray) -> Sequences:
        """What almost all looks come to is kept while the trials stay the same."""
        if self._drawn is None or not np.array_equal(self._drawn[0], seeds):
            self._drawn = (seeds, streams.draw(self.job.stream, seeds, "check", 0, size))
        return self._drawn[1]


def _guess(
    job: StreamingJob, program: Program, seeds: np.ndarray, done: int, exam: Exam
) -> tuple[int, dict[str, np.ndarray], list[np.ndarray]]:
    """As many guesses as there are sequences between two looks; each counts as one. Of a trial that has guessed right
    the weights are those of its first right guess, and it stops at this look."""
    shape, criteria = streams.shape(job.stream), streams.criteria(job.stream)
    met = {name: np.zeros(len(seeds), bool) for name in criteria}
    best: list[np.ndarray] = []
    decides = next(iter(criteria))
    for number in range(done * job.interval, (done + 1) * job.interval):
        weights = guessed_weights(job.model, shape, seeds, number)
        state = program.start(weights)
        best = best or [array.copy() for array in weights]
        open_still = ~met[decides]
        for name, criterion in criteria.items():
            passed = exam.passed(criterion, state, seeds) & open_still
            if name == decides:
                for kept, array in zip(best, weights):
                    kept[passed] = array[passed]
            met[name] |= passed
        if met[decides].all():
            break
    return done + 1, met, best
