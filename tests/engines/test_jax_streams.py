"""Streams in JAX against streaming.c, which is held against double precision."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from memory_trials.cells import registry
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


def log_softmax(logits):
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


class Echo:
    """Its state is the sum of its inputs, times a weight each: gradients by hand are short."""

    def __init__(self, units):
        self.units = units

    def init(self, key, inputs):
        return [np.zeros((inputs, self.units), np.float32)]

    def initial_state(self, params, batch):
        return [np.zeros((batch, self.units), np.float32)]

    def step(self, params, state, x):
        state = [state[0] + x @ params[0]]
        return state, state[0]


def of_echo(weights, x, lengths, y, mask):
    """The loss of a batch of sequences [B, S], and its gradients, in double precision."""
    kernel, out, bias = (array.astype(float) for array in weights)
    gradients, loss = [np.zeros_like(array) for array in (kernel, out, bias)], 0.0
    for sequence in np.flatnonzero(lengths):
        seen = np.zeros(len(kernel))
        for step in range(lengths[sequence]):
            for back, symbol in enumerate(x[sequence, max(0, step - 1) : step + 1][::-1]):
                seen[back * 4 + symbol] += 1
            if not mask[sequence, step]:
                continue
            logits = seen @ kernel @ out + bias
            loss -= log_softmax(logits)[y[sequence, step]]
            error = np.exp(log_softmax(logits)) - np.eye(4)[y[sequence, step]]
            gradients[0] += np.outer(seen, out @ error)
            gradients[1] += np.outer(seen @ kernel, error)
            gradients[2] += error
    count = max(1, (lengths > 0).sum())
    return loss / count, [array / count for array in gradients]


def test_a_batch_is_one_step_along_the_mean_gradient_with_a_softmax_a_mask_and_a_history():
    shape = Shape(8, 4, False, False, True, longest=9, masked=True, history=2)
    plain = sequences(SYMBOLS)
    mask = np.random.default_rng(2).random(plain.x.shape) < 0.6
    given = Sequences(plain.lengths, plain.x, plain.y, mask=mask)
    settings = TrainingSettings(update="sequence", batch=4, optimizer="sgd", learning_rate=0.1)
    model = jax_engine.make_model(adapted(Echo, 3, {}, 8), 8, 4, softmax=True)
    random = np.random.default_rng(3)
    weights = [random.normal(0, 0.5, (3, *size)).astype(np.float32) for size in ((8, 3), (3, 4), (4,))]
    program = jax_streams.Program(model, settings, shape)
    state = program.start(weights)
    answers = program.answer(state, given)
    program.train(state, given)  # batches of four and of two
    for trial, after in enumerate(zip(*program.weights(state))):
        now = [array[trial] for array in weights]
        ends = np.cumsum(given.lengths[trial])
        cut = lambda array, trial=trial, ends=ends: [
            np.resize(array[trial, end - n : end], 9) for end, n in zip(ends, given.lengths[trial])
        ]
        x, y, scored = (np.array(cut(array)) if len(ends) else array for array in (given.x, given.y, mask))
        lengths = given.lengths[trial]
        loss = sum(of_echo(now, x[[n]], lengths[[n]], y[[n]], scored[[n]])[0] for n in range(6))
        np.testing.assert_allclose(-answers.bits[trial].sum() * np.log(2), loss, rtol=1e-5)
        for batch in (slice(0, 4), slice(4, 6)):
            _, gradients = of_echo(now, x[batch], lengths[batch], y[batch], scored[batch])
            now = [array - 0.1 * gradient for array, gradient in zip(now, gradients)]
        for theirs, mine in zip(after, now):
            np.testing.assert_allclose(theirs, mine, atol=2e-6)
    assert np.array_equal(answers.scored[0].sum(), mask[0, : given.lengths[0].sum()].sum())
    assert (answers.right <= answers.scored).all() and answers.right.sum() > 0


def trained(model, shape, given, seeds=(3, 4, 5), **how):
    """Weights, errors and answers of a program on these sequences."""
    settings = TrainingSettings(update="sequence", optimizer="adam", learning_rate=0.01, **how)
    program = jax_streams.Program(model, settings, shape)
    keys = jax.vmap(jax.random.key)(np.array(seeds, np.uint32))
    weights = list(map(np.asarray, jax.tree.leaves(jax.vmap(lambda key: model.cell.init(key, model.inputs))(keys))))
    random = np.random.default_rng(0)
    weights += [random.normal(0, 0.5, (3, *size)).astype(np.float32)[: len(seeds)] for size in
                ((model.width, model.symbols), (model.symbols,))]  # fmt: skip
    state = program.start(weights)
    errors = program.train(state, given)
    return program.weights(state), errors, program.answer(state, given)


def made(cell, inputs=4, units=4, **options):
    form = registry.find(cell).jax
    functions = form.functions(units, form.options(**options))
    return jax_engine.make_model(adapted(functions, units, {}, inputs), inputs, 4, softmax=True)


@pytest.mark.parametrize("cell", ["retnet", "mlstm", "delta_net", "attention", "s6"])
def test_whole_sequences_at_once_are_trained_as_step_by_step_also_where_they_are_padded(cell):
    model, given = made(cell), sequences(SYMBOLS)
    assert model.cell.call_sequence is not None
    by_steps = model._replace(cell=replace(model.cell, call_sequence=None))
    for found, expected in zip(trained(model, SYMBOLS, given, batch=4), trained(by_steps, SYMBOLS, given, batch=4)):
        for some, others in zip(found, expected):
            np.testing.assert_allclose(some, others, rtol=0, atol=1e-4)


@pytest.mark.parametrize("batch", [2, 4])
def test_sequences_of_one_length_are_trained_as_all_are(batch):
    """Two batches of four do not divide six sequences: the last one is filled up."""
    plain = sequences(SYMBOLS)
    given = Sequences(np.full((3, 6), 5, np.int32), plain.x[:, :30], plain.y[:, :30])
    model = made("min_gru")
    shape = replace(SYMBOLS, longest=5)
    found = trained(model, replace(shape, equally_long=True), given, batch=batch)
    for some, expected in zip(found, trained(model, shape, given, batch=batch)):
        for one, other in zip(some, expected):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_an_answer_that_is_a_number_is_right_within_a_tolerance():
    model = jax_engine.make_model(adapted(Echo, 3, {}, 2), 2, 1, softmax=False)
    program = jax_streams.Program(model, TrainingSettings(update="sequence"), NUMBERS)
    random, given = np.random.default_rng(1), sequences(NUMBERS)
    weights = [random.normal(0, 0.5, (3, *size)).astype(np.float32) for size in ((2, 3), (3, 1), (1,))]
    state = program.start(weights)
    errors = program.test(state, given)
    answers = program.answer(state, given, tolerance=0.2)
    there = given.lengths > 0
    assert np.array_equal(answers.scored, there) and np.isnan(answers.bits[there]).all()
    assert (
        np.array_equal(answers.right[there] == 1, errors.worst[there] < 0.2) and 0 < answers.right.sum() < there.sum()
    )


@pytest.mark.parametrize("cell", ["lru", "mlstm"])
def test_a_trials_bits_depend_on_no_other_also_of_whole_sequences(cell):
    model, given = made(cell), sequences(SYMBOLS)
    together = trained(model, SYMBOLS, given, batch=2)
    alone = trained(model, SYMBOLS, given.of(np.array([0])), seeds=(3,), batch=2)
    for found, expected in zip(together, alone):
        for array, other in zip(found, expected):
            np.testing.assert_array_equal(array[:1], other)


def test_trials_beside_which_a_program_is_filled_up_change_nothing():
    shape, how = CASES["lstm"]
    settings = TrainingSettings(update="sequence", batch=2, **how)
    model = jax_engine.make_model(adapted(plain_cells.CELLS["lstm"], 3, {}, 4), 4, 4, softmax=False)
    program, given = jax_streams.Program(model, settings, shape), sequences(shape)
    weights = initializers.initial_weights(ModelSettings(cell="lstm", units=3), 4, 4, np.array([3, 4, 5]))
    several, alone = program.start(weights), program.start([array[1:2] for array in weights])
    for errors, other in zip(program.train(several, given), program.train(alone, given.of(np.array([1])))):
        np.testing.assert_array_equal(errors[1:2], other)
    for array, other in zip(program.weights(several), program.weights(alone)):
        np.testing.assert_array_equal(array[1:2], other)
