"""What the probe asks of every cell: tasks, budget, rates and sizes, as experiments/probe.yaml holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from memory_trials import project
from memory_trials.errors import UserError
from memory_trials.parameter_files import read_yaml
from memory_trials.sections import Section, validated
from memory_trials.settings import ModelSettings, TrainingSettings
from memory_trials.stream_settings import AnyStream, StreamSettings, stream_settings
from memory_trials.tasks.streams import Stream

FILE = Path("experiments/probe.yaml")
Size = Literal["parameters", "state"]
SIZES: tuple[Size, ...] = ("parameters", "state")


def _ascending_from_1(lengths: list[int]) -> list[int]:
    if lengths[0] != 1 or sorted(set(lengths)) != lengths:
        raise ValueError("must ascend, and begin with 1, the length that cells are trained at")
    return lengths


class Choosing(Section):
    """Trials by which a learning rate is chosen; their seeds are used for nothing else."""

    trials: Annotated[int, Field(ge=1, le=10_000)]
    first_seed: Annotated[int, Field(ge=0, le=2**31 - 1)]


class Sizes(Section):
    """How many weights a model has, and how many numbers the state of a cell has, about."""

    parameters: Annotated[int, Field(ge=10, le=10_000_000)]
    state: Annotated[int, Field(ge=1, le=1_000_000)]


class ProbedCell(Section):
    """A recorded cell. sizes: by which of them it is matched, each in trials of its own."""

    cell: str
    cell_options: dict[str, Any] = Field(default_factory=dict)
    sizes: Annotated[list[Size], Field(min_length=1)] = ["parameters"]  # noqa: RUF012  # pydantic copies it


class Expected(Section):
    """What a publication says about cells on a task: that a trial can learn it and hold it at so many times the length,
    or that none can."""

    task: str
    cells: Annotated[list[str], Field(min_length=1)]
    can: bool
    times: Annotated[int, Field(ge=1)] = 1
    source: Annotated[str, Field(min_length=1)]


class Plan(Section):
    """See experiments/probe.yaml, which says what each of them means."""

    tasks: Annotated[dict[str, AnyStream], Field(min_length=1)]
    lengths: Annotated[
        list[Annotated[int, Field(ge=1, le=1000)]], Field(min_length=1), AfterValidator(_ascending_from_1)
    ]
    test_sequences: Annotated[int, Field(ge=1, le=10_000)]
    history: Annotated[int, Field(ge=1, le=100)]
    updates: Annotated[int, Field(ge=1, le=10_000_000)]
    batch: Annotated[int, Field(ge=1, le=10_000)]
    interval: Annotated[int, Field(ge=1)]
    rates: Annotated[list[Annotated[float, Field(gt=0, le=1000)]], Field(min_length=1)]
    choosing: Choosing
    trials: Annotated[int, Field(ge=2, le=100_000)]
    first_seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    sizes: Sizes
    cells: dict[str, ProbedCell]
    expected: list[Expected] = []  # noqa: RUF012  # pydantic copies it

    @model_validator(mode="after")
    def _expects_what_is_asked(self) -> Plan:
        for number, claim in enumerate(self.expected):
            for field, value, allowed in (
                ("task", claim.task, self.tasks),
                ("times", claim.times, self.lengths),
                *(("cells", cell, self.cells) for cell in claim.cells),
            ):
                if value not in allowed:
                    names = ", ".join(map(str, allowed))
                    raise ValueError(f"expected[{number}].{field} has {value!r}: allowed are {names}")
        return self

    @model_validator(mode="after")
    def _seeds_are_kept_apart(self) -> Plan:
        chosen = range(self.choosing.first_seed, self.choosing.first_seed + self.choosing.trials)
        reported = range(self.first_seed, self.first_seed + self.trials)
        if max(chosen.start, reported.start) < min(chosen.stop, reported.stop):
            raise ValueError(
                f"choosing.first_seed is {self.choosing.first_seed}: rates must be chosen on seeds of their own"
            )
        return self

    @property
    def sequences(self) -> int:
        """How many sequences a trial learns from at most."""
        return self.updates * self.batch

    def stream(self, task: str, times: int = 1) -> Stream:
        """Return a task at so many times the length that cells are trained at."""
        settings = self._longer(self.tasks[task], times)
        return Stream(settings, 1 if Stream(settings).shape.real_input else self.history)

    def _longer(self, stream: StreamSettings, times: int) -> StreamSettings:
        given = stream.model_dump(exclude_none=True)
        return stream_settings(**given | {"length": times * given["length"]})

    def chance(self, task: str, times: int = 1) -> float:
        """Return the share of a task's scored steps, at so many times the length, that the best guess from the present
        symbol gets right."""
        stream = self.stream(task, times)
        found = stream.rule.chance(stream.settings)
        if found is None:
            raise UserError(f"the task {task}: no chance of guessing is known, so scores of it cannot be compared")
        return found

    def training(self, rate: float, trials: int, first_seed: int) -> TrainingSettings:
        """Return how trials of these seeds are trained."""
        return TrainingSettings(
            trials=trials, first_seed=first_seed, epochs=self.sequences, batch=self.batch, update="sequence",
            optimizer="adam", learning_rate=rate, engine="jax",
        )  # fmt: skip

    def model(self, task: str, cell: str, options: dict[str, Any], units: int) -> ModelSettings:
        """Return a model of so many units for a task, under a softmax; under a sigmoid where targets are numbers."""
        output = "sigmoid" if self.stream(task).shape.real_target else "softmax"
        content = {"cell": cell, "cell_options": options, "units": units, "output": output}
        return validated(ModelSettings, content, "the model")


def load(path: Path | None = None) -> Plan:
    """Read a plan; `UserError` for the first mistake.

    Args:
        path: None: that of the project in the current folder, or the one that comes with the package.
    """
    found = path or (FILE if FILE.is_file() else project.shared(FILE))
    return validated(Plan, read_yaml(found), str(found))
