"""The table of a probe's trials, a row for each: what was trained, whether it learned, and for how long that holds."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from memory_trials import files, project
from memory_trials.errors import UserError

RECORDED = Path("experiments/data/probe")  # a file for each recorded cell
# learned_after: sequences, missing where the trial has not learned. right: of the test sequences at that many times the
# length, how many were answered without a mistake; accuracy: which share of scored steps; bits: the mean logarithm of
# base 2 of the target's probability there. error: the mean absolute error of the last training sequences.
COLUMNS = {
    "cell": "str", "task": "str", "size": "str", "seed": "int64", "rate": "float64", "units": "int64",
    "parameters": "int64", "state": "int64", "learned_after": "Int64", "error": "float64",
}  # fmt: skip
OF_LENGTH = {"right": "int64", "accuracy": "float64", "bits": "float64"}
DIGITS = 6


def columns(lengths: Iterable[int]) -> dict[str, str]:
    """Return the columns of a table whose trials were asked at so many times the length, and what they hold."""
    return COLUMNS | {f"{name}_{times}": kind for times in lengths for name, kind in OF_LENGTH.items()}


def write(path: Path, trials: pd.DataFrame) -> None:
    """Write a table of trials; the same trials give the same bytes."""
    files.write_text(path, trials.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n"))


def read(path: Path, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Read a table of trials with these columns, in their order; `UserError` where it is damaged, or has others.

    Args:
        path: of the file.
        kinds: of each column, what it holds, such as `columns` has it.
    """
    missing = {name: [""] for name, kind in kinds.items() if kind in ("float64", "Int64")}
    try:
        frame = pd.read_csv(
            io.StringIO(files.read_text(path)), dtype=kinds, keep_default_na=False, na_values=missing
        )  # fmt: skip
    except ValueError:  # pandas' own are ValueErrors too
        raise UserError(f"{path} is damaged, or no table of a probe's trials") from None
    if list(frame.columns) != list(kinds):
        raise UserError(f"{path} has other columns than the plan asks for: record it anew")
    return frame


def recorded(lengths: Iterable[int], cells: Iterable[str]) -> pd.DataFrame:
    """Return the recorded trials of these cells, as far as there are any: those of the project in the current folder,
    or those that come with the package."""
    folder = RECORDED if RECORDED.is_dir() else project.shared(RECORDED)
    kinds = columns(lengths)
    tables = [read(path, kinds) for cell in cells if (path := folder / f"{cell}.csv").is_file()]
    if not tables:
        return pd.DataFrame(columns=list(kinds)).astype(kinds)
    return pd.concat(tables, ignore_index=True)
