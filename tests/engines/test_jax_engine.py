"""The JAX engine against the engine in C, which is held against plain Keras: every way of training, within rounding."""

import numpy as np
import pytest

from memory_trials.engines import interface, jax_engine, native
from memory_trials.evaluation import predictions
from memory_trials.models import initializers
from memory_trials.models.adapters import adapted
from memory_trials.models.user_code import Refusal
from memory_trials.settings import EncodingSettings, ModelSettings, ProblemSettings, TrainingSettings
from memory_trials.tasks.encoding import make_table
from memory_trials.tasks.problems import make_problem
from memory_trials.training import shards
from memory_trials.training.job import TrainingJob
from tests import plain_cells

TUTORIAL = ((3, 0, 1, 2, 3), (4, 0, 1, 2, 4))
UNEVEN = ((0, 1, 2, 0, 1), (2, 1, 0), (1, 1, 2, 2, 0, 1, 2))
WAYS = {
    "the tutorial's": (TUTORIAL, {}),
    "softmax and whole sequences": (TUTORIAL, {"window": "sequence", "output": "softmax"}),
    "windows across resets": (UNEVEN, {"window": 2, "update": "sequence", "optimizer": "rmsprop"}),
    "padded batches": (UNEVEN, {"window": 2, "batch": 2, "output": "softmax"}),
    "one update for all": (UNEVEN, {"window": 3, "update": "epoch", "reset": "epoch", "optimizer": "sgd"}),
    "state never reset": (UNEVEN, {"reset": "never", "output": "softmax"}),
    "reset in windows": (UNEVEN, {"window": 3, "update": "epoch", "reset": "window"}),
    "steps side by side": (UNEVEN, {"batch": 2, "batch_of": "steps"}),
    "only the last step": (TUTORIAL, {"scored": "last", "output": "softmax"}),
    "shuffled": (UNEVEN, {"shuffle": True, "output": "softmax"}),
}
UNITS, SEEDS = 6, np.array([4, 7, 8])


def programs(cell, sequences, scored="all", output="sigmoid", **training):
    settings = TrainingSettings(**{"trials": 3, "epochs": 20, "learning_rate": 0.005} | training)
    problem = make_problem(ProblemSettings(sequences=[list(row) for row in sequences], scored=scored))
    table = make_table(problem, EncodingSettings(), settings, False)
    model = ModelSettings(cell=cell, units=UNITS, output=output)
    in_c = native.Program(cell, UNITS, output, settings.optimizer, settings.learning_rate, table)
    ours = adapted(plain_cells.CELLS[cell], UNITS, {}, table.inputs)
    made = jax_engine.make_model(ours, table.inputs, table.symbols, output == "softmax")
    weights = initializers.initial_weights(model, table.inputs, table.symbols, SEEDS)
    return settings, model, table, in_c, jax_engine.Program(made, settings, table, 10), weights


@pytest.mark.skipif(not native.available(), reason="no C compiler")
@pytest.mark.parametrize("way", WAYS)
def test_it_trains_as_the_engine_in_c_does(way):
    sequences, options = WAYS[way]
    cell = ("lstm", "gru", "simple_rnn")[list(WAYS).index(way) % 3]
    settings, model, table, in_c, in_jax, weights = programs(cell, sequences, **options)
    trained = []
    for program in (in_c, in_jax):
        job = TrainingJob(model, settings, 10, table)
        shard = shards.new_shard(job, program, weights, SEEDS)
        batch = shards.run_shard(shards.resumed(job, program, shard))
        trained.append(dict(zip(in_c.names, [v for k, v in batch.items() if k.startswith("weights/")])) | batch)
    theirs, ours = trained
    for name in (*in_c.names, "losses", "margin", "memory"):
        assert np.allclose(ours[name], theirs[name], rtol=0, atol=2e-4, equal_nan=True), name
    decided = np.abs(theirs["margin"]) > 1e-3
    assert np.array_equal(ours["learned"][decided], theirs["learned"][decided])
    said = predictions.answers(model, {n: ours[n] for n in in_c.names}, table, np.ones(table.eval_y.shape[1], bool))
    assert np.allclose(said.memory(table), ours["memory"][:, -1], atol=1e-4, equal_nan=True)


def test_it_keeps_to_the_interface_and_goes_on_from_its_arrays():
    settings, model, table, _, program, weights = programs("gru", UNEVEN, batch=2, window="sequence")
    assert isinstance(program, interface.TableProgram)
    shard = lambda: shards.new_shard(TrainingJob(model, settings, 10, table), program, weights, SEEDS)
    whole = program.resume({k[6:]: v for k, v in shard().items() if k.startswith("state/")})
    parts = program.resume({k[6:]: v[1:] for k, v in shard().items() if k.startswith("state/")})
    assert isinstance(whole, interface.State)
    losses, found = program.run(whole, np.array([10, 20]), None)
    first, _ = program.run(parts, np.array([7]), None)
    parts = program.resume(parts.arrays())
    second, later = program.run(parts, np.array([3, 13]), None)
    assert np.array_equal(np.concatenate([first, second], axis=1), losses[1:])
    assert all(np.array_equal(later[name], found[name][1:], equal_nan=True) for name in found)
    assert all(np.array_equal(a[1:], b) for a, b in zip(program.weights(whole), program.weights(parts)))


class OneValue(plain_cells.SimpleRNN):
    def step(self, params, state, x):
        return super().step(params, state, x)[1]


class OtherState(plain_cells.SimpleRNN):
    def step(self, params, state, x):
        h = super().step(params, state, x)[1]
        return [h[:, :1]], h


class Double(plain_cells.SimpleRNN):
    def step(self, params, state, x):
        state, h = super().step(params, state, x)
        return state, h.astype("bfloat16")


@pytest.mark.parametrize(
    "cell, said",
    [
        (OneValue, "it returns one value; it must return two: return state, y"),
        (OtherState, r"its states have the shapes \[\(1, 6\)\], and it returns others: \[\(1, 1\)\]"),
        (Double, "it has numbers of type bfloat16, and trials are trained in float32"),
        (
            object(),
            r"it is neither a Keras, Flax, Equinox, Haiku or torch class, .*\(init, initial_state, step missing\)",
        ),
    ],
)
def test_a_wrong_cell_is_refused_in_one_sentence(cell, said):
    with pytest.raises(Refusal, match=said):
        jax_engine.make_model(adapted(cell, UNITS, {}, 3), 3, 3, True)
