"""Figures of docs/paper.md: readings that the paper's text contradicts.

python -m benchmarks.paper_readings [arm ...]      (half an hour on two cores)
"""

import sys
from dataclasses import replace

import numpy as np

from memory_trials.settings import ComputeSettings
from memory_trials.studies import design
from memory_trials.tasks.interface import Criterion, Purpose, Sequences, Shape
from memory_trials.tasks.streams import Stream
from memory_trials.training.job import TrainingJob
from memory_trials.training.trainer import train

SLOPELESS, LINEAR, UNSEEN = {"loss": "cross_entropy"}, {"output": "linear"}, {"connected": "C"}
ARMS = {  # of experiments/paper.yaml; changes of training, model and the cell's options; trials, sequences at most
    "4, T = 100, a linear output": ("adding_100", {}, LINEAR, {}, 40, 600_000),
    "4, T = 500, a linear output": ("adding_500", {}, LINEAR, {}, 16, 200_000),
    "6a, a linear output": ("order_2", {}, LINEAR, {}, 32, 100_000),
    "3a, T = 100, N = 3, a linear output": ("two_sequence_100_3", {}, LINEAR, {}, 16, 200_000),
    "3c, T = 100, N = 3, a linear output": ("noisy_targets_100_3", {}, LINEAR, {}, 16, 200_000),
    "2c, q = 50, a linear output": ("distractors_50_50", {}, LINEAR, {}, 16, 200_000),
    "5, a linear output": ("multiplication_140", {}, LINEAR, {}, 16, 200_000),
    "6b, a linear output": ("order_3", {}, LINEAR, {}, 16, 200_000),
    "2b, errors at the end, cross-entropy, cell at first": ("noisy", SLOPELESS, {}, {"added": "at_first"}, 16, 40_000),
    "2c, q = 50, gates unseen": ("distractors_50_50", {}, {}, UNSEEN, 16, 300_000),
    "2c, q = 50, gates unseen, cross-entropy": ("distractors_50_50", SLOPELESS, {}, UNSEEN, 16, 150_000),
    "2c, q = 100, gates unseen": ("distractors_100_100", {}, {}, UNSEEN, 16, 300_000),
    "2c, q = 100, gates unseen, cross-entropy": ("distractors_100_100", SLOPELESS, {}, UNSEEN, 16, 120_000),
    "2c, q = 200, gates unseen": ("distractors_200_200", {}, {}, UNSEEN, 16, 300_000),
    "2c, q = 200, gates unseen, cross-entropy": ("distractors_200_200", SLOPELESS, {}, UNSEEN, 16, 120_000),
    "2c, q = 500, gates unseen": ("distractors_500_500", {}, {}, UNSEEN, 16, 120_000),
    "2c, q = 500, gates unseen, cross-entropy": ("distractors_500_500", SLOPELESS, {}, UNSEEN, 16, 120_000),
    "2c, q = 1,000, gates unseen": ("distractors_1000_1000", {}, {}, UNSEEN, 16, 120_000),
    "2c, q = 1,000, gates unseen, cross-entropy": ("distractors_1000_1000", SLOPELESS, {}, UNSEEN, 16, 120_000),
}  # fmt: skip


class LastSymbol(Stream):
    """The task keys, with errors at the end of each sequence alone."""

    @property
    def shape(self) -> Shape:
        return replace(self.rule.shape(self.settings), every_step=False)

    @property
    def criteria(self) -> dict[str, Criterion]:
        rule = self.rule.criteria(self.settings)
        return {name: replace(criterion, last_step_only=False) for name, criterion in rule.items()}

    def draw(self, seeds: np.ndarray, purpose: Purpose, first: int, count: int) -> Sequences:
        drawn = super().draw(seeds, purpose, first, count)
        return replace(drawn, y=np.ascontiguousarray(drawn.y.reshape(len(seeds), count, -1)[:, :, -1]))


def times(name: str) -> np.ndarray:
    """After how many sequences each trial of an arm has succeeded; 0: never."""
    arm, training, model, options, trials, most = ARMS[name]
    settings = design.find(arm)[1][0].settings
    stream = LastSymbol if arm == "noisy" else Stream
    job = TrainingJob(
        settings.model.model_copy(update=model | {"cell_options": settings.model.cell_options | options}),
        settings.training.model_copy(update=training | {"trials": trials, "epochs": most}),
        settings.evaluation.interval,
        stream(settings.problem.stream),
    )
    return next(iter(train(job, ComputeSettings()).met_criterion_at.values()))


def main() -> None:
    for name in sys.argv[1:] or ARMS:
        found = times(name)
        learned = found[found > 0]
        after = f", after {learned.mean():,.0f} in the mean" if len(learned) else ""
        print(f"{name}: {len(learned)} of {len(found)} by {ARMS[name][-1]:,}{after}", flush=True)


if __name__ == "__main__":
    main()
