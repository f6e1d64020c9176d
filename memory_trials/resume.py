"""What a study has trained so far, kept until the study is complete: a killed run goes on where it stopped.

Outside DVC's outputs, and only while a study is under way, so that a forced rerun does train again.
"""

import hashlib
import json
import shutil
from pathlib import Path

FOLDER = Path(".resume")


def kept(study: str, settings: dict, table: bytes) -> Path:
    """Where a trained arm is kept: the name stands for all that its result depends on, the code included."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode() + table)
    for path in sorted(
        [*Path("memory_trials").glob("*.[pc]*"), *Path("my_cells").rglob("*.py"), Path("requirements.txt")]
    ):
        if path.is_file():
            digest.update(path.read_bytes())
    return FOLDER / study / f"{digest.hexdigest()[:32]}.npz"


def forget(study: str) -> None:
    shutil.rmtree(FOLDER / study, ignore_errors=True)
