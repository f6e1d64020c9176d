"""Are the recorded results what this code trains, on this machine? (make verify)

Trains recorded trials again and compares each with its digest, which is in git for the pipeline, for every study
and, if a trial takes seconds, for every arm of the paper's. It needs no data and keeps nothing. Given a share, it draws
so many of all trials, each as likely as any other (1: every one). Otherwise `Minute` says which trials it takes. It
prints a Markdown summary, and exits with 1 where a trial differs, naming the first.
"""

import contextlib
import platform
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from memory_trials.engines import compiler
from memory_trials.errors import UserError
from memory_trials.integrity import digests
from memory_trials.machine import cores
from memory_trials.progress import Tally
from memory_trials.settings import ComputeSettings
from memory_trials.studies import answers, design
from memory_trials.tasks import making
from memory_trials.tasks.interface import Task
from memory_trials.training import trainer
from memory_trials.training.job import TrainingJob

SECONDS = 60.0
ALONE = ComputeSettings(threads=1)
FIRST_TURN, TURN = 0.1, 0.5  # seconds: trials of an arm are trained together for about so long, but at least one
TOGETHER = 50  # at most
LATE = 1.5  # a trial may take so many times as long as expected, and must still end in time
STEPS = 50_000_000  # of a stream that a trial may need to be verified: some minutes
# Seconds on one core, at most, about: to set up trials of an arm, and for each multiplication, or step of a stream.
START, XLA_START = 0.01, 25.0
MULTIPLICATION, XLA_MULTIPLICATION, STEP, GUESSED_STEP = 4e-10, 4e-9, 6e-6, 2e-5
PACKAGES = ("numpy", "keras", "tensorflow")


@dataclass(frozen=True, eq=False)
class Record:
    """An arm, and what git keeps of its trials."""

    arm: design.Arm
    kept: dict[str, Any]

    @property
    def is_own(self) -> bool:
        """Whether the cell is a user's, which XLA trains."""
        return "losses" in self.kept

    @property
    def start(self) -> float:
        """Seconds before the first trial."""
        return XLA_START if self.is_own else START

    @cached_property
    def seconds(self) -> dict[int, float]:
        """About how long each trial takes, besides `start`; long trials of streams are not trained again."""
        settings, trials = self.arm.settings, range(digests.count(self.kept))
        training, task = settings.training, _task(self)
        steps = lambda epochs: task.steps(epochs, settings.evaluation.interval)
        if not task.endless:
            units = settings.model.units
            multiplications = steps(training.epochs) * 4 * units * (units + task.inputs + task.outputs)
            return dict.fromkeys(trials, multiplications * (XLA_MULTIPLICATION if self.is_own else MULTIPLICATION))
        measured = answers.summaries(self.arm.results, [self.arm.key]).get(self.arm.key)
        until = next(iter(measured["arms"][0]["until"].values())) if measured else [0] * len(trials)
        each = GUESSED_STEP if training.optimizer == "guess" else STEP
        steps_of = {index: steps(met or training.epochs) for index, met in zip(trials, until)}
        return {index: each * count for index, count in steps_of.items() if count <= STEPS or not measured}

    def named(self, index: int) -> str:
        where = f"study {self.arm.study}, arm {self.arm.name}" if self.arm.compared else "the pipeline"
        return f"{where}, seed {self.kept['first_seed'] + index}"


def records() -> list[Record]:
    """Read the records of all arms.

    Raises:
        UserError: Nothing is recorded, or the parameters describe other arms.
    """
    found = [Record(design.pipeline_arm(), kept) for kept in _recorded(design.PIPELINE_DIGESTS).values()]
    for study, arms in design.units():
        path = design.digests_of(arms[0])
        kept = _recorded(path)
        if study.search:
            arms = [design.found_arm(study, arms[0], label, record["changes"]) for label, record in kept.items()]
        by_name = {arm.name: arm for arm in arms}
        if kept and kept.keys() != by_name.keys():
            where = design.where(arms[0]).partition(", arm")[0]
            raise UserError(f"{path} records other arms than {where} describes: run memory-trials study {path.stem}")
        found += [Record(by_name[label], record) for label, record in kept.items()]
    if not found:
        raise UserError(f"no trial is recorded in {design.PIPELINE_DIGESTS} or {design.DIGESTS}/: run dvc repro")
    return found


def _recorded(path: Path) -> dict[str, dict[str, Any]]:
    return digests.read(path) if path.exists() else {}


class Minute:
    """Which trials to train in a time that is too short for all: first each arm has a short turn, the fastest first,
    and then further turns, in random order. So fast trials are verified more often than slow ones.

    A trial is not begun when it would not end in time. How long it takes is a guess until a trial of its arm has shown
    how fast this machine is.
    """

    def __init__(self, found: list[Record], seed: int):
        self.random = random.Random(seed)
        self.left = {record: dict(record.seconds) for record in found if record.seconds}
        self.pace = dict.fromkeys(self.left, 1.0)  # seconds that trials took, for each second that was expected
        self.queue = sorted(self.left, key=lambda record: record.start + min(record.seconds.values()), reverse=True)
        self.turn = FIRST_TURN

    def next(self, remaining: float) -> tuple[Record, range] | None:
        """Return consecutive trials of an arm that can be trained within these seconds; None if there are none."""
        while self.left:
            if not self.queue:
                self.queue, self.turn = self.random.sample(list(self.left), len(self.left)), TURN
            record = self.queue.pop()
            if record in self.left:
                if trials := self._that_fit(record, remaining):
                    return record, trials
                del self.left[record]  # nor will one of them fit later
        return None

    def _that_fit(self, record: Record, remaining: float) -> range | None:
        """Trials of an arm that are left, taken out of them; None where not even one ends in time."""
        left, pace = self.left[record], self.pace[record]
        fitting = [index for index, seconds in left.items() if LATE * pace * (record.start + seconds) <= remaining]
        if not fitting:
            return None
        first = self.random.choice(fitting)
        last, expected = first + 1, pace * (record.start + left[first])
        while last in left and last - first < TOGETHER:
            expected += pace * left[last]
            if expected > min(self.turn, remaining / LATE):
                break
            last += 1
        for index in range(first, last):
            del left[index]
        if not left:
            del self.left[record]
        return range(first, last)

    def took(self, record: Record, trials: range, seconds: float) -> None:
        self.pace[record] = seconds / (record.start + sum(record.seconds[index] for index in trials))


def sample_trials(found: list[Record], share: float, seed: int) -> list[tuple[Record, range]]:
    """Yield a share of all trials in random order. Consecutive trials of an arm are trained together."""
    order = random.Random(seed)
    trials = [(number, index) for number, record in enumerate(found) for index in record.seconds]
    sample = sorted(order.sample(trials, min(len(trials), max(1, round(share * len(trials))))))
    runs: list[tuple[int, range]] = []
    for number, index in sample:
        if runs and runs[-1][0] == number and runs[-1][1].stop == index and len(runs[-1][1]) < TOGETHER:
            runs[-1] = number, range(runs[-1][1].start, index + 1)
        else:
            runs.append((number, range(index, index + 1)))
    order.shuffle(runs)
    return [(found[number], trials) for number, trials in runs]


def that_differ(record: Record, trials: range) -> list[int]:
    """Train these trials of an arm: which are not the recorded ones?"""
    settings = record.arm.settings
    seed = record.kept["first_seed"] + trials.start
    some = settings.training.model_copy(update={"trials": len(trials), "first_seed": seed})
    trained = trainer.train(TrainingJob(settings.model, some, settings.evaluation.interval, _task(record)), ALONE)
    equal = digests.agree(record.kept, trials.start, trained)
    return [index for index, is_equal in zip(trials, equal) if not is_equal]


@lru_cache(maxsize=1024)
def _task(record: Record) -> Task:
    return design.task_of(record.arm, making.make(record.arm.settings.problem, design.where(record.arm)))


def verify(
    take: Callable[[], tuple[Record, range] | None],
    done: Callable[[Record, range, float], None],
) -> tuple[Counter[Record], list[str]]:
    """Train trials again; return how many of each arm were checked, and which of them differ, in their order.

    Args:
        take: Returns the next trials, None at the end.
        done: Called with the trials that were trained, and the seconds that it took.
    """
    checked: Counter[Record] = Counter()
    different: list[str] = []
    turn = threading.Lock()

    def work() -> None:
        while True:
            with turn:
                taken = take()
            if taken is None:
                return
            started = time.monotonic()
            wrong = that_differ(*taken)
            with turn:
                record, trials = taken
                checked[record] += len(trials)
                different.extend(record.named(index) for index in wrong)
                done(record, trials, time.monotonic() - started)

    workers = cores()
    with ThreadPoolExecutor(workers) as pool:
        for worker in [pool.submit(work) for _ in range(workers)]:
            worker.result()
    return checked, different


def summary(found: list[Record], checked: Counter[Record], different: list[str], selection: str) -> str:
    """Return as Markdown what was checked, the result, and the machine. selection: how the trials were selected."""
    recorded: Counter[str] = Counter()
    for record in found:
        recorded[record.arm.study] += digests.count(record.kept)
    by_study: Counter[str] = Counter()
    for record, trials in checked.items():
        by_study[record.arm.study] += trials
    rows = [f"| {study} | {recorded[study]:,} | {by_study[study]:,} |" for study in recorded if by_study[study]]
    verdict = "all equal" if not different else f"{len(different)} differ, the first one: {different[0]}"
    own = sum(record.is_own for record in checked)
    note = (
        f"Cells of one's own ({own} arms) are compared by their final loss, within {digests.TOLERANCE:g}, since XLA "
        "rounds as the processor does."
    )
    return "\n".join([
        f"**{checked.total():,} of {recorded.total():,} recorded trials were trained anew: {verdict}.**",
        "",
        "| study | trials recorded | trained anew |",
        "|---|---:|---:|",
        *rows,
        "",
        f"Trials of {len(checked)} of {len(found)} arms, {selection}.",
        *([note] if own else []),
        f"On {machine()}.",
    ])  # fmt: skip


def machine() -> str:
    """Return processor, compiler and versions."""
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
    ends = time.monotonic() + SECONDS
    if share is not None and not 0 <= share <= 1:
        raise UserError(f"the share to verify is {share}: allowed is a number from 0 to 1")
    seed = random.randrange(10_000) if seed is None else seed
    found = records()
    if share is None:
        minute = Minute(found, seed)
        selection = (
            f"by SEED={seed} and this machine's speed: each arm has a turn, the fastest first, "
            "so fast trials are verified more often than slow ones"
        )
        with Tally("trials trained anew", seconds=ends - time.monotonic()) as tally:

            def done(record: Record, trials: range, seconds: float) -> None:
                minute.took(record, trials, seconds)
                tally(len(trials))

            checked, different = verify(lambda: minute.next(ends - time.monotonic()), done)
    else:
        left = sample_trials(found, share, seed)
        selection = f"drawn by SEED={seed}, each as likely as any other"
        with Tally("trials trained anew", total=sum(len(trials) for _, trials in left)) as tally:
            take = lambda: left.pop() if left else None
            checked, different = verify(take, lambda record, trials, seconds: tally(len(trials)))
    print(summary(found, checked, different, selection))
    if different:
        raise UserError(f"{different[0]} is not what is recorded")
