"""One thin file per DVC stage: read inputs, call the library, write outputs. Run by `dvc repro`.

Without an argument a stage works on the one arm of params.yaml; with the name of a study, on each of its arms; with
paper/ and the name of a row, on that row's arm.
"""

import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from memory_trials.studies import design, rows

gc.set_threshold(100_000)  # as memory_trials/cli.py has it


def chosen() -> list[design.Arm]:
    """The arms to work on: those of the study that the command line names, or the row of the paper, or the pipeline's
    own one. Of a study that searches for its arms, the one that the search starts from."""
    if len(sys.argv) > 1 and sys.argv[1].startswith(rows.ARGUMENT):
        return [rows.row_arm(sys.argv[1].removeprefix(rows.ARGUMENT), rows.load_rows())]
    return design.study_arms(sys.argv[1])[1] if len(sys.argv) > 1 else [design.pipeline_arm()]


COMPLETE = "complete\n"


@contextlib.contextmanager
def beside(module: str) -> Iterator[None]:
    """Another module of stages, for the same arms, in a process that gets ready (`complete`) while this block runs, and
    goes to work when the block is complete; where it fails, nothing comes of it."""
    command = [sys.executable, "-m", f"stages.{module}", *sys.argv[1:]]
    found_here = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = os.environ | {"PYTHONPATH": found_here}  # also where the present folder is another one
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment) as process:
        yield
        sys.stdout.flush()
        process.communicate(COMPLETE)
    if process.returncode:
        sys.exit(process.returncode)


def complete() -> bool:
    """In the process beside: wait for the block to end; whether it is complete."""
    return sys.stdin.readline() == COMPLETE
