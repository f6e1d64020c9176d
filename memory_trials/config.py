"""params.yaml -> validated, frozen settings. What each knob means is written beside it in params.yaml.

python -m memory_trials.config params.yaml      (says in one sentence what is wrong, if anything is)
"""

import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from memory_trials.errors import UserError, exit_on_user_error

Symbol = int | float | str
BUILT_IN_CELLS = ("lstm", "gru", "simple_rnn", "mlp")


class Section(BaseModel):
    """Strict (no silent conversions), frozen, and closed (an unknown key is a mistake)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _known_cell(cell: Any) -> Any:
    """A built-in name or a dotted path whose first package exists; importing it is left to the train stage."""
    if not isinstance(cell, str) or cell in BUILT_IN_CELLS:
        return cell
    if "." not in cell or not all(part.isidentifier() for part in cell.split(".")):
        raise ValueError(
            f"no such cell; the built-in cells are {', '.join(BUILT_IN_CELLS)}, "
            "and a Keras cell of your own is named by its dotted path, such as my_cells.leaky.LeakyCell"
        )
    if importlib.util.find_spec(cell.split(".")[0]) is None:
        raise ValueError(f"no module {cell.split('.')[0]!r} can be imported from this folder")
    return cell


def _steps_or_sequence(window: Any) -> Any:
    if isinstance(window, str) and window != "sequence":
        raise ValueError("allowed are a number of steps, at least 1, or the word sequence")
    return window


class ProblemSettings(Section):
    sequences: Annotated[list[list[Symbol]], Field(min_length=1)] | None = None
    file: str | None = None
    scored: Literal["all", "last"] = "all"

    @model_validator(mode="after")
    def _one_source(self) -> "ProblemSettings":
        if (self.sequences is None) == (self.file is None):
            raise ValueError("give either sequences or file and set the other to null")
        return self


class ModelSettings(Section):
    cell: Annotated[str, BeforeValidator(_known_cell)] = "lstm"
    units: Annotated[int, Field(ge=1, le=4096)] = 20
    output: Literal["sigmoid", "softmax"] = "sigmoid"
    cell_options: dict[str, Any] = {}


class TrainingSettings(Section):
    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    first_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    epochs: Annotated[int, Field(ge=1, le=10_000_000)] = 250
    window: Annotated[Annotated[int, Field(ge=1)] | Literal["sequence"], BeforeValidator(_steps_or_sequence)] = 1
    reset: Literal["sequence", "window", "never"] = "sequence"
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=1000)] = 0.001

    @model_validator(mode="after")
    def _seeds_fit(self) -> "TrainingSettings":
        # keras.utils.set_random_seed hands the seed to NumPy, which takes 32 bits
        if self.first_seed + self.trials > 2**32:
            raise ValueError("first_seed + trials must not exceed 4294967296")
        return self


class EvaluationSettings(Section):
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    every: Annotated[int, Field(ge=1)] = 10


class CheckSettings(Section):
    success_rate_floor: Annotated[float, Field(ge=0, le=1)] = 0.0


class TrackingSettings(Section):
    enabled: bool = True
    experiment: Annotated[str, Field(min_length=1)] = "memory-trials"
    uri: str | None = None


class ComputeSettings(Section):
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    shard: Annotated[int, Field(ge=1, le=100_000)] = 50


class Settings(Section):
    """Everything one run depends on. The defaults are the tutorial's."""

    problem: ProblemSettings
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    check: CheckSettings = CheckSettings()
    tracking: TrackingSettings = TrackingSettings()
    compute: ComputeSettings = ComputeSettings()


class _UniqueKeyLoader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; here the second one is a mistake."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)


def load_settings(path: str | Path = "params.yaml") -> Settings:
    """Read and validate a parameter file; `UserError` names the file, the field, the value and what is allowed."""
    path = Path(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # a subclass of SafeLoader
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run this from the folder that holds it") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UserError(f"{path}{where} is not valid YAML: {what}") from None
    except (ValueError, RecursionError, TypeError) as error:  # impossible dates, bottomless nesting, odd keys
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold sections such as problem, model and training, not {_shown(content)}")
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_mistake(error)}") from None


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _first_mistake(error: ValidationError) -> str:
    """One sentence for the first mistake (and how many more there are)."""
    mistakes = error.errors(include_url=False)
    first = mistakes[0]
    # pydantic adds the names of union members to the location; a path of keys and indices is what users know
    location: list[str] = []
    known = Settings
    for part in first["loc"]:
        fields = getattr(known, "model_fields", None)
        if fields is not None:
            known = fields[part].annotation if part in fields else None
            location.append(str(part))
        elif isinstance(part, int):
            location.append(f"[{part}]")
    field = ".".join(location).replace(".[", "[")
    same_place = [m for m in mistakes if m["loc"][: len(location)] == first["loc"][: len(location)]]
    if first["type"] == "extra_forbidden":
        section: Any = Settings
        for part in location[:-1]:
            section = section.model_fields[part].annotation
        sentence = f"unknown key {field}; allowed here are {', '.join(section.model_fields)}"
    elif first["type"] == "missing":
        sentence = f"{field} is missing"
    else:
        reasons = dict.fromkeys(
            m["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("should ", "must ")
            for m in same_place
        )
        value = f" is {_shown(first['input'])}" if first["type"] != "value_error" or len(location) > 1 else ""
        sentence = f"{field}{value}: {' or '.join(reasons)}"
    more = len({m["loc"][: len(location)] for m in mistakes}) - 1
    return sentence + (f" (and {more} more)" if more else "")


if __name__ == "__main__":
    exit_on_user_error(lambda: load_settings(*sys.argv[1:2]))
