"""What trained trials answer, from their weights: whether they are right, by what lead, and how much they remember."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memory_trials.engines import own
from memory_trials.errors import UserError
from memory_trials.models import forward
from memory_trials.settings import FreeRunSettings, ModelSettings
from memory_trials.tasks.encoding import UpdateTable
from memory_trials.tasks.problems import Problem
from memory_trials.tasks.symbols import name

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int

TINY = 1e-300  # no output counts as less, so that memory is finite


@dataclass(frozen=True)
class Answers:
    """What T trials answer at each wanted step of the K rows of L evaluation steps.

    predicted: the index of the symbol with the largest output (the first of equals), -1 where it is not wanted.
    activation: that output, 0 where not wanted. The others are NaN where not wanted, or where an output is:
    lead: the right output minus the best wrong one. bits: as `memory_bits`, NaN too where no memory is needed;
    logit_lead: there, how far the right symbol leads the other candidates before the output layer's activation.
    """

    predicted: Int[np.ndarray, "T K L"]
    activation: Float64[np.ndarray, "T K L"]
    lead: Float64[np.ndarray, "T K L"]
    bits: Float64[np.ndarray, "T K L"]
    logit_lead: Float64[np.ndarray, "T K L"]

    def right(self, table: UpdateTable, margin: float) -> Bool[np.ndarray, "T K L"]:
        """Return whether the right symbol is predicted, and leads by at least the margin."""
        return (self.predicted == table.eval_y) & (self.lead >= margin)

    def margin(self, scored: Bool[np.ndarray, "K L"]) -> Float64[np.ndarray, " T"]:
        """Return the least lead over the scored steps; NaN if the lead of one of them is."""
        return self.lead[:, scored].min(axis=1)

    def memory(self, table: UpdateTable) -> Float64[np.ndarray, " T"]:
        """Return the mean of `bits` over the steps that need memory; NaN if there is none."""
        needed = table.eval_group >= 0
        return self.bits[:, needed].mean(axis=1) if needed.any() else np.full(len(self.bits), np.nan)

    def signal_and_bias(self, table: UpdateTable) -> tuple[Float64[np.ndarray, " T"], Float64[np.ndarray, " T"]]:
        """Return what decides whether a trial is right where memory is needed, in logits; NaN if it is needed nowhere.

        The signal is the mean lead of the right symbol over these steps, in which every candidate counts equally,
        however often it is the right one. Only memory can raise it above 0: without memory, a preference for one
        candidate gains at most as much where that is right as it costs at the others. The bias is how far the worst of
        these steps is below that mean, so a trial is right at all of them if its signal exceeds its bias. For two
        sequences with leads d1 and d2 they are (d1 + d2) / 2 and |d1 - d2| / 2.
        """
        needed = table.eval_group >= 0
        leads = self.logit_lead[:, needed]
        if not leads.shape[1]:
            return np.full(len(leads), np.nan), np.full(len(leads), np.nan)
        signal = (leads / table.eval_frequency[needed]).mean(axis=1)
        return signal, signal - leads.min(axis=1)


def answers(
    settings: ModelSettings,
    weights: dict[str, Float[np.ndarray, "T ..."]],
    table: UpdateTable,
    wanted: Bool[np.ndarray, " L"],
) -> Answers:
    """Return what T trials answer.

    The built-in cells are computed by `forward`; a cell of the user's, or one with other activations, by Keras, whose
    import takes seconds.

    Args:
        weights: The model's variables by name.
        wanted: At which steps.
    """
    shape = (len(weights["output/bias"]), *table.eval_y.shape)
    predicted, activation = np.full(shape, -1, np.int64), np.zeros(shape)
    lead, bits, logit_lead = (np.full(shape, np.nan) for _ in range(3))
    rows = np.arange(shape[1])
    for step, output in _outputs(settings, weights, table, wanted):  # all at once would not fit a large alphabet
        output = output.astype(np.float64)
        target = table.eval_y[:, step]
        predicted[:, :, step], activation[:, :, step] = output.argmax(axis=-1), output.max(axis=-1)
        lead[:, :, step] = _lead(output, target)
        needing = rows[table.eval_group[:, step] >= 0]
        if len(needing):
            sets = table.candidates[table.eval_group[needing, step]]  # [rows, M]
            among = np.where(sets >= 0, output[:, needing[:, np.newaxis], sets], np.nan)  # [T, rows, M]
            right = (sets == target[needing, np.newaxis]).argmax(axis=1)
            bits[:, needing, step] = memory_bits(among, right, table.eval_frequency[needing, step])
            logit_lead[:, needing, step] = _lead(_logits(among, settings.output), right)
    return Answers(predicted, activation, lead, bits, logit_lead)


def memory_bits(
    outputs: Float[np.ndarray, "T K M"], right: Int[np.ndarray, " K"], frequency: Float[np.ndarray, " K"]
) -> Float[np.ndarray, "T K"]:
    """Measure in bits how much better the right candidate is predicted than the best guess without memory does.

    Where the same input is followed by several symbols, the candidates, their outputs, divided by their sum, give the
    right one the probability q. A model that sees the input and remembers nothing does best with the frequency p with
    which that candidate follows that input. Memory is log2 q - log2 p: 0 is that guess, all there is to remember is
    -log2 p (1 bit for two equally frequent candidates), and less than 0 is worse than that guess. Its mean over all
    steps with that input is at most 0 for whatever has no memory (minus the Kullback-Leibler divergence), and all there
    is to remember has the mean of their conditional entropy. It is the logarithmic score (Good 1952) relative to base
    rates. Outputs are compared among the candidates alone, so sigmoid and softmax are treated alike.

    Args:
        outputs: of the M candidates; NaN fills up smaller sets.
        right: which of the candidates is right.
        frequency: M p, so 1 where all candidates are equally frequent.
    """
    own = np.take_along_axis(outputs, right[np.newaxis, :, np.newaxis], axis=-1)[..., 0]
    mean = np.nansum(outputs, axis=-1) / (~np.isnan(outputs)).sum(axis=-1).clip(1)
    return np.log2(np.maximum(own, TINY) / np.maximum(mean * frequency, TINY))


def _lead(outputs: Float[np.ndarray, "T K M"], right: Int[np.ndarray, " K"]) -> Float[np.ndarray, "T K"]:
    """The right output minus the largest of the others; NaN where the right one is."""
    index = np.broadcast_to(right[np.newaxis, :, np.newaxis], (*outputs.shape[:2], 1))
    own = np.take_along_axis(outputs, index, axis=-1)[..., 0]
    others = np.array(outputs)
    np.put_along_axis(others, index, -np.inf, axis=-1)
    return own - np.fmax.reduce(others, axis=-1)


def _logits(outputs: Float[np.ndarray, "T K M"], activation: str) -> Float[np.ndarray, "T K M"]:
    """What the output layer had before its activation; with softmax but for a number that all outputs share."""
    log = np.log(np.maximum(outputs, TINY))
    return log if activation == "softmax" else log - np.log(np.maximum(1 - outputs, 1e-17))


def _outputs(
    settings: ModelSettings, weights, table: UpdateTable, wanted: Bool[np.ndarray, " L"]
) -> Iterator[tuple[int, Float[np.ndarray, "T K symbols"]]]:
    if forward.supports(settings):
        return forward.outputs(settings, weights, table.eval_x, wanted)
    if not own.calls_tensorflow(settings.cell):
        shown = own.predict(settings, weights, table.eval_x, table.inputs, table.symbols)
        return ((step, output) for step, output in enumerate(shown.transpose(2, 0, 1, 3)) if wanted[step])
    from memory_trials.models import keras_model

    model = keras_model.make_model(settings, table.inputs, table.symbols)
    all_steps = keras_model.predict(model, [weights[name] for name in model.names], table.eval_x, table.inputs).numpy()
    return ((step, output) for step, output in enumerate(all_steps.transpose(2, 0, 1, 3)) if wanted[step])


def free_run(
    settings: ModelSettings, weights: dict[str, Float[np.ndarray, "T ..."]], problem: Problem, run: FreeRunSettings
) -> Int[np.ndarray, "T K steps"]:
    """Return what each trial predicts when it is fed its own predictions, as indices.

    It is shown the first `run.prefix` symbols of each evaluation sequence, and predicts for (the longest sequence -
    prefix + run.beyond) steps.

    Raises:
        UserError: A free run of these sequences is not possible.
    """
    shortest, longest = min(map(len, problem.evaluation_sequences)), max(map(len, problem.evaluation_sequences))
    if run.prefix >= shortest:
        raise UserError(
            f"evaluation.free_run.prefix is {run.prefix}: the shortest sequence has {shortest} symbols, "
            f"so allowed are 1 to {shortest - 1}"
        )
    if not forward.supports(settings) or len(weights["cell/kernel"][0]) != len(problem.alphabet):
        raise UserError("evaluation.free_run is computed for the built-in cells with encoding.history 1 only")
    prefix = np.array(
        [[problem.index[symbol] for symbol in sequence[: run.prefix]] for sequence in problem.evaluation_sequences]
    )
    return forward.free_run(settings, weights, prefix, longest - run.prefix + run.beyond)


def recited(
    following: Int[np.ndarray, "T K steps"], problem: Problem, prefix: int, learned: Bool[np.ndarray, " T"]
) -> dict[str, int]:
    """Count the trials, of those that learned and of the others, that recite the rest of every sequence in a free run.

    Also count what those that learned predict after the last symbol, over all their runs.

    Args:
        following: What `free_run` returns.
    """
    right = np.ones(len(following), bool)
    next_symbols = np.zeros(len(problem.alphabet), int)
    for k, sequence in enumerate(problem.evaluation_sequences):
        rest = [problem.index[symbol] for symbol in sequence[prefix:]]
        right &= (following[:, k, : len(rest)] == rest).all(axis=1)
        if following.shape[2] > len(rest):
            next_symbols += np.bincount(following[learned, k, len(rest)], minlength=len(problem.alphabet))
    said = {f"free_run_next/{name(symbol)}": int(n) for symbol, n in zip(problem.alphabet, next_symbols) if n}
    return {
        "free_run_learned_right": int((right & learned).sum()),
        "free_run_unlearned_right": int((right & ~learned).sum()),
    } | said
