"""One thin file per DVC stage: read inputs, call the library, write outputs. Run by `dvc repro`.

Without an argument a stage works on the one arm of params.yaml; with the name of a study, on each of its arms.
"""

import sys
from pathlib import Path

from memory_trials import studies


def chosen() -> tuple[studies.Study | None, list[studies.Arm]]:
    """The study that the command line names, if any, and the arms to work on."""
    if len(sys.argv) < 2:
        return None, [studies.pipeline_arm()]
    return studies.study_arms(sys.argv[1])


def keep_only(folder: Path, names: set[str]) -> None:
    """Remove what an earlier version of a study left behind."""
    import shutil

    for path in folder.iterdir() if folder.exists() else []:
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
