"""DVC stage probe_page: the trials of all recorded cells -> PROBE.md, and its pictures."""

import json
import sys
from pathlib import Path

from memory_trials import files
from memory_trials.errors import UserError, exit_on_user_error
from memory_trials.probe import by_hand, longer, recorded, trials
from memory_trials.probe import plan as plans
from memory_trials.report import probe_figures, probe_page
from memory_trials.settings import load_settings
from memory_trials.studies import design
from memory_trials.tracking import probe as publisher

TIMES = Path("benchmarks/results.json")  # where benchmarks.probe_time leaves them


def main() -> None:
    plan = plans.load(plans.FILE)
    found = recorded.read(plan, plan.cells)
    summary = recorded.summarize(plan, found, json.loads(files.read_text(TIMES))["probe_time"])
    if summary is None:
        raise UserError(f"{trials.RECORDED} has no trial of a cell of {plans.FILE}: run memory-trials probe")
    summary |= {"longer": longer.recorded(plan), "by_hand": by_hand.recorded(plan)}
    pictures = {name: path.as_posix() for name, path in probe_figures.write(summary, design.PICTURES).items()}
    files.write_text("PROBE.md", probe_page.page(summary, probe_page.TITLE, pictures, probe_page.ABOUT))
    settings = load_settings().tracking
    if settings.enabled:
        try:
            publisher.publish(summary, found, settings)
        except UserError as error:  # the result is what counts, and it is complete
            print(f"warning: {error}; make probe publishes it later", file=sys.stderr)


if __name__ == "__main__":
    exit_on_user_error(main)
