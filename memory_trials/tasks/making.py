"""The one place where settings become a task: finitely many sequences with their table of updates, or a stream."""

from dataclasses import replace
from pathlib import Path

from memory_trials.errors import UserError
from memory_trials.settings import ProblemSettings, Settings
from memory_trials.tasks import encoding, problems
from memory_trials.tasks.interface import Task
from memory_trials.tasks.problems import Problem
from memory_trials.tasks.streams import Stream


def make(settings: ProblemSettings, source: str = "params.yaml") -> Problem | Stream:
    """Return what the settings describe; `UserError` names the source, and what in it cannot be used."""
    return Stream(settings.stream) if settings.stream else problems.make_problem(settings, source)


def read(settings: ProblemSettings, path: Path) -> Problem | Stream:
    """Return the same from the sequences.json that was made of it; `UserError` where that is missing or damaged."""
    return Stream(settings.stream) if settings.stream else problems.read_problem(path)


def task_of(made: Problem | Stream, settings: Settings) -> Task:
    """Return what trials are trained on; `UserError` where the settings do not fit the sequences."""
    if isinstance(made, Stream):
        if made.shape.real_target and settings.model.output == "softmax":
            raise UserError(
                f"model.output is softmax: the task {made.settings.task} has a real number as its target, for which "
                "only sigmoid and linear are allowed"
            )
        return replace(made, history=settings.encoding.history)
    return encoding.make_table(made, settings.encoding, settings.training, settings.evaluation.stateful)


def read_task(settings: Settings, path: Path) -> Task:
    """Return the same from the table.npz that was made of it; `UserError` where that is missing or damaged."""
    stream = settings.problem.stream
    return Stream(stream, settings.encoding.history) if stream else encoding.read_table(path)
