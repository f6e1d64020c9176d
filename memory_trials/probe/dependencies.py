"""What a recorded cell's trials, and the page of the probe, depend on besides files: code and settings."""

from __future__ import annotations

from typing import Any

from memory_trials import meaning
from memory_trials.cells import registry
from memory_trials.probe.longer import Longer
from memory_trials.probe.plan import Plan, Size
from memory_trials.studies import dependencies
from memory_trials.tasks import streams
from memory_trials.training import cache

TRAINED = ("memory_trials.probe.running", "memory_trials.probe.trials", *cache.ROOTS["jax"])
SHOWN = (
    "memory_trials.probe.by_hand", "memory_trials.probe.longer", "memory_trials.probe.recorded",
    "memory_trials.report.probe_figures", "memory_trials.report.probe_page",
)  # fmt: skip


def of_cell(plan: Plan, name: str, size: Size = "parameters") -> dict[str, Any]:
    """Return what the trials of a recorded cell depend on that are matched by a size."""
    cell = plan.cells[name]
    modules = [registry.module_of(cell.cell)] if registry.find(cell.cell) else []
    modules += sorted({streams.module_of(stream.task) for stream in plan.tasks.values()})
    return {
        "code": meaning.digests([*TRAINED, *modules]),
        "plan": plan.model_dump(exclude={"cells", "expected"}, mode="json"),
        "cell": cell.model_dump() | {"sizes": [size]},
    }


def of_by_hand(plan: Plan) -> dict[str, Any]:
    """Return what models depend on whose weights are set by hand."""
    cells = sorted({cell.cell for cell in plan.cells.values() if registry.find(cell.cell)})
    modules = [*map(registry.module_of, cells), *sorted({streams.module_of(each.task) for each in plan.tasks.values()})]
    return {
        "code": meaning.digests([*TRAINED, "memory_trials.probe.by_hand", *modules]),
        "plan": plan.model_dump(exclude={"expected"}, mode="json"),
    }


def of_longer(plan: Plan, longer: Longer, name: str) -> dict[str, Any]:
    """Return what the trials of a recorded cell depend on that are trained for longer."""
    of_trials = of_cell(plan, name)
    return of_trials | {
        "code": of_trials["code"] | meaning.digests(["memory_trials.probe.longer"]),
        "longer": longer.model_dump(exclude={"retried"}),
    }


def of_page(plan: Plan) -> dict[str, Any]:
    """Return what the page of the probe depends on besides trials."""
    return {"code": meaning.digests(SHOWN), "plan": plan.model_dump(mode="json"), "shown": dependencies.looks()}
