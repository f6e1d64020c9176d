"""A clone has the same bytes as the original, whatever git does with the ends of lines."""

import shutil
import subprocess

import pytest

from tests.conftest import ROOT

# one of every kind; all of the repository's files would take seconds
FILES = (
    ".gitattributes", ".github/workflows/pipeline.yml", "Makefile", "README.md", "params.yaml", "dvc.yaml", "data/problems/words.csv",
    "data/tutorial/metrics.json", "docs/answer.png", "memory_trials/engines/native.c", "memory_trials/engines/net.h", "memory_trials/errors.py",
    "memory_trials/report/fonts/MemoryTrialsSans-Bold.ttf", "requirements.in",
)  # fmt: skip
OF_A_USER = {"data/problems/excel.csv": b"3,0,1,2,3\r\n4,0,1,2,4\r\n", "data/problems/own.jsonl": b"[1, 2]\r\n[2, 1]\n"}


def git(folder, *words: str) -> None:
    names = ("-c", "user.name=t", "-c", "user.email=t@t")
    subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("autocrlf", ["true", "input", "false"])
def test_a_clone_has_the_same_bytes(tmp_path, autocrlf):
    original = tmp_path / "original"
    content = {name: (ROOT / name).read_bytes() for name in FILES} | OF_A_USER
    for name, each in content.items():
        (original / name).parent.mkdir(parents=True, exist_ok=True)
        (original / name).write_bytes(each)
    git(original, "init", "-q")
    git(original, "-c", f"core.autocrlf={autocrlf}", "add", "-A")
    git(original, "commit", "-qm", "all")
    clone = tmp_path / "clone"
    git(tmp_path, "-c", f"core.autocrlf={autocrlf}", "clone", "-q", "--no-hardlinks", str(original), str(clone))
    assert {name: (clone / name).read_bytes() for name in content} == content
    shutil.rmtree(clone / "data")
    git(clone, "-c", f"core.autocrlf={autocrlf}", "checkout", "-q", "--", "data")
    assert {name: (clone / name).read_bytes() for name in content} == content


def test_every_file_in_git_is_text_with_plain_ends_of_lines_or_of_a_kind_that_is_named_binary():
    listed = subprocess.run(["git", "ls-files", "--eol", "-z"], cwd=ROOT, capture_output=True, text=True).stdout
    for line in filter(None, listed.split("\0")):
        ends, name = line.split("\t")
        binary = name.endswith((".png", ".ttf", ".npz", ".gz"))
        assert ends.startswith("i/-text" if binary else ("i/lf", "i/none")), name
        assert ("attr/-text" in ends) == (binary or name.startswith("data/problems/")), name
