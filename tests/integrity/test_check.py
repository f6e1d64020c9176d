"""The gate for CI, on what DVC and git really print."""

import hashlib
import json
import math
import subprocess

import pytest

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.integrity import check as check_module
from memory_trials.integrity import tools
from memory_trials.integrity.check import METRICS, changed_code, changes, check, check_numbers, recorded_outputs, stale
from memory_trials.integrity.summary import summary
from memory_trials.studies import dependencies

GOOD = {"trials": 100, "success_rate_low": 0.3, "median_epochs_to_learn": None}
STAGES = {"train": {"outs": [{"path": "data/tutorial/trained.npz"}]}, "x": {}}


def test_a_fresh_clone_without_data_is_not_stale():
    status = {
        "train": [{"changed deps": {"data/tutorial/trained.npz": "deleted"}}],
        "evaluate": [{"changed outs": {"data/tutorial/trained.npz": "not in cache"}}],
    }
    assert recorded_outputs(STAGES) == {"data/tutorial/trained.npz"}
    assert stale({}, set()) == stale(status, recorded_outputs(STAGES)) == []


def test_whatever_changed_is_stale():
    status = {
        "encode": [{"changed deps": {"params.yaml": {"training.window": "modified"}}}],
        "train": [
            {"changed deps": {"memory_trials/models/keras_model.py": "modified", "gone.py": "deleted"}},
            "changed command",
        ],
    }
    assert stale(status, recorded_outputs(STAGES)) == [
        "encode: params.yaml training.window modified",
        "train: memory_trials/models/keras_model.py modified",
        "train: gone.py deleted",
        "train: changed command",
    ]


def test_every_change_is_told():
    status = {
        "a": ["changed command", {"changed deps": {"params.yaml": {"x": "modified", "y": "new"}, "b.py": "modified"}}],
        "b": [{"changed outs": {"c.npz": "modified"}}, "changed command"],
    }
    assert stale(status, {"c.npz"}) == [
        "a: changed command", "a: params.yaml x modified", "a: params.yaml y new", "a: b.py modified", "b: c.npz modified",
        "b: changed command",
    ]  # fmt: skip


def test_the_gate():
    assert check_numbers(GOOD, 0.3) == []
    assert "interval begins at 0.3, below check.success_rate_floor, which is 0.31" in check_numbers(GOOD, 0.31)[0]
    assert len(check_numbers(GOOD | {"success_rate_low": math.nan}, 0.0)) == 2
    assert "trials is None" in check_numbers(GOOD | {"trials": None}, 0.0)[0]
    remembered = GOOD | {"memory_median": 0.5, "memory_median_low": 0.4}
    assert check_numbers(remembered, 0.3, memory_floor=0.4) == []
    assert "interval begins at 0.4, below check.memory_floor, 0.41" in check_numbers(remembered, 0.3, 0.41)[0]
    assert "interval begins at none, below check.memory_floor" in check_numbers(GOOD, 0.3, 0.0)[0]


def test_nothing_recorded_is_told_in_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("problem: {sequences: [[1, 2]]}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"dvc\.lock does not exist"):
        check("HEAD~1")


def test_no_number_at_all_is_below_every_floor_and_a_word_is_no_number():
    assert "interval begins at none" in check_numbers({"trials": 3}, 0.0)[0]
    assert "trials is '3', which is not a finite number" in check_numbers(GOOD | {"trials": "3"}, 0.0)[0]
    assert "trials is True, which is not a finite number" in check_numbers(GOOD | {"trials": True}, 0.0)[0]
    assert check_numbers(GOOD | {"memory_median": None, "afresh_memory_median": None}, 0.3) == []
    assert len(check_numbers(GOOD | {"memory_median_low": math.nan}, 0.3, memory_floor=-1.0)) == 2


@pytest.fixture
def git(tmp_path, monkeypatch):
    """A git repository without a commit, in the current folder; a function that runs git there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    names = ("-c", "user.name=t", "-c", "user.email=t@t")
    run = lambda *words: subprocess.run(["git", *names, *words], check=True, capture_output=True)
    run("init", "-q")
    return run


@pytest.fixture
def dvc(monkeypatch) -> list[str]:
    """DVC is not started: the commands that would be run, each answered by its own words."""
    called = []
    monkeypatch.setattr(check_module, "run", lambda *command: called.append(" ".join(command[3:])) or called[-1])
    return called


def test_metrics_stand_beside_those_of_the_commit_before_or_alone_where_it_is_not_here(
    git, dvc, tmp_path, monkeypatch, capfd
):
    assert changes(None) == f"metrics show --md {METRICS}"  # no commit
    git("commit", "-q", "--allow-empty", "-m", "the first")
    assert changes(None) == f"metrics show --md {METRICS}"
    git("commit", "-q", "--allow-empty", "-m", "the second")
    assert changes(None) == f"metrics diff --md --all --targets {METRICS} -- HEAD~1"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{tmp_path}", tmp_path / "shallow"], check=True)
    monkeypatch.chdir(tmp_path / "shallow")
    assert changes(None) == f"metrics show --md {METRICS}"
    assert "".join(capfd.readouterr()) == ""  # git is only asked


def test_a_revision_that_was_named_is_never_replaced(git, dvc):
    assert changes("main") == f"metrics diff --md --all --targets {METRICS} -- main"
    assert changes("HEAD~1") == f"metrics diff --md --all --targets {METRICS} -- HEAD~1"


# what DVC 3 and git print on stderr; the last lines help, or say where to ask
SAID = {
    "ERROR: unknown Git revision 'nonsense'\n": "unknown Git revision 'nonsense'",
    "ERROR: /home/a/clone is not a git repository\n": "/home/a/clone is not a git repository",
    "ERROR: unexpected error - /home/a/clone/.git/: repository path '/home/a/clone' is not owned by current user\n\n"
    "Having any troubles? Hit us up at https://dvc.org/support, we are always happy to help!\n": (
        "/home/a/clone/.git/: repository path '/home/a/clone' is not owned by current user"
    ),
    "WARNING: stage 'x' is frozen.\nERROR: failed to reproduce 'x': output is changed\n": "failed to reproduce 'x': output is changed",
    "'./dvc.lock' is invalid.\n\nWhile parsing a flow node, in line 2, column 1\n  2\n": "'./dvc.lock' is invalid.",
    "'./dvc.lock' validation failed.\n\nexpected a dictionary, in stages\n": "'./dvc.lock' validation failed.",
    "fatal: detected dubious ownership in repository at '/home/a/clone'\nTo add an exception for this directory, call:\n\n"
    "\tgit config --global --add safe.directory /home/a/clone\n": "detected dubious ownership in repository at '/home/a/clone'",
    "Traceback (most recent call last):\n  File \"x.py\", line 1, in <module>\nImportError: no module\n": "ImportError: no module",
    "hint: more of it\nwarning: LF will be replaced\nerror: pathspec 'x' did not match\n": "pathspec 'x' did not match",
    "": "it printed no reason",
    "\n  \n": "it printed no reason",
}  # fmt: skip


@pytest.mark.parametrize(("said", "cause"), SAID.items())
def test_of_what_a_tool_prints_the_line_that_names_the_cause_is_told(said, cause):
    assert tools.cause(said) == cause


def test_a_tool_that_fails_or_is_not_there_is_told_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert tools.run("echo", "a", "b") == "a b\n"
    assert tools.run("printf", r"\377") == "\N{REPLACEMENT CHARACTER}"
    with pytest.raises(UserError, match=r"^git log failed: not a git repository"):
        tools.run("git", "log")
    with pytest.raises(UserError, match=r"^no-such-tool -x cannot be run: No such file or directory$"):
        tools.run("no-such-tool", "-x")
    with pytest.raises(UserError, match=r"^sh -c .* failed: only this"):  # where it tells its errors on stdout
        tools.run("sh", "-c", "echo only this; exit 3")
    monkeypatch.setattr(tools, "DVC", ("sh", "-c"))
    with pytest.raises(UserError, match=r"^dvc exit 4 failed: it printed no reason$"):
        tools.run(*tools.DVC, "exit 4")


class Recorded:
    """A folder with a recorded result, in which DVC's answers are made up."""

    def __init__(self, folder):
        (folder / "params.yaml").write_text(
            "problem: {sequences: [[1, 2]]}\ncheck: {success_rate_floor: 0.3, memory_floor: 0.2}"
        )
        (folder / "dvc.lock").write_text("stages: {train: {outs: [{path: a.npz}]}}")
        (folder / METRICS).parent.mkdir(parents=True)
        self.folder, self.status = folder, {}
        self.write(GOOD | {"memory_median_low": 0.25})

    def write(self, metrics):
        (self.folder / METRICS).write_text(json.dumps(metrics))

    def answer(self, *command):
        words = " ".join(command[3:])
        return json.dumps(self.status) if words == "status --json" else f"<{words}>"


@pytest.fixture
def result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recorded = Recorded(tmp_path)
    monkeypatch.setattr(check_module, "run", recorded.answer)
    monkeypatch.setattr(check_module, "changed_code", lambda stages: [])
    return recorded


def test_the_table_is_printed_and_what_is_in_step_and_good_enough_passes(result, capsys):
    result.status = {
        "train": [{"changed outs": {"a.npz": "not in cache"}}],
        "code": [{"changed deps": {"stages": "modified"}}],
    }
    check("main")
    assert capsys.readouterr().out == (
        f"\n<metrics diff --md --all --targets {METRICS} -- main>\n"
        "\nThe recorded result is in step with code and parameters and passes the gate.\n"
    )


def test_what_is_stale_is_named_with_what_to_do_beside_numbers_that_are_too_low(result, capsys):
    result.status = {"train": [{"changed outs": {"a.npz": "modified"}}]}
    with pytest.raises(UserError) as caught:
        check("main")
    stale_result = (
        "train: a.npz modified\nerror: the recorded result is stale: run dvc repro and commit dvc.lock and the metrics"
    )
    assert str(caught.value) == stale_result
    result.write(GOOD | {"success_rate_low": 0.1, "memory_median_low": 0.1})
    with pytest.raises(UserError) as caught:
        check("main")
    rate, memory = str(caught.value).removeprefix(f"{stale_result}\nerror: ").split("\nerror: ")
    assert "below check.success_rate_floor, which is 0.3" in rate and "below check.memory_floor, 0.2" in memory
    assert "passes the gate" not in capsys.readouterr().out


def test_code_is_stale_by_its_meaning_alone(monkeypatch):
    outs = [
        {
            "path": f"data/tutorial/code/{stage}.json",
            "md5": hashlib.md5(files.json_text(dependencies.of_stage(stage)).encode()).hexdigest(),
        }
        for stage in dependencies.TUTORIAL
    ]
    assert changed_code({"code": {"outs": outs}}) == []
    assert len(changed_code({})) == 4
    real = dependencies.of_stage
    monkeypatch.setattr(
        dependencies, "of_stage", lambda stage: real(stage) | ({"code": {}} if stage == "train" else {})
    )
    assert changed_code({"code": {"outs": outs}}) == ["train: its code, or the default of a setting, has changed"]


def test_programs_read_what_a_comparison_found(result, capsys):
    check("main", as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "passed": True, "mistakes": [], "metrics": GOOD | {"memory_median_low": 0.25}, "before": None,
    }  # fmt: skip
    result.write(GOOD | {"success_rate_low": 0.1, "memory_median_low": 0.25})
    with pytest.raises(UserError, match="1 checks failed"):
        check("main", as_json=True)
    (mistake,) = json.loads(capsys.readouterr().out)["mistakes"]
    assert mistake.endswith("which is 0.3, by 0.2")


def test_metrics_are_read_at_a_revision(git, tmp_path):
    assert check_module.metrics_at("HEAD") is None
    METRICS.parent.mkdir(parents=True)
    METRICS.write_text('{"trials": 3}')
    git("add", ".")
    git("commit", "-q", "-m", "the first")
    METRICS.write_text('{"trials": 4}')
    assert check_module.metrics_at("HEAD") == {"trials": 3}
    assert check_module.metrics_at(None) is None and check_module.metrics_at("no-such") is None


RATE = {"trials": 100, "success_rate": 0.4, "success_rate_low": 0.3, "success_rate_high": 0.5}


def test_a_summary_shows_both_rates_on_one_scale():
    text = summary(RATE, RATE | {"success_rate": 0.5, "success_rate_high": 1.0}, "main", 0.25)
    assert "**Success rate 40.0 % (30.0 % to 50.0 %, 100 trials)**; main: 50.0 %" in text
    assert "a change of -10.0 percentage points. The interval begins 5.0 percentage points above the floor." in text
    here, base, floor = (line for line in text.splitlines() if line.startswith(("here", "main", "floor")))
    start = here.index("·")
    assert [here.index(mark) - start for mark in "├●┤"] == [15, 20, 25]
    assert [base.index(mark) - start for mark in "├●┤"] == [15, 25, 50]
    assert floor.index("^") - start == 12


def test_a_summary_without_another_revision_or_below_the_floor():
    text = summary(RATE, None, "HEAD~1", 0.35)
    assert "HEAD~1" not in text and "begins 5.0 percentage points below the floor" in text
    assert summary({"trials": 3}, None, "HEAD~1", 0.2) == ""
    edges = summary(RATE | {"success_rate": 0, "success_rate_low": 0, "success_rate_high": 0}, None, "x", 0)
    assert "here   ●··" in edges
