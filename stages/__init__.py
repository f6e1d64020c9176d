"""One thin file per DVC stage: read inputs, call the library, write outputs. Run by `dvc repro`.

Without an argument a stage works on the one arm of params.yaml; with the name of a study, on each of its arms.
"""

import sys

from memory_trials.studies import design


def chosen() -> list[design.Arm]:
    """The arms to work on: those of the study that the command line names, or the pipeline's own one. Of a study that
    searches for its arms, the one that the search starts from."""
    return design.study_arms(sys.argv[1])[1] if len(sys.argv) > 1 else [design.pipeline_arm()]
