"""Are the recorded trials of the probe what this code trains, on this machine?

JAX gives the same bits on the same kind of processor only. So where trials differ, it is asked whether as many learn as
before, up to chance.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
import pandas as pd

from memory_trials.errors import UserError
from memory_trials.evaluation import statistics
from memory_trials.probe import recorded, running, trials
from memory_trials.probe.plan import Plan
from memory_trials.settings import ComputeSettings
from memory_trials.training.cache import FOLDER, TrialCache
from memory_trials.training.job import LANES

LEVEL = 0.001  # of the test whether as many learn as before: one arm in a thousand fails by chance
DIGITS = 10.0 ** (1 - trials.DIGITS)  # to which errors are recorded


class Verified(NamedTuple):
    """Some recorded trials of an arm, trained anew. same: how many have the same result to the last digit that is
    recorded. p: of Fisher's exact test that as many learn."""

    cell: str
    task: str
    size: str
    seeds: str
    number: int
    same: int
    p: float

    @property
    def agrees(self) -> bool:
        return self.same == self.number or self.p >= LEVEL


def verify(plan: Plan, arms: int, seed: int | None, compute: ComputeSettings) -> list[Verified]:
    """Train so many recorded arms anew, `LANES` trials of each, and compare them with what is recorded.

    Args:
        plan: by which they were recorded.
        arms: how many, drawn at random.
        seed: of the draw; None: another one each time.
        compute: threads.

    Raises:
        UserError: no trial is recorded, or the recorded ones have another size than the plan gives them.
    """
    groups = list(recorded.read(plan, plan.cells).groupby(["cell", "task", "size"], sort=True))
    if not groups:
        raise UserError(f"no trial of a probe is recorded in {trials.RECORDED}")
    draw = random.Random(seed)
    return [_verified(plan, rows, draw, compute) for _, rows in draw.sample(groups, min(arms, len(groups)))]


def _verified(plan: Plan, rows: pd.DataFrame, draw: random.Random, compute: ComputeSettings) -> Verified:
    cell, task, size = rows[["cell", "task", "size"]].iloc[0]
    probed = plan.cells[cell]
    (arm,) = running.arms(plan, cell, probed.cell, probed.cell_options, size, [task])
    if (arm.model.units, arm.parameters, arm.state) != tuple(rows[["units", "parameters", "state"]].iloc[0]):
        raise UserError(f"{recorded.path(cell, size)}: the units of {task} are others than the plan gives")
    first = draw.randrange(0, len(rows), LANES)
    some = rows.sort_values("seed").iloc[first : first + LANES]
    rate, start = float(some["rate"].iloc[0]), int(some["seed"].iloc[0])
    nothing = TrialCache(trials.RECORDED / FOLDER, megabytes=0)
    found = running.train(plan, arm, rate, len(some), start, compute, nothing, lambda *_: None)
    after, before = running.learned_after(plan, arm, found), some["learned_after"].fillna(0).to_numpy(int)
    errors = found.losses[:, -1].astype(float)
    same = (after == before) & (np.abs(errors - some["error"]) <= DIGITS * some["error"])
    p = statistics.fisher(int((after > 0).sum()), len(some), int((before > 0).sum()), len(some))
    return Verified(cell, task, size, f"{start} to {start + len(some) - 1}", len(some), int(same.sum()), p)


def text(found: list[Verified]) -> str:
    """Say in Markdown what was verified."""
    lines = ["| cell | task | matched by | seeds | the same | |", "|---|---|---|---|---:|---|"]
    for row in found:
        verdict = "the same" if row.same == row.number else f"as many learn (p = {row.p:.2g})"
        lines.append(
            f"| {row.cell} | {row.task} | {row.size} | {row.seeds} | {row.same} of {row.number} | "
            f"{verdict if row.agrees else f'**other results** (p = {row.p:.2g})'} |"
        )
    return "\n".join(lines)
