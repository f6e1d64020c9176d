"""The command: it teaches, starts at once, and tells a mistake in one sentence."""

import json
import os
import re
import subprocess
import sys
import tomllib

import click
import pytest

from memory_trials import project
from memory_trials.cli import commands
from memory_trials.commands import dvc
from memory_trials.errors import UserError
from tests.conftest import ROOT

ANYWHERE = {"rank", "init", "completion", "check"}  # commands that need no project around them


def command(*arguments: str, folder=ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "memory_trials", *arguments],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", commands.commands)
def test_help_teaches_by_example(name):
    done = command(name, "--help")
    assert done.returncode == 0 and re.search(rf"^  .*memory-trials {name}", done.stdout, re.MULTILINE)
    assert len(commands.commands[name].get_short_help_str(60)) < 60


def test_the_list_of_commands_says_what_each_does_in_full():
    listed = command("--help").stdout.partition("Commands:")[2]
    assert all(f"  {name} " in listed for name in commands.commands) and "..." not in listed


def test_help_imports_nothing_that_takes_long():
    heavy = "sorted({'numpy', 'pydantic', 'yaml', 'pandas', 'altair', 'mlflow', 'tensorflow'} & set(sys.modules))"
    code = f"import sys\nimport memory_trials.cli\nprint({heavy})"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reprot"], "No such command 'reprot'"),
        (["predict", "--step", "3", "3"], "No such option '--step'"),
        (["predict", "3", "--steps", "two"], "'two' is not a valid integer"),
        (["study"], "Missing argument 'NAME'"),
        (["compare", "main", "HEAD"], "unexpected extra argument"),
        (["verify", "--share", "2"], "2.0 is not in the range 0<=x<=1"),
        (["--colour", "repro"], "No such option '--colour'"),
    ],
)
def test_a_mistake_in_its_words_is_one_sentence_and_exit_code_2(arguments, words):
    done = command(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert words in done.stderr and "--help says what it takes" in done.stderr


@pytest.mark.parametrize("name", ["repro", "studies", "study cells", "answer", "report", "predict 3", "ui", "verify"])
def test_elsewhere_it_says_what_is_missing(name, tmp_path):
    done = command(*name.split(), folder=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in commands.commands if name not in ANYWHERE])
@pytest.mark.parametrize("folder", ["docs", "experiments", "memory_trials/tasks"])
def test_in_a_folder_of_the_project_it_names_the_folder_to_run_it_in(name, folder, monkeypatch):
    monkeypatch.chdir(ROOT / folder)  # experiments/ has a dvc.yaml of its own
    arguments = {"study": ["cells"], "predict": ["3"]}.get(name, [])
    with pytest.raises(
        UserError, match=rf"^memory-trials {name} must be run in the folder .* params.yaml, which is {ROOT}$"
    ):
        commands.main([name, *arguments], prog_name="memory-trials", standalone_mode=False)


def test_files_that_are_named_can_be_read_from_anywhere(monkeypatch, tmp_path, capsys):
    (tmp_path / "metrics.json").write_text("{}")
    monkeypatch.chdir(ROOT / "docs")
    with pytest.raises(UserError, match="is damaged|does not exist: run dvc repro"):
        commands.main(["predict", "3", "--model", str(tmp_path / "metrics.json")], standalone_mode=False)
    with pytest.raises(UserError, match="trials.csv does not exist"):
        commands.main(["answer", str(tmp_path)], standalone_mode=False)


def test_make_and_the_pipelines_call_commands_that_there_are():
    called = []
    for name in ("Makefile", "dvc.yaml", "experiments/dvc.yaml", ".github/workflows/pipeline.yml"):
        called += re.findall(r"-m memory_trials(\S*) ?([a-z]+)?", (ROOT / name).read_text())
    assert {module for module, _ in called} == {"", ".engines.native", ".report.plots", ".tracking.store"}
    words = {word for module, word in called if not module}
    assert words <= set(commands.commands)
    assert {
        "repro",
        "studies",
        "study",
        "paper",
        "probe",
        "report",
        "predict",
        "serve",
        "ui",
        "track",
        "compare",
        "verify",
    } == words


def test_the_version_is_that_of_the_package():
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert command("--version").stdout == f"memory-trials {described['version']}\n"


def test_programs_read_json(tmp_path, monkeypatch, capsys):
    (tmp_path / "metrics.json").write_text('{"trials": 4}')
    monkeypatch.chdir(ROOT)
    commands.main(["answer", "--json", str(tmp_path)], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == {"trials": 4}
    commands.main(["studies", "--json"], standalone_mode=False)
    studies = json.loads(capsys.readouterr().out)
    assert studies["cells"]["question"].endswith("?")


def test_a_changed_setting_runs_in_a_copy(monkeypatch):
    called = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(dvc, "run", lambda *arguments: called.append(arguments))
    commands.main(["repro", "-S", "model.cell=gru", "--set", "model.units=5"], standalone_mode=False)
    assert called == [
        ("exp", "run", "--temp", "--set-param", "model.cell=gru", "--set-param", "model.units=5"),
    ]
    with pytest.raises(click.UsageError, match=r"-S 'model\.cell' is not KEY=VALUE"):
        commands.main(["repro", "-S", "model.cell"], standalone_mode=False)
    for change, sentence in (
        ("model.cell=lstn", "model.cell is 'lstn': no such cell"),
        ("model.cel=gru", "'model.cel'"),
    ):
        with pytest.raises(UserError, match=f"params.yaml with -S {change}: .*{sentence}"):
            commands.main(["repro", "-S", change], standalone_mode=False)
    assert len(called) == 1  # DVC begins with none of these


def test_a_study_or_one_of_its_arms_runs_alone(monkeypatch, capsys):
    called = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(dvc, "run", lambda *arguments: called.append(arguments))
    ways = {
        ("study", "cells"): ["train@cells", "evaluate@cells", "results"],
        ("study", "order_3"): ["train_arm@order_3", "evaluate_arm@order_3", "paper"],
        ("paper", "paper_6b"): [
            "train_arm@order_3", "evaluate_arm@order_3", "train_arm@order_3_cross_entropy",
            "evaluate_arm@order_3_cross_entropy", "paper",
        ],
    }  # fmt: skip
    for words, stages in ways.items():
        commands.main([*words], standalone_mode=False)
        assert called.pop() == ("--cd", "experiments", "repro", "--single-item", "resolve", *stages)
    assert "the answer: RESULTS.md#cells; the picture: experiments/pictures/cells.png" in capsys.readouterr().out
    with pytest.raises(UserError, match="experiments has no study or arm 'adding_10'; among its 131 are adding_100,"):
        commands.main(["paper", "adding_10"], standalone_mode=False)


def test_without_git_a_setting_cannot_be_changed_in_a_copy(monkeypatch, tmp_path):
    project.create(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="needs a git repository with a commit"):
        commands.main(["repro", "-S", "model.cell=gru"], standalone_mode=False)


def test_options_of_servers_come_before_the_environment(monkeypatch):
    called = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("memory_trials.tracking.publisher.show_page", lambda *arguments: called.append(arguments[1:]))
    for given, port, expected in (([], "", 5000), ([], "5005", 5005), (["--port", "5006"], "5005", 5006)):
        monkeypatch.setenv("PORT", port)
        commands.main(["ui", *given], standalone_mode=False)
        assert called.pop() == ("127.0.0.1", expected)
    monkeypatch.setenv("PORT", "many")
    with pytest.raises(click.UsageError, match="'many' is not a valid integer"):
        commands.main(["ui"], standalone_mode=False)


def test_shells_complete_names_of_studies(monkeypatch):
    monkeypatch.chdir(ROOT)
    study = commands.commands["study"]
    names = [item.value for item in study.params[0].shell_complete(click.Context(study), "c")]
    assert "cells" in names and all(name.startswith("c") for name in names)
    monkeypatch.chdir(ROOT / "docs")
    assert study.params[0].shell_complete(click.Context(study), "c") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_prints_what_a_shell_needs_to_complete(shell, capsys):
    commands.main(["completion", shell], standalone_mode=False)
    assert "_MEMORY_TRIALS_COMPLETE" in capsys.readouterr().out


def test_a_new_project_can_draw_plots_without_a_network(tmp_path, capsys):
    commands.main(["init", str(tmp_path / "new")], standalone_mode=False)
    assert "vegaEmbed" in (tmp_path / "new/.dvc/vega.js").read_text()
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"next: cd {tmp_path}/new && memory-trials repro; every setting is in params.yaml"
    )
