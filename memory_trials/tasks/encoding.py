"""Sequences -> one-hot indices -> the table of updates that an epoch consists of.

An epoch is a table: row u says which inputs update u sees, which targets it is scored on, when the cell's
state is set to zero, and where the gradient stops. Every way of training is another table; the training
loop stays the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.settings import EncodingSettings, TrainingSettings
from memory_trials.tasks.problems import Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int, Int32, Int64

FORMAT = "memory-trials table 4"
NOTHING = -1


@dataclass(frozen=True)
class UpdateTable:
    """What training sees (U updates of S steps, B rows side by side) and what is evaluated (K rows of L steps).

    inputs, symbols: lengths of the input and of the output vector.
    x: where the input vector is 1 (F indices, -1: nowhere). y: the target's index.
    loss_mask: the steps whose loss counts.
    step_mask: false where a short sequence is padded; the state does not move there.
    reset: the state is set to zero before the step. detach: the state goes on, the gradient does not.
    block: updates of one block stay together when epochs are shuffled.
    eval_x, eval_y, eval_mask: what *learned* is decided on, each row from a state of zero. eval_position: which
    evaluation sequence and step that is, -1 where padded.
    eval_group: at a scored step that needs memory, which of the G sets of `candidates` holds the symbols that may
    follow; -1 elsewhere. candidates: these sets of symbols, -1 at their ends. eval_frequency: how often the target
    follows the same input, relative to a uniform guess among the candidates: 1 where all are equally frequent, and
    where no memory is needed (see `_needing_memory`).
    """

    inputs: int
    symbols: int
    x: Int32[np.ndarray, "U S B F"]
    y: Int32[np.ndarray, "U S B"]
    loss_mask: Bool[np.ndarray, "U S B"]
    step_mask: Bool[np.ndarray, "U S B"]
    reset: Bool[np.ndarray, "U S"]
    detach: Bool[np.ndarray, "U S"]
    block: Int32[np.ndarray, " U"]
    eval_x: Int32[np.ndarray, "K L F"]
    eval_y: Int32[np.ndarray, "K L"]
    eval_mask: Bool[np.ndarray, "K L"]
    eval_position: Int32[np.ndarray, "K L 2"]
    eval_group: Int32[np.ndarray, "K L"]
    eval_frequency: Float32[np.ndarray, "K L"]
    candidates: Int32[np.ndarray, "G M"]
    endless = False

    @property
    def outputs(self) -> int:
        """Length of the output vector."""
        return self.symbols

    def steps(self, epochs: int = 1, interval: int = 1) -> int:
        """Return how many steps are trained on, or evaluated every so many epochs."""
        return epochs * self.y.size + -(-epochs // interval) * self.eval_y.size

    def checks(self, epochs: int, interval: int) -> Int64[np.ndarray, " C"]:
        """Return after which epochs trials are evaluated: every so many, and at the end."""
        return np.minimum(np.arange(1, -(-epochs // interval) + 1) * interval, epochs)

    def identity(self) -> tuple[dict, dict[str, Any]]:
        """Return what a trial's result depends on, besides settings: the arrays."""
        return {}, dict(vars(self))

    def write(self, path: str | Path, seed: int = 0) -> None:
        """Write the table, which is the same for every seed."""
        arrays = {name: np.asarray(value) for name, value in vars(self).items()}
        files.write_arrays(path, FORMAT, arrays, settings={})

    def epoch(self) -> str:
        """Return what an epoch is, in one line."""
        updates, steps, batch, _ = self.x.shape
        return f"an epoch is {updates} updates of {steps} steps, batch {batch}, {self.symbols} symbols"

    @property
    def updates(self) -> int:
        """Optimizer steps in an epoch: updates in which nothing is scored only move the state."""
        return int(self.loss_mask.any(axis=(1, 2)).sum())


def one_hot(indices: Int[np.ndarray, "*shape F"], size: int) -> Float32[np.ndarray, "*shape {size}"]:
    """The sum of F one-hot vectors; -1 adds nothing."""
    padded = np.eye(size + 1, size, dtype=np.float32)  # the last row, which -1 picks, is zero
    return padded[indices].sum(axis=-2)


@dataclass(frozen=True)
class _Steps:
    """Consecutive time steps, as in an `UpdateTable`. starts: a sample begins."""

    x: Int32[np.ndarray, "L B F"]
    y: Int32[np.ndarray, "L B"]
    loss_mask: Bool[np.ndarray, "L B"]
    step_mask: Bool[np.ndarray, "L B"]
    position: Int32[np.ndarray, "L B 2"]
    starts: Bool[np.ndarray, " L"]


def make_table(problem: Problem, encoding: EncodingSettings, training: TrainingSettings, stateful: bool) -> UpdateTable:
    """The table for a problem. `UserError` where history or window is longer than every sequence."""
    longest = max(len(sequence) - 1 for sequence in (*problem.sequences, *problem.evaluation_sequences))
    as_steps = encoding.history_as == "steps"
    shortest = min(len(sequence) - 1 for sequence in (*problem.sequences, *problem.evaluation_sequences))
    if as_steps and encoding.history > shortest:
        raise UserError(
            f"encoding.history is {encoding.history}: as steps, every sequence needs one full window, "
            f"so allowed are 1 to {shortest}"
        )
    samples = longest - (encoding.history - 1 if as_steps else 0)  # of the longest sequence
    window = samples if training.window == "sequence" else training.window
    if window > samples:
        raise UserError(
            f"training.window is {window}: the longest sequence has {samples} steps, "
            f"so allowed are 1 to {samples}, or the word sequence"
        )
    trained = [_steps(problem, sequence, k, encoding) for k, sequence in enumerate(problem.sequences)]
    if training.batch_of == "steps":
        blocks = [_rows_of_steps(steps, training.batch) for steps in trained]
    else:
        blocks = [_side_by_side(trained[k : k + training.batch]) for k in range(0, len(trained), training.batch)]

    updates, reset, detach, block = [], [], [], []
    for number, steps in enumerate(blocks):
        samples_before = np.cumsum(steps.starts) - 1
        window_starts = steps.starts & (samples_before % window == 0)
        block_start = np.arange(len(steps.starts)) == 0
        block_reset = {
            "window": window_starts,
            "sequence": block_start,
            "epoch": block_start & (number == 0),
            "never": np.zeros_like(block_start),
        }[training.reset]
        bounds = np.flatnonzero(window_starts) if training.update == "window" else [0]
        for of_update in np.split(np.arange(len(steps.starts)), bounds[1:]):
            updates.append(_rows(steps, of_update))
            reset.append(block_reset[of_update])
            detach.append(window_starts[of_update])
            block.append(number)
    if training.update == "epoch":
        updates, reset, detach, block = [_joined(updates)], [np.concatenate(reset)], [np.concatenate(detach)], [0]

    size = max(len(update.starts) for update in updates)
    rows = max(update.y.shape[1] for update in updates)
    updates = [_padded(update, size, rows) for update in updates]
    flags = lambda rows: np.stack([np.pad(row, (0, size - len(row))) for row in rows])
    stacked = lambda name: np.stack([getattr(update, name) for update in updates])
    shown = encoding.history if not as_steps else 1
    return UpdateTable(
        inputs=len(problem.alphabet) * shown,
        symbols=len(problem.alphabet),
        x=stacked("x"), y=stacked("y"), loss_mask=stacked("loss_mask"), step_mask=stacked("step_mask"),
        reset=flags(reset), detach=flags(detach), block=np.array(block, np.int32),
        **_evaluation_arrays(problem, encoding, training, stateful),
    )  # fmt: skip


def _steps(problem: Problem, sequence: tuple, number: int, encoding: EncodingSettings) -> _Steps:
    """One sequence, B = 1. History as features: the present symbol's index, then the one before it in a further
    segment of the input vector, and so on; as steps: each symbol to predict has a run of time steps of its own."""
    indices = np.array([problem.index[symbol] for symbol in sequence], np.int32)
    targets = np.array([problem.index[symbol] for symbol in problem.targets(sequence)], np.int32)
    loss_mask, history = np.array(problem.scored(sequence)), encoding.history
    count = len(indices) - 1
    if encoding.history_as == "features":
        padded = np.concatenate([np.full(history - 1, NOTHING, np.int32), indices[:-1]])
        back = np.arange(history)
        x = padded[np.arange(count)[:, np.newaxis] + history - 1 - back]  # [L, F]
        x = np.where(x == NOTHING, NOTHING, x + back * len(problem.alphabet)).astype(np.int32)
        target, starts, is_last = np.arange(count), np.ones(count, bool), np.ones(count, bool)
    else:
        first = np.repeat(np.arange(count - history + 1), history)
        offset = np.tile(np.arange(history), count - history + 1)
        x = indices[first + offset][:, np.newaxis]
        target, starts, is_last = first + history - 1, offset == 0, offset == history - 1
    row = lambda array: array[:, np.newaxis]
    position = np.stack([np.full(len(target), number), target], axis=-1).astype(np.int32)
    position[~is_last] = NOTHING
    return _Steps(
        x=row(x),
        y=row(np.where(is_last, targets[target], 0).astype(np.int32)),
        loss_mask=row(loss_mask[target] & is_last),
        step_mask=row(np.ones(len(target), bool)),
        position=row(position),
        starts=starts,
    )


def _rows(steps: _Steps, which: Int[np.ndarray, " n"]) -> _Steps:
    return _Steps(**{name: array[which] for name, array in vars(steps).items()})


def _padded(steps: _Steps, size: int, rows: int | None = None) -> _Steps:
    """With steps at the end, and rows, in which nothing happens."""
    rows = rows or steps.y.shape[1]
    nothing = {"x": NOTHING, "position": NOTHING}
    padded = {}
    for name, array in vars(steps).items():
        widths = [(0, size - len(array))]
        if array.ndim > 1:
            widths.append((0, rows - array.shape[1]))
        widths += [(0, 0)] * (array.ndim - len(widths))
        padded[name] = np.pad(array, widths, constant_values=nothing.get(name, 0))
    return _Steps(**padded)


def _joined(runs: list[_Steps]) -> _Steps:
    """One after the other in time."""
    rows = max(steps.y.shape[1] for steps in runs)
    runs = [_padded(steps, len(steps.starts), rows) for steps in runs]
    return _Steps(**{name: np.concatenate([getattr(steps, name) for steps in runs]) for name in vars(runs[0])})


def _side_by_side(sequences: list[_Steps]) -> _Steps:
    """Sequences as the rows of a batch, the shorter ones padded."""
    size = max(len(steps.starts) for steps in sequences)
    padded = [_padded(steps, size) for steps in sequences]
    rows = {
        name: np.concatenate([getattr(p, name) for p in padded], axis=1) for name in vars(padded[0]) if name != "starts"
    }
    longest = max(padded, key=lambda steps: steps.step_mask.sum())
    return _Steps(**rows, starts=longest.starts)


def _rows_of_steps(steps: _Steps, batch: int) -> _Steps:
    """Keras's batches of a sequence's samples: sample i goes to row i % batch, and each row has a state of its own.

    What the tutorial's code does when its n_batch is changed.
    """
    length = int(steps.starts.sum())
    run = len(steps.starts) // length  # time steps of a sample
    groups = -(-length // batch)
    padded = _padded(steps, groups * batch * run)
    # [group, row, time step of the sample] -> [group, time step, row]
    laid = lambda array: array.reshape(groups, batch, run, *array.shape[2:]).swapaxes(1, 2)
    rows = {
        name: laid(array).reshape(groups * run, batch, *array.shape[2:])
        for name, array in vars(padded).items()
        if name != "starts"
    }
    return _Steps(**rows, starts=np.arange(groups * run) % run == 0)


def _evaluation_arrays(
    problem: Problem, encoding: EncodingSettings, training: TrainingSettings, stateful: bool
) -> dict:
    """Each evaluation sequence is a row from a fresh state; `stateful`, in the batches and without the resets that
    training leaves out."""
    evaluated = [_steps(problem, sequence, k, encoding) for k, sequence in enumerate(problem.evaluation_sequences)]
    if stateful and training.batch_of == "steps":
        evaluated = [_rows_of_steps(steps, training.batch) for steps in evaluated]
    if stateful and training.reset in ("epoch", "never"):
        evaluated = [_joined(evaluated)]
    if stateful and training.reset == "window":
        evaluated = [
            _rows(steps, of_window)
            for steps in evaluated
            for of_window in np.split(np.arange(len(steps.starts)), _window_bounds(steps, training))
        ]
    size = max(len(steps.starts) for steps in evaluated)
    by_row = {
        name: np.concatenate([getattr(_padded(steps, size), name).swapaxes(0, 1) for steps in evaluated])
        for name in ("x", "y", "loss_mask", "position")
    }
    names = {"x": "eval_x", "y": "eval_y", "loss_mask": "eval_mask", "position": "eval_position"}
    return {names[name]: array for name, array in by_row.items()} | _needing_memory(by_row)


def _needing_memory(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Find the evaluation steps that need memory: the same input vector is followed by several symbols.

    What a model without memory can know at a step is its input: the present symbol, or all that `encoding.history`
    shows. Followers are counted over the scored evaluation steps with that input.

    Args:
        rows: x [K, L, F], y and loss_mask [K, L] of the evaluation rows.

    Returns:
        eval_group, eval_frequency and candidates, as in an `UpdateTable`.
    """
    scored = rows["loss_mask"]
    inputs, targets = list(map(tuple, rows["x"][scored].tolist())), rows["y"][scored].tolist()
    followers: dict[tuple, Counter[int]] = {}
    for shown, target in zip(inputs, targets):
        followers.setdefault(shown, Counter())[target] += 1
    several = {shown: counts for shown, counts in followers.items() if len(counts) > 1}
    sets = np.full((max(1, len(several)), max(map(len, several.values()), default=1)), NOTHING, np.int32)
    for row, counts in zip(sets, several.values()):
        row[: len(counts)] = sorted(counts)
    number = {shown: group for group, shown in enumerate(several)}
    relative = lambda counts, target: len(counts) * counts[target] / counts.total() if len(counts) > 1 else 1.0
    group, frequency = np.full(scored.shape, NOTHING, np.int32), np.ones(scored.shape, np.float32)
    group[scored] = [number.get(shown, NOTHING) for shown in inputs]
    frequency[scored] = [relative(followers[shown], target) for shown, target in zip(inputs, targets)]
    return {"eval_group": group, "eval_frequency": frequency, "candidates": sets}


def _window_bounds(steps: _Steps, training: TrainingSettings) -> Int[np.ndarray, " n"]:
    if training.window == "sequence":
        return np.array([], int)
    samples_before = np.cumsum(steps.starts) - 1
    return np.flatnonzero(steps.starts & (samples_before % training.window == 0))[1:]


def read_table(path: str | Path) -> UpdateTable:
    """`UserError` where the file is missing, damaged or something else."""
    names = list(UpdateTable.__dataclass_fields__)
    _, arrays = files.read_arrays(path, FORMAT, names)
    inputs, symbols = int(arrays.pop("inputs")), int(arrays.pop("symbols"))
    table = UpdateTable(inputs=inputs, symbols=symbols, **{name: arrays[name] for name in names if name in arrays})
    rows = table.eval_x.shape[:2]
    if not (
        table.x.shape[:3] == table.y.shape == table.loss_mask.shape == table.step_mask.shape
        and table.reset.shape == table.detach.shape == table.y.shape[:2]
        and table.block.shape == table.y.shape[:1]
        and rows == table.eval_y.shape == table.eval_mask.shape == table.eval_position.shape[:2]
        and rows == table.eval_group.shape == table.eval_frequency.shape
        and table.candidates.ndim == 2
    ):
        raise UserError(f"{path} is damaged (its arrays do not fit together): run dvc repro to make it anew")
    return table
