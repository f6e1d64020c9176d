"""Streams in JAX against streaming.c, which is held against double precision."""

import numpy as np
import pytest

from memory_trials.engines import interface, jax_engine, jax_streams, streaming
from memory_trials.models import initializers
from memory_trials.models.adapters import adapted
from memory_trials.settings import ModelSettings, TrainingSettings
from memory_trials.tasks.interface import Criterion, Sequences, Shape
from tests import plain_cells

pytestmark = pytest.mark.skipif(not streaming.LIBRARY.available(), reason="no C compiler")
SYMBOLS = Shape(inputs=4, outputs=4, real_input=False, real_target=False, every_step=True, longest=9)
NUMBERS = Shape(inputs=2, outputs=1, real_input=True, real_target=True, every_step=False, longest=9)
CASES = {
    "lstm": (SYMBOLS, {"optimizer": "adam", "learning_rate": 0.01}),
    "gru": (NUMBERS, {"optimizer": "sgd", "learning_rate": 0.3}),
    "simple_rnn": (SYMBOLS, {"optimizer": "rmsprop", "learning_rate": 0.01, "loss": "cross_entropy"}),
}


def sequences(shape: Shape) -> Sequences:
    """Six for each of three trials, of one to nine steps; the last trial has one less."""
    random = np.random.default_rng(1)
    lengths = random.integers(1, 10, (3, 6)).astype(np.int32)
    lengths[2, 5] = 0
    steps = lengths.sum(axis=1).max()
    symbols = lambda *size: random.integers(0, 4, size).astype(np.int32)
    if shape is SYMBOLS:
        possible = random.integers(0, 16, (3, steps)).astype(np.uint32)
        return Sequences(lengths, symbols(3, steps), symbols(3, steps), possible)
    x, y = random.uniform(-1, 1, (3, steps, 2)), random.uniform(0, 1, (3, 6))
    return Sequences(lengths, x.astype(np.float32), y.astype(np.float32))


@pytest.mark.parametrize("cell", CASES)
def test_it_learns_from_a_stream_as_the_engine_in_c_does(cell):
    shape, how = CASES[cell]
    model = ModelSettings(cell=cell, units=3)
    settings = TrainingSettings(update="sequence", **how)
    ours = adapted(plain_cells.CELLS[cell], 3, {}, shape.inputs)
    made = jax_engine.make_model(ours, shape.inputs, shape.outputs, softmax=False)
    programs = streaming.Program(model, settings, shape), jax_streams.Program(made, settings, shape)
    assert isinstance(programs[1], interface.StreamProgram)
    weights = initializers.initial_weights(model, shape.inputs, shape.outputs, np.array([3, 4, 5]))
    given, errors, after, tested = sequences(shape), [], [], []
    for program in programs:
        state = program.start([array.copy() for array in weights])
        errors.append(program.train(state, given))
        after.append(program.weights(state))
        tested.append(program.test(state, given, last_step_only=True))
    for theirs, mine in (*zip(*after), *zip(*errors), *zip(*tested)):
        assert np.allclose(theirs, mine, rtol=0, atol=2e-5, equal_nan=True)
    criterion = Criterion("check", 6, 0.6)
    assert np.array_equal(errors[0].meet(criterion), errors[1].meet(criterion))
