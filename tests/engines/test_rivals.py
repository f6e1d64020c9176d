"""The networks that the memory cell is compared with: against double precision, finite differences and Keras."""

import itertools

import numpy as np
import pytest

from memory_trials.engines import streaming
from memory_trials.errors import UserError
from memory_trials.models.weights import guessed_weights, initial_weights, weight_count
from memory_trials.settings import ModelSettings, TrainingSettings
from memory_trials.stream_settings import stream_settings
from memory_trials.tasks.interface import Sequences, Shape
from memory_trials.tasks.streams import Stream
from tests import rivals_numpy

pytestmark = pytest.mark.skipif(not streaming.LIBRARY.available(), reason="no C compiler")

SYMBOLS = Shape(inputs=4, outputs=4, real_input=False, real_target=False, every_step=True, longest=9)
CLASSES = Shape(inputs=5, outputs=3, real_input=False, real_target=False, every_step=False, longest=9)
NUMBERS = Shape(inputs=2, outputs=1, real_input=True, real_target=True, every_step=False, longest=9)
SHAPES = {"symbols": SYMBOLS, "classes": CLASSES, "numbers": NUMBERS}
KERAS_CELLS = ("lstm", "gru", "simple_rnn")


def program(shape, cell="fully_recurrent", units=2, rate=0.5, update="window", optimizer="sgd", loss=None, **options):
    model = ModelSettings(cell=cell, units=units, cell_options=options)
    training = TrainingSettings(update=update, optimizer=optimizer, learning_rate=rate, loss=loss)
    return streaming.Program(model, training, shape)


def random_weights(of_program, trials, scale=1.0, seed=0):
    random = np.random.default_rng(seed)
    return [random.uniform(-scale, scale, (trials, *shape)).astype(np.float32) for shape in of_program.shapes]


def random_sequences(shape, trials, count, seed=0, longest=9):
    """Of lengths that differ between trials, some of them 1."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, longest + 1, (trials, count)).astype(np.int32)
    steps = lengths.sum(axis=1).max()
    if shape.real_input:
        x = random.uniform(-1, 1, (trials, steps, shape.inputs)).astype(np.float32)
    else:
        x = random.integers(0, shape.inputs, (trials, steps)).astype(np.int32)
    if shape.real_target:
        y = random.uniform(0, 1, (trials, count)).astype(np.float32)
    else:
        y = random.integers(0, shape.outputs, (trials, steps if shape.every_step else count)).astype(np.int32)
    return Sequences(lengths, x, y)


def of_trial(shape, sequences, trial):
    """(x [steps, inputs], y [steps, outputs], scored [steps]) of each of its sequences."""
    first = 0
    for number, length in enumerate(sequences.lengths[trial]):
        steps = slice(first, first + length)
        x, first = sequences.x[trial, steps], first + length
        x = x if shape.real_input else np.eye(shape.inputs)[x]
        y = sequences.y[trial, steps] if shape.every_step else np.repeat(sequences.y[trial, number], length)
        y = y[:, np.newaxis] if shape.real_target else np.eye(shape.outputs)[y]
        yield (
            x.astype(float),
            y.astype(float),
            np.full(length, True) if shape.every_step else np.arange(length) == length - 1,
        )


def joined(shape, parts):
    """One part's sequences after the other's, of each trial."""
    lengths = np.concatenate([part.lengths for part in parts], axis=1)
    flat = lambda arrays: [
        np.concatenate([array[t, : part.lengths[t].sum()] for array, part in zip(arrays, parts)])
        for t in range(len(lengths))
    ]
    padded = lambda rows: np.stack(
        [
            np.concatenate([row, np.zeros((lengths.sum(axis=1).max() - len(row), *row.shape[1:]), row.dtype)])
            for row in rows
        ]
    )
    x, y = ([part.x for part in parts], [part.y for part in parts])
    return Sequences(lengths, padded(flat(x)), padded(flat(y)) if shape.every_step else np.concatenate(y, axis=1))


def by_name(of_program, weights, trial):
    return {name: array[trial].astype(float) for name, array in zip(of_program.names, weights)}


@pytest.mark.parametrize(("p", "weights"), [(4, 36), (10, 144), (100, 10404)])
def test_weights_are_as_many_as_table_2_says(p, weights):
    assert weight_count(ModelSettings(cell="fully_recurrent", units=1), p + 1, p + 1) == weights
    further = weight_count(ModelSettings(cell="chunker", units=1), p + 1, p + 1) - 2 * weights
    assert p != 100 or weights + further == 10506  # one of its nets, and the output more that it has


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_both_gradients_are_the_slope_of_the_loss(name, bias):
    shape = SHAPES[name]
    ours = program(shape, bias=bias, units=3)
    weights = by_name(ours, random_weights(ours, 1, scale=1.5), 0)
    for x, y, scored in of_trial(shape, random_sequences(shape, 1, 3), 0):
        forward = rivals_numpy.real_time_gradient(weights, x, y, scored)
        back = rivals_numpy.through_time_gradient(weights, x, y, scored)
        for variable, array in weights.items():
            assert np.abs(forward[variable] - back[variable]).max() < 1e-12
            for place in np.ndindex(array.shape):
                slope, kept = [], array[place]
                for small in (1e-6, -1e-6):
                    array[place] = kept + small
                    slope.append(rivals_numpy.loss(weights, x, y, scored))
                array[place] = kept
                assert (slope[0] - slope[1]) / 2e-6 == pytest.approx(back[variable][place], abs=1e-8)


@pytest.mark.parametrize("update", ["window", "sequence"])
@pytest.mark.parametrize(
    ("name", "units", "bias", "loss"),
    [("symbols", 1, False, None), ("symbols", 3, True, None), ("classes", 2, False, None), ("numbers", 2, True, None),
     ("symbols", 2, True, "cross_entropy")],
)  # fmt: skip
def test_fully_recurrent_learns_as_in_double_precision(name, units, bias, loss, update):
    shape = SHAPES[name]
    ours = program(shape, units=units, update=update, loss=loss, bias=bias)
    weights, sequences = random_weights(ours, 19), random_sequences(shape, 19, 12)
    state = ours.start(weights)
    errors = ours.train(state, sequences)
    for trial in range(19):
        before = by_name(ours, weights, trial)
        after = rivals_numpy.train(before, of_trial(shape, sequences, trial), 0.5, update == "sequence", loss)
        for variable, array in by_name(ours, ours.weights(state), trial).items():
            assert np.abs(array - after[variable]).max() < 2e-5
        x, y, scored = next(of_trial(shape, sequences, trial))
        scored_outputs = scored.sum() * shape.outputs
        assert (
            errors.squared[trial, 0]
            == pytest.approx(2 * rivals_numpy.loss(before, x, y, scored) / scored_outputs, abs=1e-5)
            or update == "window"
        )


def test_weights_that_change_at_the_end_alone_change_alike():
    """Where only the last step is scored, real-time recurrent learning changes weights once, by the same gradient."""
    changed = []
    for update in ("window", "sequence"):
        ours = program(CLASSES, units=3, update=update, rate=2.0)
        state = ours.start(random_weights(ours, 5, scale=2.0))
        ours.train(state, random_sequences(CLASSES, 5, 1))
        changed.append(
            state.parameters - np.concatenate([w.reshape(5, -1) for w in random_weights(ours, 5, scale=2.0)], axis=1)
        )
    assert np.abs(changed[0]).max() > 0.01
    assert np.abs(changed[0] - changed[1]).max() < 1e-6


@pytest.mark.parametrize(("units", "loss"), [(1, None), (2, None), (2, "cross_entropy")])
def test_the_chunker_learns_as_in_double_precision(units, loss):
    shape = Shape(inputs=6, outputs=6, real_input=False, real_target=False, every_step=True, longest=5)
    ours = program(shape, "chunker", units=units, rate=1.0, loss=loss)
    weights = random_weights(ours, 18, scale=0.2)
    stream = stream_settings(task="keys", length=5)
    sequences = Stream(stream).draw(np.arange(18), "train", 0, 120)
    state = ours.start(weights)
    ours.train(state, sequences)
    learned = set()
    for trial in (0, 7, 17):
        pairs = [(x, y) for x, y, _ in of_trial(shape, sequences, trial)]
        after, times = rivals_numpy.train_chunker(by_name(ours, weights, trial), pairs, 1.0, 0.2, loss)
        learned.add(times)
        for variable, array in by_name(ours, ours.weights(state), trial).items():
            assert np.abs(array - after[variable]).max() < 2e-3
    assert max(learned) < 600  # the chunker has not seen every step


def keras_model(shape, cell, units, optimizer, rate):
    from memory_trials.models.backend import keras

    layer = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple_rnn": keras.layers.SimpleRNN}[cell]
    inputs = keras.Input(batch_shape=(1, None, shape.inputs))
    hidden = (
        layer(units, return_sequences=True, use_cudnn=False)
        if cell != "simple_rnn"
        else layer(units, return_sequences=True)
    )
    model = keras.Model(inputs, keras.layers.Dense(shape.outputs, activation="sigmoid")(hidden(inputs)))
    return model, {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD, "rmsprop": keras.optimizers.RMSprop}[
        optimizer
    ](rate)


@pytest.mark.parametrize(
    ("name", "optimizer", "rate", "loss"),
    [("numbers", "adam", 0.01, None), ("symbols", "sgd", 0.5, None), ("classes", "rmsprop", 0.01, "cross_entropy")],
)
@pytest.mark.parametrize("cell", KERAS_CELLS)
def test_keras_cells_learn_as_keras_differentiates(cell, name, optimizer, rate, loss):
    from memory_trials.models.backend import tf

    shape = SHAPES[name]
    ours = program(shape, cell, units=5, update="sequence", optimizer=optimizer, rate=rate, loss=loss)
    trials, count = 3, 6
    weights, sequences = random_weights(ours, trials), random_sequences(shape, trials, count)
    state = ours.start(weights)
    errors = ours.train(state, sequences)
    for trial in range(trials):
        model, steps = keras_model(shape, cell, 5, optimizer, rate)
        model.set_weights([array[trial] for array in weights])
        for number, (x, y, scored) in enumerate(of_trial(shape, sequences, trial)):
            with tf.GradientTape() as tape:
                first = scored.argmax()
                said, wanted = model(tf.constant(x[np.newaxis], tf.float32))[0][first:], y.astype(np.float32)[first:]
                off = said - wanted
                total = (
                    tf.reduce_sum(tf.keras.losses.binary_crossentropy(wanted, said)) * shape.outputs
                    if loss == "cross_entropy"
                    else tf.reduce_sum(off * off) / 2
                )
            steps.apply(tape.gradient(total, model.trainable_variables), model.trainable_variables)
            assert errors.squared[trial, number] == pytest.approx(np.mean(off.numpy() ** 2), abs=1e-5)
            assert errors.worst[trial, number] == pytest.approx(np.abs(off.numpy()).max(), abs=1e-5)
        for mine, theirs in zip(ours.weights(state), model.get_weights()):
            assert np.abs(mine[trial] - theirs).max() < 1e-4


CASES = [
    *itertools.product(("fully_recurrent",), SHAPES, ("window", "sequence"), ("sgd",)),
    ("chunker", "symbols", "window", "sgd"), ("chunker", "symbols", "sequence", "sgd"),
    *itertools.product(KERAS_CELLS, ("symbols", "numbers"), ("sequence",), ("adam",)),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "name", "update", "optimizer"), CASES)
def test_a_trial_is_the_same_in_any_company_and_in_portions(cell, name, update, optimizer):
    shape = SHAPES[name]
    ours = program(shape, cell, units=3, update=update, optimizer=optimizer, rate=0.1)
    weights, parts = random_weights(ours, 19), [random_sequences(shape, 19, 4, seed, longest=40) for seed in range(2)]
    together, few = ours.start(weights), np.array([17, 3, 8])
    ours.train(together, joined(shape, parts))
    state = ours.resume({key: array[few] for key, array in ours.start(weights).arrays().items()})
    for part in parts:
        ours.train(state, Sequences(part.lengths[few], part.x[few], part.y[few]))
    for key, array in state.arrays().items():
        assert array.tobytes() == together.arrays()[key][few].tobytes(), key
    frozen = together.parameters.tobytes()
    ours.test(together, parts[0])
    assert together.parameters.tobytes() == frozen


@pytest.mark.parametrize("cell", ["chunker", "fully_recurrent", *KERAS_CELLS])
def test_initial_weights_fit(cell):
    ours = program(SYMBOLS, cell, units=4, update="sequence")
    weights = ours.weights(ours.start(initial_weights(ModelSettings(cell=cell, units=4), 4, 4, np.array([7, 8]))))
    assert [array.shape[1:] for array in weights] == ours.shapes
    if cell == "lstm":
        assert (weights[2] == np.repeat([0, 1, 0, 0], 4)).all()
    assert np.abs(weights[0]).max() <= (0.2 if cell not in KERAS_CELLS else 1)
    assert len(np.unique(weights[0])) == weights[0].size


@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"optimizer": "adam"}, "training.optimizer: adam takes the gradient of a whole sequence: set training.update: sequence, or training.optimizer: sgd"),
    ({"cell": "chunker", "shape": NUMBERS}, "the cell chunker predicts its next input: it is for the tasks reber and keys"),
    ({"cell": "lstm", "update": "sequence", "activation": "relu"}, "of the cell lstm in a stream, cell_options may be unit_forget_bias, seed, and initializers by their names: for others set training.engine: jax"),
])  # fmt: skip
def test_what_is_not_trained_is_said(arguments, sentence):
    with pytest.raises(UserError) as error:
        program(**({"shape": SYMBOLS} | arguments))
    assert str(error.value) == sentence


def test_guesses_are_the_same_in_any_company_and_solve_what_is_easy():
    """Which of two symbols came first, three steps ago: two of the three weights of one unit must suit each other."""
    shape = Shape(inputs=3, outputs=1, real_input=False, real_target=True, every_step=False, longest=4)
    model = ModelSettings(cell="fully_recurrent", units=1)
    ours = streaming.Program(model, TrainingSettings(optimizer="guess"), shape)
    seeds = np.arange(40)
    x = np.tile(np.array([0, 2, 2, 2, 1, 2, 2, 2], np.int32), (40, 1))
    data = Sequences(np.full((40, 2), 4, np.int32), x, np.tile(np.array([0, 1], np.float32), (40, 1)))
    solved, drawn = np.zeros(40, bool), []
    for number in range(100):
        weights = guessed_weights(model, shape, seeds, number)
        drawn.append(np.concatenate([array.reshape(40, -1) for array in weights], axis=1))
        solved |= (ours.test(ours.start(weights), data).worst < 0.2).all(axis=1)
    assert solved.mean() > 0.5
    some = guessed_weights(model, shape, seeds[[30, 2]], 7)
    assert all((a == b[[30, 2]]).all() for a, b in zip(some, guessed_weights(model, shape, seeds, 7)))
    drawn = np.stack(drawn)
    assert np.abs(drawn).max() <= 100 and abs(drawn.mean()) < 1 and abs(drawn.std() - 100 / 3**0.5) < 0.5
    assert len(np.unique(drawn)) > 0.99 * drawn.size  # no guess is one of before
