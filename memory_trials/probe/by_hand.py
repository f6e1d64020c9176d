"""Weights that are set by hand: of a cell that does not learn a task, do they show that it can?

They are those of the very model that was trained, and it is asked in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from memory_trials.engines import own
from memory_trials.errors import UserError
from memory_trials.probe import findings, forms, machines, running, trials
from memory_trials.probe.forms import Weights
from memory_trials.probe.machines import Machine
from memory_trials.probe.plan import Plan, ProbedCell
from memory_trials.probe.running import Arm
from memory_trials.settings import ComputeSettings
from memory_trials.stream_settings import StreamSettings

RECORDED = trials.RECORDED / "by_hand.csv"
HISTORY = 2  # symbols in an input vector: the present one, and the one before it


class Solution(NamedTuple):
    """How a cell can solve a task. how: in some words. weights: the task's settings, the length of the input vector and
    the number of units -> all weights by name; `UserError` where that takes more units."""

    how: str
    weights: Callable[[StreamSettings, int, int], Weights]


def _computing(machine: Callable[[StreamSettings], Machine], form: str) -> Callable[..., Weights]:
    def weights(settings: StreamSettings, inputs: int, columns: int) -> Weights:
        made = machine(settings)
        if len(made.units) > columns:
            raise UserError(f"{settings.task} needs {len(made.units)} units, and there are {columns}")
        return forms.FORMS[form](made, inputs, columns)

    return weights


MACHINES = (
    ("cycle_navigation", "a finite automaton", machines.places, ("tanh", "relu", "lstm", "gru", "slstm")),
    ("selective_copying", "a shift register", machines.selective_register, ("lstm", "gru", "slstm")),
    ("copying_memory", "a shift register", machines.cued_register, ("lstm", "gru", "slstm")),
    ("induction", "a latch for each symbol", machines.latches, ("tanh", "relu")),
    ("a_n_b_n", "a counter", machines.counter, ("relu", "lstm")),
)
# by the form of a cell, and task
SOLUTIONS = {
    (form, task): Solution(how, _computing(machine, form))
    for task, how, machine, of_forms in MACHINES for form in of_forms
}  # fmt: skip
SOLUTIONS["reflecting", "parity"] = Solution("a reflection at each 1", forms.reflection)
SOLUTIONS["min_gru", "selective_copying"] = Solution("sums that fade at tokens alone", forms.fading_units)
SOLUTIONS["s6", "selective_copying"] = Solution("sums that fade at tokens alone", forms.fading_states)
SOLUTIONS["s6", "induction"] = Solution("a latch for each symbol", forms.latched_states)


def solution(plan: Plan, cell: str, task: str) -> Solution | None:
    """Return how a cell can solve a task, where that is known here."""
    return SOLUTIONS.get((_form(plan.cells[cell]), plan.tasks[task].task))


def _form(cell: ProbedCell) -> str:
    if cell.cell == "simple_rnn":
        return str(cell.cell_options.get("activation", "tanh"))
    if cell.cell == "delta_net" and cell.cell_options == {"beta_to": 2}:
        return "reflecting"
    return "" if cell.cell_options else cell.cell


def set_weights(plan: Plan, arm: Arm) -> Weights:
    """Return weights by name, in their order, with which an arm's model solves its task.

    Raises:
        UserError: no solution is known here, or it needs more units or another history than there are.
    """
    found, stream = solution(plan, arm.cell, arm.task), plan.stream(arm.task)
    if stream.shape.history != HISTORY:
        raise UserError(f"weights set by hand need a history of {HISTORY}, and the plan's is {stream.shape.history}")
    if found is None:
        raise UserError(f"no weights are known by which {arm.cell} does {arm.task}")
    weights = found.weights(stream.settings, stream.shape.inputs, arm.model.units)
    names = own.weight_names(arm.model, stream.shape.inputs, stream.shape.outputs)
    return {name: weights[name].astype(np.float32) for name in names}


def measure(plan: Plan, compute: ComputeSettings) -> pd.DataFrame:
    """Ask models with weights that are set by hand, as trained ones are asked.

    Args:
        plan: which cells and tasks there are; a cell is matched by parameters.
        compute: threads; no result depends on it.

    Returns:
        A row for each cell and task of which a solution is known: cell, task, how, units, and as right_* how many of
        the test sequences at that many times the length it answers without a mistake.
    """
    rows = []
    for name, cell in plan.cells.items():
        tasks = [task for task in plan.tasks if solution(plan, name, task)]
        for arm in running.arms(plan, name, cell.cell, cell.cell_options, "parameters", tasks):
            known = solution(plan, name, arm.task)
            weights = {of: array[np.newaxis] for of, array in set_weights(plan, arm).items()}
            row = {"cell": name, "task": arm.task, "how": known.how if known else "", "units": arm.model.units}
            for times in plan.lengths:
                right, _, _ = running.asked(plan, arm, np.array([plan.first_seed]), weights, times, compute)
                row[f"right_{times}"] = int(right[0])
            rows.append(row)
    return pd.DataFrame(rows, columns=list(columns(plan.lengths))).astype(columns(plan.lengths))


def columns(lengths: Sequence[int]) -> dict[str, str]:
    """Return the columns of such a table, and what they hold."""
    right = {f"right_{times}": "int64" for times in lengths}
    return {"cell": "str", "task": "str", "how": "str", "units": "int64"} | right


def recorded(plan: Plan) -> list[dict[str, Any]]:
    """Return what is recorded of weights that are set by hand: cell, task, how, units, `right`, of how many sequences
    at each length, and `holds`, up to how many times the length, by the rule for trials; 0: nowhere."""
    if not RECORDED.is_file():
        return []
    found, allowed = [], findings.wrong_allowed(plan)
    for row in trials.read(RECORDED, columns(plan.lengths)).to_dict("records"):
        right = {times: row.pop(f"right_{times}") for times in plan.lengths}
        fails = [times for times in plan.lengths if right[times] < plan.test_sequences - allowed]
        held = [times for times in plan.lengths if not fails or times < fails[0]]
        found.append(row | {"right": right, "sequences": plan.test_sequences, "holds": max(held, default=0)})
    return found
