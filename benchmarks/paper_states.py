"""Figures of docs/paper.md: how far states run away in experiment 2c before anything is learned, and what adding gets
wrong in the end.

    python -m benchmarks.paper_states     (the second one after make paper ROW=adding_100 and ROW=adding_cross_entropy)
"""

import itertools

import numpy as np

from memory_trials.engines.streaming import Program
from memory_trials.models.weights import initial_weights
from memory_trials.settings import ModelSettings
from memory_trials.stream_settings import stream_settings
from memory_trials.studies import design
from memory_trials.tasks.streams import Stream
from memory_trials.training.trained import read_trained

TRIALS = 100
SIZES = ((50, 50), (100, 100), (200, 200), (500, 500), (1000, 1000), (1000, 50))  # q, p
EDGES = (0, 0.05, 0.1, 0.2, 0.5)


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def first_states(q: int, p: int, gates_seen: bool) -> np.ndarray:
    """s [trials, 2 cells] at the end of each trial's first sequence, by the paper's equations and initial weights."""
    stream = Stream(stream_settings(task="distractors", length=q, symbols=p))
    shape, seeds = stream.shape, np.arange(TRIALS)
    model = ModelSettings(cell="memory_cell", units=2, cell_options={"weights": 0.2})
    kernel, recurrent, _ = (array.astype(float) for array in initial_weights(model, shape.inputs, shape.outputs, seeds))
    if not gates_seen:
        recurrent[:, :4] = 0  # input gates, output gates, then cells
    sequence = stream.draw(seeds, "train", 0, 1)
    y, s = np.zeros((TRIALS, 6)), np.zeros((TRIALS, 2))
    for step in range(int(sequence.lengths.max())):
        nets = kernel[seeds, sequence.x[:, step]] + np.einsum("tu,tuv->tv", y, recurrent)
        gates = logistic(nets[:, :4])
        alive = step < sequence.lengths
        s = np.where(alive, s + gates[:, :2] * (4 * logistic(nets[:, 4:]) - 2), s)
        y = np.concatenate([gates, gates[:, 2:] * (2 * logistic(s) - 1)], axis=1)
    return s


def wrong_by_target(name: str) -> None:
    """Of the first trials of a row, as they were when they stopped, on fresh sequences."""
    (arm,) = design.find(name)[1]
    settings, trained = arm.settings, read_trained(arm.files.trained)[1]
    stream = Stream(settings.problem.stream)
    some = slice(0, 32)
    program = Program(settings.model, settings.training, stream.shape)
    state = program.start([array[some] for array in trained.weights.values()])
    sequences = stream.draw(trained.seeds[some], "test", 0, 2560)
    wrong = ~program.test(state, sequences).meet(stream.criteria["absolute"])
    distance = np.minimum(sequences.y, 1 - sequences.y)
    for low, high in itertools.pairwise(EDGES):
        within = (distance >= low) & (distance < high)
        share = f"{100 * within.mean():.1f} % of all, {100 * wrong[within].mean():.2f} % of those wrong"
        print(f"{name}: target {low} to {high} from 0 or 1: {share}")


def main() -> None:
    for q, p in SIZES:
        s, unseen = (np.abs(first_states(q, p, seen)) for seen in (True, False))
        slope = 2 * logistic(s) * logistic(-s)
        learn = int((slope.max(axis=1) > 0.05).sum())
        print(
            f"q = {q}, p = {p}: median of abs(s) {np.median(s):.2g}, of the slope of h {np.median(slope):.2g}; a cell "
            f"whose slope is above 0.05 in {learn} of {TRIALS}; abs(s) where gates are not seen {np.median(unseen):.2g}"
        )
    for name in ("adding_100", "adding_cross_entropy"):
        wrong_by_target(name)


if __name__ == "__main__":
    main()
