"""A dvc.lock that was cut anywhere: DVC can read what is left, and whole stages stay."""

import random
from pathlib import Path

import pytest
import yaml

from memory_trials import recovery
from tests.conftest import ROOT

LOCK = (ROOT / "dvc.lock").read_text()


def test_a_lock_cut_anywhere_keeps_its_whole_stages():
    assert recovery.whole_stages(LOCK) == LOCK
    stages, chance = yaml.safe_load(LOCK)["stages"], random.Random(1)
    most = 0
    for end in [0, 1, 12, 20, *(chance.randrange(len(LOCK)) for _ in range(25))]:
        left = recovery.whole_stages(LOCK[:end])
        kept = (yaml.safe_load(left) or {}).get("stages", {}) if left else {}
        assert not left or recovery._readable(left)
        whole = list(kept.items())[:-1]  # of the last one some lines may be missing, which makes DVC run it again
        assert all(stages[name] == stage for name, stage in whole)
        most = max(most, len(kept))
    assert most > 1


@pytest.mark.parametrize("left", ["", '{"a": '])
def test_a_cut_lock_is_mended_with_a_note(left, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recovery.main()
    Path("dvc.lock").write_text(LOCK)
    recovery.main()
    assert capsys.readouterr().out == "" and Path("dvc.lock").read_text() == LOCK
    Path("dvc.lock").write_text(LOCK[: LOCK.index("size:", len(LOCK) // 2) + 5])
    Path(".dvc/tmp").mkdir(parents=True)
    Path(".dvc/tmp/rwlock").write_text(left)
    recovery.main()
    assert "dvc.lock was cut short" in capsys.readouterr().out
    assert LOCK.startswith(Path("dvc.lock").read_text()) and not Path(".dvc/tmp/rwlock").exists()


@pytest.mark.parametrize("content", [b"", b"\xff\0", b"schema: '2.0'\nstages:\n  a"])
def test_where_nothing_is_left_the_lock_goes(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_bytes(content)
    recovery.main()
    assert not Path("dvc.lock").exists() or recovery._readable(Path("dvc.lock").read_text())
