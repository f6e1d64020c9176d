"""One thin file per DVC stage: read inputs, call the library, write outputs. Run by `dvc repro`.

Without an argument a stage works on the one arm of params.yaml; with the name of a study, on each of its arms; with
paper/ and the name of a row, on that row's arm.
"""

import gc
import sys

from memory_trials.studies import design, rows

gc.set_threshold(100_000)  # as memory_trials/cli.py has it


def arms_from_argv() -> list[design.Arm]:
    """The arms to work on: those of the study that the command line names, or the row of the paper, or the pipeline's
    own one. Of a study that searches for its arms, the one that the search starts from."""
    if len(sys.argv) > 1 and sys.argv[1].startswith(rows.ARGUMENT):
        return [rows.row_arm(sys.argv[1].removeprefix(rows.ARGUMENT), rows.load_rows())]
    return design.study_arms(sys.argv[1])[1] if len(sys.argv) > 1 else [design.pipeline_arm()]
