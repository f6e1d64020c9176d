"""What trained trials predict, from their weights: the ground of every verdict."""

from collections.abc import Iterator

import numpy as np

from memory_trials import forward
from memory_trials.config import FreeRunSettings, ModelSettings
from memory_trials.encoding import Table
from memory_trials.errors import UserError
from memory_trials.problems import Problem

CONFUSION = "confusion.csv"  # in an arm's folder: what was said where memory is needed


def predictions(
    settings: ModelSettings, weights: dict[str, np.ndarray], table: Table, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of T trials, for each wanted step of the K asked flows: the predicted symbol and its activation [T, K, L].

    wanted [L] bool; what is not wanted is -1 and 0.

    weights: the model's variables by name, each [T, ...]. The built-in cells are computed by `forward`;
    a cell of the user's, or one with other activations, by Keras (seconds slower, for its import).
    """
    shape = (len(weights["output/bias"]), *table.judge_y.shape)
    predicted, activation = np.full(shape, -1, np.int64), np.zeros(shape, np.float32)
    for step, output in _outputs(settings, weights, table, wanted):  # all at once would not fit a large alphabet
        predicted[:, :, step], activation[:, :, step] = output.argmax(axis=-1), output.max(axis=-1)
    return predicted, activation


def _outputs(settings: ModelSettings, weights, table: Table, wanted) -> Iterator[tuple[int, np.ndarray]]:
    if forward.knows(settings):
        return forward.outputs(settings, weights, table.judge_x, wanted)
    from memory_trials import cells

    model = cells.make_model(settings, table.inputs, table.symbols)
    all_steps = cells.predict(model, list(weights.values()), table.judge_x, table.inputs).numpy()
    return enumerate(all_steps.transpose(2, 0, 1, 3))


def conflicts(problem: Problem) -> set[tuple[int, int]]:
    """The asked sequences' scored steps (number, step) at which the present symbol does not tell the next one:
    elsewhere the same symbol is followed by another. Only memory can be right at all of them."""
    scored = [
        (k, step)
        for k, sequence in enumerate(problem.asked)
        for step, counts in enumerate(problem.scored(sequence))
        if counts
    ]
    followers: dict = {}
    for k, step in scored:
        followers.setdefault(problem.asked[k][step], set()).add(problem.asked[k][step + 1])
    return {(k, step) for k, step in scored if len(followers[problem.asked[k][step]]) > 1}


def confusion(
    problem: Problem, table: Table, seeds: np.ndarray, predicted: np.ndarray
) -> Iterator[tuple[int, int, int, object, object, object]]:
    """Rows of confusion.csv: seed, sequence, step, input, target and what each trial said, at each of `conflicts`.

    predicted [T, K, L]: from `predictions`.
    """
    needed = conflicts(problem)
    places = [(*at, flow, t) for flow, t in np.ndindex(table.judge_y.shape)
              if (at := tuple(table.judge_at[flow, t].tolist())) in needed]  # fmt: skip
    for trial, seed in enumerate(seeds.tolist()):
        for k, step, flow, t in sorted(places):
            said = problem.alphabet[predicted[trial, flow, t]]
            yield seed, k + 1, step + 1, problem.asked[k][step], problem.asked[k][step + 1], said


def free_run(
    settings: ModelSettings, weights: dict[str, np.ndarray], problem: Problem, run: FreeRunSettings
) -> np.ndarray:
    """What each of T trials says after the first `run.prefix` symbols of each asked sequence, when it is fed its
    own predictions: places [T, K, the longest sequence - prefix + run.beyond]. `UserError` where it cannot be."""
    shortest, longest = min(map(len, problem.asked)), max(map(len, problem.asked))
    if run.prefix >= shortest:
        raise UserError(
            f"evaluation.free_run.prefix is {run.prefix}: the shortest sequence has {shortest} symbols, "
            f"so allowed are 1 to {shortest - 1}"
        )
    if not forward.knows(settings) or len(weights["cell/kernel"][0]) != len(problem.alphabet):
        raise UserError("evaluation.free_run is computed for the built-in cells with encoding.history 1 only")
    prefix = np.array([[problem.place[symbol] for symbol in sequence[: run.prefix]] for sequence in problem.asked])
    return forward.free_run(settings, weights, prefix, longest - run.prefix + run.beyond)


def recited(following: np.ndarray, problem: Problem, prefix: int, learned: np.ndarray) -> dict[str, int]:
    """How many trials, of those that learned and of the others, recite the rest of every sequence when running freely;
    and what those that learned say next, after the last symbol, over all their runs.

    following [T, K, steps]: from `free_run`. learned [T] bool.
    """
    right = np.ones(len(following), bool)
    next_symbols = np.zeros(len(problem.alphabet), int)
    for k, sequence in enumerate(problem.asked):
        rest = [problem.place[symbol] for symbol in sequence[prefix:]]
        right &= (following[:, k, : len(rest)] == rest).all(axis=1)
        if following.shape[2] > len(rest):
            next_symbols += np.bincount(following[learned, k, len(rest)], minlength=len(problem.alphabet))
    said = {f"free_run_next/{symbol}": int(n) for symbol, n in zip(problem.alphabet, next_symbols) if n}
    return {
        "free_run_learned_right": int((right & learned).sum()),
        "free_run_unlearned_right": int((right & ~learned).sum()),
    } | said
