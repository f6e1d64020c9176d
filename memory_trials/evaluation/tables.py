"""The tables that evaluation leaves of an arm: their columns, how numbers are rounded, and how they are read again.

Numbers are rounded to so many digits that what a machine does with the last ones cannot show.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from memory_trials import files
from memory_trials.errors import UserError

DIGITS = 7  # significant ones of a number; a single-precision number has no more
DECIMALS = 6  # of leads, memory and activations, which may be differences of almost equal numbers

# Each table's columns and what they hold, as pandas reads them; Int64 may be missing.
TABLES = {
    "trials": {
        "seed": "int64", "learned": "int64", "sequence_accuracy": "float64", "step_accuracy": "float64",
        "final_loss": "float64", "first_learned_epoch": "Int64", "margin": "float64", "memory": "float64",
    },
    "predictions": {
        "seed": "int64", "sequence": "int64", "step": "int64", "input": "str", "target": "str", "predicted": "str",
        "activation": "float64", "lead": "float64", "scored": "int64", "right": "int64",
    },
    "confusion": {
        "seed": "int64", "sequence": "int64", "step": "int64", "input": "str", "target": "str", "predicted": "str",
    },
    "loss": {"epoch": "int64", "median": "float64", "p10": "float64", "p90": "float64"},
    "learned": {"epoch": "int64", "share_learned": "float64", "low": "float64", "high": "float64"},
    "remembered": {"epoch": "int64", "median": "float64", "p10": "float64", "p90": "float64"},
    "time_to_learn": {"epoch": "int64", "share_ever_learned": "float64", "low": "float64", "high": "float64"},
    "free_run": {"seed": "int64", "sequence": "int64", "prefix": "str", "following": "str"},
}  # fmt: skip


def rounded(value: int | float | None) -> int | float | None:
    """Return a metric as it is written; None if it is not finite."""
    if not isinstance(value, float):
        return value
    if not np.isfinite(value):
        return None
    return round(float(f"{value:.{DIGITS}g}"), DECIMALS + 3)


def typed_frame(name: str, columns) -> pd.DataFrame:
    """Return a table of these columns, rounded, in the order and of the types in `TABLES`."""
    kinds = TABLES[name]
    frame = pd.DataFrame(dict(zip(kinds, columns)), columns=list(kinds)).astype(kinds)
    for column in frame.select_dtypes("float"):
        digits = [float(f"{value:.{DIGITS}g}") for value in frame[column]]
        frame[column] = digits if column == "final_loss" or name == "loss" else np.round(digits, DECIMALS)
    return frame


def read_table(folder: Path, name: str) -> pd.DataFrame:
    path, kinds = folder / f"{name}.csv", TABLES[name]
    missing = {column: [""] for column, kind in kinds.items() if kind in ("float64", "Int64")}
    try:
        frame = pd.read_csv(
            io.StringIO(files.read_text(path)), dtype=kinds, keep_default_na=False, na_values=missing,
        )  # fmt: skip
        if list(frame.columns) != list(kinds):
            raise ValueError("other columns")
    except ValueError:  # pandas' own are ValueErrors too
        raise UserError(f"{path} is damaged: run dvc repro to make it anew") from None
    return frame
