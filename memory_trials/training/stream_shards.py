"""A shard of trials that learn from streams: each trains on sequences of its own until it meets the task's criterion.

An epoch is one sequence. After every `eval_interval` of them, and at the end, the criteria of the task are looked at; a
trial that meets the first one stops, and keeps the weights that it has then. A trial's result depends on its seed and
settings alone: not on who trains beside it, on threads, or on where training was interrupted.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import numpy as np

from memory_trials import files
from memory_trials.engines.interface import Errors, State, StreamProgram
from memory_trials.models.weights import guessed_weights
from memory_trials.tasks.interface import Criterion, Sequences
from memory_trials.training.cache import TrialBatch, take_trials
from memory_trials.training.trained import FOUND

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int

    from memory_trials.tasks.streams import Stream
    from memory_trials.training.job import TrainingJob

FALLS = 0.01  # an error that falls by less than this share from one block to the next has stopped to decrease
TESTED_AT_ONCE = 256  # sequences; a trial that fails among them is not tested on more
FEW = 8  # sequences that are tested before all others
GUESSED_AT_ONCE = 16  # likewise, since almost every guess fails at once
LONG_ENOUGH = 0.2  # seconds of a call, for somebody who watches
MET = "met_criterion_at/"
ON_THE_WAY = ("done", "state/", "recent/", "since", "awake", "error")  # what a result does not need


def new_shard(
    job: TrainingJob, program: StreamProgram, weights: list[Float32[np.ndarray, "T ..."]], seeds: Int[np.ndarray, " T"]
) -> TrialBatch:
    """Return the checkpoint of a shard before its first sequence.

    done: sequences so far; of a trial that has stopped all that there might have been. met_criterion_at/*: after how
    many sequences each criterion was met, 0: not yet. recent/*: of the last training sequences that a criterion asks
    for, the largest and the mean error. since: the sum of errors since the last of the job's checks, and how many
    sequences that were. awake: the cell is there; error: of the last block before it was.
    """
    criteria, count = cast("Stream", job.task).criteria, len(seeds)
    recent = max((c.sequences for c in criteria.values() if c.on == "train"), default=0)
    state = program.start(weights).arrays() if job.training.optimizer != "guess" else {}
    found = {"learned": False, "margin": np.nan, "memory": np.nan}
    return {
        "seeds": seeds,
        "done": np.zeros(count, np.int64),
        "losses": np.zeros((count, len(job.checks)), np.float32),
        **{name: np.full((count, len(job.checks)), value, FOUND[name]) for name, value in found.items()},
        "since": np.zeros((count, 2), np.float64),
        "awake": np.full(count, job.model.cell_options.get("added") != "later"),
        "error": np.full(count, np.inf),
        "recent/worst": np.full((count, recent), np.inf, np.float32),
        "recent/absolute": np.full((count, recent), np.inf, np.float32),
        **{f"{MET}{name}": np.zeros(count, np.int64) for name in criteria},
        **{f"weights/{name}": array for name, array in zip(program.names, weights)},
        **{f"state/{name}": array for name, array in state.items()},
    }


class StreamShard:
    """Trials on their way, as `shards.Shard` has it: those that have stopped, and the running ones."""

    def __init__(self, job: TrainingJob, program: StreamProgram, batch: TrialBatch):
        self.job, self.program, self.stream = job, program, cast("Stream", job.task)
        self.checks, self.epochs = job.checks, job.training.epochs
        self.batch = {name: array.copy() for name, array in batch.items()}
        self.active = np.flatnonzero(batch["done"] < self.epochs)
        self.running = take_trials(self.batch, self.active)
        self.done = int(batch["done"][self.active].max(initial=0))
        self.decides = next(iter(self.stream.criteria))
        self.exam = Exam(job, program)

    @property
    def over(self) -> bool:
        return not len(self.active)

    def advance(self) -> tuple[int, int]:
        """Train until the next report. Epochs that a trial does not need, because it has learned, count as done."""
        started, before = time.monotonic(), self._so_far()
        while True:
            self._to_the_next_look()
            if self.over or time.monotonic() - started > LONG_ENOUGH:
                epochs, learned = self._so_far()
                return epochs - before[0], learned - before[1]

    def _so_far(self) -> tuple[int, int]:
        stopped = len(self.batch["seeds"]) - len(self.active)
        learned = int((self.batch[f"{MET}{self.decides}"] > 0).sum())
        return stopped * self.epochs + len(self.active) * self.done, learned

    def checkpoint(self) -> TrialBatch:
        for name, array in self.running.items():
            self.batch[name][self.active] = array
        return {name: array.copy() for name, array in self.batch.items()}

    def result(self) -> TrialBatch:
        return {name: array for name, array in self.batch.items() if not name.startswith(ON_THE_WAY)}

    def _to_the_next_look(self) -> None:
        running, first = self.running, self.done
        self.done = min(first + self.job.eval_interval, self.epochs)
        if self.job.training.optimizer == "guess":
            met, weights = self._guess(range(first, self.done))
        else:
            state = self.program.resume(files.section(running, "state/"))
            sequences = self.stream.draw(running["seeds"], "train", first, self.done - first)
            _remember(self.checks, running, self.done, train_block(self.program, state, sequences, running))
            running |= {f"state/{name}": array for name, array in state.arrays().items()}
            met = {
                name: running["awake"] & (_met_in_training(criterion, running) if criterion.on == "train" else
                                          self.exam.passed(criterion, state, running["seeds"]))
                for name, criterion in self.stream.criteria.items()
            }  # fmt: skip
        running["done"][:] = self.done
        for name, passed in met.items():
            running[f"{MET}{name}"][passed & (running[f"{MET}{name}"] == 0)] = self.done
        over = met[self.decides] | (self.done == self.epochs)
        if over.any():
            if self.job.training.optimizer != "guess":
                weights = self.program.weights(state)
            running |= {f"weights/{name}": array for name, array in zip(self.program.names, weights)}
            _carry_forward(self.checks, running, self.done, over)
            running["learned"][over] = met[self.decides][over, np.newaxis] & (self.checks >= self.done)
            running["done"][over] = self.epochs
            for name, array in running.items():
                self.batch[name][self.active[over]] = array[over]
            self.active, self.running = self.active[~over], take_trials(running, ~over)

    def _guess(self, numbers: range) -> tuple[dict[str, Bool[np.ndarray, " T"]], list[Float32[np.ndarray, "T ..."]]]:
        """Who meets which criterion by its guesses of these numbers, each of which counts as a sequence. Of a trial
        that has guessed right the weights are those of its first right guess, and it stops at this look."""
        seeds, criteria = self.running["seeds"], self.stream.criteria
        met = {name: np.zeros(len(seeds), bool) for name in criteria}
        best: list[np.ndarray] = []
        for number in numbers:
            weights = guessed_weights(self.job.model, self.stream.shape, seeds, number)
            state = self.program.start(weights)
            best = best or [array.copy() for array in weights]
            open_still = ~met[self.decides]
            for name, criterion in criteria.items():
                passed = self.exam.passed(criterion, state, seeds) & open_still
                if name == self.decides:
                    for kept, array in zip(best, weights):
                        kept[passed] = array[passed]
                met[name] |= passed
            if met[self.decides].all():
                break
        return met, best


def train_block(program: StreamProgram, state: State, sequences: Sequences, running: TrialBatch) -> Errors:
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


def _remember(checks: Int[np.ndarray, " C"], running: TrialBatch, done: int, errors: Errors) -> None:
    """Put the errors of a block of training sequences, of which `done` is the last, where criteria and curves find
    them."""
    for name, found in (("worst", errors.worst), ("absolute", errors.absolute)):
        recent = running[f"recent/{name}"]
        length = recent.shape[1]
        if length:
            running[f"recent/{name}"] = np.concatenate([recent, found], axis=1)[:, -length:]
    running["since"] += np.stack(
        [errors.absolute.astype(np.float64).sum(axis=1), np.full(len(errors.absolute), errors.absolute.shape[1])],
        axis=1,
    )
    check = np.searchsorted(checks, done)
    if checks[check] == done:
        running["losses"][:, check] = running["since"][:, 0] / running["since"][:, 1]
        running["since"][:] = 0


def _carry_forward(checks: Int[np.ndarray, " C"], running: TrialBatch, done: int, over: Bool[np.ndarray, " T"]) -> None:
    """Write the error of trials that stop to all checks from here on."""
    check = int(np.searchsorted(checks, done))
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

    def __init__(self, job: TrainingJob, program: StreamProgram):
        self.stream, self.program = cast("Stream", job.task), program
        self.size = GUESSED_AT_ONCE if job.training.optimizer == "guess" else TESTED_AT_ONCE
        self._drawn: tuple[np.ndarray, Sequences] | None = None

    def passed(self, criterion: Criterion, state: State, seeds: np.ndarray) -> Bool[np.ndarray, " T"]:
        """Return which trials meet the criterion; none is tested on more sequences than the answer takes."""
        together = criterion.judged == "most_active"  # the two sets of the grammar's strings are drawn together
        size = criterion.sequences if together else min(self.size, criterion.sequences)
        going = np.flatnonzero(self._can_pass(criterion, state, seeds, size))
        wrong, error = np.full(len(seeds), criterion.wrong + 1), np.zeros(len(seeds))
        wrong[going] = 0
        for block in range(-(-criterion.sequences // size) if len(going) else 0):
            if block == 0:
                sequences = self._first(size, seeds).of(going)
            else:
                sequences = self.stream.draw(seeds[going], "check", block * size, size)
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

    def _can_pass(self, criterion: Criterion, state: State, seeds: np.ndarray, size: int) -> Bool[np.ndarray, " T"]:
        """The trials that pass a quick screening on the first few sequences: at most looks few do."""
        few = min(FEW, size)
        errors = self.program.test(state, self._first(size, seeds).first(few), criterion.last_step_only)
        return (~errors.meet(criterion)).sum(axis=1) <= criterion.wrong

    def _first(self, size: int, seeds: np.ndarray) -> Sequences:
        """The first sequences, which almost all looks take, are drawn once while the trials stay the same."""
        if self._drawn is None or not np.array_equal(self._drawn[0], seeds):
            self._drawn = (seeds, self.stream.draw(seeds, "check", 0, size))
        return self._drawn[1]
