"""The recorded trials of the probe: a file for each cell and each size by which it is matched."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from memory_trials.probe import findings, trials
from memory_trials.probe.plan import SIZES, Plan, Size

BY_STATE_HAS_NO = ("bands", "misleading")  # which no picture or sentence shows
PLACES: dict[Size, str] = {"parameters": "{}", "state": "by_state/{}"}  # in the folder of recorded trials


def path(cell: str, size: Size) -> Path:
    """Return the file of a cell's trials, matched by a size."""
    return trials.RECORDED / f"{PLACES[size].format(cell)}.csv"


def read(plan: Plan, cells: Iterable[str], sizes: Iterable[Size] = SIZES) -> pd.DataFrame:
    """Return the recorded trials of these cells, matched by these sizes, as far as there are any: those of the project
    in the current folder, or those that come with the package.

    Args:
        plan: by which they were recorded.
        cells: names of its cells.
        sizes: by what they are matched.

    Raises:
        UserError: a file is damaged, or was recorded by another plan.
    """
    names = list(cells)
    return trials.recorded(plan.lengths, [PLACES[size].format(cell) for size in sizes for cell in names])


def summarize(
    plan: Plan, rows: pd.DataFrame, times: Mapping[str, float] | None = None, without: Collection[str] = ()
) -> dict[str, Any] | None:
    """Work out all that is said about the recorded cells; None where none is recorded.

    Args:
        plan: by which they were recorded.
        rows: as `read` returns them, of all sizes.
        times: how long cells take to train at their size, relative to one of them, as far as that is known.
        without: as `findings.summarize` has it.

    Returns:
        As `findings.summarize` has it, of the cells matched by parameters, with the time of each beside its recall; and
        by_state, the same of those matched by state, None where there are none.
    """
    of_size = {size: rows[rows["size"] == size] for size in SIZES}
    if of_size["parameters"].empty:
        return None
    by_state = None if of_size["state"].empty else findings.summarize(plan, of_size["state"], None, BY_STATE_HAS_NO)
    summary = findings.summarize(plan, of_size["parameters"], None, without)
    for row in summary["cells"]:
        if times and row["recall"] and row["cell"] in times:
            row["recall"]["time"] = times[row["cell"]]
    return summary | {"by_state": by_state}
