"""What must be remembered: the sequences, their alphabet, and which steps count."""

import functools
import hashlib
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memory_trials import files
from memory_trials.errors import UserError, brief
from memory_trials.settings import GeneratedSettings, ProblemSettings, Symbol
from memory_trials.tasks import symbols
from memory_trials.tasks.sequence_files import FOLDER, read_sequences

MOST_GENERATED = 10_000_000  # symbols

Sequences = tuple[tuple[Symbol, ...], ...]


@dataclass(frozen=True)
class Problem:
    """Sequences of symbols; at step t the model sees symbol t and must predict symbol t+1.

    alphabet: the distinct symbols, numbers before strings, each in ascending order; a symbol's
    one-hot index is where it stands here (for the tutorial's integers 0 to 4, the integer itself).
    sequences: what is trained on, at least two symbols each. evaluation_sequences: what *learned* is decided on,
    which is the same unless the settings say otherwise. last_only: only the last step of each sequence counts.
    """

    alphabet: tuple[Symbol, ...]
    sequences: tuple[tuple[Symbol, ...], ...]
    evaluation_sequences: tuple[tuple[Symbol, ...], ...]
    last_only: bool = False

    @functools.cached_property
    def index(self) -> dict[Symbol, int]:
        """Of each symbol in the alphabet."""
        return {symbol: index for index, symbol in enumerate(self.alphabet)}

    def scored(self, sequence: tuple[Symbol, ...]) -> list[bool]:
        """For each step of a sequence (one fewer than its symbols): does it count?"""
        steps = len(sequence) - 1
        return [not self.last_only or step == steps - 1 for step in range(steps)]

    def targets(self, sequence: tuple[Symbol, ...]) -> tuple[Symbol, ...]:
        """Return the target of each step of a sequence: the next symbol."""
        return sequence[1:]

    def to_json(self, seed: int = 0) -> str:
        """Return the text of sequences.json, one sequence a line, readable in a diff; whatever the first seed."""
        line = lambda sequence: f"  {json.dumps(sequence, ensure_ascii=False)}"
        written = lambda sequences: ",\n".join(map(line, sequences))
        content = (
            f' "alphabet": {json.dumps(self.alphabet, ensure_ascii=False)},\n'
            f' "last_only": {json.dumps(self.last_only)},\n "sequences": [\n{written(self.sequences)}\n],\n'
            f' "evaluation_sequences": [\n{written(self.evaluation_sequences)}\n]}}\n'
        )
        return f'{{"version": 4, "sha256": "{_checksum(content)}",\n{content}'

    def described(self) -> str:
        """Return how large the problem is, and how far back memory must reach, in one line."""
        reach = lag(self)
        if reach is None:
            return "note: no model can learn this: two sequences are alike up to a scored step where they differ"
        size = f"{len(self.sequences)} sequences of {len(self.alphabet)} symbols"
        return f"{size}; memory must reach back {reach} steps"


class Example(tuple):
    """A sequence whose targets are given: its inputs, and after them its last target, so that it is as long as others.

    targets, scored: of each step, its target and whether it counts.
    """

    targets: tuple[Symbol, ...]
    scored: tuple[bool, ...]

    def __new__(cls, inputs: tuple[Symbol, ...], targets: tuple[Symbol, ...], scored: tuple[bool, ...]) -> "Example":
        example = super().__new__(cls, (*inputs, targets[-1]))
        example.targets, example.scored = targets, scored
        return example


class Examples(Problem):
    """A problem whose sequences are all an `Example`."""

    def scored(self, sequence: tuple[Symbol, ...]) -> list[bool]:
        assert isinstance(sequence, Example)
        return list(sequence.scored)

    def targets(self, sequence: tuple[Symbol, ...]) -> tuple[Symbol, ...]:
        assert isinstance(sequence, Example)
        return sequence.targets


def make_problem(settings: ProblemSettings, source: str = "params.yaml") -> Problem:
    """The problem that the settings describe; `UserError` names the sequence that cannot be used."""
    if settings.generate is not None:
        sequences, evaluated = _generate(settings.generate, source)
    else:
        given: list[list[Symbol]]
        if settings.file is not None:
            given = read_sequences(settings.file, settings.csv, source)
            source = str(FOLDER / settings.file)
        else:
            given = settings.sequences or []  # one of the sources is given
        sequences, evaluated = _from_values(given, settings.evaluation_sequences or [], source)
    for name, found in (("sequence", sequences), ("evaluation sequence", evaluated)):
        for number, sequence in enumerate(found, 1):
            if len(sequence) < 2:
                raise UserError(
                    f"{source}: {name} {number} is {brief(list(sequence))}: it must have at least 2 symbols, "
                    "one to show and one to predict"
                )
    alphabet = {symbol for sequence in (*sequences, *evaluated) for symbol in sequence}
    if len(alphabet) < 2:
        raise UserError(
            f"{source}: all sequences consist of the one symbol {brief(alphabet.pop())}: there is nothing to predict"
        )
    return Problem(
        alphabet=tuple(sorted(alphabet, key=lambda symbol: (isinstance(symbol, str), symbol))),
        sequences=sequences,
        evaluation_sequences=evaluated or sequences,
        last_only=settings.scored == "last",
    )


def _from_values(
    sequences: list[list[Symbol]], evaluated: list[list[Symbol]], source: str
) -> tuple[Sequences, Sequences]:
    """Sequences to train and to evaluate on, of symbols that can be told apart; `UserError` names two that cannot."""
    known: dict[tuple, Symbol] = {}
    written: dict[str, tuple[Symbol, str]] = {}

    def read(value: Symbol, place: str) -> Symbol:
        key = (type(value), repr(value) if isinstance(value, float) else value)  # 1 is 1.0 and 0.0 is -0.0 to Python
        if key not in known:
            try:
                known[key] = symbols.from_value(value)
            except ValueError:
                raise UserError(
                    f"{source}: {place} holds a number of more than {sys.get_int_max_str_digits():,} digits"
                ) from None
            written[repr(value)] = known[key], place
        return known[key]

    found = tuple(
        tuple(tuple(read(value, f"{name} {number}") for value in sequence) for number, sequence in enumerate(given, 1))
        for name, given in (("sequence", sequences), ("evaluation sequence", evaluated))
    )
    symbols.check_distinct(written, source)
    return found[0], found[1]


def _generate(settings: GeneratedSettings, source: str) -> tuple[Sequences, Sequences]:
    """Sequences key, middle of `lag` symbols, key; and those to evaluate on instead, if any.

    counting: the middle is 0, 1, 2, ... (the tutorial is lag 3 with 2 keys); fixed: one symbol over and over;
    random: the middles differ, drawn from `symbols` symbols, no sequence twice, the keys in turn.
    """
    lag, keys = settings.lag, settings.keys
    count = settings.train + settings.unseen if settings.middle == "random" else keys
    if count * (lag + 2) > MOST_GENERATED:
        raise UserError(
            f"{source}: problem.generate asks for {count} sequences of {lag + 2} symbols, "
            f"which is more than {MOST_GENERATED:,} in all"
        )
    if settings.middle != "random":
        middle = list(range(lag)) if settings.middle == "counting" else [0] * lag
        first = max(middle) + 1
        return tuple((key, *middle, key) for key in range(first, first + keys)), ()
    wanted = settings.train + settings.unseen
    # middles of any length can be counted, but a few thousand symbols' worth of them is more than anybody needs
    there_are = settings.symbols**lag if lag < 60 else math.inf
    if -(-wanted // keys) > there_are:
        raise UserError(
            f"{source}: problem.generate asks for {wanted} different sequences, but with lag {lag}, "
            f"{settings.symbols} symbols and {keys} keys there are only {int(there_are) * keys}"
        )
    rng = np.random.default_rng(settings.seed)
    made: dict[tuple[int, ...], None] = {}
    while len(made) < wanted:
        key = settings.symbols + len(made) % keys
        middle = rng.integers(settings.symbols, size=lag).tolist()
        made.setdefault((key, *middle, key))
    sequences = tuple(made)
    return sequences[: settings.train], sequences[settings.train :]


def lag(problem: Problem) -> int | None:
    """Steps between the earliest symbol that some scored step needs and that step (the tutorial: 3).

    A step needs the shortest run of last symbols that determines its target, over all steps of all
    sequences. None where even the whole past does not: then no model can be right everywhere.
    """
    # a step's past, newest symbol first; None stands for "before the sequence began"
    steps = [
        (tuple(reversed(sequence[: step + 1])), sequence[step + 1], scored)
        for sequence in dict.fromkeys((*problem.sequences, *problem.evaluation_sequences))
        for step, scored in enumerate(problem.scored(sequence))
    ]
    undecided = [(past, target) for past, target, is_scored in steps if is_scored]
    for needed in range(1, max(len(past) for past, _ in undecided) + 2):
        targets: dict[tuple, set] = {}
        for past, target in undecided:
            seen = past[:needed] if len(past) >= needed else past + (None,)
            targets.setdefault(seen, set()).add(target)
        undecided = [
            (past, target)
            for past, target in undecided
            if len(targets[past[:needed] if len(past) >= needed else past + (None,)]) > 1
        ]
        if not undecided:
            return needed - 1
    return None


def _checksum(content: str) -> str:
    """Of all lines but the first: in text, a changed digit is as good as any other."""
    return hashlib.sha256(content.encode()).hexdigest()


def read_problem(path: Path) -> Problem:
    """The problem in a sequences.json; `UserError` where it is missing or damaged."""
    return from_json(files.read_text(path), path)


def from_json(text: str, path: Path) -> Problem:
    """The inverse of `Problem.to_json`; `UserError` where the text is cut short, changed or of another version."""
    again = "run dvc repro to make it anew"
    try:
        content = json.loads(text)
        version = content["version"]
        if version == 4:
            if content["sha256"] != _checksum(text.partition("\n")[2]):
                raise ValueError
            return Problem(
                alphabet=tuple(content["alphabet"]),
                sequences=tuple(tuple(sequence) for sequence in content["sequences"]),
                evaluation_sequences=tuple(tuple(sequence) for sequence in content["evaluation_sequences"]),
                last_only=content["last_only"],
            )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path} is damaged: {again}") from None
    raise UserError(f"{path} is of version {brief(version)}, this code reads version 4: {again}")
