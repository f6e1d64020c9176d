"""A result is of changed code when something else than the pipeline's own results has changed."""

import subprocess
from pathlib import Path

from memory_trials.revision import revision


def git(*arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_what_the_pipeline_writes_is_no_change(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision() is None
    git("init")
    for name in ("data/tutorial", "data/problems", "experiments/data"):
        Path(name).mkdir(parents=True)
    for name in ("dvc.lock", "experiments/dvc.lock", "params.yaml", "data/tutorial/metrics.json"):
        Path(name).write_text("a")
        git("add", name)
    git("commit", "-m", "x")
    for name in ("dvc.lock", "experiments/dvc.lock", "data/tutorial/metrics.json"):
        Path(name).write_text("b")
    assert revision() == (git("rev-parse", "HEAD").strip(), False)
    Path("data/problems/mine.csv").write_text("a,b")  # a user's sequences are no output
    git("add", "data/problems/mine.csv")
    assert revision()[1]
    git("commit", "-m", "y")
    assert not revision()[1]
    Path("params.yaml").write_text("b")
    assert revision()[1]
