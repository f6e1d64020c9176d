"""What must be remembered: the sequences, their alphabet, and which steps are scored."""

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

from memory_trials.config import ProblemSettings, Symbol
from memory_trials.errors import UserError

FOLDER = Path("data/problems")  # where users' sequence files live, and where the pipeline watches them


@dataclass(frozen=True)
class Problem:
    """Sequences of symbols; at step t the model sees symbol t and must predict symbol t+1.

    alphabet: the distinct symbols, numbers before strings, each in ascending order; a symbol's
    one-hot index is its place here (for the tutorial's integers 0 to 4, the integer itself).
    sequences: at least two symbols each. scored: for each sequence, length - 1 booleans, one a step.
    """

    alphabet: tuple[Symbol, ...]
    sequences: tuple[tuple[Symbol, ...], ...]
    scored: tuple[tuple[bool, ...], ...]


def make_problem(settings: ProblemSettings, source: str = "params.yaml") -> Problem:
    """The problem that the settings describe; `UserError` names the sequence that cannot be used."""
    if settings.file is not None:
        source = str(FOLDER / settings.file)
        sequences = read_sequences(settings.file)
    else:
        sequences = settings.sequences
    for number, sequence in enumerate(sequences, 1):
        if len(sequence) < 2:
            raise UserError(
                f"{source}: sequence {number} is {sequence!r}: it must have at least 2 symbols, "
                "one to show and one to predict"
            )
    symbols = {symbol for sequence in sequences for symbol in sequence}
    if len(symbols) < 2:
        raise UserError(
            f"{source}: all sequences consist of the one symbol {symbols.pop()!r}: there is nothing to predict"
        )
    alphabet = tuple(sorted(symbols, key=lambda symbol: (isinstance(symbol, str), symbol)))
    last_only = settings.scored == "last"
    return Problem(
        alphabet=alphabet,
        sequences=tuple(tuple(sequence) for sequence in sequences),
        scored=tuple(
            tuple(not last_only or step == len(sequence) - 2 for step in range(len(sequence) - 1))
            for sequence in sequences
        ),
    )


def read_sequences(name: str) -> list[list[Symbol]]:
    """Read data/problems/NAME: CSV (cells that look like numbers are numbers) or JSON lines (one array a line)."""
    if Path(name).name != name or Path(name).suffix not in (".csv", ".jsonl"):
        raise UserError(f"problem.file is {name!r}: allowed is the name of a .csv or .jsonl file in {FOLDER}/")
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
    for number, line in enumerate(text.splitlines(), 1):
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
                raise UserError(
                    f"{path}, line {number}: {json.dumps(symbol)[:60]} is not a symbol; allowed are numbers and strings"
                )
        sequences.append(sequence)
    return sequences


def lag(problem: Problem) -> int | None:
    """Steps between the earliest symbol that some scored step needs and that step (the tutorial: 3).

    A step needs the shortest run of last symbols that determines its target, over all steps of all
    sequences. None where even the whole past does not: then no model can be right everywhere.
    """
    # a step's past, newest symbol first; None stands for "before the sequence began"
    steps = [
        (tuple(reversed(sequence[: step + 1])), sequence[step + 1], scored[step])
        for sequence, scored in zip(problem.sequences, problem.scored)
        for step in range(len(sequence) - 1)
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
    lines = [
        f"  {json.dumps({'symbols': s, 'scored': k}, ensure_ascii=False)}"
        for s, k in zip(problem.sequences, problem.scored)
    ]
    alphabet = json.dumps(problem.alphabet, ensure_ascii=False)
    return '{"version": 1,\n "alphabet": ' + alphabet + ',\n "sequences": [\n' + ",\n".join(lines) + "\n]}\n"


def from_json(text: str, path: Path) -> Problem:
    """The inverse of `to_json`; `UserError` where the text is cut short or of another version."""
    again = "run dvc repro to make it anew"
    try:
        content = json.loads(text)
        version = content["version"]
        if version == 1:
            return Problem(
                alphabet=tuple(content["alphabet"]),
                sequences=tuple(tuple(row["symbols"]) for row in content["sequences"]),
                scored=tuple(tuple(row["scored"]) for row in content["sequences"]),
            )
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: {again}") from None
    raise UserError(f"{path} is of version {version!r}, this code reads version 1: {again}")
