"""Publishing to MLflow: what is there, that it is there once, and that a cut is mended."""

import base64
import dataclasses
import json
import os
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.evaluation import results
from memory_trials.report import palette
from memory_trials.settings import ProblemSettings, Settings, TrackingSettings
from memory_trials.studies import design
from memory_trials.tasks import problems
from memory_trials.tracking import colours, metric_names, payloads, publisher, run_names, store, tracker, views
from memory_trials.training.trained import Trained, read_trained, write_trained
from tests import outcomes, stores

TRIALS, EPOCHS = 5, 40


@pytest.fixture
def arm(tmp_path, monkeypatch) -> design.Arm:
    """An arm as the evaluate stage leaves it, made from numbers instead of training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = Path("data/mine")
    random = np.random.default_rng(0)
    problem = problems.make_problem(ProblemSettings(sequences=[[0, 1, 2], [2, 1, 0]]))
    checks = np.array([20, 40])
    learned = np.array([[False, t % 2 == 0] for t in range(TRIALS)])
    losses = random.uniform(size=(TRIALS, EPOCHS)).astype(np.float32)
    losses[0, 3], losses[1, 3] = np.nan, np.inf
    memory = (np.arange(TRIALS)[:, np.newaxis] * np.array([0.01, 0.1])).astype(np.float32)
    weights = {"cell/kernel": np.zeros((TRIALS, 2), np.float32)}
    trained = Trained(np.arange(3, 3 + TRIALS), weights, losses, checks, learned, memory - 0.1, memory)
    settings = {
        "problem": {"scored": "all"},
        "model": {"cell": "gru", "units": 4, "output": "sigmoid"},
        "training": {"window": 1, "epochs": EPOCHS, "optimizer": "adam", "learning_rate": 0.001},
    }
    arm = design.Arm("pipeline", "", None, {}, design.pipeline_files(folder))
    write_trained(arm.files.trained, trained, settings)
    files.write_text(arm.files.sequences, problem.to_json())
    results.write(folder, outcomes.made_up(trained.seeds, losses, checks, learned, memory))
    files.write_bytes(folder / results.FIGURE, b"a picture")
    return arm


def runs(uri: str, kind: str, experiment: str = "memory-trials") -> list:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(experiment)
    return client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'", order_by=["attributes.run_name"])


def check_what_is_there(uri: str, arm: design.Arm, experiment: str = "memory-trials") -> None:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (parent,) = runs(uri, "arm", experiment)
    children = runs(uri, "trial", experiment)
    assert parent.info.status == "FINISHED" and parent.info.run_name == "gru 4, 40 epochs"
    assert parent.data.tags["study"] == "pipeline" and parent.data.tags["cell"] == "gru"
    assert "3 of 5 trials" in parent.data.tags["mlflow.note.content"]
    assert parent.data.params["training.learning_rate"] == "0.001" and parent.data.params["model.cell"] == "gru"
    metrics = files.read_json(arm.files.folder / results.METRICS)
    for key, name in metric_names.METRICS.items():
        if metrics.get(key) is not None:
            assert parent.data.metrics[name] == pytest.approx(metrics[key])
    assert parent.data.metrics["success/rate"] == 0.6 and parent.data.metrics["trials/all"] == 5
    losses = read_trained(arm.files.trained)[1].losses
    for name, share in (("median", 0.5), ("p10", 0.1), ("p90", 0.9)):
        history = client.get_metric_history(parent.info.run_id, f"loss/{name}")
        assert [m.step for m in history] == list(range(1, EPOCHS + 1))
        for m in (history[0], history[-1]):
            assert m.value == pytest.approx(np.quantile(losses[:, m.step - 1], share))
    low, high = proportion_confint(3, 5, 0.05, "wilson")
    expected = {"share": (0, 0.6), "low": (0, low), "high": (proportion_confint(0, 5, 0.05, "wilson")[1], high),
                "ever": (0, 0.6)}  # fmt: skip
    for name, values in expected.items():
        history = client.get_metric_history(parent.info.run_id, f"learned/{name}")
        assert [m.step for m in history] == [20, 40] and np.allclose([m.value for m in history], values)
    for name, values in {"median": (0.02, 0.2), "p10": (0.004, 0.04), "p90": (0.036, 0.36)}.items():
        history = client.get_metric_history(parent.info.run_id, f"memory/{name}")
        assert [m.step for m in history] == [20, 40] and np.allclose([m.value for m in history], values, atol=1e-6)
    assert {f.path for f in client.list_artifacts(parent.info.run_id)} == {
        "answer.png",
        "metrics.json",
        "trials.csv",
        "confusion.csv",
        "sequences.json",
    }
    (dataset,) = client.get_run(parent.info.run_id).inputs.dataset_inputs
    assert dataset.dataset.name == "pipeline sequences" and json.loads(dataset.dataset.profile) == {
        "sequences": 2,
        "symbols": 3,
    }

    assert [run.info.run_name for run in children] == [
        "seed 3, learned", "seed 4, not learned", "seed 5, learned", "seed 6, not learned", "seed 7, learned",
    ]  # fmt: skip
    _, trained = read_trained(arm.files.trained)
    for number, run in enumerate(children):
        assert run.info.status == "FINISHED" and run.info.lifecycle_stage == "active"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params == {"seed": str(3 + number)}
        assert run.data.metrics["learned"] == run.data.metrics["sequence_accuracy"] == float(number % 2 == 0)
        history = client.get_metric_history(run.info.run_id, "loss")
        assert [m.step for m in history] == list(range(1, EPOCHS + 1))
        whole = [m for m in history if m.step != 4]
        assert np.allclose([m.value for m in whole], np.delete(trained.losses[number], 3))
    assert {run.info.run_id for run in runs_with(client, experiment, "tags.learned = 'no'")} == {
        children[1].info.run_id,
        children[3].info.run_id,
    }


def runs_with(client, experiment, filter_string):
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id], filter_string)


def test_everything_is_there_once(arm, capsys):
    for _ in range(2):
        publisher.publish([arm], TrackingSettings())
    said = capsys.readouterr().out
    assert "now shows this result" in said and "has this result already" in said
    check_what_is_there(f"sqlite:///{Path.cwd() / 'mlflow.db'}", arm)


def test_a_publication_that_was_cut_is_completed(arm, monkeypatch):
    real, calls = payloads.of_trials, []

    def cut(arm, parent_id):
        for number, child in enumerate(real(arm, parent_id)):
            if number == 2 and not calls:
                calls.append(number)
                raise KeyboardInterrupt
            yield child

    monkeypatch.setattr(payloads, "of_trials", cut)
    with pytest.raises(KeyboardInterrupt):
        publisher.publish([arm], TrackingSettings())
    uri = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    (parent,) = runs(uri, "arm")
    assert parent.info.status == "RUNNING"
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    under_it = {"tags": {"mlflow.parentRunId": parent.info.run_id, "kind": "trial"}}
    with store.opened(TrackingSettings()) as opened:
        for _ in range(2):  # of several that stand for the same, one stays
            store.add_runs(opened, parent, [next(iter(real(payloads.RunPayload(arm), parent.info.run_id)))])
    for name in ("seed 3, learned", "seed 4, not learned"):  # begun, and never finished
        client.create_run(parent.info.experiment_id, run_name=name, **under_it)
    publisher.publish([arm], TrackingSettings())
    check_what_is_there(uri, arm)


def test_who_deletes_what_was_under_way_makes_up_for_it(arm, monkeypatch):
    """Two publishers without a lock: one takes a trial's earlier run for unfinished and its later one for the one that
    stays; before it deletes the former, that is finished, and the other publisher deletes the latter."""
    uri = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    publisher.publish([arm], TrackingSettings())
    (parent,) = runs(uri, "arm")
    (payload,) = payloads.of_arms([arm])
    with store.opened(TrackingSettings()) as opened, monkeypatch.context() as patch:
        client = opened.client
        earlier = runs(uri, "trial")[0]
        client.update_run(earlier.info.run_id, status="RUNNING")
        store.add_runs(opened, parent, list(payloads.of_trials(payload, parent.info.run_id))[:1])

        def meanwhile(run_id: str) -> None:
            patch.undo()
            client.update_run(earlier.info.run_id, status="FINISHED")
            publisher._publish_children(opened, payload, parent)
            assert len(runs(uri, "trial")) == TRIALS
            client.delete_run(run_id)

        patch.setattr(client, "delete_run", meanwhile)
        assert publisher._publish_children(opened, payload, parent)  # one was missing
    check_what_is_there(uri, arm)


def test_another_result_is_another_run_in_the_place_of_the_earlier_one(arm):
    uri = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    successes = lambda kind: [run.data.metrics["trials/learned"] for run in runs(uri, kind)]
    metrics = files.read_json(arm.files.folder / results.METRICS)
    for number in (3, 2, 3):
        files.write_json(arm.files.folder / results.METRICS, metrics | {"successes": number})
        publisher.publish([arm], TrackingSettings())
        assert successes("arm") == [number]
    assert successes("earlier arm") == [2]
    settings, trained = read_trained(arm.files.trained)
    settings["training"]["epochs"] = 41  # another setting of the pipeline is there to be compared
    write_trained(arm.files.trained, trained, settings)
    publisher.publish([arm], TrackingSettings())
    assert successes("arm") == [3, 3] and successes("earlier arm") == [2]


def test_a_stricter_evaluation_is_another_run_and_is_named_so(arm):
    publisher.publish([arm], TrackingSettings())
    metrics = files.read_json(arm.files.folder / results.METRICS)
    files.write_json(arm.files.folder / results.METRICS, metrics | {"margin_required": 0.1})
    publisher.publish([arm], TrackingSettings())
    strict, first = sorted(
        runs(f"sqlite:///{Path.cwd() / 'mlflow.db'}", "arm"), key=lambda run: -len(run.info.run_name)
    )
    assert (first.info.run_name, strict.info.run_name) == ("gru 4, 40 epochs", "gru 4, 40 epochs, margin 0.1")
    assert [run.data.params["evaluation.margin"] for run in (first, strict)] == ["0.0", "0.1"]
    said = strict.data.tags["mlflow.note.content"]
    assert (
        said.startswith("**3 of 5 trials learned by a lead of at least 0.1: ")
        and "by a lead of at least 0.1.\n" not in said
    )
    assert "is predicted right in the end, by a lead of at least 0.1. docs/" in said


@pytest.mark.parametrize(
    ("sections", "name"),
    [
        ({}, "lstm 20, as in the tutorial"),
        ({"model": {"output": "softmax"}, "evaluation": {"margin": 0.1}}, "lstm 20, softmax, margin 0.1"),
        ({"model": {"cell": "gru", "units": 3}, "training": {"trials": 7, "epochs": 9, "optimizer": "sgd", "shuffle": True}},
         "gru 3, 7 trials, 9 epochs, shuffle, sgd"),
        ({"problem": {"generate": {"lag": 30, "middle": "fixed"}, "scored": "last"}}, "lstm 20, lag 30, middle fixed, scored last"),
        ({"problem": {"file": "words.csv"}}, "lstm 20, words.csv"),
        ({"problem": {"sequences": [[1, 2]]}, "encoding": {"history": 4}}, "lstm 20, other sequences, history 4"),
        ({"problem": {"stream": {"task": "adding"}}, "training": {"update": "sequence"}}, "lstm 20, task adding, length 100, update sequence"),
        ({"model": {"forget_bias": {"chrono": 9}, "cell_options": {"unit_forget_bias": False}}}, "lstm 20, chrono 9, unit_forget_bias false"),
    ],
)  # fmt: skip
def test_a_run_is_named_by_what_differs_from_the_tutorial(sections, name):
    made = Settings(**{"problem": {"sequences": [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]}} | sections)
    evaluation = {"evaluation": made.evaluation.model_dump()}
    assert run_names.of_settings(design.training_inputs(made) | evaluation) == name


@given(st.data())
def test_any_setting_that_differs_is_in_the_name(data):
    section = data.draw(st.sampled_from(["encoding", "training", "evaluation"]))
    key = data.draw(st.sampled_from(sorted(run_names.TUTORIAL[section])))
    changed = run_names.TUTORIAL | {section: run_names.TUTORIAL[section] | {key: data.draw(st.integers(10**6, 10**7))}}
    assert key in run_names.of_settings(changed) or key in run_names.SPEAK_FOR_THEMSELVES
    assert run_names.of_settings(changed) != run_names.of_settings(run_names.TUTORIAL)


def test_an_arm_that_its_study_has_no_longer_is_set_apart(arm):
    both = [dataclasses.replace(arm, study="cells", name=name) for name in ("cell=gru", "cell=lstm")]
    for arms in (both, both[1:]):
        publisher.publish(arms, TrackingSettings())
    uri = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    assert [run.info.run_name for run in runs(uri, "arm")] == ["cells: cell=lstm"]
    assert [run.info.run_name for run in runs(uri, "earlier arm")] == ["cells: cell=gru"]
    publisher.publish([arm], TrackingSettings())
    assert len(runs(uri, "arm")) == 2  # the pipeline's arm is none of the study's


def test_an_arm_that_is_trained_by_itself_replaces_its_earlier_result_and_no_other_arm(arm, monkeypatch):
    one, two = (dataclasses.replace(arm, study="paper_4", name=name, key=name) for name in ("one", "two"))
    monkeypatch.setattr(design, "peers", lambda arm: [one, two])
    for each in (one, two):
        publisher.publish([each], TrackingSettings())
    losses = read_trained(arm.files.trained)
    write_trained(arm.files.trained, dataclasses.replace(losses[1], losses=losses[1].losses + 1), losses[0])
    publisher.publish([two], TrackingSettings())
    uri = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    assert [run.info.run_name for run in runs(uri, "arm")] == ["paper_4: one", "paper_4: two"]
    assert [run.info.run_name for run in runs(uri, "earlier arm")] == ["paper_4: two"]
    colours = {run.data.tags["mlflow.runColor"] for run in runs(uri, "arm")}
    assert len(colours) == 2 and {run.data.tags["study"] for run in runs(uri, "arm")} == {"paper_4"}


def test_a_server_gets_the_same(arm, server):
    publisher.publish([arm], TrackingSettings(uri=server))
    publisher.publish([arm], TrackingSettings(uri=server))
    check_what_is_there(server, arm)


@pytest.fixture
def database(postgresql) -> str:
    """An empty one, without MLflow's tables."""
    uri = f"{postgresql}/of_tracking"
    stores.execute(uri, "CREATE DATABASE of_tracking")
    return uri


def test_postgresql_gets_the_same_alone_and_behind_a_server(arm, database, server, postgresql, monkeypatch, capsys):
    publisher.publish([arm], TrackingSettings(uri=database))
    publisher.publish([arm], TrackingSettings(uri=database))
    check_what_is_there(database, arm)
    behind = TrackingSettings(uri=server, experiment="behind")
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", database)
    with pytest.raises(UserError, match="MLFLOW_BACKEND_STORE_URI names another database than that of the MLflow"):
        publisher.publish([arm], behind)
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", f"{postgresql}/server")
    monkeypatch.setattr(store, "create_run", None)
    publisher.publish([arm], behind)
    check_what_is_there(server, arm, "behind")


def test_the_page_is_for_this_machine_and_no_secret_is_among_its_arguments(arm, server, monkeypatch, capsys):
    become = []
    for name in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "")  # to be undone in the end
    monkeypatch.setattr(publisher.os, "execvp", lambda *command: become.append(command))
    publisher.publish([arm], TrackingSettings())
    publisher.show_page(TrackingSettings(), "127.0.0.1", 5000)
    assert become == [("mlflow", ["mlflow", "ui", "--host", "127.0.0.1", "--port", "5000"])]
    assert os.environ["MLFLOW_BACKEND_STORE_URI"] == tracker.uri_of(TrackingSettings())
    monkeypatch.delenv("MLFLOW_BACKEND_STORE_URI")
    assert "pipeline          http://127.0.0.1:5000/#/experiments/1/runs?" in capsys.readouterr().out
    elsewhere = TrackingSettings(uri=server.replace("//", "//me:secret@"), experiment="of the page")
    publisher.publish([arm], elsewhere)
    publisher.show_page(elsewhere, "127.0.0.1", 5000)  # which has a page already
    said = capsys.readouterr().out
    assert len(become) == 1 and f"{server}/#/experiments/" in said and "secret" not in said


def two_arms(arm: design.Arm) -> list[design.Arm]:
    """A study of two cells, with its block in experiments/studies.yaml."""
    files.write_text(
        design.FILE,
        "defaults: {problem: {sequences: [[0, 1, 2], [2, 1, 0]]}}\n"
        "studies:\n  cells:\n    question: Which cell?\n    source: I wondered\n"
        "    set: {training.epochs: 40}\n    grid: {model.cell: [gru, lstm]}\n",
    )
    settings, trained = read_trained(arm.files.trained)
    arms = []
    for cell in ("gru", "lstm"):
        path = arm.files.folder / f"{cell}.npz"
        write_trained(path, trained, settings | {"model": settings["model"] | {"cell": cell}})
        changes = {"model.cell": cell}
        paths = dataclasses.replace(arm.files, trained=path)
        arms.append(dataclasses.replace(arm, study="cells", name=f"cell={cell}", files=paths, changes=changes))
    return arms


def test_a_description_says_what_was_asked_and_what_came_out(arm):
    publisher.publish([arm], TrackingSettings())
    publisher.publish(two_arms(arm), TrackingSettings(experiment="of-studies"))
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("of-studies")
    assert "tags.kind = 'arm'" in experiment.tags["mlflow.note.content"]
    arms = client.search_runs([experiment.experiment_id], "tags.kind = 'arm'", order_by=["attributes.start_time"])
    said = [run.data.tags["mlflow.note.content"] for run in arms]
    for text, cell in zip(said, ("gru", "lstm")):
        assert text.startswith(
            "**3 of 5 trials learned: 60 % (95 % interval 23 % to 88 %); the median memory of all trials is 0.20 of 1 bit; of those that learned it is 0.20, and their median lead 0.05.**\n\n"
        )
        assert "**Which cell?** (from I wondered)" in text and f"`training.epochs: 40`, `model.cell: {cell}`" in text
        assert "| 60.0 % (23.1 % to 88.2 %) |" in text and "| 3 of 5 |" in text and "| 40 (40 to ?) |" in text
        assert (
            "docs/results.md" in text
            and f"(#/experiments/{experiment.experiment_id}/runs?viewStateShareKey=cells" in text
        )
    (of_pipeline,) = runs(f"sqlite:///{Path.cwd() / 'mlflow.db'}", "arm")
    assert "The study" not in of_pipeline.data.tags["mlflow.note.content"]
    assert len({run.data.tags["mlflow.runColor"] for run in arms}) == 2
    client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "my own")
    publisher.publish(two_arms(arm), TrackingSettings(experiment="of-studies"))
    assert client.get_experiment_by_name("of-studies").tags["mlflow.note.content"] == "my own"


def test_a_study_has_a_view_of_what_is_there(arm, monkeypatch):
    uri = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    publisher.publish(two_arms(arm), TrackingSettings())
    publisher.publish([arm], TrackingSettings())
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("memory-trials")
    link = f"http://127.0.0.1:5000/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey="
    pages = [
        page.split()
        for page in views.links(
            client, ["memory-trials", "no such experiment", "memory-trials"], "http://127.0.0.1:5000"
        )
    ]
    of_arms, *of_studies = pages
    assert of_studies == [[name, f"{link}{name}&compareRunsMode=CHART"] for name in ("cells", "pipeline")]
    assert (
        of_arms == ["all-arms", f"{link}all-arms"]
        and of_arms[1].partition("5000/")[2] in experiment.tags["mlflow.note.content"].splitlines()[0]
    )
    view = json.loads(experiment.tags["mlflow.sharedViewState.cells"])
    assert view["name"] == "cells"
    state = json.loads(zlib.decompress(base64.b64decode(view["state"].removeprefix("deflate;"))))
    shown = client.search_runs([experiment.experiment_id], state["searchFilter"], order_by=["attributes.start_time"])
    assert [run.info.run_name for run in shown] == ["cells: cell=gru", "cells: cell=lstm"]
    sections = [section["uuid"] for section in state["compareRunSections"]]
    drawn = set()
    assert state["columnOrder"] == state["selectedColumns"] == list(state["columnWidths"])
    for chart in state["compareRunCharts"]:
        assert chart["metricSectionId"] in sections
        drawn |= set(chart.get("selectedMetricKeys") or chart.get("selectedMetrics") or [chart["metricKey"]])
        if chart["type"] == "PARALLEL":  # only what differs
            assert chart["selectedParams"] == ["model.cell"] and chart["selectedMetrics"] == ["success/rate"]
    assert (
        drawn == set(shown[0].data.metrics) & drawn and {"loss/p10", "loss/p90", "learned/share", "success/low"} < drawn
    )
    for name in shown[0].data.metrics:  # what no chart draws goes to a section that is closed
        assert name in drawn or name.split("/")[0] in sections
    monkeypatch.setattr(MlflowClient, "set_experiment_tag", None)  # it is written once
    publisher.publish(two_arms(arm), TrackingSettings())


def test_arms_have_different_colours_however_many_there_are(arm):
    some = [dataclasses.replace(arm, study="mine", name=str(number), changes={}) for number in range(150)]
    assert len(set(colours.of_arms(some))) == 150
    assert colours.of_arms(some)[:7] == [colour for colour, *_ in palette.OTHERS]
    cells = [dataclasses.replace(arm, changes={"model.cell": cell}) for cell in ("lstm", "gru", "mine.A", "mine.B")]
    assert colours.of_arms(cells)[:3] == [palette.series_style(cell)[0] for cell in ("lstm", "gru", "mine.A")]
    assert len(set(colours.of_arms(cells))) == 4


def test_results_of_the_pipeline_have_different_colours(arm):
    settings, trained = read_trained(arm.files.trained)
    for epochs in range(40, 43):
        settings["training"]["epochs"] = epochs
        write_trained(arm.files.trained, trained, settings)
        publisher.publish([arm], TrackingSettings())
    found = [run.data.tags["mlflow.runColor"] for run in runs(f"sqlite:///{Path.cwd() / 'mlflow.db'}", "arm")]
    assert len(found) == len(set(found)) == 3


def test_the_axes_beside_the_success_rate_are_those_that_mlflow_can_draw(arm):
    arms = [dataclasses.replace(arm, study="mine", changes=dict.fromkeys("abcdef"))] * 2
    common = {"size/parameters": "1", "size/updates": "1", "b": "same"}
    settings = [
        common | {"a": "lstm", "c": "1", "d": "1", "e": "x" * 40},
        common | {"a": "gru", "c": "2", "d": "sequence", "e": "y", "f": "1", "size/updates": "2"},
    ]
    assert views.varied(arms, settings) == ["a", "c", "size/updates"]


def test_the_views_open_in_a_browser_with_their_table_and_charts(arm, server, browser):
    publisher.publish(two_arms(arm), TrackingSettings(uri=server, experiment="in-a-browser"))
    from mlflow import MlflowClient

    all_arms, page = views.links(MlflowClient(server), ["in-a-browser"], server)
    tab = browser.new_page(viewport={"width": 1600, "height": 1600})
    wrong = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda request: wrong.append(request.url) if server not in request.url else None)
    tab.goto(page.split()[1])
    names = ("cells: cell=gru", "cells: cell=lstm", "learned/share vs learned/low vs learned/high",
             "loss/median vs loss/p10 vs loss/p90", "success/rate", "success/low", "success/high")  # fmt: skip
    for name in names:
        tab.get_by_text(name, exact=True).first.wait_for(timeout=30_000)
    tab.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for(timeout=30_000)
    tab.locator(".js-plotly-plot .barlayer .point").first.wait_for(timeout=30_000)
    tab.goto(all_arms.split()[1])
    for name in ("cells: cell=gru", "cells: cell=lstm", "2"):  # matching runs: no trials
        tab.get_by_text(name, exact=True).first.wait_for(timeout=30_000)
    tab.wait_for_function(  # the order of columns is set after they are drawn
        """() => {
            const headers = [...document.querySelectorAll(".ag-header-cell")].filter(h => h.innerText.includes("/"))
            const from_left = headers.sort((a, b) => a.getBoundingClientRect().x - b.getBoundingClientRect().x)
            const names = from_left.map(header => header.innerText).slice(0, 4).join()
            return names == "success/rate,success/low,success/high,memory/final_median"
        }""",
        timeout=30_000,
    )
    assert tab.get_by_text("Error loading shared view").count() == 0 and not wrong
    tab.close()


def test_an_unreachable_server_is_told_in_one_sentence_without_its_password(arm):
    with pytest.raises(UserError) as caught:
        publisher.publish([arm], TrackingSettings(uri="http://me:secret@127.0.0.1:9"))
    assert "MLflow cannot be reached at http://***@127.0.0.1:9" in str(caught.value)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_nothing_to_publish(arm):
    shutil.rmtree(arm.files.folder)
    with pytest.raises(UserError, match="trained.npz does not exist"):
        publisher.publish([arm], TrackingSettings())


def test_an_arm_of_a_study_shows_fewer_points(arm):
    of_study = dataclasses.replace(arm, study="cells", name="cell=gru")
    publisher.publish([of_study], TrackingSettings())
    (parent,) = runs(f"sqlite:///{Path.cwd() / 'mlflow.db'}", "arm")
    assert parent.info.run_name == "cells: cell=gru" and parent.data.tags["study"] == "cells"
    from mlflow import MlflowClient

    child = runs(f"sqlite:///{Path.cwd() / 'mlflow.db'}", "trial")[0]
    steps = [
        m.step
        for m in MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}").get_metric_history(child.info.run_id, "loss")
    ]
    assert len(steps) == 20 and steps[0] == 1 and steps[-1] == EPOCHS
