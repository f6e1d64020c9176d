"""What is found of trials that learned a table of updates: from their weights, symbol by symbol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memory_trials.evaluation import predictions, statistics
from memory_trials.evaluation.findings import Findings, Metrics
from memory_trials.evaluation.predictions import Answers
from memory_trials.evaluation.tables import typed_frame
from memory_trials.settings import Settings
from memory_trials.tasks import encoding, symbols
from memory_trials.tasks.encoding import UpdateTable
from memory_trials.tasks.problems import Problem
from memory_trials.training.trained import Trained

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

LONG = 50  # steps; of longer rows only the scored ones are predicted


def found(settings: Settings, problem: Problem, table: UpdateTable, trained: Trained) -> Findings:
    """Work out what an arm's trials predict. `UserError` where a free run is not possible.

    The verdicts are those of this evaluation, in double precision. The engine, which judges trials at every check in
    single precision, has judged the same weights at the last one; there this verdict replaces it, so there is only one.
    """
    required = settings.evaluation.margin
    said = predictions.answers(settings.model, trained.weights, table, np.any(shown_steps(table), axis=0))
    verdicts = _verdicts(said, table, required)
    learned_at_checks = trained.learned_by(required)
    learned_at_checks[:, -1] = verdicts.learned
    recited: Metrics = {}
    free_run = None
    if run := settings.evaluation.free_run:
        following = predictions.free_run(settings.model, trained.weights, problem, run)
        recited |= predictions.recited(following, problem, run.prefix, verdicts.learned)
        free_run = _free_run(problem, trained.seeds, following, run.prefix)
    signal, bias = said.signal_and_bias(table)
    return Findings(
        verdicts=verdicts,
        learned_at_checks=learned_at_checks,
        epochs_to_learn=statistics.first_learned(trained.checks, learned_at_checks),
        verdict_changes=statistics.changes_of_verdict(learned_at_checks),
        memory_whole=whole_memory(table),
        margin=said.margin(table.eval_mask),
        memory=said.memory(table),
        signal=signal,
        bias=bias,
        updates=trained.losses.shape[1] * table.updates,
        about_margin={"margin_required": required},
        otherwise=_evaluated_otherwise(settings, problem, table, trained),
        further=recited,
        predictions=_predictions(problem, table, trained.seeds, said),
        confusion=_confusion(problem, table, trained.seeds, said.predicted),
        free_run=free_run,
    )


def whole_memory(table: UpdateTable) -> float | None:
    """Return all there is to remember, in bits: the entropy of the next symbol given the input, over the steps that
    need memory; None where no step needs it."""
    needed = table.eval_group >= 0
    counts = (table.candidates >= 0).sum(axis=1)[table.eval_group[needed]]
    return float(np.log2(counts / table.eval_frequency[needed]).mean()) if len(counts) else None


def shown_steps(table: UpdateTable) -> Bool[np.ndarray, "K L"]:
    """Return the evaluation steps of which predictions are kept: all, or the important ones of long rows."""
    return table.eval_mask if table.eval_y.shape[1] > LONG else table.eval_position[:, :, 0] >= 0


def _verdicts(said: Answers, table: UpdateTable, margin: float) -> statistics.Verdicts:
    return statistics.verdicts(said.right(table, margin), table.eval_mask, table.eval_position[:, :, 0])


def _evaluated_otherwise(settings: Settings, problem: Problem, table: UpdateTable, trained: Trained) -> dict:
    """Success rate and memory by the other way of evaluating, where it is another: from a fresh state before each
    sequence (afresh), or with the resets and batches of training (stateful)."""
    stateful = not settings.evaluation.stateful
    other = encoding.make_table(problem, settings.encoding, settings.training, stateful)
    names = [name for name in vars(table) if name.startswith("eval_")]
    if all(np.array_equal(getattr(table, name), getattr(other, name)) for name in names):
        return {}
    said = predictions.answers(settings.model, trained.weights, other, np.any(other.eval_mask, axis=0))
    learned, *_ = _verdicts(said, other, settings.evaluation.margin)
    rate = statistics.success_rate(int(learned.sum()), len(learned), settings.evaluation.confidence)
    memory = np.nan_to_num(said.memory(other), nan=0.0)
    numbers: dict[str, int | float | None] = {"successes": int(learned.sum())}
    numbers |= zip(("success_rate", "success_rate_low", "success_rate_high"), rate)
    numbers["memory_median"] = float(np.median(memory)) if (other.eval_group >= 0).any() else None
    return {f"{'stateful' if stateful else 'afresh'}_{name}": value for name, value in numbers.items()}


def _predictions(problem: Problem, table: UpdateTable, seeds: Int[np.ndarray, " T"], said: Answers) -> pd.DataFrame:
    """What every trial said at each of `shown_steps`."""
    names, given, targets = _names(problem)
    scored = [problem.scored(sequence) for sequence in problem.evaluation_sequences]
    rows = (
        (
            seed,
            k + 1,
            step + 1,
            given[k][step],
            targets[k][step],
            symbol,
            said.activation[trial, row, t],
            said.lead[trial, row, t],
            scored[k][step],
            symbol == targets[k][step],
        )
        for trial, seed, k, step, row, t in _positions(table, seeds, shown_steps(table))
        for symbol in [names[said.predicted[trial, row, t]]]
    )
    return typed_frame("predictions", zip(*rows))


def _names(problem: Problem) -> tuple[list[str], list[list[str]], list[list[str]]]:
    """What the symbols are called: of the alphabet, of each evaluation sequence, and of its targets."""
    names = [symbols.name(symbol) for symbol in problem.alphabet]
    named = lambda sequence: [names[problem.index[symbol]] for symbol in sequence]
    sequences = problem.evaluation_sequences
    return names, list(map(named, sequences)), [named(problem.targets(sequence)) for sequence in sequences]


def _confusion(
    problem: Problem, table: UpdateTable, seeds: Int[np.ndarray, " T"], predicted: Int[np.ndarray, "T K L"]
) -> pd.DataFrame:
    """What each trial said at each step that needs memory."""
    names, given, targets = _names(problem)
    rows = (
        (seed, k + 1, step + 1, given[k][step], targets[k][step], names[predicted[trial, row, t]])
        for trial, seed, k, step, row, t in _positions(table, seeds, table.eval_group >= 0)
    )
    return typed_frame("confusion", zip(*rows))


def _positions(
    table: UpdateTable, seeds: Int[np.ndarray, " T"], shown: Bool[np.ndarray, "K L"]
) -> Iterator[tuple[int, ...]]:
    """Trial, seed, sequence, step, and where that is in the table (row, time), of every shown step."""
    positions = sorted((*table.eval_position[row, t].tolist(), row, t) for row, t in np.argwhere(shown).tolist())
    for trial, seed in enumerate(seeds.tolist()):
        for index in positions:
            yield trial, seed, *index


def _free_run(
    problem: Problem, seeds: Int[np.ndarray, " T"], following: Int[np.ndarray, "T K steps"], prefix: int
) -> pd.DataFrame:
    """following: the indices of the symbols that each trial says after the prefix."""
    said = lambda trial, k: [problem.alphabet[index] for index in following[trial, k]]
    rows = (
        (seed, k + 1, symbols.written(sequence[:prefix]), symbols.written(said(trial, k)))
        for trial, seed in enumerate(seeds)
        for k, sequence in enumerate(problem.evaluation_sequences)
    )
    return typed_frame("free_run", zip(*rows))
