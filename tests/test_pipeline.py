"""The pipeline as a user runs it: dvc.yaml is honest, results reproduce, and mistakes leave everything as it was."""

import ast
import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

from memory_trials import meaning
from tests.conftest import ROOT, change_params, run

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_the_init_file_of_a_package_holds_a_docstring_only():
    for path in (ROOT / "memory_trials").glob("*/__init__.py"):
        assert [type(statement) for statement in ast.parse(path.read_text()).body] == [ast.Expr], path


@pytest.mark.parametrize("module", ["stages.generate_data", "memory_trials.tracking.tracker", "memory_trials.settings"])
def test_a_python_without_the_libraries_is_one_sentence(module):
    done = subprocess.run(
        [sys.executable, "-S", "-m", module], cwd=ROOT, capture_output=True, text=True
    )  # -S: has none
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "has no module" in done.stderr and "put .venv/bin first on the PATH" in done.stderr


def test_a_mistake_in_the_code_keeps_its_traceback():
    for code in ("import memory_trials.no_such", "import memory_trials; 1 / 0"):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1 and "Traceback" in done.stderr


def test_stages_that_need_no_tensorflow_do_not_import_it():
    for stage in ("generate_data", "encode"):
        assert "memory_trials/models/backend.py" not in meaning.digests([f"stages.{stage}"])


def test_what_never_changes_a_result_never_invalidates_one():
    watched = {name.split(".")[0] for stage in STAGES.values() for name in stage.get("params", ())}
    assert watched == {"problem", "encoding", "model", "training", "evaluation"}


@pytest.fixture(scope="module")
def reproduced(repository) -> Path:
    (repository / "first.log").write_text(run(repository, "dvc", "repro"))
    return repository


def contents(folder: Path) -> dict[str, str]:
    files = [*(folder / "data").rglob("*"), folder / "dvc.lock"]
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.is_file()}


def test_repro_answers_and_leaves_what_it_says(reproduced):
    said = (reproduced / "first.log").read_text()
    assert "of 4 trials learned: " in said and "X=3  y=0  yhat=" in said and "MLflow now shows this result" in said
    metrics = json.loads((reproduced / "data/tutorial/metrics.json").read_text())
    assert metrics["trials"] == 4 and 0 <= metrics["success_rate_low"] <= metrics["success_rate"]
    rows = (reproduced / "data/tutorial/trials.csv").read_text().splitlines()
    assert (
        rows[0].startswith("seed,learned,sequence_accuracy,") and rows[0].endswith(",margin,memory") and len(rows) == 5
    )
    assert (reproduced / "data/tutorial/answer.png").read_bytes().startswith(b"\x89PNG")
    assert len((reproduced / "data/tutorial/predictions.csv").read_text().splitlines()) == 1 + 4 * 8


def test_nothing_to_do_is_nothing_done(reproduced):
    assert "up to date" in run(reproduced, "dvc", "repro")


def test_a_forced_rerun_gives_the_same_bytes_and_built_in_cells_need_no_tensorflow(reproduced, tmp_path):
    before = contents(reproduced)
    run(reproduced, "make", "clean-cache")  # else the trials would be those that were kept
    assert not (reproduced / ".shards").exists()
    for library in ("tensorflow", "keras"):
        (tmp_path / f"{library}.py").write_text(f"import os\nprint('{library} is', 'imported')\nos._exit(1)\n")
    change_params(reproduced, "enabled: true", "enabled: false")  # what is published has other tests
    said = run(reproduced, "dvc", "repro", "--force", "--no-run-cache", PYTHONPATH=str(tmp_path))
    change_params(reproduced, "enabled: false", "enabled: true")
    assert "trials are kept" not in said and "is imported" not in said
    assert contents(reproduced) == before
    assert "4 of 4 trials are kept from earlier (.shards/)" in run(reproduced, "dvc", "repro", "--force", "train")
    assert contents(reproduced) == before


NO_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig></fontconfig>"""


def test_another_machine_comes_to_the_same_bytes(reproduced, tmp_path):
    """As far as one machine can play another: NumPy and BLAS without the processor's vectors, native.c compiled without
    them, no fonts, an empty home."""
    other = tmp_path / "other"
    left_out = shutil.ignore_patterns("__pycache__", ".shards", "mlflow.db*", "mlartifacts", "cache", "tmp", "*.npz")
    shutil.copytree(reproduced, other, symlinks=True, ignore=left_out)
    recorded = yaml.safe_load((other / "dvc.lock").read_text())
    (other / "dvc.lock").unlink()
    change_params(other, "enabled: true", "enabled: false")  # what is published has other tests
    (tmp_path / "fonts.conf").write_text(NO_FONTS)
    (tmp_path / "home").mkdir()
    compiler = shutil.which("cc") or shutil.which("gcc") or "cc"
    vectors = " -mno-avx512f -mno-avx2 -mno-fma" if platform.machine() == "x86_64" else ""
    environment = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name]),
        "OPENBLAS_CORETYPE": "Nehalem", "FONTCONFIG_FILE": str(tmp_path / "fonts.conf"),
        "HOME": str(tmp_path / "home"), "CC": compiler + vectors, "LANG": "C",
    }  # fmt: skip
    run(other, "dvc", "repro", "--no-run-cache", **environment)
    again = yaml.safe_load((other / "dvc.lock").read_text())
    outputs = lambda lock: {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}
    assert outputs(again) == outputs(recorded)


def test_publishing_again_changes_nothing(reproduced):
    assert "has this result already" in run(reproduced, "python", "-m", "memory_trials", "track")


def test_a_tracking_server_that_is_away_costs_no_result_and_its_secrets_are_written_nowhere(reproduced):
    before = contents(reproduced)
    secret = "c4n" + "ary"  # which is not in this file
    change_params(reproduced, "uri: null", f"uri: postgresql://me:{secret}@127.0.0.1:9/runs")
    assert "up to date" in run(reproduced, "dvc", "repro")
    said = run(reproduced, "dvc", "repro", "--single-item", "--force", "--no-run-cache", "train", "evaluate")
    change_params(reproduced, f"uri: postgresql://me:{secret}@127.0.0.1:9/runs", "uri: null")
    sentence = "warning: MLflow cannot be reached at postgresql://***@127.0.0.1:9/runs: connection refused; "
    before_training = said.index(f"{sentence}training goes on, and the results are kept")
    assert said.index("> python -m stages.train") < before_training < said.index("> python -m stages.evaluate")
    assert said.index(f"{sentence}the results are kept: publish them later with memory-trials track") > before_training
    assert contents(reproduced) == before and secret not in said
    for path in reproduced.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_settings_that_cannot_change_a_result_rerun_nothing(reproduced):
    change_params(reproduced, "shard: 50", "shard: 20")
    assert "up to date" in run(reproduced, "dvc", "repro")
    change_params(reproduced, "shard: 20", "shard: 50")


def test_a_change_in_a_cell_of_the_users_is_noticed(reproduced):
    path = reproduced / "my_cells/leaky.py"
    before = path.read_text()
    path.write_text(before + "\n")
    status = json.loads(run(reproduced, "dvc", "status", "--json"))
    path.write_text(before)
    assert set(status) == {"train", "evaluate"} and "my_cells" in json.dumps(status)


def test_plots_and_metrics_are_shown(reproduced):
    assert "success_rate" in run(reproduced, "dvc", "metrics", "show")
    run(reproduced, "dvc", "plots", "show")
    page = (reproduced / "dvc_plots/index.html").read_text()
    assert "How many trials know every step?" in page and "How soon does it learn" in page and "answer" in page
    assert "isValid(datum.low)" in page  # .dvc/plots/band.json
    assert "What is predicted where memory is needed?" in page
    assert "https://cdn" not in page and 'src="../.dvc/vega.js"' in page  # it draws without a network


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("cell: lstm", "cell: lstn", "model.cell is 'lstn': no such cell; the built-in cells are attention, chunker"),
        ("window: 1", "window: 9", "training.window is 9: the longest sequence has 4 steps"),
        ("file: null", "file: words.csv", "give one of sequences, file, generate and stream"),
        (
            "cell: lstm",
            "cell: os.system",
            "model.cell os.system: it is neither a Keras, Flax, Equinox, Haiku or torch class, nor has it the functions init",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_everything_as_it_was(reproduced, old, new, words):
    before = contents(reproduced)
    change_params(reproduced, old, new)
    try:
        said = run(reproduced, "dvc", "repro", fails=True)
    finally:
        change_params(reproduced, new, old)
    assert words in said and "Traceback" not in said
    assert contents(reproduced) == before


@pytest.mark.parametrize("how", ["cut short", "another version"])
def test_a_damaged_artifact_is_refused_by_the_stage_that_reads_it(reproduced, how):
    path = reproduced / "data/tutorial/trained.npz"
    whole = path.read_bytes()
    before = contents(reproduced)
    path.unlink()  # DVC's cache may share the file
    path.write_bytes(
        whole[: len(whole) // 2]
        if how == "cut short"
        else whole.replace(b"t\0\0\0r\0\0\0a\0\0\0i", b"T\0\0\0r\0\0\0a\0\0\0i")
    )
    said = run(reproduced, "python", "-m", "stages.evaluate", fails=True)
    path.write_bytes(whole)
    assert "trained.npz is" in said and "run dvc repro" in said and "Traceback" not in said
    assert contents(reproduced) == before


def test_an_experiment_in_a_temporary_copy_reaches_the_same_stores_and_table(reproduced):
    kept = set((reproduced / ".shards").glob("*.npz"))
    said = run(reproduced, "dvc", "exp", "run", "--temp", "-n", "gru-trial", "-S", "model.cell=gru")
    assert set((reproduced / ".shards").glob("*.npz")) > kept
    assert f"sqlite:///{reproduced}" not in said  # nothing to complain about
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{reproduced / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("memory-trials").experiment_id
    arms = client.search_runs([experiment], "tags.kind = 'arm'")
    assert {run.data.tags["cell"] for run in arms} == {"lstm", "gru"}
    shown = run(reproduced, "dvc", "exp", "show", "--csv", "--no-pager")
    assert "success_rate" in shown and "gru-trial" in shown


def test_the_check_passes_fresh_results_and_fails_stale_or_poor_ones(reproduced):
    run(reproduced, "git", "add", "-A")
    run(reproduced, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "result")
    check = ("python", "-m", "memory_trials", "compare")
    assert re.search(r"\| success_rate +\|", run(reproduced, *check, "HEAD"))
    clone = reproduced.parent / "clone"
    run(reproduced.parent, "git", "clone", "-q", str(reproduced), str(clone))
    assert "is in step" in run(clone, *check)
    change_params(clone, "success_rate_floor: 0.0", "success_rate_floor: 0.9")
    change_params(clone, "epochs: 30", "epochs: 31")
    said = run(clone, *check, fails=True)
    assert "below check.success_rate_floor, which is 0.9" in said and "training modified" in said
    shutil.rmtree(clone)


def test_another_clone_pulls_everything_and_publishes_it_without_training(reproduced, tmp_path):
    run(reproduced, "dvc", "remote", "add", "--default", "team", str(tmp_path / "remote"))
    run(reproduced, "git", "add", "-A")
    run(reproduced, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "a remote")
    run(reproduced, "dvc", "push")
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(reproduced), str(clone))
    run(clone, "dvc", "pull")
    outs = [out["path"] for stage in yaml.safe_load((clone / "dvc.lock").read_text())["stages"].values()
            for out in stage["outs"]]  # fmt: skip
    assert len(outs) > 12 and all((clone / out).read_bytes() == (reproduced / out).read_bytes() for out in outs)
    assert "up to date" in run(clone, "dvc", "repro")  # nothing is trained
    run(clone, "python", "-m", "memory_trials", "track")
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{clone / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("memory-trials").experiment_id
    kinds = [found.data.tags["kind"] for found in client.search_runs([experiment])]
    assert sorted(kinds) == ["arm"] + 4 * ["trial"]
    assert client.get_model_version_by_alias("memory-trials", "champion").version == 1
    assert "(probability" in run(clone, "python", "-m", "memory_trials", "predict", "3 0 1 2")


def test_a_users_own_words(reproduced):
    change_params(reproduced, "  sequences:\n    - [3, 0, 1, 2, 3]\n    - [4, 0, 1, 2, 4]\n", "  sequences: null\n")
    change_params(reproduced, "file: null", "file: words.csv")
    change_params(reproduced, "enabled: true", "enabled: false")
    said = run(reproduced, "dvc", "repro")
    assert "3 sequences of 10 symbols; memory must reach back 5 steps" in said and "X=anna" in said
    # a change in the file is noticed
    (reproduced / "data/problems/words.csv").write_text("anna,lives,here,anna\nbert,lives,here,bert\n")
    assert "2 sequences of 4 symbols" in run(reproduced, "dvc", "repro", "generate_data")
    assert {"encode", "evaluate"} <= set(json.loads(run(reproduced, "dvc", "status", "--json")))
