"""Settings of endless streams: one model for each task. tasks/streams.py says what the tasks are."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union

from pydantic import Field, ValidationError, model_validator

from memory_trials.errors import UserError
from memory_trials.sections import Section, first_mistake

NO_RESULT_DEPENDS_ON_THIS = "it checks values; on these, and on the defaults, stages depend by studies/dependencies.py"

Steps = Annotated[int, Field(ge=4, le=100_000)]
LongSteps = Annotated[int, Field(ge=20, le=100_000)]


class StreamSettings(Section):
    """What all tasks share. A task's model annotates the settings that it takes; all others are None.

    So each task writes the same keys into keys of trials and files. length: T of Hochreiter & Schmidhuber (1997), for
    keys their p, for distractors their q. masked: whether some of the steps are scored, rather than all or the last.
    """

    masked: ClassVar[bool] = False
    task: str
    length: int | None = None
    symbols: int | None = None
    signal: int | None = None
    wrong: int | None = None
    middle: str | None = None
    noisy_signal: bool | None = None
    noisy_targets: bool | None = None
    different: bool | None = None

    @classmethod
    def taken(cls) -> dict[str, Any]:
        """Return the settings that the task takes besides its name, and their defaults."""
        own = [name for name in cls.__annotations__ if name in cls.model_fields and name != "task"]
        return {name: cls.model_fields[name].default for name in own}

    @classmethod
    def allowed(cls) -> list[str]:
        return ["task", *cls.taken()]

    @model_validator(mode="before")
    @classmethod
    def _only_what_it_takes(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = {name: value for name, value in given.items() if value is not None}
        others = set(StreamSettings.model_fields) - {"task", *cls.taken()}
        if other := next((name for name in given if name in others), ""):
            raise ValueError(f"{other} is no setting of the task {given['task']}, which takes {', '.join(cls.taken())}")
        return given


class Reber(StreamSettings):
    """Strings of the embedded Reber grammar. different: no string of the two sets comes twice."""

    task: Literal["reber"]
    different: bool = False


class Keys(StreamSettings):
    """A key that returns after `length` - 1 symbols, which count up or are random."""

    task: Literal["keys"]
    length: Steps = 100
    middle: Literal["counting", "random"] = "counting"


class Distractors(StreamSettings):
    """A key, and after at least `length` random symbols the question which one it was."""

    task: Literal["distractors"]
    length: Steps = 50
    symbols: Annotated[int, Field(ge=1, le=100_000)] = 50


class TwoSequence(StreamSettings):
    """Real numbers, noise but for the first `signal` ones, whose sign is the class."""

    task: Literal["two_sequence"]
    length: LongSteps = 100
    signal: Annotated[int, Field(ge=1, le=100)] = 3
    noisy_signal: bool = False
    noisy_targets: bool = False

    @model_validator(mode="after")
    def _signal_fits(self) -> "TwoSequence":
        if self.signal >= self.length:
            raise ValueError(f"signal is {self.signal}: it must be shorter than length, which is {self.length}")
        return self


class Adding(StreamSettings):
    """Pairs of a value and a marker; the target is the sum of the two marked values."""

    task: Literal["adding"]
    length: LongSteps = 100


class Multiplication(StreamSettings):
    """As adding, with a product. wrong: at most so many of the last 2,000 sequences may be."""

    task: Literal["multiplication"]
    length: LongSteps = 100
    wrong: Annotated[int, Field(ge=0, le=1999)] = 12


class TemporalOrder(StreamSettings):
    """The order of the symbols X and Y among others. signal: how many of them there are."""

    task: Literal["temporal_order"]
    length: LongSteps = 100
    signal: Literal[2, 3] = 2


class AssociativeRecall(StreamSettings):
    """Pairs of a key and a value, then each key again at a random place: answer its value. symbols: how many keys there
    are, and how many values."""

    masked = True
    task: Literal["associative_recall"]
    length: Annotated[int, Field(ge=3, le=100_000)] = 32
    pairs: Annotated[int, Field(ge=1, le=10_000)] = 4
    symbols: Annotated[int, Field(ge=2, le=10_000)] = 16

    @model_validator(mode="after")
    def _pairs_fit(self) -> "AssociativeRecall":
        if self.pairs > self.symbols:
            raise ValueError(f"pairs is {self.pairs}: each has a key of its own, of which symbols gives {self.symbols}")
        if self.length < 3 * self.pairs:
            raise ValueError(
                f"length is {self.length}: {self.pairs} pairs and their keys again take at least {3 * self.pairs} steps"
            )
        return self


class Parity(StreamSettings):
    """Random bits; the target is whether the ones so far are odd."""

    task: Literal["parity"]
    length: Annotated[int, Field(ge=2, le=100_000)] = 20


class CycleNavigation(StreamSettings):
    """Moves by -1, 0 or 1 on a cycle of five places; the target is the place."""

    task: Literal["cycle_navigation"]
    length: Annotated[int, Field(ge=2, le=100_000)] = 20


class SelectiveCopying(StreamSettings):
    """Tokens at random places among blanks; then they are repeated in order. length: steps of tokens and blanks."""

    masked = True
    task: Literal["selective_copying"]
    length: Annotated[int, Field(ge=1, le=100_000)] = 32
    tokens: Annotated[int, Field(ge=1, le=10_000)] = 4
    symbols: Annotated[int, Field(ge=2, le=10_000)] = 8

    @model_validator(mode="after")
    def _tokens_fit(self) -> "SelectiveCopying":
        if self.tokens > self.length:
            raise ValueError(f"length is {self.length}: {self.tokens} tokens take at least {self.tokens} steps")
        return self


class CopyingMemory(StreamSettings):
    """Tokens, then blanks and a cue; then the tokens are repeated in order. length: steps of blanks and the cue."""

    masked = True
    task: Literal["copying_memory"]
    length: Annotated[int, Field(ge=1, le=100_000)] = 50
    tokens: Annotated[int, Field(ge=1, le=10_000)] = 5
    symbols: Annotated[int, Field(ge=2, le=10_000)] = 8


class Induction(StreamSettings):
    """Random symbols, and among them a special one, which returns at the end: answer what followed it."""

    masked = True
    task: Literal["induction"]
    length: Annotated[int, Field(ge=3, le=100_000)] = 32
    symbols: Annotated[int, Field(ge=2, le=10_000)] = 16


class FlipFlop(StreamSettings):
    """Instructions to write, ignore or read, each followed by a bit; at a read, answer the bit that was written last.
    ignore: the probability of that instruction; the other two share the rest."""

    masked = True
    task: Literal["flip_flop"]
    length: Annotated[int, Field(ge=4, le=100_000, multiple_of=2)] = 64
    ignore: Annotated[float, Field(ge=0, le=1)] = 0.8


class AnBn(StreamSettings):
    """Some a, then as many b: answer at every step which symbols may follow. length: the largest number of a."""

    task: Literal["a_n_b_n"]
    length: Annotated[int, Field(ge=2, le=50_000)] = 12


if TYPE_CHECKING:
    AnyStream = StreamSettings
else:
    AnyStream = Annotated[Union[tuple(StreamSettings.__subclasses__())], Field(discriminator="task")]  # noqa: UP007
TAKES: dict[str, dict[str, Any]] = {
    model.model_fields["task"].annotation.__args__[0]: model.taken()  # type: ignore[union-attr]
    for model in StreamSettings.__subclasses__()
}


class _Given(Section):
    stream: AnyStream


def stream_settings(**given: Any) -> StreamSettings:
    """Return the settings of a task's stream; `UserError` for a mistake.

    Args:
        given: `task`, and what it takes, as in `problem.stream`.
    """
    try:
        return _Given.model_validate({"stream": given}).stream
    except ValidationError as error:
        raise UserError(first_mistake(error, _Given)) from None
