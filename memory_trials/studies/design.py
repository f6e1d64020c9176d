"""Arms: the full settings that a study compares, or that is tried alone, and their files.

    python -m memory_trials studies --check         (checks experiments/studies.yaml, and lists the studies)

An arm is one full setting, run for many seeds. The pipeline of params.yaml has one; a study has many.
"""

import difflib
import itertools
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from memory_trials import files
from memory_trials.errors import UserError, brief
from memory_trials.settings import CsvSettings, Settings, load_settings, validated
from memory_trials.studies import schema
from memory_trials.studies.schema import PIPELINE, ArmGroup, Experiments, Study
from memory_trials.tasks import making
from memory_trials.tasks.interface import Task
from memory_trials.tasks.problems import Problem
from memory_trials.tasks.streams import Stream

NO_RESULT_DEPENDS_ON_THIS = "it makes settings, on which stages depend by studies/dependencies.py"

EXPERIMENTS = Path("experiments")  # a DVC project of its own
FILE = EXPERIMENTS / "studies.yaml"
PAPER = EXPERIMENTS / "paper.yaml"  # studies whose arms have published references, and are trained one by one
FOLDER = EXPERIMENTS / "data/studies"
PAPER_FOLDER = EXPERIMENTS / "data/paper"
SUMMARIES = "summaries"  # in both folders: the answer and numbers of each study, or of each separate arm, in git
DIGESTS = "digests"  # and its trials' digests
PICTURES = EXPERIMENTS / "pictures"
PIPELINE_FOLDER = Path("data/tutorial")
PIPELINE_DIGESTS = PIPELINE_FOLDER / "digests.json"
ARMS = "arms.json"  # what a search has found
CLOSE = 5  # names that are listed where there is none of a name
SOURCES = ("sequences", "file", "generate", "stream")


@dataclass(frozen=True)
class ArmFiles:
    """Where an arm's artifacts are: sequences, table and trained are files, folder holds the outputs of evaluation."""

    sequences: Path
    table: Path
    trained: Path
    folder: Path


@dataclass(frozen=True, eq=False)  # an arm is itself, not its values
class Arm:
    """One full setting, and its files. changes: what it changes from the tutorial, as the study's grid or list says.

    together: keys of the changes that the grid sets as one. key: the name of an arm that is trained by itself.
    """

    study: str
    name: str
    settings: Settings
    changes: dict[str, Any]
    files: ArmFiles
    together: list[list[str]] = field(default_factory=list)
    key: str = ""

    @property
    def unit(self) -> str:
        """What one stage of DVC trains: the arm's study, or the arm where it is trained by itself."""
        return self.key or self.study

    @property
    def results(self) -> Path:
        """The folder that holds its unit's summary and digests, and those of others."""
        return PAPER_FOLDER if self.key else FOLDER

    @property
    def compared(self) -> bool:
        """Whether it belongs to a study. The pipeline's arm is reported by itself instead, with its best trial; it is
        tried again and again, one try after another."""
        return self.study != PIPELINE


def pipeline_files(folder: Path = PIPELINE_FOLDER) -> ArmFiles:
    return ArmFiles(folder / "sequences.json", folder / "table.npz", folder / "trained.npz", folder)


def pipeline_arm() -> Arm:
    """Return the one arm of params.yaml."""
    return Arm(PIPELINE, "", load_settings(), {}, pipeline_files())


def experiments(paths: Iterable[Path] = ()) -> Iterator[tuple[Path, Experiments]]:
    """Yield each file of experiments that exists, and its content.

    Raises:
        UserError: The first mistake in them.
    """
    for path in paths or (FILE, PAPER):
        if path.exists():
            yield path, schema.load(path)


def units() -> Iterator[tuple[Study, list[Arm]]]:
    """Yield each study with its arms, and each arm that is trained by itself, with its study."""
    for path, content in experiments():
        for name in content.units:
            yield _unit(name, content, path)


def units_of(name: str) -> list[str]:
    """Return the names of what one stage of DVC trains each: a study, an arm, or each separate arm of a study."""
    for _, content in experiments():
        if separate := [arm for arm, block in content.arms.items() if block.study == name]:
            return separate
    return [name]


def find(unit: str, *paths: Path) -> tuple[Study, list[Arm]]:
    """Return a study and its arms, or an arm that is trained by itself and its study.

    If the study searches for its arms, return the arm from which the search starts.

    Raises:
        UserError: There is none of this name, or an arm is not valid.
    """
    names: list[str] = []
    for path, content in experiments(paths):
        if unit in content.units:
            return _unit(unit, content, path)
        names += content.units
    close = difflib.get_close_matches(unit, names) or names[:CLOSE]
    raise UserError(f"{EXPERIMENTS} has no study or arm {brief(unit)}; among its {len(names)} are {', '.join(close)}")


def _unit(name: str, content: Experiments, path: Path) -> tuple[Study, list[Arm]]:
    if name in content.arms:
        return content.studies[content.arms[name].study], [separate_arm(name, content, path)]
    return content.studies[name], make_arms(name, content.studies[name], content.defaults, path)


def peers(arm: Arm) -> list[Arm]:
    """Return all arms of the study of an arm that is trained by itself."""
    content = schema.load(PAPER)
    return [separate_arm(name, content) for name, other in content.arms.items() if other.study == arm.study]


def separate_arm(name: str, content: Experiments, path: Path = PAPER) -> Arm:
    """Return an arm that is trained by itself.

    Raises:
        UserError: It is not valid.
    """
    block, place = content.arms[name], f"{path}: arms.{name}"
    changes = content.bases.get(block.like or "", {}) | block.set
    of_study = content.studies[block.study].set
    settings = validated(Settings, changed(content.defaults, of_study | changes, place), place)
    if not settings.problem.endless:
        raise UserError(f"{place}: it must set problem.stream")
    return Arm(block.study, block.label, settings, changes, _files(PAPER_FOLDER / name, name), key=name)


def make_arms(name: str, study: Study, defaults: dict, path: Path = FILE) -> list[Arm]:
    """Return every arm of a study's grid or list.

    Raises:
        UserError: An arm is not valid, or is listed twice.
    """
    searched = ArmGroup(name="searched")  # where a search starts from: its problem
    groups = study.arms or [searched if study.search else ArmGroup(grid=study.grid)]
    count = sum(group.size for group in groups)
    if count > schema.MOST_ARMS:
        raise UserError(f"{path}: studies.{name} has {count} arms: allowed are {schema.MOST_ARMS}")
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
                    raise UserError(f"{place}: it must set {key}, which the answer is about")
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
    return Arm(study, label, settings, changes, _files(FOLDER / study, label), list(together))


def _files(folder: Path, name: str) -> ArmFiles:
    file = re.sub(r"[^A-Za-z0-9=.,_-]+", "_", name)
    sequences, table, trained = folder / "sequences", folder / "tables", folder / "trained"
    return ArmFiles(sequences / f"{file}.json", table / f"{file}.npz", trained / f"{file}.npz", folder / "arms" / file)


def keep_only(paths: list[Path]) -> None:
    """Remove the outputs of an earlier version of a study that are beside these, in the folder of its arms.

    An arm by itself, such as the pipeline's, has no such folder, and nothing is removed.
    """
    folder, names = paths[0].parent, {path.name for path in paths}
    if FOLDER in folder.parents:
        for path in folder.iterdir():
            if path.name not in names:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def where(arm: Arm) -> str:
    """Return how an error message names the arm."""
    if arm.key:
        return f"{PAPER}: arms.{arm.key}"
    return f"{FILE}: studies.{arm.study}, arm {brief(arm.name)}" if arm.compared else "params.yaml"


def task_of(arm: Arm, made: Problem | Stream) -> Task:
    """Return the task that the arm's trials are trained on.

    Raises:
        UserError: The settings do not fit the sequences; the message names the arm.
    """
    try:
        return making.task_of(made, arm.settings)
    except UserError as error:
        raise UserError(f"{where(arm)}: {error}") from None


def digests_of(arm: Arm) -> Path:
    """Return the file that keeps the digests of all trials of an arm's unit."""
    return arm.results / DIGESTS / f"{arm.unit}.json" if arm.compared else PIPELINE_DIGESTS


def study_of(arm: Arm) -> Study | None:
    """Return the study that compares an arm; None for the pipeline's."""
    found = (content.studies.get(arm.study) for _, content in (experiments() if arm.compared else ()))
    return next(filter(None, found), None)


def search_of(arm: Arm) -> Study | None:
    """Return the arm's study if it searches for its arms."""
    study = study_of(arm)
    return study if study and study.search else None


def found_arms(arms: list[Arm]) -> list[Arm]:
    """Return these arms; for a study that searches, those that the search has found."""
    study = search_of(arms[0])
    return found_by_search(study, arms[0]) if study else arms


def found_by_search(study: Study, start: Arm) -> list[Arm]:
    """Return the arms that a search has written to trained/arms.json."""
    found = files.read_json(start.files.trained.parent / ARMS)
    return [found_arm(study, start, label, changes) for label, changes in found.items()]


def found_arm(study: Study, start: Arm, label: str, changes: dict[str, Any]) -> Arm:
    """Return an arm with these changes, trained on fresh seeds. All arms of a search share the problem of its start."""
    assert study.search is not None  # as `search_of` has found it
    settings = searched_settings(start, changes | {"training.first_seed": study.search.confirm_from_seed})
    arm = make_arm(start.study, label, settings, changes)
    return replace(arm, files=replace(arm.files, sequences=start.files.sequences))


def searched_settings(start: Arm, changes: dict[str, Any]) -> Settings:
    place = where(start)
    return validated(Settings, changed(start.settings.model_dump(), changes, place), place)


def training_inputs(settings: Settings) -> dict:
    """Return the settings on which training depends, as they are written beside its result."""
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
    """Return a value as names and sentences show it: as in YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def changed(defaults: dict, changes: dict[str, Any], where: str) -> dict:
    """Return nested settings with dotted keys changed. A named source of sequences replaces the default one."""
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


def described(study: Study, arms: list[Arm]) -> str:
    """Return a line about a study, or about an arm that is trained by itself.

    Raises:
        UserError: An arm cannot be encoded; this way it is known before half of the studies have run.
    """
    for arm in arms:
        task_of(arm, making.make(arm.settings.problem, where(arm)))
    if arms[0].key:
        return f"{arms[0].key}: {arms[0].name} ({study.question})"
    size = f"{study.search.proposals} proposals" if study.search else f"{len(arms)} arms"
    return f"{arms[0].study}: {study.question} ({size})"
