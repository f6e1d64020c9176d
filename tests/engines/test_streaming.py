"""The engine for streams: against the paper's equations in NumPy, TensorFlow's gradients, differences, and itself."""

import dataclasses
import itertools
import threading

import numpy as np
import pytest

from memory_trials.engines import streaming
from memory_trials.models.backend import tf
from memory_trials.models.weights import initial_weights
from memory_trials.settings import TrainingSettings
from memory_trials.tasks.interface import Sequences, Shape
from tests.published_numpy import ARCHITECTURES, MemoryCell, memory_cell

pytestmark = pytest.mark.skipif(not streaming.LIBRARY.available(), reason="no C compiler")

MORE = {  # what the paper has not, but settings allow
    "B real": (memory_cell(4, block_size=2, connected="B", cell_bias=True, output_bias=True), Shape(3, 1, True, True, False, 20)),
    "no output gate": (memory_cell(2, output_gate=False, input_gate_bias="random"), Shape(5, 5, False, False, True, 20)),
    "plain with gates": (memory_cell(9, block_size=3, squashing="plain", output_gate_bias="random"), Shape(5, 3, False, False, True, 20)),
    "real inputs, every step": (memory_cell(2, output_bias=True), Shape(3, 4, True, False, True, 20)),
}  # fmt: skip
MODELS = {name: (model, shape) for name, (model, shape, _) in ARCHITECTURES.items()} | MORE


def program(model, shape, rate=0.5, update="window", loss=None):
    training = TrainingSettings(optimizer="sgd", learning_rate=rate, update=update, loss=loss)
    return streaming.Program(model, training, shape)


def draws(shape, trials, count, shortest, longest, seed=0):
    random = np.random.default_rng(seed)
    lengths = random.integers(shortest, longest + 1, (trials, count)).astype(np.int32)
    at = (trials, int(lengths.sum(axis=1).max()))
    x = (
        random.normal(size=(*at, shape.inputs)).astype(np.float32)
        if shape.real_input
        else random.integers(0, shape.inputs, at).astype(np.int32)
    )
    scored = at if shape.every_step else lengths.shape
    y = (
        random.random(scored).astype(np.float32)
        if shape.real_target
        else random.integers(0, shape.outputs, scored).astype(np.int32)
    )
    return Sequences(lengths, x, y)


def weights_of(model, shape, trials, scale=1.0):
    return [np.float32(scale) * a for a in initial_weights(model, shape.inputs, shape.outputs, np.arange(trials))]


def any_weights(model, shape):
    """Of one trial, so large that every one of them counts."""
    shapes, random = program(model, shape).shapes, np.random.default_rng(0)
    return [random.normal(scale=0.5, size=(1, *s)).astype(np.float32) for s in shapes]


def in_numpy(model, shape, sequences, trial, number):
    """x [steps, inputs] and, for each step, a target or None."""
    first = sequences.lengths[trial, :number].sum()
    steps = slice(first, first + sequences.lengths[trial, number])
    x, length = sequences.x[trial, steps], sequences.lengths[trial, number]
    vectors = x.astype(np.float64) if shape.real_input else np.eye(shape.inputs)[x]
    one_hot = np.eye(shape.outputs)
    if shape.every_step:
        return vectors, list(one_hot[sequences.y[trial, steps]])
    y = sequences.y[trial, number]
    return vectors, [None] * (length - 1) + [np.array([y], np.float64) if shape.real_target else one_hot[y]]


def reference(of_program, model, shape, weights, trial, rate=0.5, update="window", loss=None):
    named = dict(zip(of_program.names, (a[trial] for a in weights)))
    return MemoryCell(model.options, model.units, shape.inputs, shape.outputs, named, rate, update == "sequence", loss)


@pytest.mark.parametrize(
    ("name", "update", "loss", "rate"),
    [*itertools.product(MODELS, ("window", "sequence"), ("squared_error",), (0.5,)),
     *itertools.product(("1 3x2", "2c 50", "4"), ("window", "sequence"), ("cross_entropy",), (0.1,))],
)  # fmt: skip
def test_training_is_that_of_the_equations(name, update, loss, rate):
    """In single precision; the errors too, of every sequence."""
    model, shape = MODELS[name]
    trials, count = 9, 40 if shape.inputs > 100 else 120
    ours, sequences, weights = (
        program(model, shape, rate, update, loss),
        draws(shape, trials, count, 3, 12),
        weights_of(model, shape, trials),
    )
    state = ours.start(weights)
    errors = ours.train(state, sequences)
    for trial in (0, 8):
        by_hand = reference(ours, model, shape, weights, trial, rate, update, loss)
        for number in range(count):
            x, targets = in_numpy(model, shape, sequences, trial, number)
            error = by_hand.run(x, targets) - np.array([t for t in targets if t is not None])
            found = [array[trial, number] for array in errors[:3]]
            assert np.abs(found - np.array([np.abs(error).max(), np.abs(error).mean(), (error**2).mean()])).max() < 2e-5
        for of, ours_now in zip(ours.names, ours.weights(state)):
            assert np.abs(ours_now[trial] - by_hand.w[of]).max() < 5e-5
    assert max(np.abs(a - b).max() for a, b in zip(weights, ours.weights(state))) > 0.003


LOSSES = {  # by the outputs and the targets
    "squared_error": lambda y, target: 0.5 * (y - target) ** 2,
    "cross_entropy": lambda y, target: -target * np.log(y) - (1 - target) * np.log(1 - y),
}


def gradients(model, shape, sequences, weights, loss=None):
    """What the engine takes off the weights for one sequence of one trial, and the reference of before."""
    ours = program(model, shape, 1.0, "sequence", loss)
    state = ours.start(weights)
    ours.train(state, sequences)
    return {of: a[0].astype(np.float64) - b[0] for of, a, b in zip(ours.names, weights, ours.weights(state))}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", [name for name, (_, shape) in MODELS.items() if shape.inputs < 20])
def test_the_truncated_gradient_is_that_of_differences(name, loss):
    """Where the outputs of the step before are constants, which is what cutting the gradient means."""
    model, shape = MODELS[name]
    sequences, weights = draws(shape, 1, 1, 9, 9), any_weights(model, shape)
    ours = program(model, shape)
    by_hand = reference(ours, model, shape, weights, 0, 1.0, "sequence", loss)
    x, targets = in_numpy(model, shape, sequences, 0, 0)
    by_hand.run(x, targets, train=False)
    by_hand.frozen = by_hand.before
    scored = np.array([t for t in targets if t is not None])
    total = lambda: LOSSES[loss](by_hand.run(x, targets, train=False), scored).sum()
    differences = {of: np.zeros(a.shape) for of, a in by_hand.w.items()}
    for of, array in by_hand.w.items():
        for place in np.ndindex(array.shape):
            before = array[place]
            array[place] = before + 1e-5
            above = total()
            array[place] = before - 1e-5
            differences[of][place] = (above - total()) / 2e-5
            array[place] = before
    start = {of: a.copy() for of, a in by_hand.w.items()}
    by_hand.run(x, targets)
    from_engine = gradients(model, shape, sequences, weights, loss)
    for of in by_hand.w:
        assert np.abs(start[of] - by_hand.w[of] - differences[of]).max() < 1e-8
        assert np.abs(from_engine[of] - differences[of]).max() < 2e-6
    assert max(np.abs(d).max() for d in differences.values()) > 1e-3


@pytest.mark.parametrize("name", ["1 3x2", "2a", "4", "plain with gates"])
def test_the_truncated_gradient_is_tensorflows(name):
    model, shape = MODELS[name]
    options, cells = model.options, model.units
    blocks = cells // options.block_size
    sequences, weights = draws(shape, 1, 1, 9, 9), any_weights(model, shape)
    ours = program(model, shape)
    x, targets = in_numpy(model, shape, sequences, 0, 0)
    w = {of: tf.Variable(a[0].astype(np.float64)) for of, a in zip(ours.names, weights)}
    has = [options.input_gate_bias is not None] * blocks + [options.output_gate_bias is not None] * (
        blocks * options.output_gate
    )
    places = np.flatnonzero(has + [options.cell_bias] * cells)
    units = len(has) + cells
    gates = lambda y: tf.repeat(y, options.block_size)
    with tf.GradientTape() as tape:
        loss, before, s = tf.constant(0.0, tf.float64), tf.zeros(units, tf.float64), tf.zeros(cells, tf.float64)
        for step, target in zip(x, targets):
            nets = tf.linalg.matvec(w["cell/kernel"], step, transpose_a=True)
            if options.connected == "F":
                nets += tf.linalg.matvec(w["cell/recurrent_kernel"], tf.stop_gradient(before), transpose_a=True)
            if len(places):
                nets += tf.scatter_nd(places[:, np.newaxis], w["cell/bias"], [units])
            y_in, sigma = tf.sigmoid(nets[:blocks]), tf.sigmoid(nets[len(has) :])
            plain = options.squashing == "plain"
            s = s + gates(y_in) * (sigma if plain else 4 * sigma - 2)
            y_cells, y = s if plain else 2 * tf.sigmoid(s) - 1, [y_in]
            if options.output_gate:
                y_out = tf.sigmoid(nets[blocks : 2 * blocks])
                y_cells, y = gates(y_out) * y_cells, [y_in, y_out]
            before = tf.concat([*y, y_cells], 0)
            if target is not None:
                out = tf.linalg.matvec(w["output/kernel"], y_cells, transpose_a=True)
                if options.connected == "B":
                    out += tf.linalg.matvec(w["output/input_kernel"], step, transpose_a=True)
                if options.output_bias:
                    out += w["output/bias"]
                loss += 0.5 * tf.reduce_sum((tf.sigmoid(out) - target) ** 2)
    expected = dict(zip(w, tape.gradient(loss, list(w.values()))))
    for of, gradient in gradients(model, shape, sequences, weights).items():
        assert np.abs(gradient - expected[of].numpy()).max() < 3e-6


def test_where_one_step_is_scored_both_updates_are_one():
    for name in ("2c 50", "3", "6b"):
        model, shape = MODELS[name]
        states = [
            program(model, shape, 0.5, update).start(weights_of(model, shape, 5)) for update in ("window", "sequence")
        ]
        for update, state in zip(("window", "sequence"), states):
            program(model, shape, 0.5, update).train(state, draws(shape, 5, 20, 3, 9))
        assert states[0].parameters.tobytes() == states[1].parameters.tobytes()


def test_weights_change_after_each_step_or_after_each_sequence():
    model, shape = MODELS["1 4x1"]
    found = []
    for update in ("window", "sequence"):
        ours = program(model, shape, 0.5, update)
        state = ours.start(weights_of(model, shape, 1))
        ours.train(state, draws(shape, 1, 1, 9, 9))
        found.append(state.parameters)
    assert 1e-4 < np.abs(found[0] - found[1]).max() < 0.1


def rows(sequences, trials):
    taken = (
        None if a is None else a[trials] for a in (sequences.lengths, sequences.x, sequences.y, sequences.possible)
    )
    return Sequences(*taken)


def as_bytes(errors, state):
    return [row.tobytes() for array in (*errors, state.parameters) for row in array]


@pytest.mark.parametrize("update", ["window", "sequence"])
@pytest.mark.parametrize("name", ["1 3x2", "2a", "2c 50", "3", "4", "6a"])
def test_bits_depend_on_neither_neighbours_nor_threads(name, update):
    """Lengths differ much, so lanes wait for others that they are alone without."""
    model, shape = MODELS[name]
    ours, sequences = program(model, shape, 0.5, update), draws(shape, 21, 8, 1, 30)
    weights = weights_of(model, shape, 21)

    def trained(trials):
        state = ours.start([a[trials] for a in weights])
        return ours.train(state, rows(sequences, trials)), state

    together, state = trained(np.arange(21))
    for trials in ([20], np.arange(8), np.arange(20, 11, -1), np.arange(1, 11), np.array([4, 9])):
        errors, own = trained(np.asarray(trials))
        for mine, theirs in zip((*errors, own.parameters), (*together, state.parameters)):
            assert mine.tobytes() == theirs[trials].tobytes()
    found = {}
    threads = [threading.Thread(target=lambda k=k: found.update({k: trained(np.arange(21))})) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert as_bytes(*found[0]) == as_bytes(*found[1]) == as_bytes(together, state)


@pytest.mark.parametrize("name", ["1 4x1", "2a", "4"])
def test_bits_do_not_depend_on_how_sequences_are_cut_into_calls(name):
    model, shape = MODELS[name]
    ours, sequences, weights = program(model, shape), draws(shape, 5, 9, 4, 4), weights_of(model, shape, 5)
    state = ours.start(weights)
    errors = ours.train(state, sequences)
    cut = ours.start(weights)
    for first, last in ((0, 2), (2, 3), (3, 9)):
        numbers, steps = slice(first, last), slice(4 * first, 4 * last)
        y = sequences.y[:, steps if shape.every_step else numbers]
        part = ours.train(cut, Sequences(sequences.lengths[:, numbers], sequences.x[:, steps], y))
        for whole, some in zip(errors, part):
            assert (whole[:, numbers] == some).all()
        cut = ours.resume(cut.arrays())
    assert cut.parameters.tobytes() == state.parameters.tobytes()


@pytest.mark.parametrize("update", ["window", "sequence"])
@pytest.mark.parametrize("name", ["1 3x2", "2a", "4"])
def test_a_trial_takes_as_many_sequences_as_it_is_told(name, update):
    """And one that takes none keeps every bit, be it a negative zero, while its neighbours learn."""
    model, shape = MODELS[name]
    ours, sequences, weights = program(model, shape, 0.5, update), draws(shape, 3, 4, 5, 9), weights_of(model, shape, 3)
    weights[0][1].flat[:2] = [-0.0, 1e-42]
    state = ours.start(weights)
    before = state.parameters.copy()
    taken = np.arange(sequences.lengths.shape[1]) < np.array([[4], [0], [2]])
    some = Sequences(np.where(taken, sequences.lengths, np.int32(0)), sequences.x, sequences.y, sequences.possible)
    errors = ours.train(state, some)
    assert state.parameters[1].tobytes() == before[1].tobytes()
    assert np.isnan(errors.worst[1]).all() and np.isnan(errors.absolute[2, 2:]).all() and not errors.right[1].any()
    assert np.isfinite(errors.squared[2, :2]).all() and np.isfinite(errors.worst[0]).all()
    alone = ours.start([a[2:] for a in weights])
    ours.train(
        alone,
        Sequences(
            sequences.lengths[2:, :2], sequences.x[2:], sequences.y[2:] if shape.every_step else sequences.y[2:, :2]
        ),
    )
    assert alone.parameters.tobytes() == state.parameters[2:].tobytes()


def test_a_test_moves_nothing_and_says_what_training_finds_first():
    model, shape = MODELS["6b"]
    ours, sequences = program(model, shape), draws(shape, 4, 1, 5, 9)
    state = ours.start(weights_of(model, shape, 4))
    before = state.parameters.copy()
    tested = ours.test(state, sequences)
    assert state.parameters.tobytes() == before.tobytes()
    assert [a.tobytes() for a in tested] == [a.tobytes() for a in ours.train(state, sequences)]


@pytest.mark.parametrize("last_step_only", [False, True])
def test_what_is_found_of_a_sequence(last_step_only):
    """Largest and mean errors, and whether what is possible is the most active."""
    model, shape = MODELS["1 3x2"]
    ours, sequences, weights = program(model, shape), draws(shape, 6, 30, 1, 5), weights_of(model, shape, 6, 8.0)
    random = np.random.default_rng(1)
    possible = (np.uint32(1) << random.integers(0, 7, sequences.x.shape).astype(np.uint32)) | np.uint32(1 << 3)
    for bits in (None, possible.astype(np.uint32)):
        data = dataclasses.replace(sequences, possible=bits)
        errors = ours.test(ours.start(weights), data, last_step_only)
        for trial in range(6):
            by_hand = reference(ours, model, shape, weights, trial)
            for number in range(30):
                x, targets = in_numpy(model, shape, data, trial, number)
                first = data.lengths[trial, :number].sum()
                scored = range(len(x))[-1:] if last_step_only else range(len(x))
                said = by_hand.run(x, targets, train=False)
                wanted = [
                    {int(np.argmax(targets[t]))}
                    if bits is None
                    else {o for o in range(7) if bits[trial, first + t] >> o & 1}
                    for t in scored
                ]
                right = all(
                    min(said[t][list(w)]) > max(said[t][list(set(range(7)) - w)]) for t, w in zip(scored, wanted)
                )
                error = np.abs(said - np.array(targets))[list(scored)]
                assert errors.right[trial, number] == right
                expected = (error.max(), error.mean(), (error**2).mean())
                assert np.abs(np.array([a[trial, number] for a in errors[:3]]) - expected).max() < 1e-6
        assert 0 < errors.right.mean() < 1


def test_a_tie_is_not_right_and_divergence_is_nan():
    model, shape = MODELS["6a"]
    ours, sequences = program(model, shape, 1000.0), draws(shape, 2, 3, 4, 4)
    zero = ours.start([np.zeros((2, *s), np.float32) for s in ours.shapes])
    assert not ours.test(zero, sequences).right.any()
    nan = ours.start([np.full((2, *s), [[np.nan]] if len(s) == 1 else [[[np.nan]]], np.float32) for s in ours.shapes])
    errors = ours.train(nan, sequences)
    assert np.isnan(errors.worst).all() and np.isnan(errors.squared).all() and not errors.right.any()
    assert np.isnan(nan.parameters).all()


@pytest.mark.parametrize("wrong", [
    {"x": np.full((2, 12), 8, np.int32)}, {"x": np.full((2, 12), -1, np.int32)}, {"y": np.full((2, 3), 4, np.int32)},
    {"y": np.zeros((2, 4), np.int32)}, {"lengths": np.full((2, 3), 5, np.int32)}, {"lengths": np.full((2, 3), -1, np.int32)},
    {"lengths": np.full((3, 3), 4, np.int32)}, {"x": np.zeros((2, 0), np.int32)}, {"x": np.zeros((2, 12, 8), np.float32)},
    {"possible": np.zeros((2, 11), np.uint32)},
])  # fmt: skip
def test_sequences_that_would_lead_outside_are_refused(wrong):
    model, shape = MODELS["6a"]
    ours = program(model, shape)
    state = ours.start(weights_of(model, shape, 2))
    sequences = draws(shape, 2, 3, 4, 4)
    for field, array in wrong.items():
        object.__setattr__(sequences, field, array)
    with pytest.raises(ValueError, match="sequences|lengths|the state"):
        ours.train(state, sequences)


def test_wrong_calls_are_refused():
    model, shape = MODELS["6a"]
    ours = program(model, shape)
    weights = weights_of(model, shape, 2)
    with pytest.raises(ValueError, match="weights are"):
        ours.start(weights[1:])
    state = ours.start(weights)
    state.parameters = state.parameters[:1]
    with pytest.raises(ValueError, match="the state"):
        ours.train(state, draws(shape, 2, 3, 4, 4))


def test_weights_come_back_as_they_were_given():
    for name, (model, shape) in MODELS.items():
        ours, weights = program(model, shape), weights_of(model, shape, 3)
        assert all((a == b).all() for a, b in zip(ours.weights(ours.start(weights)), weights)), name
