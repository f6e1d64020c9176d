"""How often does a recurrent network learn to remember? Many trials, one honest rate.

Data flows one way: params -> problem -> table of updates -> trials -> verdicts -> metrics, figures, runs.
docs/architecture.md is its map; each module's first lines tell its one job.
"""

import sys


def _missing(kind, error, traceback) -> None:
    """What ends a program: a library that is not installed in one sentence, anything else as ever.

    DVC runs `python`, whichever comes first on the PATH: that may be the system's.
    """
    name = (getattr(error, "name", None) or "").split(".")[0]
    if kind is not ModuleNotFoundError or name in ("", "memory_trials", "stages"):
        return sys.__excepthook__(kind, error, traceback)
    print(
        f"error: {sys.executable} has no module {name}: it is not this project's Python, or an old one; run make setup "
        "and put .venv/bin first on the PATH (source .venv/bin/activate)",
        file=sys.stderr,
    )


sys.excepthook = _missing
