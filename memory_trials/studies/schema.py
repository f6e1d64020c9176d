"""What a file of experiments/ may hold: questions, their arms, and how an answer is read off them."""

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from memory_trials.errors import UserError, brief
from memory_trials.parameter_files import read_yaml
from memory_trials.settings import Section, Settings, validated

NO_RESULT_DEPENDS_ON_THIS = "it makes settings, on which stages depend by studies/dependencies.py"

PIPELINE = "pipeline"  # the name of params.yaml's one arm, where studies have theirs
MOST_ARMS = 2000
NAME = r"[a-z][a-z0-9_]{0,59}"


def _multipliable(grid: dict[str, list]) -> dict[str, list]:
    if not grid:
        raise ValueError("the grid is empty: give it at least one key with values, or leave it out")
    for keys, values in grid.items():
        if not values:
            raise ValueError(f"the grid is empty: {keys} has no values")
        count = len(keys.split(","))
        if count > 1 and any(not isinstance(value, list) or len(value) != count for value in values):
            raise ValueError(f"{keys} are {count} keys, so each of its values must be a list of {count}")
    return grid


Grid = Annotated[dict[str, list], AfterValidator(_multipliable)]


class ArmGroup(Section):
    """Arms that share some changes; `grid` multiplies them out."""

    name: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    grid: Grid | None = None

    @property
    def size(self) -> int:
        """How many arms it has."""
        return math.prod(len(values) for values in (self.grid or {}).values())


class Reference(Section):
    """A published result of an arm: how many trials, which share of them succeeded (%), after how many sequences in
    the mean, the number of weights, and how many test sequences were wrong. For the criterion ST1 first_after. gave_up:
    after how many sequences trials that had not succeeded were given up."""

    trials: Annotated[int, Field(ge=1)]
    successful: Annotated[float, Field(ge=0, le=100)] = 100.0
    after: Annotated[int, Field(ge=1)] | None = None
    first_after: Annotated[int, Field(ge=1)] | None = None
    weights: Annotated[int, Field(ge=1)] | None = None
    wrong: Annotated[float, Field(ge=0)] | None = None
    gave_up: Annotated[int, Field(ge=1)] | None = None


class SeparateArm(Section):
    """An arm that is trained by itself, since it takes minutes to a night. like: the base that it starts from.

    kind: an arm with a published reference; another reading of what the publication leaves open, or a rival on the same
    task (`of` names the arm that it is compared with); guess, random weights; or a question of our own. note: what a
    reader must know besides the numbers.
    """

    study: str
    label: Annotated[str, Field(min_length=1)]
    kind: Literal["published", "reading", "rival", "guess", "own"] = "published"
    of: str | None = None
    like: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    reference: Reference | None = None
    note: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _has_a_reference(self) -> "SeparateArm":
        if (self.kind == "published") != (self.reference is not None):
            raise ValueError(f"kind is {self.kind}: an arm has a reference where its kind is published, and only there")
        return self


class AnswerRule(Section):
    """How a study's answer is read off its arms."""

    # compare: every arm with the first one, on the same seeds. along: for which values of one key is memory
    # learned reliably. reach: to which value of one key, for each value of `per` (and of `rows`), by whatever arm.
    # front: the smallest models and fewest updates. free_run: what follows when predictions are fed back. luck: what of
    # each rate is chance, and how often a few seeds rank two arms wrongly. reference: each arm with what was published.
    rule: Literal["compare", "along", "reach", "front", "free_run", "luck", "reference"] = "compare"
    key: str | None = None
    per: str | None = None
    rows: str | None = None
    level: Annotated[float, Field(gt=0, le=1)] = 0.95

    @model_validator(mode="after")
    def _has_keys(self) -> "AnswerRule":
        if self.rule in ("along", "reach") and not self.key:
            raise ValueError(f"the rule {self.rule} needs a key")
        if self.rule == "reach" and not self.per:
            raise ValueError("the rule reach needs per")
        return self


class Search(Section):
    """The space that a tuning study searches, dotted keys to [smallest, largest] or to a list of choices."""

    proposals: Annotated[int, Field(ge=1, le=100_000)]
    integers: dict[str, Annotated[list[int], Field(min_length=2, max_length=2)]] = Field(default_factory=dict)
    floats: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(default_factory=dict)
    choices: dict[str, list] = Field(default_factory=dict)
    look_after: Annotated[int, Field(ge=1)] = 20
    confirm_from_seed: Annotated[int, Field(ge=0)] = 10_000

    @model_validator(mode="after")
    def _can_be_searched(self) -> "Search":
        for key, (low, high) in (self.integers | self.floats).items():
            if not 0 < low <= high:  # on a logarithmic scale
                raise ValueError(f"{brief(key)} must be two numbers above 0, the smaller one first")
        if any(not choices for choices in self.choices.values()):
            raise ValueError("choices must not be empty")
        return self


class Study(Section):
    """A question, and the arms that answer it; where it lists none, they are in the section `arms` of its file."""

    question: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    title: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    grid: Grid | None = None
    arms: list[ArmGroup] | None = None
    search: Search | None = None
    answer: AnswerRule = AnswerRule()

    @model_validator(mode="after")
    def _has_arms(self) -> "Study":
        given = 3 - [self.grid, self.arms, self.search].count(None)
        if given > 1 or given == self.separate:
            raise ValueError("give one of grid, arms and search, or with the rule reference none of them")
        if self.arms == []:
            raise ValueError("arms is empty")
        return self

    @property
    def separate(self) -> bool:
        """Whether each of its arms is trained by itself."""
        return self.answer.rule == "reference"


class Experiments(Section):
    """A file of experiments/. defaults: the settings that every arm starts from. bases: changes of these, by name."""

    defaults: dict[str, Any]
    bases: dict[str, dict[str, Any]] = Field(default_factory=dict)
    studies: dict[str, Study]
    arms: dict[str, SeparateArm] = Field(default_factory=dict)

    @property
    def units(self) -> list[str]:
        """The names of what one stage of DVC trains: a study with all its arms, or an arm that is trained by itself."""
        return [*(name for name, study in self.studies.items() if not study.separate), *self.arms]


def load(path: Path) -> Experiments:
    """Read a file of experiments/; `UserError` for the first mistake."""
    raw = read_yaml(path)
    for section, model in (("studies", Study), ("arms", SeparateArm)):  # one by one, so that a mistake names its block
        for name, block in raw[section].items() if isinstance(raw.get(section), dict) else ():
            if not re.fullmatch(NAME, str(name)):
                raise UserError(
                    f"{path}: {section}: {brief(name)} is no name, which has at most 60 small letters, digits and _"
                )
            validated(model, block, f"{path}: {section}.{name}")
    content = validated(Experiments, raw, str(path))
    validated(Settings, content.defaults, f"{path}: defaults")
    for section, names in (("studies", content.studies), ("arms", content.arms)):
        for name in names:
            if name == PIPELINE or (section == "arms" and name in content.studies):
                raise UserError(f"{path}: {section}.{name}: this name is taken already")
    separate = [name for name, study in content.studies.items() if study.separate]
    for name, arm in content.arms.items():
        for field, value, allowed in (("study", arm.study, separate), ("like", arm.like, content.bases)):
            if value not in allowed and (field, value) != ("like", None):
                raise UserError(f"{path}: arms.{name}.{field} is {brief(value)}: allowed are {', '.join(allowed)}")
        if arm.of not in content.arms and (arm.of is not None or arm.kind == "reading"):
            raise UserError(f"{path}: arms.{name}.of is {brief(arm.of)}, which is no arm")
    return content
