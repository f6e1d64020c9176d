"""The pipeline's folder as the evaluate stage leaves it, of trials that were not trained."""

import numpy as np

from memory_trials import files
from memory_trials.settings import ProblemSettings, Settings
from memory_trials.studies import design
from memory_trials.tasks import encoding, problems
from memory_trials.training.trained import Trained, write_trained
from stages.evaluate import evaluate, keep_best_trial
from tests.serving.test_predictor import SEQUENCES, make_predictor

SEEDS = np.array([40, 41, 42])


def pipeline_arm() -> design.Arm:
    settings = Settings(problem=ProblemSettings(sequences=SEQUENCES), model={"units": 6})
    return design.Arm(design.PIPELINE, "", settings, {}, design.pipeline_files())


def write_here() -> None:
    """Make the folder in the present one."""
    arm = pipeline_arm()
    problem = problems.make_problem(arm.settings.problem)
    each = [make_predictor(seed=seed).weights for seed in SEEDS.tolist()]
    weights = {name: np.stack([trial[name] for trial in each]) for name in each[0]}
    losses = np.array([[0.9, 0.3], [0.9, 0.2], [0.9, 0.4]], np.float32)
    trained = Trained(SEEDS, weights, losses, np.array([2]), np.zeros((3, 1), bool), *np.zeros((2, 3, 1), np.float32))
    files.write_text(arm.files.sequences, problem.to_json())
    table = encoding.make_table(problem, arm.settings.encoding, arm.settings.training, False)
    table.write(arm.files.table)
    write_trained(arm.files.trained, trained, design.training_inputs(arm.settings))
    keep_best_trial(arm, evaluate(arm))
