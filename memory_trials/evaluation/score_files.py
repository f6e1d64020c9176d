"""Tables of scores from anywhere: a CSV file with one row for each run, read into runs by task and model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memory_trials.errors import UserError, brief

if TYPE_CHECKING:
    from jaxtyping import Float

MOST = 1_000_000  # rows


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what.

    model: what is compared. task: one or more columns, which together name what models are compared on. seed: names a
    run of a model on a task. score: a number. lower_is_better: of an error or a loss. choose: a setting, such as the
    learning rate, of which each model takes its best value on each task; choose_by: the score that decides, None for
    `score` itself.
    """

    model: str = "model"
    task: tuple[str, ...] = ("task",)
    seed: str = "seed"
    score: str = "score"
    lower_is_better: bool = False
    choose: str | None = None
    choose_by: str | None = None


@dataclass(frozen=True)
class Scores:
    """Runs by task and model; more is better, so errors are negative. paired: in every task all models have the same
    seeds, and position s of their scores is the same seed. chosen: the value of `Columns.choose`, by task and model."""

    tasks: dict[str, dict[str, Float[np.ndarray, " S"]]]
    paired: bool
    chosen: dict[str, dict[str, str]]

    @property
    def models(self) -> list[str]:
        """All models, in the order in which the tasks name them."""
        return list(dict.fromkeys(model for runs in self.tasks.values() for model in runs))


def read(path: Path, columns: Columns) -> Scores:
    """Read a table of scores.

    Args:
        path: a CSV file with a header, compressed or not; one row for each run.
        columns: which columns mean what.

    Returns:
        The runs of every task on which at least two models were run; models that no task can compare are left out.

    Raises:
        UserError: the file cannot be read, lacks a column, repeats a run, or has a score that is no finite number.
    """
    frame = _read_frame(path)
    _check_columns(path, frame, columns)
    if frame.empty:
        raise UserError(f"{path} has no row below its header")
    tasks_named = [" ".join(words) for words in zip(*(_text(frame[name]) for name in columns.task))]
    frame = frame.assign(task=tasks_named, model=_text(frame[columns.model]))
    sign = -1 if columns.lower_is_better else 1
    frame = frame.assign(score=sign * _numbers(path, frame, columns.score))
    chosen: dict[str, dict[str, str]] = {}
    if columns.choose:
        frame, chosen = _choose(path, frame, columns, sign)
    _check_runs(path, frame, columns)
    tasks: dict[str, dict[str, np.ndarray]] = {}
    paired = True
    for task, rows in frame.groupby("task", sort=False):
        by_seed = [(str(model), runs.sort_values(columns.seed)) for model, runs in rows.groupby("model", sort=False)]
        if len(by_seed) < 2:
            continue
        tasks[str(task)] = {model: runs["score"].to_numpy(np.float64) for model, runs in by_seed}
        paired &= len({tuple(runs[columns.seed]) for _, runs in by_seed}) == 1
    if not tasks:
        raise UserError(f"{path}: no task has two models in the column {columns.model}, so there is nothing to rank")
    return Scores(tasks, paired, chosen)


def _read_frame(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, nrows=MOST + 1, low_memory=False)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except (OSError, ValueError, EOFError) as error:  # pandas' own errors and those of decoding are ValueErrors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} cannot be read as a CSV file: {reason}") from None


def _check_columns(path: Path, frame: pd.DataFrame, columns: Columns) -> None:
    wanted = [columns.model, *columns.task, columns.seed, columns.score, columns.choose, columns.choose_by]
    for name in filter(None, wanted):
        if name not in frame.columns:
            raise UserError(f"{path} has no column {brief(name)}; it has {', '.join(map(str, frame.columns))}")
    for name in (columns.model, *columns.task, columns.seed):
        if (empty := frame[name].isna()).any():
            raise UserError(f"{path}, line {int(np.argmax(empty.to_numpy())) + 2}: the column {name} is empty")
    if len(frame) > MOST:
        raise UserError(f"{path} has more than {MOST:,} rows")


def _text(column: pd.Series) -> list[str]:
    """A column as words, "" where it is empty."""
    return ["" if empty else str(value) for value, empty in zip(column, column.isna())]


def _numbers(path: Path, frame: pd.DataFrame, name: str) -> pd.Series:
    """A column as numbers, NaN where it is empty; `UserError` where it is something else."""
    numbers = pd.to_numeric(frame[name], errors="coerce")
    wrong = frame[name].notna() & numbers.isna()
    if wrong.any():
        line = int(np.argmax(wrong.to_numpy()))
        raise UserError(f"{path}, line {line + 2}: {name} is {brief(str(frame[name].iloc[line]))}, which is no number")
    return numbers.astype(np.float64)


def _choose(
    path: Path, frame: pd.DataFrame, columns: Columns, sign: int
) -> tuple[pd.DataFrame, dict[str, dict[str, str]]]:
    """Keep, of each model on each task, the rows of the setting whose mean score decides. A setting with a run that has
    no finite score is never chosen; a model without the setting, or with one value of it, keeps all its rows."""
    decides = sign * _numbers(path, frame, columns.choose_by or columns.score)
    frame = frame.assign(_setting=_text(frame[columns.choose]), _decides=decides.where(np.isfinite(decides)))
    kept, chosen = [], {}
    for (task, model), rows in frame.groupby(["task", "model"], sort=False):
        means = {
            setting: some["_decides"].mean() if some["_decides"].notna().all() else -math.inf
            for setting, some in rows.groupby("_setting", sort=False)
        }
        best = max(means, key=lambda setting: means[setting])
        if len(means) > 1 and means[best] == -math.inf:
            raise UserError(f"{path}: {model} on {task} has no {columns.choose} whose runs all have a finite score")
        kept.append(rows[rows["_setting"] == best])
        chosen.setdefault(str(task), {})[str(model)] = best
    return pd.concat(kept), chosen


def _check_runs(path: Path, frame: pd.DataFrame, columns: Columns) -> None:
    """`UserError` for the first run that has no finite score, or that comes twice."""
    where = lambda row: f"{row['model']} on {row['task']}, {columns.seed} {row[columns.seed]}"
    bad = frame[~np.isfinite(frame["score"])]
    if len(bad):
        raise UserError(
            f"{path}: {where(bad.iloc[0])}: {columns.score} is no finite number; leave such runs out, or give them the "
            "worst score there is"
        )
    twice = frame[frame.duplicated(["task", "model", columns.seed])]
    if len(twice):
        raise UserError(
            f"{path}: {where(twice.iloc[0])} comes more than once; name the column that tells these runs apart with "
            "--task, or with --choose if each model is to take its best value"
        )


def names(text: Sequence[str]) -> tuple[str, ...]:
    """Return column names from texts that may hold several, separated by commas."""
    return tuple(name.strip() for given in text for name in given.split(",") if name.strip())
