"""What a stage depends on besides files: the code of its kind, and every setting with its default."""

import json

import pytest

from memory_trials.stream_settings import TAKES
from memory_trials.studies import dependencies, design
from memory_trials.studies.schema import Study
from tests.conftest import ROOT


def modules(content: dict) -> set[str]:
    """The library's files in it, without memory_trials/ before them."""
    return {name.removeprefix("memory_trials/") for name in content["code"]}


@pytest.fixture(scope="module")
def cells() -> tuple[Study, list[design.Arm]]:
    return design.find("cells", ROOT / design.FILE)


@pytest.fixture(scope="module")
def order() -> tuple[Study, list[design.Arm]]:
    return design.find("order_2", ROOT / design.PAPER)


def test_a_stage_of_the_tutorial_depends_on_its_code_and_not_on_what_it_prints():
    contents = {stage: dependencies.of_stage(stage) for stage in dependencies.TUTORIAL}
    found = {stage: modules(content) for stage, content in contents.items()}
    assert "tasks/encoding.py" in found["encode"] and "engines/native.c" in found["train"] - found["encode"]
    assert {"engines/xla.py", "engines/streaming.c", "models/initializers.py", "training/table_shards.py"} <= found[
        "train"
    ]
    assert {"report/style.py", "report/fonts/MemoryTrialsSans-Bold.ttf", "serving/predictor.py"} <= found["evaluate"]
    for stage, code in found.items():
        assert f"stages/{stage}.py" in code
        assert not code & {"report/wording.py", "tracking/store.py", "errors.py"}
        assert dependencies.code_of(stage).as_posix() == f"data/tutorial/code/{stage}.json"
    assert contents["train"]["defaults"]["training"]["learning_rate"] == "0.001"
    assert contents["train"]["streams"] == TAKES


def test_a_study_depends_on_the_code_of_its_kind_and_on_every_setting(cells):
    study, arms = cells
    training, evaluation = dependencies.of_training(arms), dependencies.of_evaluation(arms, study)
    assert {"engines/native.c", "tasks/encoding.py", "tasks/problems.py", "training/job.py"} <= modules(training)
    assert "engines/xla.py" not in modules(training) and "models/keras_model.py" not in modules(evaluation)
    assert not {name for name in modules(training) if "stream" in name or "report" in name or "tuning" in name}
    assert {
        "evaluation/results.py",
        "evaluation/of_tables.py",
        "studies/answers.py",
        "report/study_figures.py",
        "integrity/digests.py",
    } <= modules(evaluation)
    assert not {name for name in modules(evaluation) if "stream" in name} - {"report/stream_figures.py"}
    assert not modules(evaluation) & {"report/wording.py", "serving/predictor.py", "report/paper.py"}
    for content in (training, evaluation):
        assert list(content["settings"]) == [arm.name for arm in arms] and content["cells"] == {}
        assert content["settings"]["cell=gru"]["training"]["learning_rate"] == 0.001  # which no study names
    assert evaluation["settings"]["cell=gru"]["evaluation"]["confidence"] == 0.95
    assert evaluation["settings"]["cell=gru"].keys() == dependencies.SECTIONS
    assert evaluation["study"]["question"] == study.question and "search" not in training
    assert json.dumps(training) == json.dumps(dependencies.of_training(arms))


def test_a_study_that_searches_depends_on_its_search():
    study, arms = design.find("tuning", ROOT / design.FILE)
    found = dependencies.of_training(arms, study.search)
    assert "studies/tuning.py" in modules(found) and found["search"]["proposals"] == study.search.proposals


def test_an_arm_that_is_trained_by_itself_depends_on_streams_and_on_the_options_of_its_cell(order):
    study, arms = order
    training, evaluation = dependencies.of_training(arms), dependencies.of_evaluation(arms, study)
    assert {"engines/streaming.c", "tasks/streams.py", "tasks/endless/temporal_order.py"} <= modules(training)
    assert "tasks/endless/temporal_order.py" in modules(evaluation)
    assert not modules(training) & {"tasks/endless/parity.py", "tasks/endless/adding.py"}  # of other tasks
    assert not modules(training) & {
        "tasks/encoding.py",
        "tasks/problems.py",
        "training/table_shards.py",
        "engines/native.c",
    }
    assert {"evaluation/of_streams.py", "studies/answers.py", "report/figures.py"} <= modules(evaluation)
    assert "report/study_figures.py" not in modules(evaluation)
    for content in (training, evaluation):
        (settings,) = content["settings"].values()
        assert settings["options"]["weights"] == 0.1  # a default


def test_a_cell_of_ones_own_is_depended_on(cells, monkeypatch):
    arm = cells[1][0]
    model = arm.settings.model.model_copy(update={"cell": "my_cells.leaky.LeakyCell"})
    own = design.make_arm("cells", "own", arm.settings.model_copy(update={"model": model}), {})
    found = dependencies.of_training([own])
    assert "engines/jax_engine.py" in modules(found) and "engines/native.c" not in modules(found)
    assert "models/keras_cells.py" in modules(dependencies.of_evaluation([own], cells[0]))
    assert "engines/xla.py" not in modules(found)
    ((cell, digest),) = found["cells"].items()
    assert cell == model.cell and len(digest) == 16
    monkeypatch.setattr(dependencies.cache, "code", lambda engine, cell: b"another")
    assert dependencies.of_training([own])["cells"] != found["cells"]


def test_a_page_depends_on_what_writes_it_and_on_what_it_shows():
    found = dependencies.of_page("report.wording", ["one", "two"])
    assert "report/wording.py" in modules(found) and found["shown"] == ["one", "two"]
