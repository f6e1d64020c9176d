"""How often does a recurrent network learn to remember? Many trials, one honest rate.

Data flows one way: params -> problem -> table of updates -> trials -> verdicts -> metrics, figures, runs.
docs/architecture.md is its map; each module's first lines tell its one job. `API` is what Python code of your own may
count on; docs/questions.md ("From Python") has an example.
"""

import os
import pkgutil
import sys
from typing import Any

API = {
    "measure": "interactive.measure:measure",
    "Measured": "interactive.measured:Measured",
    "check": "interactive.check:check",
    "Settings": "settings:Settings",
    "load_settings": "settings:load_settings",
    "Problem": "tasks.problems:Problem",
    "make_problem": "tasks.problems:make_problem",
    "UpdateTable": "tasks.encoding:UpdateTable",
    "make_table": "tasks.encoding:make_table",
    "TrainingJob": "training.job:TrainingJob",
    "train": "training.trainer:train",
    "Trained": "training.trained:Trained",
    "outcome": "evaluation.results:outcome",
    "Outcome": "evaluation.results:Outcome",
    "Predictor": "serving.predictor:Predictor",
    "best_predictor": "serving.predictor:best_predictor",
    "read_predictor": "serving.predictor:read",
    "predict": "serving.predictor:predict",
    "UserError": "errors:UserError",
}
__all__ = list(API)


def __getattr__(name: str) -> Any:
    """Import what is asked for, and nothing before (PEP 562): the command starts without NumPy."""
    if name not in API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return pkgutil.resolve_name(f"{__name__}.{API[name]}")


def __dir__() -> list[str]:
    return sorted([*globals(), *API])


def _missing(kind, error, traceback) -> None:
    """What ends a program: a mistake of the user's and a library that is not installed in one sentence, else as ever.

    DVC runs `python`, whichever comes first on the PATH: that may be the system's.
    """
    if kind.__module__ == "memory_trials.errors" and os.environ.get("MEMORY_TRIALS_DEBUG") != "1":
        print(f"error: {error}", file=sys.stderr)
        return None
    name = (getattr(error, "name", None) or "").split(".")[0]
    if kind is not ModuleNotFoundError or name in ("", "memory_trials", "stages"):
        return sys.__excepthook__(kind, error, traceback)
    print(
        f"error: {sys.executable} has no module {name}: it is not this project's Python, or an old one; run make setup "
        "and put .venv/bin first on the PATH (source .venv/bin/activate)",
        file=sys.stderr,
    )


sys.excepthook = _missing
