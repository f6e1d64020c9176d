"""Cells as people write them (tests/people/cells/, one file for each): they work as in Keras, or one sentence says why
not. A further case is a further file: its docstring names where it is from, EXPECTED says `works`, `works on JAX` (and is
refused by TensorFlow's XLA), or how the sentence begins after the cell's name."""

import ast
from pathlib import Path

import numpy as np
import pytest

from memory_trials.engines import own, xla
from memory_trials.errors import UserError
from memory_trials.evaluation import predictions
from memory_trials.models import keras_model
from memory_trials.models.backend import keras, tf
from memory_trials.serving import predictor
from memory_trials.settings import ComputeSettings, EncodingSettings, ModelSettings, ProblemSettings, TrainingSettings
from memory_trials.tasks.encoding import make_table, one_hot
from memory_trials.tasks.problems import make_problem
from memory_trials.training import cache, shards, trainer
from memory_trials.training.job import TrainingJob, make_program

pytestmark = pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer")  # by plain Keras
FOLDER = Path(__file__).parent / "cells"
SEQUENCES = [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]
UNITS, SYMBOLS = 4, 5


def read(name: str) -> dict:
    """EXPECTED and OPTIONS of a file that may not be importable."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    assert ast.get_docstring(tree)
    constants = [node for node in tree.body if isinstance(node, ast.Assign)]
    return {"OPTIONS": {}} | {node.targets[0].id: ast.literal_eval(node.value) for node in constants}


CASES = {path.stem: read(path.stem) for path in sorted(FOLDER.glob("*.py"))}
WORKING = [name for name, case in CASES.items() if case["EXPECTED"] == "works"]
ON_JAX = [name for name, case in CASES.items() if case["EXPECTED"] == "works on JAX"]
REFUSED = [name for name in CASES if name not in WORKING + ON_JAX]
WITH_JAX = [name for name in WORKING if not own.calls_tensorflow(f"tests.people.cells.{name}.Cell")]
COMPILED = ("initial_identity", "memory_matrix", "layer_norm", "stacked_own", "training_dependent")  # seconds each


def model_settings(name: str) -> ModelSettings:
    return ModelSettings(cell=f"tests.people.cells.{name}.Cell", units=UNITS, cell_options=CASES[name]["OPTIONS"])


@pytest.fixture(autouse=True)
def quick_key(monkeypatch):
    """Of no store: that all of tests/ belongs to a cell in it takes seconds to find."""
    monkeypatch.setattr(cache, "_package", lambda name: b"")


def made(**training):
    settings = TrainingSettings(**{"trials": 2, "first_seed": 7, "optimizer": "sgd", "learning_rate": 0.1} | training)
    problem = make_problem(ProblemSettings(sequences=SEQUENCES))
    return settings, problem, make_table(problem, EncodingSettings(), settings, False)


class PlainKeras:
    """A cell under a Dense layer, as Keras's RNN layer has it. Where that layer makes no zeros for such states, they
    are written out here, and the cell is called by hand."""

    def __init__(self, name: str, seed: int):
        keras.utils.set_random_seed(seed)
        module = __import__(f"tests.people.cells.{name}", fromlist=["Cell"])
        self.cell = module.Cell(UNITS, **CASES[name]["OPTIONS"])
        self.dense = keras.layers.Dense(SYMBOLS, activation="sigmoid")
        self.zeros = ZEROS.get(name)
        if self.zeros:
            self.cell.build((1, SYMBOLS))
        self(np.zeros((1, 1, SYMBOLS), np.float32))

    @property
    def weights(self) -> list:
        return self.cell.trainable_variables + self.dense.trainable_variables

    def __call__(self, x, training=False):
        if not self.zeros:
            return self.dense(keras.layers.RNN(self.cell, return_sequences=True)(x, training=training))
        states, outputs = self.zeros(len(x)), []
        for step in range(x.shape[1]):
            output, states = self.cell(x[:, step], states)
            outputs.append(self.dense(output))
        return tf.stack(outputs, axis=1)

    def train(self, x, y, learning_rate: float) -> float:
        """One step of gradient descent on a batch; the loss before it."""
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.binary_crossentropy(y, self(x, training=True)))
        for weight, gradient in zip(self.weights, tape.gradient(loss, self.weights)):
            if gradient is not None:
                weight.assign(weight - learning_rate * gradient)
        return float(loss)


def zeros(*shapes):
    return lambda rows: [tf.zeros((rows, *shape)) for shape in shapes]


ZEROS = {
    "shape_in_a_list": zeros((4, 4)),
    "nested_shapes": lambda rows: [*zeros((1, UNITS))(rows), tuple(zeros((UNITS,), (2, UNITS))(rows))],
    "stacked_own": lambda rows: [zeros((UNITS,))(rows), zeros((UNITS,), (UNITS,))(rows)],
    "fixed_gate": zeros((UNITS,)),
    "size_at_build": zeros((SYMBOLS,)),
}


def test_there_are_many_of_them():
    assert len(WORKING) >= 20 and len(REFUSED) >= 30
    assert {*ZEROS, *COMPILED} < {*WORKING}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_honoured_is_refused_in_one_sentence(name):
    with pytest.raises(UserError) as caught:
        model_of = model_settings(name)
        if own.calls_tensorflow(model_of.cell):
            keras_model.make_model(model_of, SYMBOLS, SYMBOLS)
        settings, _, table = made(epochs=1)  # what only compiling it shows
        trainer.train(TrainingJob(model_settings(name), settings, 1, table), ComputeSettings(threads=1))
    said = str(caught.value)
    assert said.startswith(f"model.cell tests.people.cells.{name}.Cell{CASES[name]['EXPECTED']}")
    assert "\n" not in said and "\x1b" not in said and len(said) < 500


@pytest.mark.parametrize("name", WORKING)
def test_a_cell_begins_evaluates_predicts_and_is_exported_as_keras_has_it(name, tmp_path, monkeypatch):
    _, problem, table = made()
    model_of, plain = model_settings(name), PlainKeras(name, 7)
    for ours, theirs in zip(keras_model._plain_weights(model_of, SYMBOLS, SYMBOLS, 7), plain.weights, strict=True):
        assert np.array_equal(ours, theirs)
    x, y = (one_hot(array, SYMBOLS) for array in (table.eval_x, table.eval_y[..., None]))
    plain.train(x, y, learning_rate=1.0)
    names = keras_model.make_model(model_of, SYMBOLS, SYMBOLS).names
    if name in WITH_JAX:
        assert own.weight_names(model_of, SYMBOLS, SYMBOLS) == names
    assert len(set(names)) == len(names)
    trained = {name: np.array(weight)[None] for name, weight in zip(names, plain.weights, strict=True)}
    check_that_all_agree(model_of, problem, table, trained, plain, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", WITH_JAX)
def test_in_jax_a_seed_draws_the_weights_of_plain_keras(name):
    drawn = own.initial_weights(model_settings(name), SYMBOLS, SYMBOLS, np.array([7, 8]))
    for trial, seed in enumerate((7, 8)):
        for ours, theirs in zip(drawn, PlainKeras(name, seed).weights, strict=True):
            assert np.abs(ours[trial] - theirs.numpy()).max(initial=0) < 1e-6


@pytest.mark.parametrize("name", ON_JAX)
def test_what_a_cell_draws_follows_from_the_trial_alone_and_is_left_out_when_it_is_evaluated(name):
    settings, _, table = made(window="sequence", epochs=4, trials=3)
    model_of = model_settings(name)
    whole, again = (trainer.train(TrainingJob(model_of, settings, 2, table), ComputeSettings(threads=1)) for _ in "ab")
    assert np.array_equal(whole.losses, again.losses)
    alone = trainer.train(
        TrainingJob(model_of, made(window="sequence", epochs=4, trials=1)[0], 2, table), ComputeSettings()
    )
    assert np.allclose(alone.losses[0], whole.losses[0], atol=1e-6)
    plain = PlainKeras(name, 7)
    for weight, trained in zip(plain.weights, whole.weights.values(), strict=True):
        weight.assign(trained[0])
    said = predictions.answers(model_of, whole.weights, table, np.ones(4, bool))
    assert np.abs(said.activation[0] - np.asarray(plain(one_hot(table.eval_x, SYMBOLS))).max(axis=-1)).max() < 1e-6
    with pytest.raises(UserError, match="call: it draws random numbers"):
        keras_model.make_model(model_of, SYMBOLS, SYMBOLS)


def check_that_all_agree(model_of, problem, table, trained, plain, tmp_path, monkeypatch):
    """evaluation, predict and the exported model of the first trial, and plain Keras, which has its weights."""
    x = one_hot(table.eval_x, SYMBOLS)
    expected = np.asarray(plain(x))  # [K, L, symbols]
    said = predictions.answers(model_of, trained, table, np.ones(table.eval_y.shape[1], bool))
    assert np.abs(said.activation[0] - expected.max(axis=-1)).max() < 1e-6
    weights = {name: array[0] for name, array in trained.items()}
    best = predictor.Predictor(problem.alphabet, EncodingSettings(), model_of, weights, 7, False, 1.0)
    path = tmp_path / "model.keras"
    path.write_bytes(predictor.keras_file(best))
    exported = keras.saving.load_model(path, {"Cell": type(plain.cell)})
    assert np.abs(exported(x) - expected).max() < 1e-6
    monkeypatch.setattr(predictor, "load_settings", lambda: type("Settings", (), {"model": model_of}))
    steps = [activations for _, activations in predictor._keras_outputs(best, table.eval_x[1:])]
    assert np.abs(np.stack(steps) - expected[1]).max() < 1e-6


@pytest.mark.parametrize("name", COMPILED)
def test_some_are_trained_for_epochs_as_plain_keras_trains_them(name, tmp_path, monkeypatch):
    settings, problem, table = made(window="sequence", epochs=3)
    model_of = model_settings(name)
    job = TrainingJob(model_of, settings, 2, table)
    trained = trainer.train(job, ComputeSettings(threads=1))
    for trial in (1, 0):
        plain = PlainKeras(name, 7 + trial)
        for epoch in range(3):
            arrays = zip(table.x, table.y[..., None])
            pairs = [[one_hot(array, SYMBOLS).transpose(1, 0, 2) for array in both] for both in arrays]
            losses = [plain.train(x, y, learning_rate=0.1) for x, y in pairs]
            assert abs(trained.losses[trial, epoch] - np.mean(losses)) < 1e-6
        for weight, ours in zip(plain.weights, trained.weights.values(), strict=True):
            assert np.abs(weight - ours[trial]).max() < 1e-6
    said = predictions.answers(model_of, trained.weights, table, np.ones(4, bool))
    assert np.abs(said.margin(table.eval_mask) - trained.margin[:, -1]).max() < 1e-6
    check_that_all_agree(model_of, problem, table, trained.weights, plain, tmp_path, monkeypatch)


def test_two_runs_of_one_seed_are_the_same():
    settings, _, table = made(epochs=4)
    job, seeds = TrainingJob(model_settings("initial_ones"), settings, 2, table), np.array([7, 8])
    program = make_program(job, "xla", 2)
    new = lambda: shards.new_shard(job, program, keras_model.initial_weights(job.model, SYMBOLS, SYMBOLS, seeds), seeds)
    first, second = (shards.run_shard(shards.resumed(job, program, new())) for _ in range(2))
    assert first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", ["unused_weight", "training_dependent", "shared_layer", "memory_matrix"])
def test_the_gradient_is_that_of_plain_keras(name):
    settings, _, table = made(window=1)
    model_of = model_settings(name)
    weights = keras_model.initial_weights(model_of, SYMBOLS, SYMBOLS, np.array([7, 8]))
    program = xla.Program(keras_model.make_model(model_of, SYMBOLS, SYMBOLS), settings, table, 2, 10)
    state = program.start(weights)
    losses, gradients, _ = program._losses_and_gradients(tf.constant(0), state.carry[0], state.carry[2])
    x, y = (one_hot(array[0], SYMBOLS).transpose(1, 0, 2) for array in (table.x, table.y[..., None]))
    for trial in range(2):
        plain = PlainKeras(name, 7 + trial)
        assert all(np.array_equal(ours[trial], theirs) for ours, theirs in zip(weights, plain.weights, strict=True))
        assert abs(losses[trial] - plain.train(x, y, learning_rate=1.0)) < 1e-6
        for weight, ours, gradient in zip(plain.weights, weights, gradients, strict=True):
            assert np.abs(weight - (ours[trial] - gradient[trial])).max() < 1e-6


def test_a_window_of_hundreds_of_steps_is_compiled():
    """Of an alphabet so large that XLA would leave products to a library that it cannot call there."""
    settings = TrainingSettings(trials=2, epochs=1, window="sequence")
    problem = make_problem(ProblemSettings(generate={"lag": 300}))
    table = make_table(problem, EncodingSettings(), settings, False)
    model_of = ModelSettings(cell="my_cells.leaky.LeakyCell")
    trained = trainer.train(TrainingJob(model_of, settings, 1, table), ComputeSettings(threads=1))
    assert np.abs(trained.losses - np.log(2)).max() < 0.05  # sigmoids that say nothing yet
