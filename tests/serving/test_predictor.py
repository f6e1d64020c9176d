"""The memory one can ask: which trial it is, its two files, and what it says."""

import json
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from memory_trials import files
from memory_trials.cli import commands
from memory_trials.errors import UserError, exit_on_user_error
from memory_trials.models import forward
from memory_trials.serving import predictor
from memory_trials.settings import EncodingSettings, ModelSettings, ProblemSettings, TrainingSettings
from memory_trials.tasks import encoding
from memory_trials.tasks.problems import make_problem
from memory_trials.training.trained import Trained
from tests.cells import equations
from tests.conftest import ROOT

SEQUENCES = [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]
GATES = {"lstm": 4, "gru": 3, "simple_rnn": 1, "mlp": 1, "my_cells.leaky.LeakyCell": 1}


def make_predictor(
    cell="lstm", alphabet=(0, 1, 2, 3, 4), units=6, seed=0, history=1, history_as="features", **settings
):
    """A memory of random weights, large enough to say many things."""
    random, size = np.random.default_rng(seed), len(alphabet)
    inputs, columns = size * (history if history_as == "features" else 1), GATES[cell] * units
    shapes = {"cell/kernel": (inputs, columns), "cell/recurrent_kernel": (units, columns)}
    shapes |= {"cell/bias": (2, columns) if cell == "gru" else (columns,)}
    shapes |= {"output/kernel": (units, size), "output/bias": (size,)}
    if cell == "mlp":
        del shapes["cell/recurrent_kernel"]
    if "." in cell:
        del shapes["cell/bias"]
    return predictor.Predictor(
        alphabet=tuple(alphabet),
        encoding=EncodingSettings(history=history, history_as=history_as),
        model=ModelSettings(cell=cell, units=units, **settings),
        weights={
            name: (0.5 if "bias" in name else 2) * random.normal(size=shape).astype(np.float32)
            for name, shape in shapes.items()
        },
        seed=7,
        learned=True,
        loss=0.0123,
    )


def by_equations(best: predictor.Predictor, x: np.ndarray) -> np.ndarray:
    """Activations [L, symbols] after each of the symbols, x [L, F]."""
    stacked = {name: array[np.newaxis] for name, array in best.weights.items()}
    return np.array([output[0, 0] for _, output in forward.outputs(best.model, stacked, x[np.newaxis])])


def test_the_best_has_learned_and_of_those_the_lowest_loss():
    losses = np.array([0.3, 0.1, 0.2, np.nan])
    assert predictor.best(np.array([True, False, True, True]), losses) == 2
    assert predictor.best(np.array([True, False, False, False]), losses) == 0
    assert predictor.best(np.zeros(4, bool), losses) == 1
    assert predictor.best(np.ones(2, bool), np.array([np.nan, np.inf])) == 1


def test_the_memory_of_the_best_trial_is_that_trials(settings):
    weights = {"output/bias": np.arange(6, dtype=np.float32).reshape(3, 2)}
    losses = np.array([[9, 0.5], [9, 0.4], [9, 0.1]], np.float32)
    found = (np.zeros((3, 1), bool), *np.zeros((2, 3, 1), np.float32))
    trained = Trained(np.array([5, 6, 7]), weights, losses, np.array([2]), *found)
    problem = make_problem(ProblemSettings(sequences=SEQUENCES))
    best = predictor.best_predictor(problem, settings, trained, np.array([True, True, False]))
    assert (best.seed, best.learned, best.alphabet) == (6, True, (0, 1, 2, 3, 4)) and best.model == settings.model
    assert best.loss == pytest.approx(0.4) and best.weights["output/bias"].tolist() == [2, 3]
    assert str(best) == "the trial of seed 6, which learned; its last loss is 0.4"
    none = predictor.best_predictor(problem, settings, trained, np.zeros(3, bool))
    assert (none.seed, none.learned) == (7, False) and "has not learned, nor has any other" in str(none)


def test_what_is_written_is_read_and_the_bytes_do_not_depend_on_the_day(tmp_path):
    best = make_predictor("gru", alphabet=(1, 2.5, "3", "two words"), output="softmax", forget_bias={"chrono": 9})
    predictor.write(tmp_path / "1", best)
    time.sleep(1.1)  # HDF5 would tell seconds apart
    predictor.write(tmp_path / "2", best)
    for name in (predictor.MEMORY, predictor.KERAS_MODEL):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    with zipfile.ZipFile(tmp_path / "1" / predictor.KERAS_MODEL) as file:
        assert {info.date_time[0] for info in file.infolist()} == {1980} and "date_saved" not in json.loads(
            file.read("metadata.json")
        )
    read = predictor.read(tmp_path / "1" / predictor.MEMORY)
    assert vars(read) | {"weights": None} == vars(best) | {"weights": None}
    assert [type(symbol) for symbol in read.alphabet] == [int, float, str, str]
    assert predictor.predict(read, ["3", "two words"], 5) == predictor.predict(best, ["3", "two words"], 5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn", "mlp"])
@pytest.mark.parametrize(("history", "history_as"), [(1, "features"), (3, "features"), (2, "steps")])
def test_it_says_what_evaluation_finds(cell, history, history_as):
    best = make_predictor(cell, history=history, history_as=history_as, seed=10)
    problem = make_problem(ProblemSettings(sequences=SEQUENCES))
    table = encoding.make_table(problem, best.encoding, TrainingSettings(), stateful=False)
    assert best.inputs == table.inputs
    for flow, x in enumerate(table.eval_x):
        for step, at in enumerate(table.eval_position[flow]):
            if at[0] < 0:
                continue
            start = step - history + 1 if history_as == "steps" else 0  # steps: the table's windows are resets apart
            activations = by_equations(best, x[start : step + 1])[-1]
            ((symbol, probability),) = predictor.predict(best, problem.evaluation_sequences[at[0]][: at[1] + 1])
            assert symbol == activations.argmax() and probability == pytest.approx(activations.max())


@pytest.mark.parametrize(("history", "history_as"), [(1, "features"), (3, "features"), (2, "steps")])
def test_running_freely_is_asking_again_with_what_was_said(history, history_as):
    best = make_predictor(history=history, history_as=history_as, seed=10)
    said = predictor.predict(best, [3, 0], 12)
    given = [3, 0]
    for symbol, probability in said:
        ((again, how_sure),) = predictor.predict(best, given)
        assert again == symbol and how_sure == pytest.approx(probability, abs=1e-6)
        given.append(symbol)
    assert len({symbol for symbol, _ in said}) > 1


def test_a_cell_that_is_written_in_jax_says_what_its_equations_say(jax_here, tmp_path):
    random, units, size = np.random.default_rng(2), 4, 5
    shapes = {"cell/kernel": (2 * size, 2 * units), "output/kernel": (units, size), "output/bias": (size,)}
    weights = {name: 2 * random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    model = ModelSettings(cell="min_gru", units=units, output="softmax")
    best = predictor.Predictor((0, 1, 2, 3, 4), EncodingSettings(history=2), model, weights, 7, True, 0.1)
    predictor.write(tmp_path, best)
    assert (tmp_path / predictor.KERAS_MODEL).read_text().startswith("no Keras model: the cell is none of Keras")
    read = predictor.read(tmp_path / predictor.MEMORY)
    predictor.check_weights(read)
    given = [3, 0, 1]
    for symbol, probability in predictor.predict(read, given, 6):
        x = encoding.one_hot(np.array(given)[:, np.newaxis], size)
        x = np.concatenate([x, np.vstack([np.zeros(size), x[:-1]])], axis=1)  # each symbol, and the one before it
        h = equations.min_gru({"kernel": weights["cell/kernel"]}, x, units, None)[-1]
        activations = np.exp(h @ weights["output/kernel"] + weights["output/bias"])
        activations /= activations.sum()
        assert symbol == activations.argmax() and probability == pytest.approx(activations.max(), rel=1e-4)
        given.append(symbol)
    assert len(set(given[3:])) > 1
    fewer = {**weights, "cell/kernel": weights["cell/kernel"][:, :6]}
    with pytest.raises(UserError, match=r"the weight cell/kernel has the shape \(10, 6\) in this memory and \(10, 8\)"):
        predictor.check_weights(replace(read, weights=fewer))


def test_softmax_shares_one_probability_among_the_symbols():
    best = make_predictor(output="softmax", alphabet=("a", "b"))
    ((symbol, probability),) = predictor.predict(best, "ab")
    assert symbol in "ab" and 0.5 <= probability <= 1


@pytest.mark.parametrize("cell", list(GATES))
def test_keras_loads_the_model_and_computes_the_same(cell, tmp_path, monkeypatch):
    from memory_trials.models.backend import keras

    (tmp_path / "params.yaml").write_text(f"problem: {{sequences: [[1, 2]]}}\nmodel: {{cell: {cell}, units: 6}}\n")
    monkeypatch.chdir(tmp_path)
    for best in (make_predictor(cell, history=2), make_predictor(cell, output="softmax")):
        predictor.write(tmp_path, best)
        loaded = keras.models.load_model(tmp_path / predictor.KERAS_MODEL)
        places = np.array([[3, -1], [0, 8], [1, 5], [2, 6]])[:, : best.encoding.history]
        computed = loaded(encoding.one_hot(places, best.inputs)[np.newaxis]).numpy()[0]
        if "." not in cell:
            assert np.abs(computed - by_equations(best, places)).max() < 1e-5
        elif best.model.output == "sigmoid":
            ((symbol, probability),) = predictor.predict(best, [3, 0, 1, 2])
            assert symbol == computed[-1].argmax() and probability == pytest.approx(computed[-1].max(), abs=1e-6)


def test_other_arguments_of_a_cell_reach_keras(tmp_path, monkeypatch):
    from memory_trials.models.backend import keras

    best = make_predictor("lstm", cell_options={"activation": "relu"})
    predictor.write(tmp_path, best)
    loaded = keras.models.load_model(tmp_path / predictor.KERAS_MODEL)
    monkeypatch.chdir(tmp_path)
    section = "{cell: lstm, units: 6, cell_options: {activation: relu}}"
    Path("params.yaml").write_text(f"problem: {{sequences: [[1, 2]]}}\nmodel: {section}\n")
    ((symbol, probability),) = predictor.predict(best, [3, 0, 1])
    computed = loaded(encoding.one_hot(np.array([[3], [0], [1]]), 5)[np.newaxis]).numpy()[0, -1]
    assert symbol == computed.argmax() and probability == pytest.approx(computed.max(), abs=1e-6)
    assert loaded.get_layer("memory").activation is keras.activations.relu


def test_code_that_a_file_names_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("elsewhere.py").write_text("open('was run', 'w')\n")
    Path("params.yaml").write_text("problem: {sequences: [[1, 2]]}\n")
    best = make_predictor()
    settings = {
        "alphabet": [0, 1, 2, 3, 4],
        "encoding": {},
        "model": {"cell": "elsewhere.Cell"},
        "seed": 0,
        "learned": True,
        "loss": 0.0,
    }
    files.write_arrays("evil.npz", predictor.FORMAT, best.weights, settings)
    with pytest.raises(UserError, match="only where the section model of params.yaml says the same"):
        predictor.predict(predictor.read("evil.npz"), [1])
    assert not Path("was run").exists() and "elsewhere" not in sys.modules


def test_a_number_is_found_however_it_is_written():
    best = make_predictor(alphabet=(0, 2.5, 100000.0, "007", "a b"))
    said = predictor.predict(best, [100000.0, "007", 2.5])
    for asked in (["100000.0", "007", "2.5"], ["1e5", "007", "2.50"], [100000, "007", np.float64(2.5)]):
        assert predictor.predict(best, asked) == said
    for unknown in ("7", "0007", "1_0", "a"):
        with pytest.raises(UserError, match=f"'{unknown}' is no symbol of this predictor; its symbols are 0, 2.5, "):
            predictor.predict(best, [unknown])


@pytest.mark.parametrize(
    ("symbols", "steps", "sentence"),
    [
        ([], 1, "the sequence is empty: give at least one symbol, such as 0"),
        (["3", "7"], 1, "'7' is no symbol of this predictor; its symbols are 0, 1, 2, 3, 4"),
        ([3], 0, "steps is 0: allowed are 1 to 99999"),
        ([3], 100_000, "steps is 100000: allowed are 1 to 99999"),
        ([3], None, "steps is None: allowed are 1 to 99999"),
        ([3], True, "steps is True: allowed are 1 to 99999"),
        ([3] * 100_000, 1, "the sequence has 100000 symbols: allowed are 1 to 99999"),
    ],
)
def test_mistakes_are_told(symbols, steps, sentence):
    with pytest.raises(UserError) as caught:
        predictor.predict(make_predictor(), symbols, steps)
    assert str(caught.value) == sentence


def test_windows_need_their_symbols():
    with pytest.raises(UserError, match="too short: an input is 2 symbols"):
        predictor.predict(make_predictor(history=2, history_as="steps"), [3])


@pytest.mark.parametrize("change", [
    {"cell/kernel": np.zeros((4, 24))}, {"output/bias": np.zeros(4)}, {"cell/bias": np.zeros(3)}, {"output/kernel": None},
])  # fmt: skip
def test_a_file_whose_parts_do_not_fit_is_told(change, tmp_path):
    predictor.write(tmp_path, make_predictor())
    settings, weights = files.read_arrays(tmp_path / predictor.MEMORY, predictor.FORMAT)
    weights = {name: array for name, array in (weights | change).items() if array is not None}
    files.write_arrays(tmp_path / predictor.MEMORY, predictor.FORMAT, weights, settings)
    with pytest.raises(UserError, match="is damaged"):
        predictor.read(tmp_path / predictor.MEMORY)
    (tmp_path / predictor.MEMORY).write_bytes(b"PK")
    with pytest.raises(UserError, match="is damaged"):
        predictor.read(tmp_path / predictor.MEMORY)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "the sequence is empty"),
        (["9"], "'9' is no symbol of this predictor"),
        (["3", "--steps", "0"], "steps is 0: allowed are 1 to"),
        (["3", "--model", "none.npz"], "none.npz does not exist: run dvc repro"),
    ],
)
def test_predict_tells_mistakes_in_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    predictor.write(Path("data/tutorial"), make_predictor())
    with pytest.raises(SystemExit) as caught:
        exit_on_user_error(lambda: commands.main(["predict", *arguments], standalone_mode=False))
    said = capsys.readouterr()
    assert caught.value.code == 1 and said.out == ""
    assert said.err.startswith("error: ") and sentence in said.err and said.err.count("\n") == 1


def test_predict_answers_without_what_takes_long_to_import(tmp_path):
    best = make_predictor()
    predictor.write(tmp_path / "data/tutorial", best)
    for arguments in (["3 0 1 2"], ["3,0", "1", "2", "--steps", "3"], ["3", "0", "1", "2"]):
        done = subprocess.run(
            [sys.executable, "-m", "memory_trials", "predict", *arguments],
            cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        *lines, last = done.stdout.splitlines()
        said = predictor.predict(best, [3, 0, 1, 2], len(lines))
        assert lines == [f"{symbol}  (probability {probability:.4f})" for symbol, probability in said]
        assert len(lines) == (3 if "--steps" in arguments else 1) and last == f"says {best}"
    heavy = "sorted({'tensorflow', 'keras', 'mlflow', 'h5py', 'scipy', 'pandas'} & set(sys.modules))"
    code = f"import sys, memory_trials.serving.predictor; print({heavy})"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"
