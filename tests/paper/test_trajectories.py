"""Every experiment of the paper, trained by the engine and by its equations in NumPy, from the same draws and weights."""

import numpy as np
import pytest

from memory_trials.engines import streaming
from memory_trials.models.weights import initial_weights
from memory_trials.settings import ModelSettings, TrainingSettings
from memory_trials.stream_settings import stream_settings
from memory_trials.tasks.streams import Stream
from tests.published_numpy import ARCHITECTURES, MemoryCell

pytestmark = pytest.mark.skipif(not streaming.LIBRARY.available(), reason="no C compiler")

SEQUENCES, PART = 100, 10
OF_ERRORS = 1e-6  # the engine computes in single precision, whose spacing at 1 is 1.2e-7
OF_WEIGHTS = 5e-5  # of up to 6, whose spacing is 4.8e-7, after up to 10,000 changes of which each is rounded
EXPERIMENTS = {  # the paper's architecture, task, learning rate, and after what the weights change
    "1": ("1 3x2", {"task": "reber"}, 0.5, "window"),
    "2a": ("2a", {"task": "keys", "length": 100}, 1.0, "window"),
    "2b": ("2a", {"task": "keys", "length": 100, "middle": "random"}, 1.0, "window"),
    "2c": ("2c 50", {"task": "distractors", "length": 50, "symbols": 50}, 0.01, "sequence"),
    "3a": ("3", {"task": "two_sequence", "length": 100, "signal": 3}, 1.0, "sequence"),
    "3b": ("3", {"task": "two_sequence", "length": 100, "signal": 3, "noisy_signal": True}, 1.0, "sequence"),
    "3c": ("3", {"task": "two_sequence", "length": 100, "signal": 3, "noisy_targets": True}, 0.1, "sequence"),
    "4 adding": ("4", {"task": "adding", "length": 100}, 0.5, "sequence"),
    "5 multiplication": ("5", {"task": "multiplication", "length": 100}, 0.1, "sequence"),
    "6a": ("6a", {"task": "temporal_order", "length": 100, "signal": 2}, 0.5, "sequence"),
    "6b": ("6b", {"task": "temporal_order", "length": 100, "signal": 3}, 0.1, "sequence"),
}
READINGS = {  # what an experiment's model has besides
    "1": [{"squashing": "caption"}, {"connected": "C"}],
    "2c": [{"squashing": "caption"}, {"connected": "C"}, {"output": "linear"}],
    "4 adding": [{"squashing": "caption"}, {"connected": "C"}, {"output": "linear"}],
    "6a": [{"output": "linear", "connected": "C"}],
}
CASES = [(name, reading) for name in EXPERIMENTS for reading in ({}, *READINGS.get(name, []))]


def read(model, reading):
    """The model, read in another way."""
    options = {of: value for of, value in reading.items() if of != "output"}
    output = reading.get("output", model.output)
    return ModelSettings(cell=model.cell, units=model.units, output=output, cell_options=model.cell_options | options)


def sequence(shape, drawn, number):
    """x [steps, inputs] of a trial's sequence, and for each step a target or None."""
    first = drawn.lengths[0, :number].sum()
    steps = slice(first, first + drawn.lengths[0, number])
    x = drawn.x[0, steps] if shape.real_input else np.eye(shape.inputs)[drawn.x[0, steps]]
    if shape.every_step:
        return x, list(np.eye(shape.outputs)[drawn.y[0, steps]])
    target = drawn.y[:1, number] if shape.real_target else np.eye(shape.outputs)[drawn.y[0, number]]
    return x, [None] * (len(x) - 1) + [target]


@pytest.mark.parametrize(("name", "reading"), CASES)
def test_errors_and_weights_are_those_of_the_papers_equations(name, reading):
    """Over a hundred sequences of training: each one's errors, and the weights after every tenth."""
    architecture, task, rate, update = EXPERIMENTS[name]
    model, stream = read(ARCHITECTURES[architecture][0], reading), Stream(stream_settings(**task))
    shape, seeds = stream.shape, np.array([3])
    training = TrainingSettings(optimizer="sgd", learning_rate=rate, update=update)
    program = streaming.Program(model, training, shape)
    weights = initial_weights(model, shape.inputs, shape.outputs, seeds)
    state = program.start(weights)
    named = {of: array[0] for of, array in zip(program.names, weights)}
    equations = MemoryCell(
        model.options, model.units, shape.inputs, shape.outputs, named, rate, update == "sequence",
        linear=model.output == "linear",
    )  # fmt: skip
    for part in range(SEQUENCES // PART):
        drawn = stream.draw(seeds, "train", part * PART, PART)
        errors = program.train(state, drawn)
        for number in range(PART):
            x, targets = sequence(shape, drawn, number)
            off = equations.run(x, targets) - np.array([target for target in targets if target is not None])
            expected = np.abs(off).max(), np.abs(off).mean(), (off**2).mean()
            assert np.allclose([found[0, number] for found in errors[:3]], expected, rtol=0, atol=OF_ERRORS)
        for of, ours in zip(program.names, program.weights(state)):
            assert np.abs(ours[0] - equations.w[of]).max() < OF_WEIGHTS
    assert max(np.abs(new - old).max() for old, new in zip(weights, program.weights(state))) > 20 * OF_WEIGHTS
