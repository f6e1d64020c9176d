"""One thin file per DVC stage: read inputs, call the library, write outputs. Run by `dvc repro`.

Without an argument a stage works on the one arm of params.yaml; with the name of a study, on each of its arms; with the
name of an arm that is trained by itself, on that arm.
"""

import gc
import sys

from memory_trials.studies import design

gc.set_threshold(100_000)  # as memory_trials/cli.py has it


def arms_from_argv() -> list[design.Arm]:
    """The arms to work on: those that the command line names, or the pipeline's own one. Of a study that searches for
    its arms, the one that the search starts from."""
    return design.find(sys.argv[1])[1] if len(sys.argv) > 1 else [design.pipeline_arm()]
