"""What is found of trials that learned from a stream: when they met the task's criteria, and how they do on fresh
sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from memory_trials.engines.interface import StreamProgram
from memory_trials.evaluation import statistics
from memory_trials.evaluation.findings import Findings, Metrics
from memory_trials.settings import Settings
from memory_trials.tasks.streams import Stream
from memory_trials.training.job import TrainingJob, engine_of, make_program
from memory_trials.training.trained import Trained

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

TESTED = 2560  # fresh sequences for each trial, as in the paper
AT_ONCE = 256  # of these


def found(settings: Settings, stream: Stream, trained: Trained) -> Findings:
    """Test an arm's trials on fresh sequences. Their verdicts are those of training, which stops by them.

    Metrics beyond those of other arms: mean_epochs_to_learn, over the trials that learned, as the paper has it, with a
    t interval; restricted_mean_epochs_to_learn, the area above the Kaplan-Meier curve up to the budget; epochs_budget;
    test_sequences, test_wrong (mean over those that learned), test_error (likewise, the mean absolute error); and for
    each further criterion its successes, median and mean.
    """
    confidence, budget = settings.evaluation.confidence, settings.training.epochs
    wrong, error = tested(settings, stream, trained)
    accuracy = 1 - wrong / TESTED
    first, *others = trained.met_criterion_at.items()
    learned, nothing = first[1] > 0, np.full(len(wrong), np.nan)
    further: Metrics = {"epochs_budget": budget} | statistics.mean_time(first[1], budget, confidence)
    further |= {
        "test_sequences": TESTED,
        "test_wrong": float(wrong[learned].mean()) if learned.any() else None,
        "test_error": float(error[learned].mean()) if learned.any() else None,
    }
    for name, met in others:
        _, median, *_ = statistics.time_to_learn(_or_none(met), budget, confidence)
        mean = statistics.mean_time(met, budget, confidence)["mean_epochs_to_learn"]
        further |= {f"{name}_successes": int((met > 0).sum()), f"{name}_median_epochs_to_learn": median}
        further |= {f"{name}_mean_epochs_to_learn": mean}
    return Findings(
        verdicts=statistics.Verdicts(learned, accuracy, accuracy),
        learned_at_checks=trained.learned,
        epochs_to_learn=_or_none(first[1]),
        verdict_changes=0.0,  # a trial stops when it has learned
        memory_whole=None,
        margin=nothing,
        memory=nothing,
        signal=nothing,
        bias=nothing,
        updates=int(np.where(learned, first[1], budget).sum()) // len(learned),
        otherwise={f"successes_margin_{lead:g}": None for lead in statistics.MARGINS},  # there is none to be asked for
        further=further,
    )


def _or_none(met: Int64[np.ndarray, " T"]) -> list[int | None]:
    return [int(epoch) or None for epoch in met]


def tested(
    settings: Settings, stream: Stream, trained: Trained
) -> tuple[Int64[np.ndarray, " T"], Float64[np.ndarray, " T"]]:
    """Test each trial on `TESTED` fresh sequences.

    Returns:
        Of each trial, how many sequences are wrong by the measure of the first criterion, and the mean absolute error.
    """
    job = TrainingJob(settings.model, settings.training, settings.evaluation.interval, stream)
    program = cast(StreamProgram, make_program(job, engine_of(job), len(trained.seeds)))
    criterion = next(iter(stream.criteria.values()))
    wrong, error = np.zeros(len(trained.seeds), np.int64), np.zeros(len(trained.seeds))
    state = program.start(list(trained.weights.values()))
    for block in range(TESTED // AT_ONCE):
        sequences = stream.draw(trained.seeds, "test", block * AT_ONCE, AT_ONCE)
        errors = program.test(state, sequences, criterion.last_step_only)
        wrong += (~errors.meet(criterion)).sum(axis=1)
        error += errors.absolute.astype(np.float64).sum(axis=1)
    return wrong, error / TESTED
