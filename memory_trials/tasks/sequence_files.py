"""Files of sequences, one a line: CSV, as spreadsheets and pandas write it, and JSON lines.

What a file leaves open (is the first line a header? what separates?) is not guessed: it is refused in one sentence,
which names the setting that says it.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

from memory_trials.errors import UserError, brief
from memory_trials.settings import CsvSettings, Symbol
from memory_trials.tasks import symbols

FOLDER = Path("data/problems")  # where users' sequence files live, and where the pipeline watches them
NO_FILE = "a pipe, a device or the like"
MOST_BYTES, MOST_SYMBOLS = 200_000_000, 10_000_000
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}  # any of them is what separates where each line holds it
INDEX_LINES = 5  # that many lines, whose first cells count, look numbered; where all other cells are words,
INDEX_LINES_OF_WORDS = 3  # that many
_QUOTED = re.compile(r'(^|[,;\t|])[ ]*"(?:[^"]|"")*"', re.MULTILINE)
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t| ])"?[ \t]*(?:\r\n?|\n|$)', re.IGNORECASE)  # the first line, for Excel
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+")

Lines = list[tuple[int, list[str]]]  # the number of each line, and its cells


def read_sequences(name: str, settings: CsvSettings, source: str = "params.yaml") -> list[list[Symbol]]:
    """Read data/problems/NAME: CSV (a cell that is written as a number is one) or JSON lines (one array a line).

    settings: of CSV, what the file leaves open. `UserError` names the line that cannot be used.
    """
    if Path(name).name != name or Path(name).suffix not in (".csv", ".jsonl") or not name.isprintable():
        allowed = f"allowed is the name of a .csv or .jsonl file in {FOLDER}/"
        raise UserError(f"{source}: problem.file is {brief(name)}: {allowed}")
    path = FOLDER / name
    text = _text(path)
    if not text.strip():
        raise UserError(f"{path} is empty: it must hold one sequence a line")
    if path.suffix == ".jsonl":
        return _symbols(path, _json_lines(path, text), _json_symbol)
    separator, lines = _csv_lines(path, text, settings)
    lines = _complete(path, _without_index(path, *_without_header(path, lines, settings), settings))
    return _symbols(path, lines, lambda cell: _csv_symbol(cell, separator))


def check_folder() -> None:
    """`UserError` for what is no file in data/problems/: DVC, which reads all of it, would wait for it without end."""
    for path in sorted(FOLDER.rglob("*")):
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UserError(f"{path} is {NO_FILE}: allowed in {FOLDER}/ are plain files")


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else NO_FILE
            raise UserError(f"{path}, named by problem.file, is {kind}: allowed is a plain file")
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UserError(f"{path} has {size:,} bytes: allowed are {MOST_BYTES:,}")
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}, named by problem.file, does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    # spreadsheets write their "Unicode text" in UTF-16, which its first two bytes say
    encoding = "UTF-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "UTF-8"
    try:
        text = content.decode("utf-16" if encoding == "UTF-16" else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not {encoding} text (byte {error.start}): save it as UTF-8") from None
    if "\0" in text:
        raise UserError(f"{path} is not UTF-8 text (character {text.index(chr(0)) + 1} is NUL): save it as UTF-8")
    return text


def _symbols(path: Path, lines: Lines, read: Callable[[str], Symbol]) -> list[list[Symbol]]:
    """The sequences of cells; `UserError` where two symbols would pass for one, or where there are too many."""
    count = sum(len(cells) for _, cells in lines)
    if count > MOST_SYMBOLS:
        raise UserError(f"{path} has {count:,} symbols: allowed are {MOST_SYMBOLS:,}")
    written: dict[str, tuple[Symbol, str]] = {}
    for number, cells in lines:
        for cell in cells:
            if cell not in written:
                written[cell] = (read(cell), f"line {number}")
    symbols.check_distinct(written, str(path))
    return [[written[cell][0] for cell in cells] for _, cells in lines]


def _csv_lines(path: Path, text: str, settings: CsvSettings) -> tuple[str, Lines]:
    """What separates, and the lines without what is empty at their ends and at the end of the file."""
    said, before = _SEPARATOR_LINE.match(text), 0
    if said:
        text, before = text[said.end() :], 1
    separator = settings.separator or (said[1] if said else _separator(path, text))
    # spaces around cells do not count, nor those before a cell in quotes
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator, skipinitialspace=True)
    lines = []
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            while cells and not cells[-1]:  # spreadsheets pad short rows
                cells.pop()
            lines.append((rows.line_num + before, cells))
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num + before} is not valid CSV: {error}") from None
    while lines and not lines[-1][1]:  # and the table
        lines.pop()
    if not lines:
        raise UserError(f"{path} is empty: it must hold one sequence a line")
    return separator, lines


def _separator(path: Path, text: str) -> str:
    """What stands in every line, outside of quotes; a comma where nothing does."""
    lines = [line for line in re.split(r"\r\n?|\n", _QUOTED.sub(r"\1", text)) if line.strip(" ,;\t|")] or [""]
    everywhere = lambda separator: all(separator in line for line in lines)
    found = list(filter(everywhere, SEPARATORS)) or list(filter(everywhere, "|")) or [","]
    if len(found) > 1:
        raise UserError(
            f"{path}: every line holds {' and '.join(SEPARATORS[each] for each in found)}: set problem.csv.separator "
            "to what stands between symbols (of a spreadsheet that writes 1,5 for one and a half, that is ;)"
        )
    return found[0]


def _without_header(path: Path, lines: Lines, settings: CsvSettings) -> tuple[Lines, bool]:
    """The lines that are sequences, and whether a header has said that an index comes first."""
    (number, first), *others = lines
    rows = [cells for _, cells in others]
    if settings.header is None and (why := _like_a_header(first, rows)):
        raise UserError(
            f"{path}, line {number} looks like a header, since {why}: {brief(', '.join(first))}; "
            "set problem.csv.header to true to leave it out, or to false where it is a sequence"
        )
    if not settings.header:
        return lines, False
    if not others:
        raise UserError(f"{path} has only a header: it must hold one sequence a line")
    return others, first[:1] == [""]


def _like_a_header(first: list[str], rows: list[list[str]]) -> str:
    """Why a first line seems to name the columns of the others; nothing where it does not."""
    if not rows or not first or len(set(first)) < len(first):  # names of columns differ
        return ""
    if first[0] == "" and "" not in first[1:]:
        return "its first cell is empty, as where pandas writes an index"
    if len(first) < max(map(len, rows)) or "" in first:
        return ""
    words = not any(map(_is_number, first))
    if words and all(_is_number(cell) for row in rows for cell in row):
        return "it holds words and all other lines numbers"
    if words and _numbered(rows):
        return "it holds words and all other lines begin with their numbers"
    if len(rows) >= 2 and len(first) >= 3 and first == [str(column) for column in range(max(map(len, rows)))]:
        return "it counts the columns, as pandas does"
    return ""


def _without_index(path: Path, lines: Lines, named: bool, settings: CsvSettings) -> Lines:
    """The lines without their first cells, where these are an index. named: the header says that there is one."""
    if settings.index is None and (named or _numbered([cells for _, cells in lines])):
        why = "the header's first cell is empty" if named else "they count the lines"
        raise UserError(
            f"{path}: the first cells of the lines look like an index, since {why}; "
            "set problem.csv.index to true to leave them out, or to false where they are symbols"
        )
    return [(number, cells[1:]) for number, cells in lines] if settings.index else lines


def _numbered(rows: list[list[str]]) -> bool:
    """Whether the first cells are line numbers: 0, 1, 2, ... or 1, 2, 3, ..., of enough lines.

    They are not where each line also ends with its number, which is then what must be remembered.
    """
    first = [cells[0] if cells else "" for cells in rows]
    if not any(first == [str(number) for number in range(start, start + len(rows))] for start in (0, 1)):
        return False
    of_words = not any(_is_number(cell) for cells in rows for cell in cells[1:])
    return len(rows) >= (INDEX_LINES_OF_WORDS if of_words else INDEX_LINES) and any(
        cells[-1] != cells[0] for cells in rows
    )


def _is_number(cell: str) -> bool:
    return not isinstance(symbols.from_text(cell), str) or _DECIMAL_COMMA.fullmatch(cell) is not None


def _complete(path: Path, lines: Lines) -> Lines:
    """The lines, none of them empty or with a gap."""
    for number, cells in lines:
        if not cells:
            raise UserError(f"{path}, line {number} is empty: each line must be a sequence")
        if "" in cells:
            raise UserError(f"{path}, line {number}: symbol {cells.index('') + 1} is missing")
    return lines


def _csv_symbol(cell: str, separator: str) -> Symbol:
    """Between semicolons, where numbers have decimal commas, 1,5 is 1.5."""
    if separator == ";" and _DECIMAL_COMMA.fullmatch(cell):
        number = symbols.from_text(cell.replace(",", "."))
        return cell if isinstance(number, str) else number
    return symbols.from_text(cell)


class _Number(str):
    """A number of JSON as it is written."""


def _json_lines(path: Path, text: str) -> Lines:
    """Each line's symbols, as they are written."""
    lines = []
    for number, line in enumerate(text.rstrip().split("\n"), 1):  # JSON's strings may hold other ends of lines
        if not line.strip():
            raise UserError(f"{path}, line {number} is empty: each line must be a sequence")
        try:
            sequence = json.loads(line, parse_int=_Number, parse_float=_Number)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}, line {number} is not valid JSON: {error}") from None
        if not isinstance(sequence, list):
            raise UserError(f"{path}, line {number} must be an array of symbols, such as [3, 0, 1, 2, 3]")
        for symbol in sequence:
            if not isinstance(symbol, str):
                shown = "what is nested" if isinstance(symbol, list | dict) else json.dumps(symbol)
                raise UserError(f"{path}, line {number}: {shown} is not a symbol; allowed are numbers and strings")
            try:
                symbol.encode()
            except UnicodeEncodeError:  # JSON can write half of a character, which no file can hold
                raise UserError(f"{path}, line {number}: {brief(symbol)} is no text in Unicode") from None
        written = lambda symbol: symbol if isinstance(symbol, _Number) else json.dumps(symbol, ensure_ascii=False)
        lines.append((number, [written(symbol) for symbol in sequence]))
    return lines


def _json_symbol(written: str) -> Symbol:
    return json.loads(written) if written.startswith('"') else symbols.from_text(written)
