"""DVC stage probe: a cell of probe.yaml -> a row for each of its trials on all tasks."""

import sys
from pathlib import Path

from memory_trials.errors import exit_on_user_error
from memory_trials.probe import one, trials
from memory_trials.probe import plan as plans
from memory_trials.settings import ComputeSettings


def main() -> None:
    plan, name = plans.load(plans.FILE), sys.argv[1]
    cell = plan.cells[name]
    found = one.measure(
        plan, name, cell.cell, cell.cell_options, cell.sizes, list(plan.tasks), ComputeSettings(), Path()
    )  # fmt: skip
    trials.write(trials.RECORDED / f"{name}.csv", found)


if __name__ == "__main__":
    exit_on_user_error(main)
