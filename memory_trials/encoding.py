"""Sequences -> one-hot vectors -> the table of updates that an epoch consists of.

An epoch is a table: row u says which inputs update u sees, which targets it is scored on, and when the
cell's state is set to zero. Every way of training is another table; the training loop stays the same.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memory_trials import artifacts
from memory_trials.config import TrainingSettings
from memory_trials.errors import UserError
from memory_trials.problems import Problem

FORMAT = "memory-trials table 1"


@dataclass(frozen=True)
class Table:
    """What training and judging see. U updates, S steps in each, B rows side by side; K sequences of L steps.

    x [U, S, B, inputs] float32, y [U, S, B, symbols] float32: one-hot.
    scored [U, S, B] bool: the steps whose loss counts. reset [U, S] bool: state set to zero before the step.
    valid [U, S, B] bool: false where a short sequence is padded; the state does not move there.
    judge_x [K, L, inputs] float32, judge_y [K, L] int64, judge_scored [K, L] bool: what learned is decided on.
    """

    x: np.ndarray
    y: np.ndarray
    scored: np.ndarray
    reset: np.ndarray
    valid: np.ndarray
    judge_x: np.ndarray
    judge_y: np.ndarray
    judge_scored: np.ndarray


def one_hot(indices: np.ndarray, size: int) -> np.ndarray:
    """[...] integers -> [..., size] float32."""
    return np.eye(size, dtype=np.float32)[indices]


def make_table(problem: Problem, training: TrainingSettings) -> Table:
    """The table for a problem: each sequence cut into windows, one update a window, batch 1."""
    place = {symbol: index for index, symbol in enumerate(problem.alphabet)}
    size = len(problem.alphabet)
    longest = max(len(sequence) - 1 for sequence in problem.sequences)
    window = longest if training.window == "sequence" else training.window
    if window > longest:
        raise UserError(
            f"training.window is {window}: the longest sequence has {longest} steps, "
            f"so allowed are 1 to {longest}, or the word sequence"
        )
    x, y, scored, reset, valid = [], [], [], [], []
    judge_x = np.zeros((len(problem.sequences), longest, size), np.float32)
    judge_y = np.zeros((len(problem.sequences), longest), np.int64)
    judge_scored = np.zeros((len(problem.sequences), longest), bool)
    for k, (sequence, sequence_scored) in enumerate(zip(problem.sequences, problem.scored)):
        indices = np.array([place[symbol] for symbol in sequence])
        inputs, targets = one_hot(indices[:-1], size), one_hot(indices[1:], size)
        steps = len(inputs)
        judge_x[k, :steps], judge_y[k, :steps], judge_scored[k, :steps] = inputs, indices[1:], sequence_scored
        for start in range(0, steps, window):
            part = slice(start, min(start + window, steps))
            padding = window - (part.stop - part.start)
            x.append(np.pad(inputs[part], ((0, padding), (0, 0))))
            y.append(np.pad(targets[part], ((0, padding), (0, 0))))
            scored.append(np.pad(np.array(sequence_scored[part]), (0, padding)))
            valid.append(np.arange(window) < window - padding)
            first = training.reset == "window" or (training.reset == "sequence" and start == 0)
            reset.append(np.arange(window) == 0 if first else np.zeros(window, bool))
    row = lambda parts: np.stack(parts)[:, :, np.newaxis]  # one row: batch 1
    return Table(row(x), row(y), row(scored), np.stack(reset), row(valid), judge_x, judge_y, judge_scored)


def write_table(path: str | Path, table: Table) -> None:
    artifacts.write_arrays(path, FORMAT, vars(table), settings={})


def read_table(path: str | Path) -> Table:
    """`UserError` where the file is missing, damaged or something else."""
    _, arrays = artifacts.read_arrays(path, FORMAT, list(Table.__dataclass_fields__))
    table = Table(**{name: arrays[name] for name in Table.__dataclass_fields__})
    updates, steps, batch = table.x.shape[:3]
    if not (
        table.y.shape[:3] == table.scored.shape == table.valid.shape == (updates, steps, batch)
        and table.reset.shape == (updates, steps)
        and table.judge_x.shape[:2] == table.judge_y.shape == table.judge_scored.shape
    ):
        raise UserError(f"{path} is damaged (its arrays do not fit together): run dvc repro to make it anew")
    return table
