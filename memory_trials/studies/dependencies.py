"""What the result of a stage depends on besides files: code and settings, worked out instead of listed.

Each stage depends on a small JSON file that the stage `code` (of the tutorial) or `resolve` (of the experiments)
writes: the meaning of every module that it reaches (`memory_trials.meaning`), and settings with all their defaults. A
changed message or comment changes none of these files; a changed default changes those of the experiments that leave it
unset.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from memory_trials import meaning
from memory_trials.cells import registry
from memory_trials.engines import native, own
from memory_trials.sections import defaults
from memory_trials.settings import Settings, streamed_in_c
from memory_trials.stream_settings import TAKES
from memory_trials.studies.design import EXPERIMENTS, PIPELINE_FOLDER, Arm, training_inputs
from memory_trials.studies.schema import Search, Study
from memory_trials.tasks import streams
from memory_trials.training import cache

TUTORIAL = ("generate_data", "encode", "train", "evaluate")  # its stages
FOLDER = EXPERIMENTS / "data/resolved"
SECTIONS = {"problem", "encoding", "model", "training", "evaluation"}
# an engine's code, as far as nothing else needs it
OF_ENGINE = {
    "native": {"memory_trials.engines.native"},
    "xla": {"memory_trials.engines.xla", "memory_trials.models.keras_model"},
    "jax": {
        "memory_trials.engines.jax_engine", "memory_trials.engines.jax_streams", "memory_trials.engines.own",
        "memory_trials.models.adapters", "memory_trials.models.keras_cells", "memory_trials.models.traced_cells",
    },
    "streaming": {"memory_trials.engines.streaming"},
}  # fmt: skip
# and that of all engines that train on tables, or on streams
OF_TABLES = {
    "memory_trials.evaluation.of_tables", "memory_trials.tasks.encoding", "memory_trials.tasks.problems",
    "memory_trials.training.table_shards",
}  # fmt: skip
OF_STREAMS = {
    "memory_trials.evaluation.of_streams", "memory_trials.tasks.streams", "memory_trials.training.stream_shards",
}  # fmt: skip
TRAINED = ("memory_trials.tasks.making", "memory_trials.training.job")
SEARCH = ("memory_trials.studies.tuning",)
JUDGED = ("memory_trials.integrity.digests", "memory_trials.evaluation.results", "memory_trials.report.figures")
PRINTED = ("memory_trials.report.wording", "memory_trials.serving.predictor")  # of the tutorial alone


def code_of(stage: str) -> Path:
    """Return the file on which a stage of the tutorial's pipeline depends."""
    return PIPELINE_FOLDER / "code" / f"{stage}.json"


def of_stage(stage: str) -> dict[str, Any]:
    """Return what a stage of the tutorial's pipeline depends on: all code that it reaches, whatever the cell and the
    task, and the settings' defaults. The stage depends on the parameters themselves by params.yaml."""
    engines = [root for roots in cache.ROOTS.values() for root in roots] if stage == "train" else []
    roots = [f"stages.{stage}", *engines, *_modules(registry.all_cells()), *map(streams.module_of, TAKES)]
    code = meaning.digests(roots, without=PRINTED[:1])
    return {
        "code": code,
        "shown": looks() if stage == "evaluate" else {},
        "defaults": defaults(Settings),
        "streams": TAKES,
    }


def of_training(arms: list[Arm], search: Search | None = None) -> dict[str, Any]:
    """Return what training these arms depends on; search: by which they are to be found, from the one there is."""
    engines = {_engine(arm.settings) for arm in arms}
    roots = [root for engine in sorted(engines) for root in cache.ROOTS[engine]]
    roots += [*TRAINED, *(SEARCH if search else ())]
    roots += [*_modules(arm.settings.model.cell for arm in arms), *_tasks(arms)]
    settings = {arm.name: training_inputs(arm.settings) | _options(arm.settings) for arm in arms}
    found = {"code": meaning.digests(roots, _unused(engines)), "settings": settings, "cells": _own_cells(arms)}
    return found | ({"search": search.model_dump()} if search else {})


def of_evaluation(arms: list[Arm], study: Study) -> dict[str, Any]:
    """Return what evaluating these arms depends on; study: whose question they answer."""
    engines = {_engine(arm.settings) for arm in arms}
    roots = [*JUDGED, "memory_trials.studies.answers"]
    roots += [] if study.separate else ["memory_trials.report.study_figures"]
    settings = {arm.name: arm.settings.model_dump(include=SECTIONS) | _options(arm.settings) for arm in arms}
    roots += [*_modules(arm.settings.model.cell for arm in arms), *_tasks(arms)]
    code = meaning.digests(roots, [*PRINTED, *_unused(engines)])
    of_study, own = study.model_dump(), _own_cells(arms)
    return {"code": code, "study": of_study, "settings": settings, "cells": own, "shown": looks()}


def of_page(module: str, shown: Any) -> dict[str, Any]:
    """Return what a page depends on besides results: the code of the module that writes it, and what it shows."""
    return {"code": meaning.digests([f"memory_trials.{module}"]), "shown": shown}


def _engine(settings: Settings) -> str:
    """Which engine trains an arm where there is a C compiler."""
    if stream := settings.problem.stream:
        in_c = streamed_in_c(settings.model, settings.training, settings.encoding.history, stream)
        return "streaming" if in_c else "jax"
    if settings.training.engine != "auto":
        return {"tensorflow": "xla", "jax": "jax"}[settings.training.engine]
    if native.trains(settings.model):
        return "native"
    return "xla" if own.calls_tensorflow(settings.model.cell) else "jax"


def _unused(engines: Iterable[str]) -> list[str]:
    unused = [OF_ENGINE[engine] for engine in OF_ENGINE.keys() - set(engines)]
    unused += [OF_TABLES] if set(engines) <= {"streaming"} else []
    unused += [] if {"streaming", "jax"} & set(engines) else [OF_STREAMS]
    return sorted(set().union(*unused))


def _options(settings: Settings) -> dict[str, Any]:
    """The options of a cell that has its own, with their defaults."""
    options = settings.model.options
    return {} if options is None else {"options": options.model_dump()}


def _modules(names: Iterable[str]) -> list[str]:
    """The modules of those cells that have one in the library."""
    return [registry.module_of(name) for name in names if registry.find(name)]


def _tasks(arms: list[Arm]) -> list[str]:
    """The modules of the endless tasks among those of these arms."""
    return sorted({streams.module_of(arm.settings.problem.stream.task) for arm in arms if arm.settings.problem.stream})


def looks() -> dict[str, str]:
    """Return how each cell looks in pictures."""
    return {name: repr(registry.shown(name)) for name in registry.all_cells()}


def _own_cells(arms: list[Arm]) -> dict[str, str]:
    """A digest of the code of each cell of the user's."""
    cells = sorted({arm.settings.model.cell for arm in arms} - {*registry.all_cells()})
    return {cell: hashlib.sha256(cache.code("xla", cell)).hexdigest()[:16] for cell in cells}
