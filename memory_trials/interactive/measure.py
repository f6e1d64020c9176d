"""Measure any cell on any task, in one call: train trials, judge them, and return a result that shows itself.

No file is read or written; a progress bar is all that is seen meanwhile.
"""

from __future__ import annotations

import difflib
import importlib.util
import math
import sys
import time
from typing import TYPE_CHECKING, Any

from memory_trials.errors import UserError
from memory_trials.interactive import given, tasks
from memory_trials.progress import Progress
from memory_trials.settings import (
    ComputeSettings,
    EncodingSettings,
    EvaluationSettings,
    ModelSettings,
    Section,
    Settings,
    TrainingSettings,
)

if TYPE_CHECKING:
    from memory_trials.interactive.measured import Measured
    from memory_trials.tasks.problems import Problem
    from memory_trials.tasks.streams import Stream

SECTIONS: dict[str, type[Section]] = {
    "encoding": EncodingSettings,
    "model": ModelSettings,
    "training": TrainingSettings,
    "evaluation": EvaluationSettings,
    "compute": ComputeSettings,
}
SECTION_OF = {name: section for section, model in SECTIONS.items() for name in model.model_fields}


def measure(
    cell: Any, task: Any = tasks.TUTORIAL, trials: int = 100, *, progress: bool = True, **settings: Any
) -> Measured:
    """Measure how often a cell learns a task, and how much it remembers.

    Args:
        cell: a Keras cell's class, or an instance of it, whose arguments count; its dotted path; a file and a class in
            it, such as "leaky.py:LeakyCell"; or the name of a built-in cell: lstm, gru, simple_rnn,
            min_gru, ... (`memory_trials/cells/` has one module for each).
        task: "tutorial", also with lag=100, middle="fixed" and all else that `problem.generate` takes; a stream, such
            as "adding" with length=100; a file in data/problems/; a list of sequences; a list of examples
            (input, target, mask); or a function that yields examples, which are drawn once for all trials
            (train=100 of them to train on, unseen=100 to evaluate on, seed=0), or with endless=True a function
            (rng) -> example, of which each trial draws new ones from its own seed; a trial has learned when of
            check=100 fresh ones at most wrong=1 is wrong.
        trials: trials, each from a seed of its own.
        progress: whether to show a progress bar.
        settings: any others of params.yaml, by their last names: units=20, output="softmax", epochs=250,
            window="sequence", learning_rate=0.001, ...

    Returns:
        A result: print it, or let a notebook show it.

    Raises:
        UserError: a setting, the cell or the task cannot be used; one sentence says why.
    """
    name, problem, complete = _settings(cell, task, trials, settings)
    started = time.perf_counter()
    with _progress(complete.training, progress) as bar:
        measured = _trained(name, problem, complete, bar)
    measured.seconds = time.perf_counter() - started
    return measured


def _settings(
    cell: Any, task: Any, trials: int, settings: dict[str, Any]
) -> tuple[str, Problem | Stream | None, Settings]:
    """Return the task's name, the task itself where no settings describe it, and all settings, validated."""
    taken = tasks.settings_of(task)
    known = {*taken, "scored", *SECTION_OF} - {"cell"}
    for name in settings:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            of_task = f"; the task takes {', '.join(taken)}" if taken else ""
            raise UserError(f"there is no setting {name}{f' (is it {close[0]}?)' if close else ''}{of_task}")
    chosen = tasks.given(task, {name: value for name, value in settings.items() if name in taken})
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    problem: Any = chosen.problem
    if "scored" in settings:
        if not isinstance(problem, dict):
            raise UserError("scored has no meaning for an endless task, whose mask says what is scored: leave it out")
        problem = problem | {"scored": settings["scored"]}
    sections["model"] |= given.model_of(cell)
    others = {name: value for name, value in settings.items() if name not in taken and name != "scored"}
    for name, value in (chosen.suiting | others | {"trials": trials}).items():
        sections[SECTION_OF[name]][name] = value
    try:
        return chosen.name, chosen.made, Settings(problem=problem, **sections)
    except UserError as error:
        raise UserError(str(error).removeprefix("Settings: ")) from None


def _trained(task: str, problem: Problem | Stream | None, settings: Settings, bar: Progress) -> Measured:
    """Train the trials of these settings. What makes jobs, and trains them, is asked here and nowhere else."""
    from memory_trials.interactive.measured import Measured
    from memory_trials.tasks import making
    from memory_trials.training import trainer
    from memory_trials.training.job import TrainingJob

    made = problem or making.make(settings.problem, "the task")
    job = TrainingJob(settings.model, settings.training, settings.evaluation.interval, making.task_of(made, settings))
    return Measured(task, settings, trainer.train(job, settings.compute, bar), made, job.task)


def _progress(settings: TrainingSettings, shown: bool) -> Progress:
    """A progress bar, of a notebook where it has such, else of text; nothing where there is nobody to see it."""
    notebook = "ipykernel" in sys.modules
    if notebook and importlib.util.find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    seen = shown and (notebook or sys.stderr.isatty())
    return Progress(settings.trials, settings.epochs, seconds_between_lines=math.inf, kind=tqdm, shown=seen)
