"""Studies: questions, and the arms that answer them, as data.

    python -m memory_trials studies --check         (checks experiments/studies.yaml, and lists the studies)

An arm is one full setting, run for many seeds. The pipeline of params.yaml has one; a study has many.
"""

import itertools
import json
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from memory_trials import files
from memory_trials.errors import UserError, brief
from memory_trials.parameter_files import read_yaml
from memory_trials.settings import CsvSettings, Section, Settings, load_settings, validated
from memory_trials.tasks import encoding, problems

NO_RESULT_DEPENDS_ON_THIS = "it makes settings, on which stages depend by studies/dependencies.py"

EXPERIMENTS = Path("experiments")  # a DVC project of its own
FILE = EXPERIMENTS / "studies.yaml"
FOLDER = EXPERIMENTS / "data/studies"
SUMMARIES = FOLDER / "summaries"  # each study's answer and numbers, in git
DIGESTS = FOLDER / "digests"  # and its trials' digests
PICTURES = EXPERIMENTS / "pictures"
PIPELINE_FOLDER = Path("data/tutorial")
PIPELINE_DIGESTS = PIPELINE_FOLDER / "digests.json"
ARMS = "arms.json"  # what a search has found
PIPELINE = "pipeline"  # how the one arm of params.yaml is called where studies have names
MOST_ARMS = 2000
SOURCES = ("sequences", "file", "generate", "stream")


@dataclass(frozen=True)
class ArmFiles:
    """Where an arm's artifacts are: sequences, table and trained are files, folder holds what evaluation leaves."""

    sequences: Path
    table: Path
    trained: Path
    folder: Path


@dataclass(frozen=True, eq=False)  # an arm is itself, not its values
class Arm:
    """One full setting, and its files. changes: what it changes from the tutorial, as the study's grid or list says.

    together: keys of the changes that the grid sets as one.
    """

    study: str
    name: str
    settings: Settings
    changes: dict[str, Any]
    files: ArmFiles
    together: list[list[str]] = field(default_factory=list)

    @property
    def compared(self) -> bool:
        """Whether a study compares it with others. The pipeline's arm, a study of one, is told by itself instead, with
        its best trial; it is tried again and again, one try after another."""
        return self.study != PIPELINE


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


class AnswerRule(Section):
    """How a study's answer is read off its arms."""

    # compare: every arm with the first one, on the same seeds. along: for which values of one key is memory
    # learned reliably. reach: to which value of one key, for each value of `per` (and of `rows`), by whatever arm.
    # front: the smallest models and fewest updates. free_run: what follows when predictions are fed back. luck: what of
    # each rate is chance, and how often a few seeds rank two arms wrongly.
    rule: Literal["compare", "along", "reach", "front", "free_run", "luck"] = "compare"
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
    """A block of experiments/studies.yaml."""

    question: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    set: dict[str, Any] = Field(default_factory=dict)
    grid: Grid | None = None
    arms: list[ArmGroup] | None = None
    search: Search | None = None
    answer: AnswerRule = AnswerRule()

    @model_validator(mode="after")
    def _has_arms(self) -> "Study":
        if [self.grid, self.arms, self.search].count(None) != 2:
            raise ValueError("give one of grid, arms and search")
        if self.arms == []:
            raise ValueError("arms is empty")
        return self


def pipeline_files(folder: Path = PIPELINE_FOLDER) -> ArmFiles:
    return ArmFiles(folder / "sequences.json", folder / "table.npz", folder / "trained.npz", folder)


def pipeline_arm() -> Arm:
    """The one arm of params.yaml."""
    return Arm(PIPELINE, "", load_settings(), {}, pipeline_files())


def load_studies(path: Path = FILE) -> tuple[dict[str, Any], dict[str, Study]]:
    """The defaults, which every arm starts from, and the studies by name; `UserError` for the first mistake."""
    content = read_yaml(path)
    unknown = set(content) - {"defaults", "studies"}
    if unknown or not isinstance(content.get("studies"), dict) or not isinstance(content.get("defaults"), dict):
        raise UserError(
            f"{path} must hold the two sections defaults and studies"
            + (f", not {brief(min(unknown, key=str))}" if unknown else "")
        )
    validated(Settings, content["defaults"], f"{path}: defaults")
    blocks = {}
    for name, block in content["studies"].items():
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", str(name)):
            raise UserError(
                f"{path}: the study {brief(name)}: a name is made of at most 60 small letters, digits and _"
            )
        if name == PIPELINE:
            raise UserError(f"{path}: the study {brief(name)}: the arm of params.yaml is called so already")
        blocks[name] = validated(Study, block, f"{path}: studies.{name}")
    return content["defaults"], blocks


def study_arms(name: str, path: Path = FILE) -> tuple[Study, list[Arm]]:
    """A study and its arms (where they are to be searched for, the one that the search starts from)."""
    defaults, studies = load_studies(path)
    if name not in studies:
        raise UserError(f"{path} has no study {brief(name)}; it has {', '.join(studies)}")
    return studies[name], make_arms(name, studies[name], defaults, path)


def make_arms(name: str, study: Study, defaults: dict, path: Path = FILE) -> list[Arm]:
    """Every arm of a study's grid or list; `UserError` where one is not valid, or stands there twice."""
    searched = ArmGroup(name="searched")  # where a search starts from: its problem
    groups = study.arms or [searched if study.search else ArmGroup(grid=study.grid)]
    count = sum(math.prod(len(values) for values in (group.grid or {}).values()) for group in groups)
    if count > MOST_ARMS:
        raise UserError(f"{path}: studies.{name} has {count} arms: allowed are {MOST_ARMS}")
    arms: list[Arm] = []
    for group in groups:
        together = [_keys(names) for names in group.grid or {} if "," in names]
        for label, changes in _multiplied(group):
            place = f"{path}: studies.{name}, arm {brief(label)}"
            settings = validated(Settings, changed(defaults, study.set | changes, place), place)
            arm = make_arm(name, label, settings, changes, together)
            rule = study.answer
            for key in (rule.key, rule.per, rule.rows) if rule.rule in ("along", "reach") else ():
                if key and key not in changes:
                    raise UserError(f"{place}: it must set {key}, over which the answer is told")
            for other in arms:
                if other.settings == settings:
                    raise UserError(f"{place}: the same settings as arm {other.name!r}")
                if other.name == label:
                    raise UserError(f"{place}: there are two arms of this name")
            arms.append(arm)
    return arms


def make_arm(
    study: str, label: str, settings: Settings, changes: dict[str, Any], together: Sequence[list[str]] = ()
) -> Arm:
    folder, file = FOLDER / study, re.sub(r"[^A-Za-z0-9=.,_-]+", "_", label)
    sequences, table, trained = folder / "sequences", folder / "tables", folder / "trained"
    paths = ArmFiles(sequences / f"{file}.json", table / f"{file}.npz", trained / f"{file}.npz", folder / "arms" / file)
    return Arm(study, label, settings, changes, paths, list(together))


def keep_only(paths: list[Path]) -> None:
    """Remove what an earlier version of a study left beside these, which stand in a folder of their own. The files of
    an arm by itself, such as the pipeline's, stand together, and nothing is removed."""
    folder, names = paths[0].parent, {path.name for path in paths}
    if FOLDER in folder.parents:
        for path in folder.iterdir():
            if path.name not in names:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def where(arm: Arm) -> str:
    """How a mistake's sentence names the arm."""
    return f"{FILE}: studies.{arm.study}, arm {brief(arm.name)}" if arm.compared else "params.yaml"


def table_of(arm: Arm, problem: problems.Problem) -> encoding.UpdateTable:
    """The arm's table of updates; `UserError` names the arm."""
    settings = arm.settings
    try:
        return encoding.make_table(problem, settings.encoding, settings.training, settings.evaluation.stateful)
    except UserError as error:
        raise UserError(f"{where(arm)}: {error}") from None


def digests_of(study: str) -> Path:
    """The file that keeps the digests of all its trials."""
    return PIPELINE_DIGESTS if study == PIPELINE else DIGESTS / f"{study}.json"


def search_of(name: str) -> Study | None:
    """The study of this name, where its arms are to be searched for."""
    study = None if name == PIPELINE else load_studies()[1].get(name)
    return study if study and study.search else None


def found_arms(arms: list[Arm]) -> list[Arm]:
    """These arms, or where the one of a search stands for its study, those that the search has found."""
    study = search_of(arms[0].study)
    return found_by_search(study, arms[0]) if study else arms


def found_by_search(study: Study, start: Arm) -> list[Arm]:
    """The arms that a search has left in trained/arms.json."""
    found = files.read_json(start.files.trained.parent / ARMS)
    return [found_arm(study, start, label, changes) for label, changes in found.items()]


def found_arm(study: Study, start: Arm, label: str, changes: dict[str, Any]) -> Arm:
    """An arm with these changes, trained anew on fresh seeds; all of a search share the problem it started from."""
    assert study.search is not None  # as `search_of` has found it
    settings = searched_settings(start, changes | {"training.first_seed": study.search.confirm_from_seed})
    arm = make_arm(start.study, label, settings, changes)
    return replace(arm, files=replace(arm.files, sequences=start.files.sequences))


def searched_settings(start: Arm, changes: dict[str, Any]) -> Settings:
    place = where(start)
    return validated(Settings, changed(start.settings.model_dump(), changes, place), place)


def training_inputs(settings: Settings) -> dict:
    """What a trained arm depends on, as its artifact says it."""
    sections: dict[str, bool | set[str]] = {
        "problem": True,
        "encoding": True,
        "model": True,
        "training": True,
        "evaluation": {"interval", "stateful"},
    }
    content = settings.model_dump(include=sections)
    unset = {("problem", "stream"): None, ("problem", "csv"): CsvSettings().model_dump(), ("training", "loss"): None}
    for (section, name), value in unset.items():
        if content[section][name] == value:  # what was trained before there was such a choice depends on none
            del content[section][name]
    return content


def _multiplied(group: ArmGroup) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and changes of each arm of a group. "a, b" as a grid's key sets both, from lists of two."""
    axes = [[(keys, value) for value in values] for keys, values in (group.grid or {}).items()]
    for point in itertools.product(*axes):
        changes, words = dict(group.set), [group.name] if group.name else []
        for keys, value in point:
            names = _keys(keys)
            for key, single in zip(names, value if len(names) > 1 else [value]):
                changes[key] = single
            words.append(f"{names[0].split('.')[-1]}={word(value[0] if len(names) > 1 else value)}")
        yield (
            " ".join(words) or ", ".join(f"{key.split('.')[-1]}={word(value)}" for key, value in changes.items()),
            changes,
        )


def _keys(names: str) -> list[str]:
    return [key.strip() for key in names.split(",")]


def word(value: Any) -> str:
    """How a value is written in names and sentences: as in YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def changed(defaults: dict, changes: dict[str, Any], where: str) -> dict:
    """Nested settings with dotted keys changed. Naming one source of sequences drops the default one."""
    result = json.loads(json.dumps(defaults))
    if any(key.split(".")[:2] == ["problem", source] for key in changes for source in SOURCES):
        for source in (*SOURCES, "csv"):
            result.get("problem", {}).pop(source, None)
    for key, value in changes.items():
        *sections, last = key.split(".")
        inner = result
        for section in sections:
            inner = inner.setdefault(section, {})
            if not isinstance(inner, dict):
                raise UserError(f"{where}: unknown key {brief(key)}")
        inner[last] = value
    return result


def described(name: str) -> str:
    """A study in one line; `UserError` where an arm is not valid, or cannot be encoded, which is told now, and not
    after
    half of the studies."""
    study, arms = study_arms(name)
    for arm in arms:
        if arm.settings.problem.stream is None:
            table_of(arm, problems.make_problem(arm.settings.problem, where(arm)))
    size = f"{study.search.proposals} proposals" if study.search else f"{len(arms)} arms"
    return f"{name}: {study.question} ({size})"
