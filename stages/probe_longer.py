"""DVC stage probe_longer: a cell's recorded trials -> a row for each of those that were trained for longer."""

import sys
from pathlib import Path

from memory_trials.errors import exit_on_user_error
from memory_trials.probe import longer, recorded, trials
from memory_trials.probe import plan as plans
from memory_trials.settings import ComputeSettings


def main() -> None:
    plan, name = plans.load(plans.FILE), sys.argv[1]
    rows = trials.read(recorded.path(name, "parameters"), trials.columns(plan.lengths))
    found = longer.measure(plan, longer.load(plan), rows, ComputeSettings(), Path())
    trials.write(longer.RECORDED / f"{name}.csv", found)


if __name__ == "__main__":
    exit_on_user_error(main)
