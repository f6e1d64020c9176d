"""DVC stages probe and probe_by_state: a cell of probe.yaml, matched by a size -> a row for each of its trials."""

import sys
from pathlib import Path

from memory_trials.errors import exit_on_user_error
from memory_trials.probe import one, recorded, trials
from memory_trials.probe import plan as plans
from memory_trials.settings import ComputeSettings


def main() -> None:
    plan, name = plans.load(plans.FILE), sys.argv[1]
    size: plans.Size = "state" if sys.argv[2:] == ["state"] else "parameters"
    cell = plan.cells[name]
    found = one.measure(
        plan, name, cell.cell, cell.cell_options, [size], list(plan.tasks), ComputeSettings(), Path()
    )  # fmt: skip
    trials.write(recorded.path(name, size), found)


if __name__ == "__main__":
    exit_on_user_error(main)
