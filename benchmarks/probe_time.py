"""How long the cells of the probe take to train at their size in it, beside lstm.

    python -m benchmarks.probe_time

Sixteen trials of each on one task and one thread, checks included: what 128 more updates take, so that compiling and
starting do not count. In turns with lstm; medians of the rounds' ratios.
"""

import time
from pathlib import Path
from statistics import median

from benchmarks.tutorial import note
from memory_trials.probe import plan as plans
from memory_trials.probe import running
from memory_trials.training.cache import TrialCache

TASK, TRIALS, UPDATES, ROUNDS = "selective copying", 16, (125, 253), 3
RATE = 1e-6  # by which none learns, and stops


def seconds(plan: plans.Plan, arm: running.Arm) -> float:
    """Return what the further updates take."""
    took = []
    for updates in UPDATES:
        some, nothing = plan.model_copy(update={"updates": updates}), TrialCache(Path("nowhere"), megabytes=0)
        started = time.perf_counter()
        running.train(some, arm, RATE, TRIALS, 0, running.ONE_THREAD, nothing, lambda *_: None)
        took.append(time.perf_counter() - started)
    return took[1] - took[0]


def main() -> None:
    plan = plans.load()
    (beside,) = running.arms(plan, "lstm", "lstm", {}, "parameters", [TASK])
    seconds(plan, beside)  # the first compiles
    figures = {}
    for name, cell in plan.cells.items():
        (arm,) = running.arms(plan, name, cell.cell, cell.cell_options, "parameters", [TASK])
        seconds(plan, arm)
        figures[name] = round(median(seconds(plan, arm) / seconds(plan, beside) for _ in range(ROUNDS)), 2)
        print(f"{name}: {figures[name]} times lstm", flush=True)
    note("probe_time", figures)


if __name__ == "__main__":
    main()
