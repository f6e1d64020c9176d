"""What is asked of a machine, also of one that is not Linux."""

import os

from memory_trials import machine
from memory_trials.engines import compiler


def test_cores_are_those_of_this_process_or_else_all(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert machine.cores() == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert machine.cores() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.cores() == 1


def test_a_processor_without_a_file_that_describes_it_has_a_name(monkeypatch, tmp_path):
    monkeypatch.setattr(compiler, "Path", lambda path: tmp_path / "none")
    assert compiler.processor.__wrapped__().strip()
