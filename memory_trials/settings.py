"""Validated, frozen settings, as params.yaml holds them. params.yaml says what each of them means."""

import importlib.util
import sys
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from memory_trials import files
from memory_trials.cells import registry
from memory_trials.cells.interface import OUTPUTS
from memory_trials.errors import UserError, brief
from memory_trials.parameter_files import read_yaml
from memory_trials.sections import Section, first_mistake, validated
from memory_trials.stream_settings import AnyStream, StreamSettings

NO_RESULT_DEPENDS_ON_THIS = "it checks values; on these, and on the defaults, stages depend by studies/dependencies.py"

Symbol = int | float | str


def _known_cell(cell: Any) -> Any:
    """Check that it is a cell of the library, or a dotted path whose first package exists; training imports it."""
    if not isinstance(cell, str) or registry.find(cell):
        return cell
    if "." not in cell or not all(name.isidentifier() for name in cell.split(".")):
        raise ValueError(
            f"no such cell; the built-in cells are {', '.join(registry.all_cells())}, "
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


class CsvSettings(Section):
    """How a .csv file is read; null where the file makes it clear, and refused where it does not.

    separator: the character between symbols. header: the first line names columns, and is left out. index: each line
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
    stream: AnyStream | None = None
    evaluation_sequences: Annotated[list[list[Symbol]], Field(min_length=1)] | None = None
    scored: Literal["all", "last"] = "all"

    @property
    def endless(self) -> bool:
        """Whether it is a stream, whose sequences never end, and of which nothing is predicted symbol by symbol."""
        return self.stream is not None

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


class ModelSettings(Section):
    cell: Annotated[str, BeforeValidator(_known_cell)] = "lstm"
    units: Annotated[int, Field(ge=1, le=4096)] = 20
    output: Literal["sigmoid", "softmax", "linear"] = "sigmoid"
    forget_bias: float | ChronoSettings | None = None
    cell_options: dict[str, Any] = {}  # noqa: RUF012  # pydantic copies it

    @property
    def options(self) -> Section | None:
        """cell_options as the cell's own model, with defaults; None where it has none. `UserError` for a mistake."""
        cell = registry.find(self.cell)
        form = cell.own_form if cell else None
        return validated(form.options, self.cell_options, "cell_options") if form else None

    @model_validator(mode="after")
    def _options_fit(self) -> "ModelSettings":
        cell = registry.find(self.cell)
        if cell and cell.own_form:
            try:
                options = self.options
            except UserError as error:
                raise ValueError(str(error)) from None
            cell.own_form.check(self.units, options)
        return self

    @model_validator(mode="after")
    def _output_fits(self) -> "ModelSettings":
        cell = registry.find(self.cell)
        if self.output not in (cell.outputs if cell else OUTPUTS):
            takers = " and ".join(registry.named(lambda cell: self.output in cell.outputs))
            raise ValueError(
                f"output is {self.output}, which only {takers} takes, not {self.cell}: set {' or '.join(OUTPUTS)}"
            )
        return self

    @model_validator(mode="after")
    def _has_a_forget_gate(self) -> "ModelSettings":
        if self.forget_bias is None:
            return self
        forgetful = registry.named(lambda cell: cell.set_forget_bias)
        if self.cell not in forgetful:
            raise ValueError(f"forget_bias is for the cells {' and '.join(forgetful)}; {self.cell} has no forget gate")
        if self.cell_options.get("use_bias") is False:
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
    engine: Literal["auto", "tensorflow", "jax"] = "auto"

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
            raise UserError(f"Settings: {first_mistake(error, type(self))}") from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # so model_validate does without it

    @model_validator(mode="after")
    def _tables_fit(self) -> "Settings":
        if self.problem.stream is not None:
            return self
        cell = registry.find(self.model.cell)
        if cell and not cell.takes_tables:
            raise ValueError(f"the cell {self.model.cell} learns from a stream: set problem.stream")
        if cell and cell.jax and self.training.engine == "tensorflow":
            raise ValueError(f"training.engine: tensorflow does not train the cell {self.model.cell}: set auto or jax")
        if self.training.optimizer == "guess":
            raise ValueError("training.optimizer: guess is for problem.stream")
        if self.training.loss is not None:
            raise ValueError(
                "training.loss is for problem.stream; otherwise model.output determines the loss: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _streams_fit(self) -> "Settings":
        if self.problem.stream is None:
            return self
        model, training = self.model, self.training
        cell = registry.find(model.cell)
        if cell is not None and not cell.takes_streams:
            streamed = ", ".join(registry.named(lambda cell: cell.takes_streams))
            raise ValueError(f"problem.stream is for the cells {streamed}, not {brief(model.cell)}")
        by_jax = not streamed_in_c(model, training, self.encoding.history, self.problem.stream)
        whole = by_jax or (cell is not None and not cell.layout and training.optimizer != "guess")
        if whole and training.update == "window":
            whose = f"the cell {model.cell}" if cell else "a cell of your own"
            raise ValueError(f"the gradient of {whose} needs whole sequences: set training.update: sequence")
        if by_jax and (training.optimizer == "guess" or model.output == "linear"):
            raise ValueError(
                "on a stream, a cell of your own, a task that scores only some of the steps, output: softmax, batch, "
                "history and engine: jax do not support optimizer: guess or output: linear"
            )
        for name in OF_TABLES:
            if attrgetter(name)(self) != attrgetter(name)(DEFAULTS):
                raise ValueError(f"{name} has no meaning for a stream: leave it out")
        if self.problem.scored != "all":
            raise ValueError("problem.scored has no meaning for a stream, whose task says what is scored: leave it out")
        if training.engine == "tensorflow":
            raise ValueError("training.engine: tensorflow does not train on a stream: set auto or jax")
        if model.output == "softmax" and training.loss == "squared_error":
            raise ValueError("training.loss is squared_error, but with model.output: softmax it is cross_entropy")
        if by_jax and cell is not None and cell.keras is None and cell.jax is None:
            raise ValueError(
                f"on a stream, the cell {model.cell} does not support batch, encoding.history, output: softmax or "
                "engine: jax, nor a task that scores only some of the steps"
            )
        for name, value in (("epochs", training.epochs), ("evaluation.interval", self.evaluation.interval)):
            if value % training.batch:
                raise ValueError(f"on a stream, {name} must be a multiple of training.batch, which is {training.batch}")
        if model.output == "linear" and training.loss == "cross_entropy":
            raise ValueError("training.loss: cross_entropy takes outputs between 0 and 1: set model.output: sigmoid")
        if training.update == "epoch" or training.window not in (1, "sequence"):
            raise ValueError("on a stream, training.update must be window, with training.window: 1, or sequence")
        return self


def streamed_in_c(model: ModelSettings, training: TrainingSettings, history: int, stream: StreamSettings) -> bool:
    """Return whether the engine in C trains this on a stream. JAX also trains on batches, on inputs of several symbols,
    with a softmax, and where some of the steps are scored."""
    cell = registry.find(model.cell)
    plain = history == training.batch == 1 and model.output != "softmax" and training.engine != "jax"
    return cell is not None and "streaming" in cell.engines and plain and not stream.masked


DEFAULTS = Settings.model_construct()
# settings that have no meaning for a stream
OF_TABLES = (
    "encoding.history_as", "model.forget_bias", "training.reset", "training.batch_of",
    "training.shuffle", "evaluation.stateful", "evaluation.margin", "evaluation.free_run",
)  # fmt: skip


def load_settings(path: str | Path = "params.yaml") -> Settings:
    """Read and validate a parameter file; `UserError` names the file, the field, the value and what is allowed."""
    return validated(Settings, read_yaml(path), str(path))
