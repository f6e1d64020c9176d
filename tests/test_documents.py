"""Commands in README.md and docs/ run: those that take seconds here, in a small copy; for others, what else runs them."""

import ast
import re
import shlex

import pytest
from click.testing import CliRunner

import memory_trials
from memory_trials import cli, files
from tests.conftest import ROOT
from tests.small_results import small_result
from website import links

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("make", "memory-trials", "dvc", "mlflow", "ray", "git", "source", "export", "cd", "uv")
# commands that no test here runs, by how they begin, and why
OTHERWISE = {
    "source .venv/bin/activate": "changes the shell alone",
    "cd ": "changes the shell alone",
    "export ": "changes the shell alone",
    "git ": "git's own",
    "make": "each target runs a command of memory-trials; CI runs the targets",
    "memory-trials init my_project": "tests/test_project.py",
    "memory-trials repro": "tests/test_pipeline.py, with other settings",
    "memory-trials studies --check": "CI runs it",
    "memory-trials studies": "minutes to a night; tests/studies/test_design.py runs a small study",
    "memory-trials study": "minutes; tests/studies/test_design.py runs a small study",
    "memory-trials paper": "minutes to a night; tests/test_stream_pipeline.py runs a small arm",
    "memory-trials probe": "minutes; tests/probe/test_probe.py runs a small one",
    "memory-trials report": "tests/report/test_page.py",
    "memory-trials serve": "ends when it is stopped; tests/serving",
    "memory-trials ui": "ends when it is stopped; tests/tracking",
    "memory-trials track": "tests/tracking/test_publisher.py",
    "memory-trials compare": "tests/integrity/test_check.py",
    "memory-trials verify": "a minute; tests/integrity/test_verify.py",
    "memory-trials check": "imports TensorFlow; tests/interactive/test_cell_check.py",
    "memory-trials completion": "tests/test_cli.py",
    "memory-trials answer --short experiments/": "needs a study's result",
    'memory-trials predict \'["ice cream"': "needs a problem of these symbols; tests/serving",
    "dvc exp": "DVC's own; tests/test_pipeline.py runs dvc repro and dvc exp run",
    "dvc queue": "DVC's own, in the background",
    "dvc remote": "needs a remote",
    "dvc pull": "needs a remote",
    "dvc push": "needs a remote",
    "mlflow server": "ends when it is stopped, and needs PostgreSQL",
    "ray ": "needs a cluster; tests/training runs Ray on this machine",
}
QUICK = ("memory-trials answer", "memory-trials predict", "memory-trials rank")


def shown() -> list[tuple[str, str]]:
    """Return each command in a fenced block of a page, with the page's name."""
    found = []
    for page in PAGES:
        for block in links.FENCE.finditer(page.read_text()):
            head, *lines = block[0].splitlines()
            for line in lines if head == "```" else ():
                for command in re.split(r" && ", re.sub(r"\s#\s.*", "", line)):
                    words = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", command.strip())
                    if words.split(" ")[0] in PROGRAMS and "OPTIONS" not in words and line[0] != " ":
                        found.append((page.name, words.strip()))
    return list(dict.fromkeys(found))


def reason(command: str) -> str | None:
    """Return what says that a command works although no test here runs it."""
    return next((why for begins, why in OTHERWISE.items() if command.startswith(begins)), None)


def quick(command: str) -> bool:
    return command.startswith(QUICK) and not command.startswith(
        ("memory-trials answer --short", "memory-trials predict '[")
    )


def test_every_command_is_run_here_or_says_what_else_runs_it():
    assert len(shown()) > 40
    assert [(page, command) for page, command in shown() if not quick(command) and reason(command) is None] == []
    for why in set(OTHERWISE.values()):  # the tests that it names exist
        assert all((ROOT / path).exists() for path in re.findall(r"tests/[\w/]+(?:\.py)?", why)), why


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder with the result of four short trials."""
    folder = tmp_path_factory.mktemp("documents")
    with small_result(folder):
        return folder


@pytest.mark.parametrize("command", sorted({command for _, command in shown() if quick(command)}))
def test_a_quick_command_runs_as_it_is_shown(command, small, monkeypatch):
    monkeypatch.chdir(small)
    chosen = [("size", "1"), ("size", "2")] if "--choose" in command else [("", "")]
    rates, score = (("0.1", "0.2"), "test_error") if "--choose" in command else (("",), "score")
    rows = [
        {"model": model, "task": task, "seed": str(seed), score: str(seed + len(model)), "learning_rate": rate} | dict([of])
        for model in ("lstm", "simple_rnn") for task in "ab" for of in chosen for rate in rates for seed in range(3)
    ]  # fmt: skip
    lines = [{name: text for name, text in row.items() if text} for row in rows]
    table = [",".join(lines[0]), *(",".join(row.values()) for row in lines)]
    files.write_text("results.csv", "\n".join(table) + "\n")
    done = CliRunner().invoke(cli.commands, shlex.split(command)[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert done.output.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_that_is_shown_is_python_and_names_what_exists(page):
    for block in links.FENCE.finditer(page.read_text()):
        head, *lines = block[0].splitlines()
        if head != "```python":
            continue
        tree = ast.parse("\n".join(lines[:-1]))
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "memory_trials"
            ):
                assert hasattr(memory_trials, node.attr), node.attr
            if isinstance(node, ast.ImportFrom) and node.module == "memory_trials":
                assert all(hasattr(memory_trials, name.name) for name in node.names)
