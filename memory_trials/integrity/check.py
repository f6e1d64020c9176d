"""For CI: does the recorded result match code and parameters, and is it good enough? (make check)

    python -m memory_trials compare [REVISION to compare with; the commit before this one by default]

Prints a Markdown table of the metrics, here and at the other revision, and exits with 1 where a check fails.
"""

import hashlib
import json
import math
import subprocess
from pathlib import Path
from typing import TypeGuard

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.evaluation import results
from memory_trials.integrity.summary import summary
from memory_trials.integrity.tools import DVC, run
from memory_trials.settings import Settings, load_settings
from memory_trials.studies import dependencies

METRICS = Path("data/tutorial") / results.METRICS
BEFORE = "HEAD~1"
# numbers that need not be: half of the trials never learned, no step needs memory, too few trials for an interval
MAY_BE_NONE = ("median_epochs_to_learn", "memory_", "margin_", "signal_", "bias_", "chance_", "afresh_", "stateful_")


def stale(status: dict, outputs: set[str]) -> list[str]:
    """Return what is out of date by `dvc status --json`, in one sentence each.

    Args:
        status: {stage: [{"changed deps": {path: how}}, {"changed outs": ...}, "changed command", ...]}.
        outputs: Paths of outputs, of which a missing one is not out of date: a fresh clone has only what is in git.
    """
    sentences = []
    for stage, changes in status.items():
        for change in changes:
            if isinstance(change, str):
                sentences.append(f"{stage}: {change}")
                continue
            for paths in change.values():
                for path, how in paths.items():
                    if isinstance(how, dict):  # parameters: {file: {parameter: how}}
                        sentences += [f"{stage}: {path} {name} {word}" for name, word in how.items()]
                    elif not (how in ("deleted", "not in cache") and path in outputs):
                        sentences.append(f"{stage}: {path} {how}")
    return sentences


def recorded_outputs(stages: dict) -> set[str]:
    """Return the paths that dvc.lock records as outputs kept by DVC. stages: what `files.recorded` returns."""
    return {out["path"] for stage in stages.values() for out in stage.get("outs", [])}


def changed_code(stages: dict) -> list[str]:
    """Name the tutorial's stages whose code computes something else than when they were recorded, a sentence each.

    Where only comments or messages have changed, DVC would rerun the stage `code`, whose outputs are the same. stages:
    `files.recorded`.
    """
    recorded = {out["path"]: out["md5"] for out in stages.get("code", {}).get("outs", [])}
    return [
        f"{stage}: its code, or the default of a setting, has changed"
        for stage in dependencies.TUTORIAL
        for text in [files.json_text(dependencies.of_stage(stage))]
        if hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        != recorded.get(dependencies.code_of(stage).as_posix())
    ]


def changes(revision: str | None) -> str:
    """Return the metrics as Markdown, beside those of a revision.

    Args:
        revision: The commit, branch or experiment. None is the commit before the current one; if there is none, as in a
            shallow clone, the metrics have nothing beside them.

    Raises:
        UserError: There is no revision of this name.
    """
    if revision is None and not _is_here(BEFORE):
        return run(*DVC, "metrics", "show", "--md", METRICS.as_posix())
    targets = ("--targets", METRICS.as_posix())
    return run(*DVC, "metrics", "diff", "--md", "--all", *targets, "--", revision or BEFORE)


def _is_here(revision: str) -> bool:
    done = subprocess.run(["git", "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"], capture_output=True)
    return done.returncode == 0


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    return f"{value:.4g}" if _number(value) else "none"


def check_numbers(metrics: dict, floor: float, memory_floor: float | None = None) -> list[str]:
    """Return what is wrong with metrics.json, in one sentence each: an invalid number, or one below its floor."""
    sentences = [
        f"{METRICS}: {key} is {value!r}, which is not a finite number"
        for key, value in metrics.items()
        if not (_number(value) and math.isfinite(value)) and not (value is None and key.startswith(MAY_BE_NONE))
    ]
    low = metrics.get("success_rate_low")
    if not _number(low) or not low >= floor:
        sentences.append(
            f"the success rate's interval begins at {_text(low)}, below check.success_rate_floor, which is {floor:g}"
            + _by(low, floor)
        )
    memory = metrics.get("memory_median_low")
    if memory_floor is not None and not (_number(memory) and memory >= memory_floor):
        sentences.append(
            f"the median memory's interval begins at {_text(memory)}, below check.memory_floor, {memory_floor:g}"
            + _by(memory, memory_floor)
        )
    return sentences


def _by(number: object, floor: float) -> str:
    return f", by {floor - number:.3g}" if _number(number) and math.isfinite(number) else ""


def metrics_at(revision: str | None) -> dict | None:
    """Return the metrics that are recorded at a revision of git's; None where it has none."""
    try:
        found = json.loads(run("git", "show", f"{revision or BEFORE}:{METRICS.as_posix()}"))
    except (UserError, ValueError):  # such as a first commit, or the name of an experiment of DVC's
        return None
    return found if isinstance(found, dict) else None


def mistakes_of(metrics: dict, settings: Settings) -> list[str]:
    """Return what is out of step or not good enough in the recorded result, a sentence each."""
    # `dvc status` exits with 0 even when stale, so what it prints is read
    stages = files.recorded()
    status = json.loads(run(*DVC, "status", "--json"))
    status.pop("code", None)  # any changed comment makes it rerun; its outputs are what counts
    mistakes = stale(status, recorded_outputs(stages)) + changed_code(stages)
    if mistakes:
        mistakes.append("the recorded result is stale: run dvc repro and commit dvc.lock and the metrics")
    return mistakes + check_numbers(metrics, settings.check.success_rate_floor, settings.check.memory_floor)


def check(revision: str | None = None, as_json: bool = False) -> None:
    """Print the metrics beside another revision's, as `changes` has them; `UserError` says what is out of step or not
    good enough."""
    settings = load_settings()
    stages = files.recorded()
    if not stages:  # else DVC would call each of its files stale
        raise UserError("dvc.lock does not exist, or records nothing: run dvc repro to make it")
    metrics, before = files.read_json(METRICS), metrics_at(revision)
    if as_json:
        mistakes = mistakes_of(metrics, settings)
        found = {"passed": not mistakes, "mistakes": mistakes, "metrics": metrics, "before": before}
        print(files.json_text(found), end="")
        if mistakes:
            raise UserError(f"{len(mistakes)} checks failed")
        return
    print(summary(metrics, before, revision or BEFORE, settings.check.success_rate_floor))
    print(changes(revision))
    if mistakes := mistakes_of(metrics, settings):
        raise UserError("\nerror: ".join(mistakes))
    print("\nThe recorded result is in step with code and parameters and passes the gate.")
