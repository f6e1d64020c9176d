"""A registered model of a user's cell goes anywhere: its folder alone answers, and refuses parts of another one."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from memory_trials.engines import own as own_engine
from memory_trials.errors import UserError
from memory_trials.serving import bundle, predictor, registry
from memory_trials.settings import ModelSettings, Settings
from tests.conftest import ROOT
from tests.serving.test_predictor import make_predictor

CELL = "my_cells.leaky.LeakyCell"
HERE = SimpleNamespace(source_run_id=None, model_id=None)  # what MLflow knows of a model beside its folder


def save(folder: Path, best: predictor.Predictor) -> Path:
    predictor.write(folder, best)
    section = best.model.model_dump()
    settings = Settings(problem={"sequences": [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]}, model=section)
    registry._save(folder / "model", HERE, folder, settings, best, "3 0 1 2")
    return folder / "model"


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("saved"), make_predictor(CELL))


def read(model: Path) -> predictor.Predictor:
    return bundle.read(model / "artifacts/memory.npz", model / "artifacts/settings.json", model / "code")


def test_its_folder_alone_answers_in_a_new_process_in_an_empty_folder(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "copied")
    (tmp_path / "empty").mkdir()
    code = """if True:
        import json
        import mlflow.pyfunc
        model = mlflow.pyfunc.load_model("../copied")
        said = model.predict({"sequence": "3 0 1 2"}, {"steps": 3})
        import memory_trials, my_cells.leaky
        print(json.dumps([memory_trials.__file__, my_cells.leaky.__file__, said.to_dict("records")]))
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "empty", capture_output=True, text=True,
        env={"MLFLOW_DISABLE_TELEMETRY": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *used, ((row),) = json.loads(done.stdout.splitlines()[-1])
    assert all(file.startswith(str(tmp_path / "copied/code")) for file in used), used
    expected = predictor.predict(read(saved), ["3", "0", "1", "2"], 3)
    assert row["following"] == " ".join(str(symbol) for symbol, _ in expected)
    assert row["probability"] == pytest.approx(expected[0][1], abs=1e-6)
    assert list((tmp_path / "empty").iterdir()) == []


def test_it_holds_the_cells_code_and_what_it_needs(saved):
    assert (saved / "code/my_cells/leaky.py").read_bytes() == (ROOT / "my_cells/leaky.py").read_bytes()
    needed = [line.partition("==")[0] for line in (saved / "requirements.txt").read_text().splitlines()]
    assert needed == ["mlflow", "numpy", "pandas", "pydantic", "PyYAML", "jax", "keras"]
    content = json.loads((saved / "artifacts/settings.json").read_text())
    assert content["settings"]["model"]["cell"] == CELL and list(content["code"]) == ["my_cells"]


def test_a_cell_in_one_file_takes_that_file_along(tmp_path, monkeypatch):
    (tmp_path / "alone_cell.py").write_text("import helper_of_it\n")
    (tmp_path / "helper_of_it.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert bundle.code_of("alone_cell.Cell") == [tmp_path / "alone_cell.py", tmp_path / "helper_of_it.py"]
    assert bundle.code_of("lstm") == [] and bundle.code_of(CELL) == [ROOT / "my_cells"]


PLAIN = """
import jax.numpy as jnp

class Cell:
    def __init__(self, units):
        self.units = units

    def init(self, key, inputs):
        return {"kernel": jnp.zeros((inputs, self.units)), "recurrent": jnp.eye(self.units)}

    def initial_state(self, params, batch):
        return jnp.zeros((batch, self.units))

    def step(self, params, state, x):
        state = jnp.tanh(x @ params["kernel"] + state @ params["recurrent"])
        return state, state
"""


def test_a_cell_that_is_none_of_keras_goes_anywhere_too(tmp_path, monkeypatch):
    (tmp_path / "plain_cell.py").write_text(PLAIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    rnn = make_predictor("simple_rnn")
    weights = {"cell/kernel": rnn.weights["cell/kernel"], "cell/recurrent": rnn.weights["cell/recurrent_kernel"]}
    weights |= {name: array for name, array in rnn.weights.items() if name.startswith("output/")}
    section = ModelSettings(cell="plain_cell.Cell", units=6)
    own = dataclasses.replace(rnn, model=section, weights=weights, bundled=True)
    rnn.weights["cell/bias"][:] = 0
    model = save(tmp_path / "saved", own)
    best = read(model)
    for given, steps in (("3 0 1 2", 5), ("4", 3)):
        said, expected = (predictor.predict(each, given.split(), steps) for each in (best, rnn))
        assert [symbol for symbol, _ in said] == [symbol for symbol, _ in expected]
        assert np.allclose([p for _, p in said], [p for _, p in expected], atol=1e-6)
    assert (model / "artifacts/model.keras").read_text().startswith("no Keras model: the cell is none of Keras's")
    assert (model / "code/plain_cell.py").exists() and "jax" in (model / "requirements.txt").read_text()
    with pytest.raises(UserError, match="only where the section model of params.yaml says the same"):
        monkeypatch.chdir(ROOT)
        predictor.predict(predictor.read(model / "artifacts/memory.npz"), ["3"])
    weights["cell/recurrent"] = np.zeros((6, 7), np.float32)
    with pytest.raises(
        UserError, match=r"cell/recurrent has the shape \(6, 7\) in this memory and \(6, 6\) in the cell"
    ):
        predictor.check_weights(own)


def test_a_built_in_cell_of_jax_predicts(tmp_path):
    section = ModelSettings(cell="min_gru", units=4)
    drawn = own_engine.initial_weights(section, 5, 5, np.array([1]))
    weights = {name: array[0] for name, array in zip(own_engine.weight_names(section, 5, 5), drawn)}
    best = dataclasses.replace(make_predictor(), model=section, weights=weights)
    predictor.write(tmp_path, best)
    ((symbol, probability),) = predictor.predict(predictor.read(tmp_path / "memory.npz"), ["3", "0"])
    stacked = {name: array[np.newaxis] for name, array in weights.items()}
    activations = own_engine.predict(section, stacked, np.array([[[3], [0]]]), 5, 5)[0, 0, -1]
    assert symbol == activations.argmax() and probability == pytest.approx(activations.max())


def rewritten(change):
    def write(model: Path) -> None:
        path = model / "artifacts/settings.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return write


def other_weights(model: Path) -> None:
    """Of another width, in all parts."""
    best = make_predictor(CELL)
    weights = best.weights | {"cell/kernel": np.zeros((5, 7), np.float32)}
    predictor.files.write_arrays(
        model / "artifacts/memory.npz", predictor.FORMAT, weights,
        {"alphabet": best.alphabet, "encoding": best.encoding.model_dump(), "model": best.model.model_dump(), "seed": 7,
         "learned": True, "loss": 0.1},
    )  # fmt: skip
    text = bundle.settings_text(
        Settings(problem={"sequences": [[1, 2]]}, model=best.model.model_dump()), model / "artifacts/memory.npz", []
    )
    (model / "artifacts/settings.json").write_text(text)


def another_trial(model: Path) -> None:
    predictor.files.write_bytes(model / "artifacts/memory.npz", b"")
    shutil.copy(save(model / "other", make_predictor(CELL, seed=1)) / "artifacts/memory.npz", model / "artifacts")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (rewritten(lambda content: content.update(format="memory-trials model 0")),
         "this model is of the format 'memory-trials model 0', and this code reads 'memory-trials model 1'"),
        (rewritten(lambda content: content["settings"]["model"].update(units=9)),
         "memory.npz and settings.json have other settings in the section model"),
        (rewritten(lambda content: content.pop("code")), "settings.json of this model is missing or damaged"),
        (lambda model: (model / "artifacts/settings.json").unlink(), "settings.json of this model is missing or damaged"),
        (lambda model: (model / "code/my_cells/leaky.py").write_text("leak = 1\n"),
         "code/my_cells is not the code that the model was trained with"),
        (lambda model: shutil.rmtree(model / "code/my_cells"), "code/my_cells is not the code"),
        (other_weights, r"the weight cell/kernel has the shape \(5, 7\) in this memory and \(5, 6\) in the cell"),
        (another_trial, "memory.npz is not the one that settings.json was written with"),
        (lambda model: (model / "artifacts/memory.npz").write_bytes(b"PK"), "memory.npz is damaged"),
    ],
)  # fmt: skip
def test_parts_of_two_models_are_refused_in_one_sentence(change, sentence, saved, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(saved, model)
    assert read(model).bundled
    change(model)
    with pytest.raises(UserError, match=sentence) as caught:
        read(model)
    assert "\n" not in str(caught.value)


def test_code_of_another_kind_in_the_same_process_is_refused(saved, monkeypatch, tmp_path):
    (tmp_path / "my_cells.py").write_text("")
    monkeypatch.setitem(
        sys.modules, "my_cells", SimpleNamespace(__name__="my_cells", __file__=str(tmp_path / "my_cells.py"))
    )
    with pytest.raises(UserError, match="another module my_cells is loaded, from .*: load the model in a new process"):
        read(saved)
