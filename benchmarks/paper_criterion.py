"""Figures of docs/paper.md: the success of experiment 2, judged in several ways.

    python -m benchmarks.paper_criterion [arm ...]      (some minutes on two cores)

Frozen: weights that do not change are tested on 10,000 sequences of their own (2a: on its two), after every interval,
as the arms of experiments/paper.yaml are judged. Fresh: the same, each time on other sequences. Successive: 10,000
sequences of training in a row are right, each before the weights change by it, counted from where that run begins. What
a trial learns is the same, however it is judged.
"""

import sys
from dataclasses import replace

import numpy as np

from memory_trials.engines.interface import State, StreamProgram
from memory_trials.settings import ComputeSettings
from memory_trials.studies import design
from memory_trials.tasks.interface import Criterion, Purpose, Sequences
from memory_trials.tasks.streams import Stream
from memory_trials.training import stream_shards
from memory_trials.training.job import TrainingJob
from memory_trials.training.trainer import train

RUN = 10_000
SLOPELESS = {"loss": "cross_entropy"}
ARMS = {  # of experiments/paper.yaml; what it changes of training and of the cell's options; trials, sequences at most
    "2a": ("noise_free", {}, {}, 16, 30_000),
    "2a, cross-entropy": ("noise_free", SLOPELESS, {}, 32, 30_000),
    "2a, cross-entropy, the cell at first": ("noise_free", SLOPELESS, {"added": "at_first"}, 32, 30_000),
    "2c, q = 50": ("distractors_50_50", {}, {}, 16, 300_000),
    "2c, q = 50, caption, cross-entropy": ("distractors_50_50", SLOPELESS, {"squashing": "caption"}, 16, 300_000),
}


class Successive(Stream):
    """A stream that is judged by training's own errors."""

    @property
    def criteria(self) -> dict[str, Criterion]:
        rule = self.rule.criteria(self.settings)
        return {name: replace(criterion, on="train", sequences=RUN) for name, criterion in rule.items()}


class FreshExam(stream_shards.Exam):
    """An exam on other sequences each time."""

    def __init__(self, job: TrainingJob, program: StreamProgram):
        super().__init__(job, program)
        self.origin, self.stream, self.first = self.stream, self, 0  # type: ignore[assignment]  # it draws, which is all

    def draw(self, seeds: np.ndarray, purpose: Purpose, first: int, count: int) -> Sequences:
        return self.origin.draw(seeds, purpose, self.first + first, count)

    def passed(self, criterion: Criterion, state: State, seeds: np.ndarray) -> np.ndarray:
        self._drawn = None
        found = super().passed(criterion, state, seeds)
        self.first += 2 * RUN
        return found


JUDGED = {
    "frozen": (Stream, stream_shards.Exam),
    "fresh": (Stream, FreshExam),
    "successive": (Successive, stream_shards.Exam),
}


def times(name: str, judged: str) -> np.ndarray:
    """After how many sequences each trial of an arm has succeeded; 0: never."""
    stream, stream_shards.Exam = JUDGED[judged]
    arm, training, options, trials, most = ARMS[name]
    settings = design.find(arm)[1][0].settings
    job = TrainingJob(
        settings.model.model_copy(update={"cell_options": settings.model.cell_options | options}),
        settings.training.model_copy(update=training | {"trials": trials, "epochs": most}),
        settings.evaluation.interval,
        stream(settings.problem.stream),
    )
    return train(job, ComputeSettings()).met_criterion_at["success"]


def main() -> None:
    for name in sys.argv[1:] or ARMS:
        for judged in JUDGED if name.startswith("2c") else ("frozen", "successive"):
            found = times(name, judged)
            learned = found[found > 0] - (RUN if judged == "successive" else 0)
            after = f", after {learned.mean():,.0f} in the mean" if len(learned) else ""
            print(f"{name}, {judged}: {len(learned)} of {len(found)} by {ARMS[name][-1]:,}{after}", flush=True)


if __name__ == "__main__":
    main()
