"""Five cells that people published, from their equations, in Keras; four of them in other libraries, too, with equal
results from equal weights. JAX trains all of them."""

import importlib.util

import numpy as np
import pytest

from memory_trials.engines import own
from memory_trials.settings import ComputeSettings, EncodingSettings, ModelSettings, ProblemSettings, TrainingSettings
from memory_trials.tasks.encoding import make_table
from memory_trials.tasks.problems import make_problem
from memory_trials.training import trainer
from memory_trials.training.job import TrainingJob

HERE = "tests.published_cells"
OTHERS = {"equinox": ["MinGRU", "DeltaNet"], "flax": ["PeepholeLSTM"], "nnx": ["MinGRU"], "haiku": ["LayerNormLSTM"],
          "torch": ["MinGRU", "DropoutLSTM", "DeltaNet"]}  # fmt: skip
UNITS, SEEDS = 6, np.array([3, 4])


def model_of(name: str, library: str) -> ModelSettings:
    return ModelSettings(cell=f"{HERE}.in_{library}.{name}", units=UNITS, output="softmax")


def trained(model: ModelSettings, epochs: int = 60):
    problem = make_problem(ProblemSettings(sequences=[[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]))
    settings = TrainingSettings(trials=2, first_seed=3, epochs=epochs, window="sequence", learning_rate=0.02)
    table = make_table(problem, EncodingSettings(), settings, False)
    return table, trainer.train(TrainingJob(model, settings, epochs, table), ComputeSettings())


@pytest.mark.parametrize("name", ["MinGRU", "PeepholeLSTM", "LayerNormLSTM", "DropoutLSTM", "DeltaNet"])
def test_a_published_cell_of_keras_learns(name):
    _, found = trained(model_of(name, "keras"))
    assert np.isfinite(found.losses).all() and (found.losses[:, -1] < 0.5 * found.losses[:, 0]).all()


@pytest.mark.parametrize(("library", "name"), [(library, name) for library in OTHERS for name in OTHERS[library]])
def test_another_librarys_cell_answers_and_learns_as_keras_does(library, name):
    installed = "flax" if library == "nnx" else library
    if importlib.util.find_spec(installed) is None:
        pytest.skip(f"{installed} is not installed")
    in_keras, other = model_of(name, "keras"), model_of(name, library)
    table, found = trained(other)
    assert (found.losses[:, -1] < 0.5 * found.losses[:, 0]).all()
    names = own.weight_names(in_keras, table.inputs, table.symbols)  # in the same order; Haiku's have a module's before
    weights = dict(zip(names, found.weights.values(), strict=True))
    predicted = [
        own.predict(model, given, table.eval_x, table.inputs, table.symbols)
        for model, given in ((in_keras, weights), (other, found.weights))
    ]
    assert np.abs(predicted[0] - predicted[1]).max() < 1e-5
    first = own.initial_weights(other, table.inputs, table.symbols, SEEDS)
    again = own.initial_weights(other, table.inputs, table.symbols, SEEDS[1:])
    assert all(np.array_equal(a[1:], b) for a, b in zip(first, again)) and not np.array_equal(
        first[-2][0], first[-2][1]
    )
