"""Studies: from a block to its arms; mistakes are told before anything runs; and a two-arm study, end to end."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from memory_trials.errors import UserError
from memory_trials.settings import Settings
from memory_trials.studies import design, schema
from tests.conftest import ROOT, run

DVC = ("dvc", "--cd", "experiments")
BLOCK = {"question": "Which?", "source": "a test", "grid": {"model.cell": ["lstm", "gru"]}}
OTHER = {"question": "How many?", "source": "a test", "grid": {"model.units": [3]}}
DEFAULTS = {"problem": {"sequences": [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]}}


def write(tmp_path: Path, block: dict, defaults: dict = DEFAULTS) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"defaults": defaults, "studies": {"mine": block}}, sort_keys=False))
    return path


def arms_of(tmp_path, **block):
    return design.find("mine", write(tmp_path, {"question": "?", "source": "?"} | block))[1]


def test_a_grid_is_multiplied_out_over_the_defaults_and_what_the_study_sets(tmp_path):
    grid = {"model.cell": ["lstm", "gru"], "training.epochs": [10, 20]}
    arms = arms_of(tmp_path, set={"model.units": 7}, grid=grid)
    assert [arm.name for arm in arms] == [
        "cell=lstm epochs=10", "cell=lstm epochs=20", "cell=gru epochs=10", "cell=gru epochs=20",
    ]  # fmt: skip
    assert all(arm.settings.model.units == 7 for arm in arms) and arms[3].settings.training.epochs == 20
    assert arms[3].changes == {"model.cell": "gru", "training.epochs": 20}
    assert len({arm.files.trained for arm in arms}) == 4


def test_a_list_has_groups_and_keys_may_go_together(tmp_path):
    first = {"name": "as it is"}
    second = {
        "name": "b,",
        "set": {"model.cell": "gru"},
        "grid": {"training.epochs, training.learning_rate": [[5, 0.1]]},
    }
    arms = arms_of(tmp_path, arms=[first, second])
    assert [arm.name for arm in arms] == ["as it is", "b, epochs=5"]
    assert arms[1].settings.training.learning_rate == 0.1 and arms[1].settings.model.cell == "gru"


def test_another_source_of_sequences_drops_the_default_one(tmp_path):
    (arm,) = arms_of(tmp_path, grid={"problem.generate.lag": [7]})
    assert arm.settings.problem.sequences is None and arm.settings.problem.generate.lag == 7
    file = {"problem": {"file": "a.csv", "csv": {"header": True}}}
    assert design.changed(file, {"problem.generate.lag": 7}, "") == {"problem": {"generate": {"lag": 7}}}


def test_what_is_trained_depends_on_how_a_file_is_read_only_where_that_is_said():
    problem = lambda **csv: design.training_inputs(Settings(problem={"file": "a.csv", "csv": csv}))["problem"]
    assert "csv" not in problem() and "csv" not in problem(header=None)
    assert problem(header=False)["csv"] == {"separator": None, "header": False, "index": None}


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({"grid": {"model.cel": ["gru"]}}, "studies.mine, arm 'cel=gru': unknown key model.cel; allowed here are cell, units"),
        ({"grid": {"training.epochs.x": [1]}}, "studies.mine, arm 'x=1': training.epochs is {'x': 1}"),
        ({"grid": {"model.cell": ["lstn"]}}, "studies.mine, arm 'cell=lstn': model.cell is 'lstn': no such cell"),
        ({"grid": {"model.cell": []}}, "the grid is empty: model.cell has no values"),
        ({"grid": {}}, "the grid is empty"),
        ({"grid": {"a, b": [[1]]}}, "a, b are 2 keys, so each of its values must be a list of 2"),
        ({"grid": {"model.cell": ["lstm", "gru", "lstm"]}}, "arm 'cell=lstm': the same settings as arm 'cell=lstm'"),
        ({"arms": [{"name": "a"}, {"name": "b", "set": {"model.cell": "lstm"}}]}, "arm 'b': the same settings as arm 'a'"),
        ({"arms": [{"name": "a"}, {"name": "a", "set": {"model.units": 3}}]}, "arm 'a': there are two arms of this name"),
        ({"arms": []}, "studies.mine: arms is empty"),
        ({"grid": {"model.units": [1]}, "colour": "red"}, "studies.mine: unknown key colour; allowed here are question,"),
        ({"arms": [{"nam": "a"}]}, "unknown key arms[0].nam"),
        ({}, "studies.mine: give one of grid, arms and search"),
        ({"grid": {"model.units": [1]}, "answer": {"rule": "along"}}, "the rule along needs a key"),
        ({"grid": {"model.units": [1]}, "question": ""}, "studies.mine: question is ''"),
        ({"arms": [{"name": "a"}, {"grid": {"model.units": [1]}}], "answer": {"rule": "along", "key": "model.units"}},
         "arm 'a': it must set model.units, which the answer is about"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_study_is_one_sentence(tmp_path, block, sentence):
    path = write(tmp_path, {"question": "?", "source": "?"} | block)
    with pytest.raises(UserError) as caught:
        design.find("mine", path)
    assert str(caught.value).startswith(f"{path}: ") and sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_study_that_is_not_there_and_a_file_of_other_sections(tmp_path):
    with pytest.raises(UserError, match="has no study or arm 'other'; among its 1 are mine"):
        design.find("other", write(tmp_path, BLOCK))
    path = tmp_path / "params.yaml"
    path.write_text("studies: {}\nstudy: {}\ndefaults: {}\n")
    with pytest.raises(UserError, match="unknown key study"):
        schema.load(path)
    path.write_text(yaml.safe_dump({"defaults": DEFAULTS, "studies": {"pipeline": BLOCK}}))
    with pytest.raises(UserError, match="studies.pipeline: this name is taken already"):
        schema.load(path)


def test_every_study_here_is_valid_and_starts_from_the_tutorial():
    content = schema.load(ROOT / design.FILE)
    defaults, blocks = content.defaults, content.studies
    assert set(blocks) == {
        "tutorial", "cells", "non_recurrent", "credit", "batch_learning", "lag_windows", "joined", "shuffle", "output",
        "alphabets", "random_sequences", "long_sequences", "next_symbol", "tuning", "luck",
    }  # fmt: skip
    assert defaults["problem"] == DEFAULTS["problem"]
    for name, block in blocks.items():
        for arm in design.make_arms(name, block, defaults):
            assert arm.settings.training.trials >= 100


@pytest.fixture(scope="module")
def small(repository) -> Path:
    """The repository with two small studies instead of its own."""
    path = repository / "experiments/studies.yaml"
    content = yaml.safe_load(path.read_text())
    quick = {"training.trials": 4, "training.epochs": 30}
    content["studies"] = {"mine": BLOCK | {"set": quick}, "other": OTHER | {"set": quick}}
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False))  # no anchors: each study its own
    for folder in ("experiments/data/studies", "experiments/pictures"):
        shutil.rmtree(repository / folder, ignore_errors=True)
    (repository / "RESULTS.md").unlink()
    (repository / ".venv").mkdir(exist_ok=True)
    (repository / ".venv/installed").touch()  # the environment is the one that runs this test
    assert "every answer: RESULTS.md" in run(repository, "make", "studies")
    return repository


def test_a_study_end_to_end(small):
    summary = json.loads((small / "experiments/data/studies/summaries/mine.json").read_text())
    assert [row["name"] for row in summary["arms"]] == ["cell=lstm", "cell=gru"]
    assert all(row["metrics"]["trials"] == 4 for row in summary["arms"]) and summary["arms"][1]["p"] is not None
    page = (small / "RESULTS.md").read_text()
    assert (
        "## mine" in page
        and summary["answer"] in page
        and "| cell=gru |" in page
        and "experiments/pictures/mine.png" in page
    )
    assert (small / "experiments/pictures/mine.png").read_bytes().startswith(b"\x89PNG")
    assert (small / "experiments/data/studies/mine/arms/cell=gru/predictions.csv").exists()
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{small / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("memory-trials-studies").experiment_id
    arms = client.search_runs([experiment], "tags.kind = 'arm' and tags.study = 'mine'")
    assert {run.info.run_name for run in arms} == {"mine: cell=lstm", "mine: cell=gru"}


def test_one_study_changed_reruns_one_study_and_a_killed_one_goes_on(small):
    path = small / "experiments/studies.yaml"
    path.write_text(path.read_text().replace("question: Which?", "question: Which one?"))
    path.write_text(path.read_text().replace("training.epochs: 30", "training.epochs: 40", 1))

    def stale() -> set[str]:
        names = set(json.loads(run(small, *DVC, "status", "--json"))) - {"paper", "resolve"}  # which always runs
        return {name for name in names if "_arm@" not in name and not name.startswith("probe")}

    assert stale() == set()
    run(small, *DVC, "repro", "--single-item", "resolve")
    assert stale() == {"train@mine", "evaluate@mine"}
    # as a kill after the first arm leaves it: its trials are kept, those of the second arm are not
    for stage in ("generate_data", "encode"):
        run(small, "python", "-m", f"stages.{stage}", "mine")
    folder = small / "experiments/data/studies/mine"
    before = {path.name: path.read_bytes() for path in folder.glob("trained/*")}
    code = "from stages import train; train.write_trained = stop(train.write_trained); train.main()"
    stop = "def stop(real):\n def once(*a):\n  real(*a); raise SystemExit(9)\n return once\nimport sys; sys.argv = ['', 'mine']\n"
    run(small, "python", "-c", stop + code, fails=True)
    assert {path.name: path.read_bytes() for path in folder.glob("trained/*")} == before
    said = run(small, "make", "study", "NAME=mine")
    assert "arm 1 of 2: cell=lstm\n4 of 4 trials are kept" in said and said.count("trials are kept") == 1
    assert set(re.findall("Running stage '(.*)'", run(small, *DVC, "repro", "results"))) == {"resolve"}
    assert "Which one?" in (small / "RESULTS.md").read_text() and not (folder / "trained.new").exists()
    resumed = (folder / "trained/cell=lstm.npz").read_bytes()
    run(small, "make", "clean-cache")
    assert "trials are kept" not in run(small, "python", "-m", "stages.train", "mine")
    assert (folder / "trained/cell=lstm.npz").read_bytes() == resumed


def test_a_mistake_is_told_before_anything_runs(small):
    path = small / "experiments/studies.yaml"
    whole = path.read_text()
    path.write_text(whole.replace("- gru", "- grue"))
    said = run(small, "make", "studies", fails=True)
    path.write_text(whole)
    assert "error: experiments/studies.yaml: studies.mine, arm 'cell=grue': model.cell is 'grue'" in said
    assert "Running stage" not in said and "Traceback" not in said
    assert "experiments has no study or arm 'cell'; among its 3 are mine, other" in run(
        small, "make", "study", "NAME=cell", fails=True
    )
