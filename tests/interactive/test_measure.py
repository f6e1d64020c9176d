"""measure: from anywhere, any task, and a result that shows itself."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

import memory_trials
from memory_trials.errors import UserError
from memory_trials.evaluation import results
from memory_trials.interactive import measure as measure_module
from memory_trials.interactive import tasks
from memory_trials.interactive.measure import SECTIONS, measure
from memory_trials.settings import GeneratedSettings, Settings
from memory_trials.tasks import encoding, problems
from memory_trials.training import trainer
from memory_trials.training.job import TrainingJob
from tests.conftest import ROOT
from tests.plain_cells import SimpleRNN

QUICK = {"units": 6, "epochs": 20, "trials": 4}
SEQUENCES = [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]


def test_it_is_the_pipelines_result():
    settings = Settings(problem={"sequences": SEQUENCES}, model={"units": 6}, training={"trials": 4, "epochs": 20})
    problem = problems.make_problem(settings.problem)
    table = encoding.make_table(problem, settings.encoding, settings.training, False)
    trained = trainer.train(TrainingJob(settings.model, settings.training, 10, table), settings.compute)
    expected = results.outcome(settings, problem, table, trained)
    for task in ("tutorial", SEQUENCES, {"sequences": SEQUENCES}):
        found = measure("lstm", task, **QUICK)
        assert found.metrics == expected.metrics
        assert found.trials.equals(expected.trials)


def test_every_setting_has_one_name():
    names = [name for model in SECTIONS.values() for name in model.model_fields]
    assert len(names) == len(set(names))
    of_tasks = {*GeneratedSettings.model_fields, *itertools.chain(*(tasks.TAKES[name] for name in tasks.STREAMS))}
    assert not {*names, "scored", "task", "progress"} & {*of_tasks, "train", "unseen", "evaluation_sequences"}


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        (("lstn",), {}, "model.cell is 'lstn': no such cell; .*"),
        ((3,), {}, "the cell is 3: allowed are .*"),
        (("nowhere.py:Cell",), {}, "nowhere.py does not exist, or is no file: .*"),
        (("lstm", "tutoral"), {}, r"there is no task 'tutoral' \(is it tutorial\?\); .*"),
        (("lstm", 7), {}, "the task is 7: allowed are .*"),
        (("lstm", []), {}, r"the task is \[\]: allowed are .*"),
        (("lstm", [[1]]), {}, r"the task: sequence 1 is \[1\]: it must have at least 2 symbols.*"),
        (("lstm",), {"epoch": 3}, r"there is no setting epoch \(is it epochs\?\); the task takes lag, middle, .*"),
        (("lstm",), {"lag": 0}, "problem.generate.lag is 0: must be greater than or equal to 1"),
        (("lstm",), {"length": 10}, r"there is no setting length.*"),
        (("lstm", "adding"), {"lag": 3}, r"there is no setting lag.*; the task takes length"),
        (("lstm",), {"trials": 0}, "training.trials is 0: must be greater than or equal to 1"),
        (("lstm",), {"window": 9}, "training.window is 9: the longest sequence has 4 steps.*"),
        (("lstm", lambda: ([1, 2], [1])), {}, "the task <lambda>, example 1 has 2 inputs, 1 targets and a mask of .*"),
        (("lstm", lambda: ([1], [1], [0])), {}, "the task <lambda>, example 1 has a mask that scores no step"),
        (("lstm", lambda: 5), {}, r"the task <lambda>, example 1 is 5: it must be \(input, target\).*"),
        (("lstm", lambda: ([[0.5, 1.0]], [1])), {}, "the task <lambda>, example 1 holds .* must be symbols, .*"),
        (("lstm", lambda: ([1], [1])), {}, "the task <lambda> has the one symbol 1: there is nothing to predict"),
        (("lstm", lambda: ([1], [2])), {"train": 0}, "train is 0: allowed are whole numbers from 1 to 1000000"),
        (("lstm", "none.csv"), {}, "data/problems/none.csv, named by problem.file, does not exist"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(arguments, settings, sentence):
    with pytest.raises(UserError, match=f"^{sentence}$") as caught:
        measure(*arguments, **settings)
    assert "\n" not in str(caught.value)
    assert caught.value._render_traceback_() == [f"error: {caught.value}"]


def copy(rng):
    """Repeat the symbol before last."""
    while True:
        shown = rng.integers(3, size=5)
        yield shown, np.concatenate([[0, 0], shown[:-2]]), [False, False, True, True, True]


def test_a_task_of_ones_own_is_trained_on_what_it_makes_and_judged_on_the_rest():
    found = measure("lstm", copy, train=7, unseen=3, **QUICK)
    assert found.table.x.shape[0] == 7 * 5 and found.table.eval_y.shape == (3, 5)
    rng = np.random.default_rng(0)
    shown = [rng.integers(3, size=5) for _ in range(10)]
    assert np.array_equal(found.table.eval_x[..., 0], shown[7:])
    assert np.array_equal(found.table.eval_y[:, 2:], np.array(shown[7:])[:, :3])
    assert found.table.eval_mask.tolist() == [[False, False, True, True, True]] * 3
    rows = found.outcome.predictions.query("seed == 0 and sequence == 1")
    assert rows["input"].astype(int).tolist() == shown[7].tolist()
    assert rows["target"].astype(int).tolist()[2:] == shown[7][:3].tolist() and rows["scored"].tolist() == [
        0,
        0,
        1,
        1,
        1,
    ]


def test_examples_without_memory_are_learned_by_an_mlp():
    """Another symbol than the next one is the target, so that only targets of one's own can be learned."""
    examples = [(["a", "b", "c"], ["b", "c", "a"]), (["c", "b"], ["a", "c"], [True, True])]
    found = measure("mlp", examples, epochs=300, learning_rate=0.05, output="softmax", trials=2)
    assert found.rate == 1.0 and found.memory is None


def test_a_function_that_ends_is_evaluated_on_what_it_made():
    found = measure("lstm", lambda: iter([([0, 1], [1, 0]), ([1, 1], [0, 0])]), **QUICK)
    assert len(found.table.eval_y) == 2 and found.problem.sequences == found.problem.evaluation_sequences


def test_a_stream_is_measured():
    found = measure("lstm", "keys", length=4, units=2, trials=2, epochs=500, learning_rate=0.05)
    assert found.metrics["epochs_budget"] == 500 and found.task == "keys, length 4"
    assert "2 trials" in str(found)


def test_a_cell_is_compared_with_another_on_the_same_seeds():
    mine = measure("simple_rnn", first_seed=2, epochs=250, trials=20)
    other = measure("mlp", first_seed=0, epochs=250, trials=20)
    compared = mine.compare(other)
    learned = int(mine.trials["learned"][:18].sum())
    assert len(compared.first) == 18 and compared.first.sum() == learned > 10 and not compared.second.any()
    assert compared.p == pytest.approx(0.5 ** (learned - 1))
    assert str(compared).startswith(
        f"Of the same 18 seeds, simple_rnn learned in {learned} and mlp in 0: they differ (p"
    )
    assert compared.table.to_numpy().tolist() == [[0, learned], [0, 18 - learned]]
    assert compared.table.to_html() in compared._repr_html_()
    faster = measure("mlp", learning_rate=0.01, **QUICK)
    assert faster.compare(measure("mlp", **QUICK)).names == ("mlp learning_rate=0.01", "mlp learning_rate=0.001")
    for wrong, sentence in (
        (measure("mlp", lag=4, **QUICK), "one is of the task tutorial, the other of tutorial, lag 4"),
        (3, "compare takes another result"),
        (measure("mlp", first_seed=100, **QUICK), "no seed in common"),
    ):
        with pytest.raises(UserError, match=sentence):
            mine.compare(wrong)


def test_a_result_shows_itself(tmp_path):
    found = measure("gru", **QUICK)
    page = found._repr_html_()
    assert "<b>gru</b> on tutorial" in page and "0 of 4" in page and 'src="data:image/png;base64,' in page
    assert repr(found) == str(found) and str(found).startswith("gru on tutorial: 0 of 4 trials learned: 0 % (95 %")
    assert found.rate == 0 and found.interval == (0, found.metrics["success_rate_high"])
    epochs = found.epochs
    assert epochs["epoch"].tolist() == list(range(1, 21)) and epochs["learned"].dropna().tolist() == [0, 0]
    found.plot("memory").save(tmp_path / "memory.svg")
    found.plot().save(tmp_path / "all.png")
    assert (tmp_path / "memory.svg").read_text().startswith("<svg") and (tmp_path / "all.png").read_bytes()[
        1:4
    ] == b"PNG"
    with pytest.raises(UserError, match="no chart 'memori'; there are learned, memory, margin"):
        found.plot("memori")
    with pytest.raises(UserError, match=r"allowed are files .svg and .png"):
        found.plot().save(tmp_path / "all.pdf")


def test_its_trials_are_logged_to_mlflow_where_one_says(tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/runs.db"
    for found in (measure("lstm", **QUICK), measure("lstm", "keys", length=4, units=2, trials=2, epochs=100)):
        assert found.log_to_mlflow("mine", uri) == "mine"
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("mine").experiment_id], "tags.kind = 'arm'")
    assert sorted(run.data.params["training.trials"] for run in runs) == ["2", "4"]
    assert all(run.data.metrics["success/rate"] == 0 for run in runs)


def test_a_notebooks_bar_is_shown_though_nobody_sits_at_a_terminal(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    measure("lstm", **QUICK)
    assert "4 trials" in capsys.readouterr().err
    measure("lstm", progress=False, **QUICK)
    monkeypatch.delitem(sys.modules, "ipykernel")
    measure("lstm", **QUICK)
    assert capsys.readouterr().err == ""


def test_of_instances_and_classes_the_arguments_count(monkeypatch):
    from memory_trials.interactive.given import model_of
    from memory_trials.models.backend import keras
    from my_cells.leaky import LeakyCell

    assert model_of(LeakyCell) == {"cell": "my_cells.leaky.LeakyCell"}
    assert model_of(LeakyCell(7, leak=0.5)) == {
        "cell": "my_cells.leaky.LeakyCell", "units": 7, "cell_options": {"leak": 0.5}
    }  # fmt: skip
    assert model_of(keras.layers.GRUCell) == {"cell": "gru"}
    assert model_of(keras.layers.LSTMCell(3, use_bias=False)) == {
        "cell": "lstm", "units": 3, "cell_options": {"use_bias": False}
    }  # fmt: skip
    with pytest.raises(UserError, match=r"keras.layers.LSTM is a layer: give its cell, keras.layers.LSTMCell"):
        model_of(keras.layers.LSTM)

    class Inner(LeakyCell):
        pass

    name = model_of(Inner)["cell"]
    assert name == "given_cells.Inner" and memory_trials.Settings(
        problem={"generate": {"lag": 3}}, model={"cell": name}
    )

    class Odd(keras.layers.Layer):
        def __init__(self, size):
            super().__init__()
            self.size = size

    with pytest.raises(UserError, match="instance of Odd, and trials need cells of their own.*: give the class, units"):
        model_of(Odd(object()))


SCRIPT = """
import keras
import memory_trials

class Mine(keras.layers.Layer):
    def __init__(self, units, keep=0.5):
        super().__init__()
        self.state_size = self.units = units
        self.keep = keep
    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], self.units))
        self.u = self.add_weight(shape=(self.units, self.units))
    def call(self, x, states):
        h = self.keep * states[0] + keras.ops.tanh(x @ self.w + states[0] @ self.u)
        return h, [h]

print(memory_trials.measure(Mine, trials=2, epochs=5, units=4))
print(memory_trials.measure(Mine(4, keep=0.25), trials=2, epochs=5))
import leaky_here
print(memory_trials.measure("leaky_here.LeakyCell", trials=2, epochs=5, units=4))
memory_trials.measure(Mine, trial=2)
"""


def test_from_any_folder_a_cell_of_the_script_itself_after_tensorflow(tmp_path):
    (tmp_path / "leaky_here.py").write_text((ROOT / "my_cells/leaky.py").read_text())
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert [line[: line.index(":")] for line in lines] == [*["Mine on tutorial"] * 2, "LeakyCell on tutorial"], (
        done.stderr
    )
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == (
        "error: there is no setting trial (is it trials?); the task takes lag, middle, keys, symbols, train, unseen, seed"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["leaky_here.py", "script.py"]


def test_what_shows_is_not_imported_before_it_is_needed():
    code = (
        "import sys, memory_trials\nmemory_trials.measure('lstm', trials=1, epochs=1)\n"
        "print(sorted({'altair', 'matplotlib', 'mlflow', 'pandas', 'tensorflow', 'jax', 'scipy'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
    assert measure_module.measure is memory_trials.measure


def test_an_object_with_three_functions_is_measured():
    found = measure(SimpleRNN(4), trials=2, epochs=3)
    assert found.cell == "SimpleRNN" and found.metrics["parameters"] == 5 * 4 + 4 * 4 + 4 + 4 * 5 + 5
    assert measure(SimpleRNN, trials=2, epochs=3, units=4).trials.equals(found.trials)
