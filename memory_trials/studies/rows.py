"""The paper's rows: what Hochreiter & Schmidhuber (1997) report, and the arms that measure it anew, as data.

A row of experiments/paper.yaml is one arm with artifacts of its own in experiments/data/paper/, and what the paper says
of it.
"""

import difflib
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from memory_trials.errors import UserError, brief
from memory_trials.parameter_files import read_yaml
from memory_trials.settings import Section, Settings, validated
from memory_trials.studies.design import EXPERIMENTS, Arm, changed, pipeline_files

NO_RESULT_DEPENDS_ON_THIS = "it makes settings, on which stages depend by studies/dependencies.py"

FILE = EXPERIMENTS / "paper.yaml"
FOLDER = EXPERIMENTS / "data/paper"
PREFIX = "paper-"  # begins the name of a row's arm where studies have theirs, which hold no dash
CLOSE = 5  # rows that are named where there is none of a name
ARGUMENT = "paper/"  # begins a stage's argument that names a row
HEADINGS = {
    "1": "Experiment 1: embedded Reber grammar",
    "2a": "Experiment 2a: noise-free sequences with long time lags",
    "2b": "Experiment 2b: no local regularities",
    "2c": "Experiment 2c: very long time lags, no local regularities",
    "3a": "Experiment 3a: the two-sequence problem",
    "3b": "Experiment 3b: the two-sequence problem, the signal noisy too",
    "3c": "Experiment 3c: the two-sequence problem with noisy targets",
    "4": "Experiment 4: adding",
    "5": "Experiment 5: multiplication",
    "6a": "Experiment 6a: temporal order, four classes",
    "6b": "Experiment 6b: temporal order, eight classes",
    "long_sequences": "Our own long question: a middle that counts",
}


class Published(Section):
    """What the paper says of a row: how many trials, which share of them succeeded (%), after how many sequences in
    the mean, the number of weights, and how many test sequences were wrong. For the criterion ST1 first_after."""

    trials: Annotated[int, Field(ge=1)]
    successful: Annotated[float, Field(ge=0, le=100)] = 100.0
    after: Annotated[int, Field(ge=1)] | None = None
    first_after: Annotated[int, Field(ge=1)] | None = None
    weights: Annotated[int, Field(ge=1)] | None = None
    wrong: Annotated[float, Field(ge=0)] | None = None


class Row(Section):
    """A block of experiments/paper.yaml. like: the base that it starts from, before its own `set`.

    kind: a row of the paper's tables; another reading of what the paper leaves open, or a rival on the same task (`of`
    names the row that it stands beside); guess, random weights; or a question of our own.
    """

    experiment: Annotated[str, Field(min_length=1)]
    label: Annotated[str, Field(min_length=1)]
    kind: Literal["paper", "reading", "rival", "guess", "own"] = "paper"
    of: str | None = None
    like: str
    set: dict[str, Any]
    paper: Published | None = None


class Rows(Section):
    defaults: dict[str, Any]
    bases: dict[str, dict[str, Any]]
    rows: dict[str, Row]


def load_rows(path: Path | None = None) -> Rows:
    """experiments/paper.yaml; `UserError` for the first mistake."""
    path = path or FILE
    content = validated(Rows, read_yaml(path), str(path))
    for name, row in content.rows.items():
        if not re.fullmatch(r"[a-z0-9_]{1,60}", name):
            raise UserError(f"{FILE}: the row {brief(name)}: a name is made of at most 60 small letters, digits and _")
        if row.like not in content.bases:
            raise UserError(f"{FILE}: rows.{name}.like is {brief(row.like)}: allowed are {', '.join(content.bases)}")
        if row.experiment not in HEADINGS:
            raise UserError(
                f"{FILE}: rows.{name}.experiment is {brief(row.experiment)}: allowed are {', '.join(HEADINGS)}"
            )
        if row.of not in content.rows and (row.of is not None or row.kind == "reading"):
            raise UserError(f"{FILE}: rows.{name}.of is {brief(row.of)}, which is no row")
    return content


def row_arm(name: str, rows: Rows) -> Arm:
    """The arm of a row; `UserError` where there is no such row, or it is not valid."""
    if name not in rows.rows:
        close = difflib.get_close_matches(name, rows.rows, CLOSE) or list(rows.rows)[:CLOSE]
        raise UserError(f"{FILE} has no row {brief(name)}; among its {len(rows.rows)} rows are {', '.join(close)}")
    row, place = rows.rows[name], f"{FILE}: rows.{name}"
    changes = rows.bases[row.like] | row.set
    settings = validated(Settings, changed(rows.defaults, changes, place), place)
    if settings.problem.stream is None:
        raise UserError(f"{place}: it must set problem.stream")
    paths = replace(pipeline_files(FOLDER / name), folder=FOLDER / name / "arm")
    return Arm(f"{PREFIX}{name}", row.label, settings, changes, paths)


def row_of(arm: Arm) -> str | None:
    """The name of the row that an arm is; None of other arms."""
    return arm.study.removeprefix(PREFIX) if arm.study.startswith(PREFIX) else None
