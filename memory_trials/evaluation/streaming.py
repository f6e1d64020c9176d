"""What is known of trials that learned from a stream: how often they met the task's criterion, after how many
sequences, and how they do on fresh sequences. An `Outcome` like any other arm's, so all that shows arms shows these."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memory_trials.engines.streaming import Program
from memory_trials.evaluation import statistics
from memory_trials.evaluation.results import Outcome, rounded, typed_frame
from memory_trials.settings import Settings
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks import streams
from memory_trials.training.trained import Trained

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

TESTED = 2560  # fresh sequences for each trial, as in the paper
AT_ONCE = 256  # of these


def outcome(settings: Settings, trained: Trained) -> Outcome:
    """Test an arm's trials on fresh sequences, and work out all that is told of them.

    Metrics beyond those of other arms: mean_epochs_to_learn, over the trials that learned, as the paper has it, with a
    t interval; restricted_mean_epochs_to_learn, the area above the Kaplan-Meier curve up to the budget; epochs_budget;
    test_sequences, test_wrong (mean over those that learned), test_error (likewise, the mean absolute error); and for
    each further criterion its successes, median and mean.
    """
    stream, confidence, budget = settings.problem.stream, settings.evaluation.confidence, settings.training.epochs
    assert stream is not None
    wrong, error = tested(settings, stream, trained)
    accuracy = 1 - wrong / TESTED
    first, *others = trained.until.items()
    learned = first[1] > 0
    epochs_to_learn = _or_none(first[1])
    metrics = statistics.summary(
        statistics.Verdicts(learned, accuracy, accuracy), trained.losses[:, -1].astype(np.float64), epochs_to_learn,
        budget, confidence,
    )  # fmt: skip
    nothing = np.full(len(learned), np.nan)
    metrics |= {"verdict_changes": 0.0, "memory_whole": None}
    metrics |= statistics.memory_summary(nothing, learned, nothing, confidence)
    metrics |= {f"successes_margin_{lead:g}": None for lead in statistics.MARGINS}  # there is none to be asked for
    metrics |= statistics.chance(nothing, nothing)
    metrics |= {"parameters": sum(array[0].size for array in trained.weights.values())}
    metrics |= {"updates": int(np.where(learned, first[1], budget).sum()) // len(learned), "confidence": confidence}
    metrics |= {"epochs_budget": budget} | statistics.mean_time(first[1], budget, confidence)
    metrics |= {
        "test_sequences": TESTED,
        "test_wrong": float(wrong[learned].mean()) if learned.any() else None,
        "test_error": float(error[learned].mean()) if learned.any() else None,
    }
    for name, until in others:
        _, median, *_ = statistics.time_to_learn(_or_none(until), budget, confidence)
        of_name = statistics.mean_time(until, budget, confidence)
        metrics |= {f"{name}_successes": int((until > 0).sum()), f"{name}_median_epochs_to_learn": median}
        metrics |= {f"{name}_mean_epochs_to_learn": of_name["mean_epochs_to_learn"]}
    curves = {
        "loss": (trained.loss_epochs, *statistics.loss_curves(trained.losses.astype(np.float64)).T),
        "learned": (trained.checks, *statistics.share_learned(trained.learned, confidence).T),
        "remembered": (trained.checks, *np.full((3, len(trained.checks)), np.nan)),
        "time_to_learn": statistics.time_to_learn(epochs_to_learn, budget, confidence)[0].T,
    }
    trials = (trained.seeds, learned, accuracy, accuracy, trained.losses[:, -1], epochs_to_learn, nothing, nothing)
    return Outcome(
        metrics={name: rounded(value) for name, value in metrics.items()},
        trials=typed_frame("trials", trials),
        predictions=typed_frame("predictions", ()),
        confusion=typed_frame("confusion", ()),
        **{name: typed_frame(name, columns) for name, columns in curves.items()},
    )


def _or_none(until: Int64[np.ndarray, " T"]) -> list[int | None]:
    return [int(epoch) or None for epoch in until]


def tested(
    settings: Settings, stream: StreamSettings, trained: Trained
) -> tuple[Int64[np.ndarray, " T"], Float64[np.ndarray, " T"]]:
    """Of `TESTED` fresh sequences of each trial: how many are wrong by the first criterion's measure, and the mean
    absolute error."""
    program = Program(settings.model, settings.training, streams.shape(stream))
    criterion = next(iter(streams.criteria(stream).values()))
    wrong, error = np.zeros(len(trained.seeds), np.int64), np.zeros(len(trained.seeds))
    state = program.start(list(trained.weights.values()))
    for block in range(TESTED // AT_ONCE):
        errors = program.test(
            state, streams.draw(stream, trained.seeds, "test", block, AT_ONCE), criterion.last_step_only
        )
        wrong += (~errors.meet(criterion)).sum(axis=1)
        error += errors.absolute.astype(np.float64).sum(axis=1)
    return wrong, error / TESTED
