"""Are the recorded results what this code trains, on this machine? (make verify)

Trains recorded trials anew, chosen at random, and compares each with its digest, which stands in git for the pipeline,
for every study and, as far as a trial takes seconds, for every row of the paper. It needs no data and keeps nothing.
For a minute, unless told which share of all trials (1: each one); prints a Markdown summary, and ends with 1 where a
trial differs, naming the first.
"""

import contextlib
import os
import platform
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from memory_trials.engines import compiler
from memory_trials.errors import UserError
from memory_trials.integrity import digests
from memory_trials.progress import counted
from memory_trials.settings import ComputeSettings
from memory_trials.studies import design, paper, rows
from memory_trials.tasks import problems, streams
from memory_trials.tasks.encoding import UpdateTable
from memory_trials.training import streaming, trainer
from memory_trials.training.job import TrainingJob
from memory_trials.training.streaming import StreamingJob

SECONDS = 60.0
ALONE = ComputeSettings(threads=1)
STEPS = 50_000_000  # of a stream that a trial may need to be verified: some seconds
PACKAGES = ("numpy", "keras", "tensorflow")


@dataclass(frozen=True, eq=False)
class Record:
    """An arm, and what git keeps of its trials."""

    arm: design.Arm
    kept: dict[str, Any]

    @cached_property
    def indices(self) -> list[int]:
        """The trials that can be trained anew: all, of the paper's rows those that are not too long."""
        count = digests.count(self.kept)
        row = rows.row_of(self.arm)
        measured = paper.read_measured(row) if row else None
        if measured is None or (stream := self.arm.settings.problem.stream) is None:
            return list(range(count))
        budget, longest = self.arm.settings.training.epochs, streams.shape(stream).longest
        until = next(iter(measured["until"].values()))
        return [index for index, met in enumerate(until) if (met or budget) * longest <= STEPS]

    def named(self, index: int) -> str:
        where = f"study {self.arm.study}, arm {self.arm.name}" if self.arm.compared else "the pipeline"
        return f"{where}, seed {self.kept['first_seed'] + index}"


def records() -> list[Record]:
    """Of every arm that is recorded; `UserError` where nothing is, or where the parameters describe other arms."""
    found = [Record(design.pipeline_arm(), kept) for kept in _recorded(design.PIPELINE_DIGESTS).values()]
    for name in design.load_studies()[1] if design.FILE.exists() else ():
        path = design.digests_of(name)
        kept = _recorded(path)
        study, arms = design.study_arms(name)
        if study.search:
            arms = [design.found_arm(study, arms[0], label, record["changes"]) for label, record in kept.items()]
        by_name = {arm.name: arm for arm in arms}
        if kept and kept.keys() != by_name.keys():
            raise UserError(f"{path} records other arms than {design.FILE} describes: run make study NAME={name}")
        found += [Record(by_name[label], record) for label, record in kept.items()]
    if rows.FILE.exists():
        of_paper = rows.load_rows()
        for name in of_paper.rows:
            kept = _recorded(paper.DIGESTS / f"{name}.json")
            found += [Record(rows.row_arm(name, of_paper), record) for record in kept.values()]
    if not found:
        raise UserError(f"no trial is recorded in {design.PIPELINE_DIGESTS} or {design.DIGESTS}/: run dvc repro")
    return found


def _recorded(path: Path) -> dict[str, dict[str, Any]]:
    return digests.read(path) if path.exists() else {}


def chosen(found: list[Record], share: float | None, seed: int) -> Iterator[tuple[Record, int]]:
    """Records and indices of trials, in random order: this share of all, or as many as there is time for, first one
    trial of every arm, so that little time says something about each."""
    order = random.Random(seed)
    if share is not None:
        trials = [(record, index) for record in found for index in record.indices]
        yield from order.sample(trials, _wanted(found, share))
        return
    left = {record: order.sample(record.indices, len(record.indices)) for record in found if record.indices}
    while left:
        for record in order.sample(list(left), len(left)):
            yield record, left[record].pop()
            if not left[record]:
                del left[record]


def _wanted(found: list[Record], share: float) -> int:
    return max(1, round(share * sum(len(record.indices) for record in found)))


def is_equal(record: Record, index: int) -> bool:
    """Train this trial alone: is it the recorded one?"""
    settings = record.arm.settings
    seed = record.kept["first_seed"] + index
    alone = settings.training.model_copy(update={"trials": 1, "first_seed": seed})
    if stream := settings.problem.stream:
        trained = streaming.train(StreamingJob(settings.model, alone, stream, settings.evaluation.interval), ALONE)
    else:
        job = TrainingJob(settings.model, alone, settings.evaluation.interval, _table(record))
        trained = trainer.train(job, ALONE)
    return digests.agree(record.kept, index, trained)


@lru_cache(maxsize=64)
def _table(record: Record) -> UpdateTable:
    problem = problems.make_problem(record.arm.settings.problem, design.where(record.arm))
    return design.table_of(record.arm, problem)


def verify(found: list[Record], share: float | None, seed: int) -> tuple[Counter[str], list[str]]:
    """How many trials of each study were checked, and which of them differ, the first one first."""
    checked: Counter[str] = Counter()
    different: list[str] = []
    trials, turn, ends = chosen(found, share, seed), threading.Lock(), time.monotonic() + SECONDS
    if share is None:
        print(f"trains recorded trials anew for {SECONDS:.0f} s", file=sys.stderr, flush=True)
    else:
        trials = counted(trials, _wanted(found, share), "trials trained anew")

    def work() -> None:
        while share is not None or time.monotonic() < ends:
            with turn:
                try:
                    record, index = next(trials)
                except StopIteration:
                    return
            equal = is_equal(record, index)
            with turn:
                checked[record.arm.study] += 1
                if not equal:
                    different.append(record.named(index))

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for worker in [pool.submit(work) for _ in range(pool._max_workers)]:
            worker.result()
    return checked, different


def summary(found: list[Record], checked: Counter[str], different: list[str], seed: int) -> str:
    """Markdown: what was checked, what came out, and on what machine."""
    trials: Counter[str] = Counter()
    for record in found:
        trials[record.arm.study] += digests.count(record.kept)
    rows = [f"| {study} | {trials[study]:,} | {checked[study]:,} |" for study in trials]
    total = sum(checked.values())
    verdict = "all equal" if not different else f"{len(different)} differ, the first one: {different[0]}"
    own = sum("losses" in record.kept for record in found)
    note = (
        f"Cells of one's own ({own} arms) are compared by their final loss, within {digests.TOLERANCE:g}, since XLA "
        "rounds as the processor does."
    )
    return "\n".join([
        f"**{total:,} of {sum(trials.values()):,} recorded trials were trained anew: {verdict}.**",
        "",
        "| study | trials recorded | trained anew |",
        "|---|---:|---:|",
        *rows,
        "",
        f"On {machine()}; chosen by SEED={seed}.",
        *([note] if own else []),
    ])  # fmt: skip


def machine() -> str:
    """Processor, compiler and versions."""
    processor = platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor += ", " + next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)])
    return f"{platform.system()} {processor}; {compiler.compiler_version()}; {versions}"


def check_against_digests(share: float | None = None, seed: int | None = None) -> None:
    """Print the summary; `UserError` names the first trial that is another one.

    share: of all recorded trials, from 0 to 1; None: as many as fit into a minute. seed: which trials; None draws one.
    """
    if share is not None and not 0 <= share <= 1:
        raise UserError(f"the share to verify is {share}: allowed is a number from 0 to 1")
    seed = random.randrange(10_000) if seed is None else seed
    found = records()
    checked, different = verify(found, share, seed)
    print(summary(found, checked, different, seed))
    if different:
        raise UserError(f"{different[0]} is not what is recorded")
