"""params.yaml -> validated, frozen settings. What each knob means is written beside it in params.yaml."""

import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from memory_trials import files
from memory_trials.errors import UserError, brief
from memory_trials.parameter_files import read_yaml

NO_RESULT_DEPENDS_ON_THIS = "it checks values; on these, and on the defaults, stages depend by studies/dependencies.py"

Symbol = int | float | str
SomeSection = TypeVar("SomeSection", bound="Section")
BUILT_IN_CELLS = ("lstm", "gru", "simple_rnn", "mlp")
PUBLISHED_CELLS = ("memory_cell", "fully_recurrent", "chunker")  # of 1997 and before; they learn from streams
STREAMED_CELLS = (*PUBLISHED_CELLS, "lstm", "gru", "simple_rnn")


RENAMED = {
    "problem.asked": "problem.evaluation_sequences",
    "evaluation.every": "evaluation.interval",
    "evaluation.as_trained": "evaluation.stateful",
}


class Section(BaseModel):
    """Strict (no silent conversions), frozen, and closed (an unknown key is a mistake)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _known_cell(cell: Any) -> Any:
    """A built-in name or a dotted path whose first package exists; importing it is left to the train stage."""
    if not isinstance(cell, str) or cell in BUILT_IN_CELLS + PUBLISHED_CELLS:
        return cell
    if "." not in cell or not all(name.isidentifier() for name in cell.split(".")):
        raise ValueError(
            f"no such cell; the built-in cells are {', '.join(BUILT_IN_CELLS)}, "
            "and a Keras cell of your own is named by its dotted path, such as my_cells.leaky.LeakyCell"
        )
    package = cell.split(".")[0]
    if package not in sys.modules and importlib.util.find_spec(package) is None:
        raise ValueError(f"no module {brief(package)} can be imported{files.where_a_package_is(package)}")
    return cell


def _steps_or_sequence(window: Any) -> Any:
    if isinstance(window, str) and window != "sequence":
        raise ValueError("allowed are a number of steps, at least 1, or the word sequence")
    return window


class GeneratedSettings(Section):
    """Sequences that begin and end with the same key, and `lag` symbols between."""

    lag: Annotated[int, Field(ge=1, le=100_000)]
    middle: Literal["counting", "fixed", "random"] = "counting"
    keys: Annotated[int, Field(ge=2, le=10_000)] = 2
    # of random middles: how many different symbols, how many sequences to train on, on how many unseen ones to evaluate
    symbols: Annotated[int, Field(ge=2, le=10_000)] = 3
    train: Annotated[int, Field(ge=2, le=10_000)] = 2
    unseen: Annotated[int, Field(ge=0, le=10_000)] = 0
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


Task = Literal["reber", "keys", "distractors", "two_sequence", "adding", "multiplication", "temporal_order"]
TAKES: dict[str, dict[str, int | str | bool]] = {  # a stream's settings besides its task, and their defaults
    "reber": {"different": False},
    "keys": {"length": 100, "middle": "counting"},
    "distractors": {"length": 50, "symbols": 50},
    "two_sequence": {"length": 100, "signal": 3, "noisy_signal": False, "noisy_targets": False},
    "adding": {"length": 100},
    "multiplication": {"length": 100, "wrong": 12},
    "temporal_order": {"length": 100, "signal": 2},
}


class StreamSettings(Section):
    """An endless stream of sequences, another one for each trial; tasks/streams.py says what they are.

    length: T of Hochreiter & Schmidhuber (1997), for keys their p, for distractors their q. signal: for two_sequence
    their N, for temporal_order how many symbols' order counts. wrong: of the last 2,000 sequences, at most.
    different: no string of reber's two sets comes twice.
    """

    task: Task
    length: Annotated[int, Field(ge=4, le=100_000)] | None = None
    symbols: Annotated[int, Field(ge=1, le=100_000)] | None = None
    signal: Annotated[int, Field(ge=1, le=100)] | None = None
    wrong: Annotated[int, Field(ge=0, le=1999)] | None = None
    middle: Literal["counting", "random"] | None = None
    noisy_signal: bool | None = None
    noisy_targets: bool | None = None
    different: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("task") not in TAKES:
            return given
        defaults = TAKES[given["task"]]
        for name in given:
            if name in cls.model_fields and name not in ("task", *defaults) and given[name] is not None:
                takes = ", ".join(defaults)
                raise ValueError(f"{name} is none of the settings of the task {given['task']}, which takes {takes}")
        return defaults | {name: value for name, value in given.items() if value is not None}

    @model_validator(mode="after")
    def _can_be_drawn(self) -> "StreamSettings":
        if self.task == "temporal_order" and self.signal not in (2, 3):
            raise ValueError(f"signal is {self.signal}: the order of 2 or of 3 symbols is told")
        length, signal = self.length or 0, self.signal or 0
        if self.task in ("two_sequence", "adding", "multiplication", "temporal_order") and length < 20:
            raise ValueError(f"length is {length}: the task {self.task} needs at least 20 steps")
        if self.task == "two_sequence" and signal >= length:
            raise ValueError(f"signal is {signal}: it must be shorter than length, which is {length}")
        return self


class CsvSettings(Section):
    """What a .csv file leaves open; null where it is plain, and refused where it is not.

    separator: what stands between symbols. header: the first line names columns, and is left out. index: each line
    begins with its number or name, which is left out.
    """

    separator: Literal[",", ";", "\t", "|", " "] | None = None
    header: bool | None = None
    index: bool | None = None


class ProblemSettings(Section):
    sequences: Annotated[list[list[Symbol]], Field(min_length=1)] | None = None
    file: str | None = None
    csv: CsvSettings = CsvSettings()
    generate: GeneratedSettings | None = None
    stream: StreamSettings | None = None
    evaluation_sequences: Annotated[list[list[Symbol]], Field(min_length=1)] | None = None
    scored: Literal["all", "last"] = "all"

    @model_validator(mode="after")
    def _one_source(self) -> "ProblemSettings":
        if [self.sequences, self.file, self.generate, self.stream].count(None) != 3:
            raise ValueError("give one of sequences, file, generate and stream, and set the others to null")
        if self.csv != CsvSettings() and not (self.file or "").endswith(".csv"):
            raise ValueError("csv is for a .csv file in problem.file: set separator, header and index to null")
        if self.stream is not None and self.evaluation_sequences is not None:
            raise ValueError("a stream is evaluated on sequences of its own: set evaluation_sequences to null")
        if self.generate is not None and self.evaluation_sequences is not None:
            raise ValueError(
                "generated sequences are evaluated as problem.generate says: set evaluation_sequences to null"
            )
        return self


class EncodingSettings(Section):
    history: Annotated[int, Field(ge=1, le=1000)] = 1
    history_as: Literal["features", "steps"] = "features"


class ChronoSettings(Section):
    chrono: Annotated[int, Field(ge=3, le=10_000_000)]


Biases = list[float] | Literal["random"] | None  # one for each block; drawn like weights; none


class MemoryCellOptions(Section):
    """Of the memory cell as published in 1997; `model.units` are its cells, in blocks that share their gates.

    connected: F, where cells and gates see the inputs, all cells and all gates, and outputs see the cells; C, the same
    without the gates as sources; or B, where cells and gates see the inputs alone, and outputs see inputs and cells.
    squashing: as the paper's equations have it (g from -2 to 2, h from -1 to 1), as its table's caption (g from -1 to
    1, h from -2 to 2), or plain (g from 0 to 1, h the identity). biases: of cells, of output units. weights: drawn
    uniformly within +- this.
    added: the cells are there at first, or later: once the error of outputs that see only inputs stops to decrease.
    """

    block_size: Annotated[int, Field(ge=1, le=100)] = 1
    connected: Literal["F", "B", "C"] = "F"
    output_gate: bool = True
    input_gate_bias: Biases = None
    output_gate_bias: Biases = None
    cell_bias: bool = False
    output_bias: bool = False
    squashing: Literal["equations", "caption", "plain"] = "equations"
    weights: Annotated[float, Field(gt=0, le=1000)] = 0.1
    added: Literal["at_first", "later"] = "at_first"


class FullyRecurrentOptions(Section):
    """Of logistic hidden units that see the inputs and one another, under outputs that see inputs and hidden units."""

    bias: bool = False
    weights: Annotated[float, Field(gt=0, le=1000)] = 0.2


class ModelSettings(Section):
    cell: Annotated[str, BeforeValidator(_known_cell)] = "lstm"
    units: Annotated[int, Field(ge=1, le=4096)] = 20
    output: Literal["sigmoid", "softmax", "linear"] = "sigmoid"
    forget_bias: float | ChronoSettings | None = None
    cell_options: dict[str, Any] = {}

    @property
    def published_options(self) -> MemoryCellOptions | FullyRecurrentOptions:
        """cell_options, where the cell is one of `PUBLISHED_CELLS`; `UserError` for the first mistake."""
        if self.cell == "memory_cell":
            return validated(MemoryCellOptions, self.cell_options, "cell_options")
        return validated(FullyRecurrentOptions, self.cell_options, "cell_options")

    @model_validator(mode="after")
    def _options_fit(self) -> "ModelSettings":
        if self.cell not in PUBLISHED_CELLS:
            return self
        try:
            options = self.published_options
        except UserError as error:
            raise ValueError(str(error)) from None
        if isinstance(options, MemoryCellOptions):
            blocks, rest = divmod(self.units, options.block_size)
            if rest:
                raise ValueError(f"{self.units} units make no whole blocks of {options.block_size}")
            for name in ("input_gate_bias", "output_gate_bias"):
                biases = getattr(options, name)
                if isinstance(biases, list) and len(biases) != blocks:
                    raise ValueError(f"cell_options.{name} has {len(biases)} numbers for {blocks} blocks")
            if options.added == "later" and options.connected != "B":
                raise ValueError("cell_options.added is later, and outputs see cells alone: set connected: B")
            if options.output_gate_bias is not None and not options.output_gate:
                raise ValueError("cell_options.output_gate_bias is set, and output_gate is false")
        return self

    @model_validator(mode="after")
    def _output_fits(self) -> "ModelSettings":
        if self.output == "linear" and self.cell != "memory_cell":
            raise ValueError(f"output is linear, which only memory_cell takes, not {self.cell}: set sigmoid or softmax")
        return self

    @model_validator(mode="after")
    def _has_a_forget_gate(self) -> "ModelSettings":
        if self.forget_bias is not None and self.cell not in ("lstm", "gru"):
            raise ValueError(f"forget_bias is for the cells lstm and gru; {self.cell} has no gate to forget with")
        if self.forget_bias is not None and self.cell_options.get("use_bias") is False:
            raise ValueError("forget_bias needs a bias, and cell_options says use_bias: false")
        return self


class TrainingSettings(Section):
    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    first_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    epochs: Annotated[int, Field(ge=1, le=10_000_000)] = 250
    window: Annotated[Annotated[int, Field(ge=1)] | Literal["sequence"], BeforeValidator(_steps_or_sequence)] = 1
    update: Literal["window", "sequence", "epoch"] = "window"
    reset: Literal["sequence", "window", "epoch", "never"] = "sequence"
    batch: Annotated[int, Field(ge=1, le=10_000)] = 1
    batch_of: Literal["sequences", "steps"] = "sequences"
    shuffle: bool = False
    optimizer: Literal["adam", "rmsprop", "sgd", "guess"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=1000)] = 0.001
    loss: Literal["squared_error", "cross_entropy"] | None = None
    engine: Literal["auto", "tensorflow"] = "auto"

    @model_validator(mode="after")
    def _seeds_fit(self) -> "TrainingSettings":
        # keras.utils.set_random_seed hands the seed to NumPy, which takes 32 bits
        if self.first_seed + self.trials > 2**32:
            raise ValueError("first_seed + trials must not exceed 4294967296")
        return self

    @model_validator(mode="after")
    def _batches_make_sense(self) -> "TrainingSettings":
        if self.batch_of == "steps" and (self.window != 1 or self.update != "window"):
            raise ValueError("batch_of: steps lays single steps side by side, so window must be 1 and update window")
        if self.shuffle and self.update == "epoch":
            raise ValueError("shuffle has nothing to reorder where update is epoch")
        return self


class FreeRunSettings(Section):
    prefix: Annotated[int, Field(ge=1, le=100_000)] = 1
    beyond: Annotated[int, Field(ge=0, le=100_000)] = 5


class EvaluationSettings(Section):
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    interval: Annotated[int, Field(ge=1)] = 10
    stateful: bool = False
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    free_run: FreeRunSettings | None = None


class CheckSettings(Section):
    success_rate_floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    memory_floor: float | None = None


class TrackingSettings(Section):
    enabled: bool = True
    experiment: Annotated[str, Field(min_length=1)] = "memory-trials"
    uri: str | None = None


def _installed(backend: Any) -> Any:
    if backend == "ray" and importlib.util.find_spec("ray") is None:
        raise ValueError("Ray is not installed in this environment; `make ray` installs it")
    return backend


class ComputeSettings(Section):
    backend: Annotated[Literal["threads", "ray"], AfterValidator(_installed)] = "threads"
    cpus_per_shard: Annotated[int, Field(ge=1, le=1024)] = 1
    gpus_per_shard: Annotated[float, Field(ge=0, le=1)] = 0
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    shard: Annotated[int, Field(ge=1, le=100_000)] = 50
    cache_megabytes: Annotated[int, Field(ge=0, le=1_000_000_000)] = 1000


class Settings(Section):
    """Everything one run depends on. The defaults are the tutorial's."""

    problem: ProblemSettings
    encoding: EncodingSettings = EncodingSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    check: CheckSettings = CheckSettings()
    tracking: TrackingSettings = TrackingSettings()
    compute: ComputeSettings = ComputeSettings()

    def __init__(self, **sections: Any) -> None:
        """`UserError` for a mistake, as `load_settings` has it."""
        try:
            super().__init__(**sections)
        except ValidationError as error:
            raise UserError(f"Settings: {_first_mistake(error, type(self))}") from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # so model_validate does without it

    @model_validator(mode="after")
    def _streams_fit(self) -> "Settings":
        model, training = self.model, self.training
        if self.problem.stream is None:
            if model.cell in PUBLISHED_CELLS:
                raise ValueError(f"the cell {model.cell} learns from a stream: set problem.stream")
            if training.optimizer == "guess":
                raise ValueError("training.optimizer: guess is for problem.stream")
            if training.loss is not None:
                raise ValueError(
                    "training.loss is for problem.stream; of others model.output tells the loss: leave it out"
                )
            return self
        if model.cell not in STREAMED_CELLS:
            raise ValueError(f"problem.stream is for the cells {', '.join(STREAMED_CELLS)}, not {brief(model.cell)}")
        changed = next(
            (
                name
                for name, is_default in {
                    "encoding": self.encoding == EncodingSettings(),
                    "model.output": model.output != "softmax",
                    "model.forget_bias": model.forget_bias is None,
                    "training.reset": training.reset == "sequence",
                    "training.batch": training.batch == 1,
                    "training.batch_of": training.batch_of == "sequences",
                    "training.shuffle": not training.shuffle,
                    "evaluation.stateful": not self.evaluation.stateful,
                    "evaluation.margin": self.evaluation.margin == 0,
                    "evaluation.free_run": self.evaluation.free_run is None,
                }.items()
                if not is_default
            ),
            None,
        )
        if changed:
            raise ValueError(f"{changed} has no meaning for a stream: leave it out")
        if model.output == "linear" and training.loss == "cross_entropy":
            raise ValueError("training.loss: cross_entropy takes outputs between 0 and 1: set model.output: sigmoid")
        if training.update == "epoch" or training.window not in (1, "sequence"):
            raise ValueError("of a stream, the weights change after each window of 1 step, or after each sequence")
        if model.cell not in PUBLISHED_CELLS and training.update == "window" and training.optimizer != "guess":
            raise ValueError(
                f"the gradient of the cell {model.cell} takes whole sequences: set training.update: sequence"
            )
        return self


def defaults(section: type[Section] = Settings) -> dict[str, Any]:
    """Return the defaults of a section's fields, those of the sections in it by their names."""
    return {
        name: defaults(inner)
        if (inner := _section(field.annotation))
        else repr(field.get_default(call_default_factory=True))
        for name, field in section.model_fields.items()
    }


def load_settings(path: str | Path = "params.yaml") -> Settings:
    """Read and validate a parameter file; `UserError` names the file, the field, the value and what is allowed."""
    return validated(Settings, read_yaml(path), str(path))


def validated(model: type[SomeSection], content: Any, where: str) -> SomeSection:
    """The content as a model; `UserError` tells the first mistake in it, after `where`."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{where}: {_first_mistake(error, model)}") from None


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _section(annotation: Any) -> type[Section] | None:
    """The section that a field holds, also where it may be null, a list of sections, or something else."""
    if hasattr(annotation, "model_fields"):
        return annotation
    return next((found for option in get_args(annotation) if (found := _section(option))), None)


def _first_mistake(error: ValidationError, model: type[Section]) -> str:
    """One sentence for the first mistake (and how many more there are)."""
    mistakes = error.errors(include_url=False)
    first = mistakes[0]
    # pydantic adds the names of union members to the location; a path of keys and indices is what users know
    location: list[str] = []
    section: type[Section] = model
    inner: type[Section] | None = model
    for step in first["loc"]:
        if isinstance(step, int):
            location.append(f"[{step}]")
        elif inner is not None and step != inner.__name__:
            section, fields = inner, inner.model_fields
            inner = _section(fields[step].annotation) if step in fields else None
            location.append(step if step.isprintable() and len(step) < 60 else brief(step))
    field = ".".join(location).replace(".[", "[")
    same_place = [m for m in mistakes if m["loc"][: len(location)] == first["loc"][: len(location)]]
    if first["type"] == "extra_forbidden" and field in RENAMED:
        sentence = f"{field} is called {RENAMED[field]} now"
    elif first["type"] == "extra_forbidden":
        sentence = f"unknown key {field}; allowed here are {', '.join(section.model_fields)}"
    elif first["type"] == "missing":
        sentence = f"{field} is missing"
    else:
        reasons = dict.fromkeys(
            m["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("should ", "must ")
            for m in same_place
        )
        value = f" is {_shown(first['input'])}" if first["type"] != "value_error" or len(location) > 1 else ""
        sentence = f"{field}{value}: {' or '.join(reasons)}".removeprefix(": ")
    more = len({m["loc"][: len(location)] for m in mistakes}) - 1
    return sentence + (f" (and {more} more)" if more else "")
