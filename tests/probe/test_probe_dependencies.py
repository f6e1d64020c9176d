"""What the probe's stages depend on: the code of the engine, the cell and every task, and the plan as far as it counts."""

from memory_trials.cells import registry
from memory_trials.parameter_files import read_yaml
from memory_trials.probe import dependencies
from memory_trials.probe import plan as plans
from tests.conftest import ROOT

PLAN = plans.load(ROOT / plans.FILE)


def test_a_cells_trials_depend_on_its_module_on_every_task_and_on_no_other_cell():
    found = dependencies.of_cell(PLAN, "min_gru")
    for module in (
        "memory_trials/tasks/endless/parity.py", "memory_trials/cells/min_gru.py", "memory_trials/probe/running.py",
        "memory_trials/engines/jax_streams.py", "memory_trials/training/stream_shards.py",
    ):  # fmt: skip
        assert module in found["code"]
    assert not {"memory_trials/cells/s6.py", "memory_trials/report/probe.py"} & found["code"].keys()
    expecting = PLAN.model_copy(update={"expected": [], "cells": {"min_gru": PLAN.cells["min_gru"]}})
    assert dependencies.of_cell(expecting, "min_gru") == found  # what is published of cells trains nothing
    assert dependencies.of_cell(PLAN.model_copy(update={"updates": 1}), "min_gru") != found


def test_the_cells_that_are_matched_by_state_are_those_of_the_stage():
    by_state = [name for name, cell in PLAN.cells.items() if "state" in cell.sizes]
    (listed,) = (each["by_state"] for each in read_yaml(ROOT / "experiments/dvc.yaml")["vars"] if "by_state" in each)
    assert listed == by_state
    assert dependencies.of_cell(PLAN, "lstm", "state") != dependencies.of_cell(PLAN, "lstm")


def test_the_page_depends_on_how_cells_look(monkeypatch):
    before = dependencies.of_page(PLAN)
    read = ("probe/findings.py", "probe/memory.py", "report/probe.py", "report/probe_figures.py", "report/style.py")
    assert {f"memory_trials/{name}" for name in read} <= before["code"].keys()
    monkeypatch.setattr(registry, "shown", lambda name: None)
    assert dependencies.of_page(PLAN) != before
