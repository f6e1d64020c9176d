"""What must be remembered: the sequences, their alphabet, and which steps count."""

import csv
import functools
import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memory_trials import files
from memory_trials.errors import UserError, brief
from memory_trials.settings import GeneratedSettings, ProblemSettings, Symbol

FOLDER = Path("data/problems")  # where users' sequence files live, and where the pipeline watches them
MOST_GENERATED = 10_000_000  # symbols


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


def make_problem(settings: ProblemSettings, source: str = "params.yaml") -> Problem:
    """The problem that the settings describe; `UserError` names the sequence that cannot be used."""
    evaluation_sequences: Sequence[Sequence[Symbol]] | None = settings.evaluation_sequences
    sequences: Sequence[Sequence[Symbol]]
    if settings.generate is not None:
        sequences, evaluation_sequences = _generate(settings.generate, source)
    elif settings.file is not None:
        sequences = read_sequences(settings.file, source)
        source = str(FOLDER / settings.file)
    else:
        sequences = settings.sequences or []  # one of the three is given
    for name, given in (("sequence", sequences), ("evaluation sequence", evaluation_sequences or [])):
        for number, sequence in enumerate(given, 1):
            if len(sequence) < 2:
                raise UserError(
                    f"{source}: {name} {number} is {brief(sequence)}: it must have at least 2 symbols, "
                    "one to show and one to predict"
                )
    symbols = {symbol for sequence in [*sequences, *(evaluation_sequences or [])] for symbol in sequence}
    if len(symbols) < 2:
        raise UserError(
            f"{source}: all sequences consist of the one symbol {brief(symbols.pop())}: there is nothing to predict"
        )
    trained_on = tuple(tuple(sequence) for sequence in sequences)
    return Problem(
        alphabet=tuple(sorted(symbols, key=lambda symbol: (isinstance(symbol, str), symbol))),
        sequences=trained_on,
        evaluation_sequences=tuple(tuple(sequence) for sequence in evaluation_sequences)
        if evaluation_sequences
        else trained_on,
        last_only=settings.scored == "last",
    )


def _generate(settings: GeneratedSettings, source: str) -> tuple[list[list[int]], list[list[int]] | None]:
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
        return [[key, *middle, key] for key in range(first, first + keys)], None
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
    sequences = [list(sequence) for sequence in made]
    return sequences[: settings.train], sequences[settings.train :] or None


def read_sequences(name: str, source: str = "params.yaml") -> list[list[Symbol]]:
    """Read data/problems/NAME: CSV (cells that look like numbers are numbers) or JSON lines (one array a line)."""
    if Path(name).name != name or Path(name).suffix not in (".csv", ".jsonl") or not name.isprintable():
        allowed = f"allowed is the name of a .csv or .jsonl file in {FOLDER}/"
        raise UserError(f"{source}: problem.file is {brief(name)}: {allowed}")
    path = FOLDER / name
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}, named by problem.file, does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start})") from None
    if not text.strip():
        raise UserError(f"{path} is empty: it must hold one sequence a line")
    parse = _csv_rows if path.suffix == ".csv" else _json_lines
    return parse(path, text.rstrip("\r\n") + "\n")


def _csv_rows(path: Path, text: str) -> list[list[Symbol]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    sequences = []
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            while cells and not cells[-1]:  # spreadsheets pad short rows
                cells.pop()
            if not cells:
                raise UserError(f"{path}, line {rows.line_num} is empty: each line must be a sequence")
            if "" in cells:
                raise UserError(f"{path}, line {rows.line_num}: symbol {cells.index('') + 1} is missing")
            sequences.append([_number_or_text(cell) for cell in cells])
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num} is not valid CSV: {error}") from None
    return sequences


def _number_or_text(cell: str) -> Symbol:
    if "_" in cell:  # Python reads 1_000 as a number, a spreadsheet does not
        return cell
    for number in (int, float):
        try:
            value = number(cell)
        except ValueError:
            continue
        if math.isfinite(value):
            return value
    return cell


def _json_lines(path: Path, text: str) -> list[list[Symbol]]:
    sequences = []
    for number, line in enumerate(text.split("\n")[:-1], 1):  # JSON's strings may hold other ends of lines
        try:
            sequence = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}, line {number} is not valid JSON: {error}") from None
        if not isinstance(sequence, list):
            raise UserError(f"{path}, line {number} must be an array of symbols, such as [3, 0, 1, 2, 3]")
        for symbol in sequence:
            if (
                isinstance(symbol, bool)
                or not isinstance(symbol, Symbol)
                or symbol != symbol
                or symbol in (math.inf, -math.inf)
            ):
                shown = json.dumps(symbol) if not isinstance(symbol, list | dict) else "what is nested"
                raise UserError(f"{path}, line {number}: {shown[:60]} is not a symbol; allowed are numbers and strings")
            if isinstance(symbol, str) and not symbol.isprintable():
                _check_text(path, number, symbol)
        sequences.append(sequence)
    return sequences


def _check_text(path: Path, number: int, symbol: str) -> None:
    """JSON can write half of a character, which no file can hold."""
    try:
        symbol.encode()
    except UnicodeEncodeError:
        raise UserError(f"{path}, line {number}: {brief(symbol)} is no text in Unicode") from None


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


def to_json(problem: Problem) -> str:
    """The text of sequences.json: one sequence a line, readable in a diff."""
    written = lambda sequences: ",\n".join(f"  {json.dumps(sequence, ensure_ascii=False)}" for sequence in sequences)
    content = (
        f' "alphabet": {json.dumps(problem.alphabet, ensure_ascii=False)},\n'
        f' "last_only": {json.dumps(problem.last_only)},\n "sequences": [\n{written(problem.sequences)}\n],\n'
        f' "evaluation_sequences": [\n{written(problem.evaluation_sequences)}\n]}}\n'
    )
    return f'{{"version": 4, "sha256": "{_checksum(content)}",\n{content}'


def _checksum(content: str) -> str:
    """Of all lines but the first: in text, a changed digit is as good as any other."""
    return hashlib.sha256(content.encode()).hexdigest()


def read_problem(path: Path) -> Problem:
    """The problem in a sequences.json; `UserError` where it is missing or damaged."""
    return from_json(files.read_text(path), path)


def described(problem: Problem) -> str:
    """How large a problem is, and how far back memory must reach."""
    reach = lag(problem)
    if reach is None:
        return "note: no model can learn this: two sequences are alike up to a scored step where they differ"
    size = f"{len(problem.sequences)} sequences of {len(problem.alphabet)} symbols"
    return f"{size}; memory must reach back {reach} steps"


def from_json(text: str, path: Path) -> Problem:
    """The inverse of `to_json`; `UserError` where the text is cut short, changed or of another version."""
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
