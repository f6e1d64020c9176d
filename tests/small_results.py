"""The tutorial's pipeline with four short trials, in this process."""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from stages import encode, evaluate, generate_data, train
from tests.conftest import ROOT, change_params


@contextlib.contextmanager
def small_result(folder: Path, *changes: tuple[str, str]) -> Iterator[None]:
    """Leave the result in a folder, which is the current one inside the block; changes: of params.yaml, old and new."""
    shutil.copy(ROOT / "params.yaml", folder)
    short = (("trials: 100", "trials: 4"), ("epochs: 250", "epochs: 40"), ("enabled: true", "enabled: false"))
    for old, new in (*short, *changes):
        change_params(folder, old, new)
    arguments = sys.argv
    sys.argv = ["-"]
    try:
        with contextlib.chdir(folder):
            for stage in (generate_data, encode, train, evaluate):
                stage.main()
            yield
    finally:
        sys.argv = arguments
