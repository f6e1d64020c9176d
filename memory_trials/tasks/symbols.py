"""Symbols: what one is called, how it is read from text, and which two of them would pass for one.

A symbol has one name, in every file, chart, message and request: that is `name`. No problem has two symbols of the same
name, nor two that are the same number (`check_distinct`), so a name finds its symbol again.
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence

from memory_trials.errors import UserError
from memory_trials.settings import Symbol

EXACT = 2**53  # from here on a double, and so the report's page, no longer tells all whole numbers apart
_NUMBER = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
# control characters, all white space but a space, and what has no width or turns the direction of a text
_UNSEEN = re.compile("[^\\S ]|[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def name(symbol: Symbol) -> str:
    """What a symbol is called: its text, or its number as Python writes it; what could not be seen is escaped (\\n)."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), str(symbol))


def from_text(text: str) -> Symbol:
    """A number where the text is one in ASCII digits, such as 7, -2.5 or 1e5; else the text itself.

    007 is text, as an identifier is; so is a number that is too large for a double, or for one to be exact.
    """
    if not _NUMBER.fullmatch(text):
        return text
    number = float(text)
    if not math.isfinite(number):
        return text
    if set(text) & set(".eE"):
        return number
    return int(text) if abs(number) < EXACT else text


def from_value(value: Symbol) -> Symbol:
    """The same for a value from a parameter file or from Python. `ValueError` where it has too many digits to write."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value)
    return int(value) if abs(value) < EXACT else str(int(value))


def check_distinct(written: Mapping[str, tuple[Symbol, str]], source: str) -> None:
    """`UserError` for two symbols that would pass for one: the same number, or the same name, or the same look.

    written: how each symbol is written, the symbol, and where it first stands.
    """
    known: dict[str, str] = {}
    for spelling, (symbol, place) in written.items():
        for key in _likenesses(symbol):
            other = known.setdefault(key, spelling)
            if other != spelling:
                first, its_place = written[other]
                raise UserError(
                    f"{source}: {_shown(other)} ({its_place}) and {_shown(spelling)} ({place}) {_alike(first, symbol)}"
                )


def _likenesses(symbol: Symbol) -> set[str]:
    """Texts that no other symbol may share."""
    if isinstance(symbol, str):
        return {unicodedata.normalize("NFC", name(symbol))}
    whole = isinstance(symbol, float) and symbol.is_integer() and abs(symbol) < EXACT
    return {name(symbol), *([str(int(symbol))] if whole else [])}


def _shown(spelling: str) -> str:
    quoted = spelling[:1] in ("'", '"')
    text = (
        spelling if spelling.isascii() and spelling.isprintable() else ascii(spelling)[quoted : -1 if quoted else None]
    )
    return text if len(text) <= 60 else f"{text[:57]}..."


def _alike(first: Symbol, second: Symbol) -> str:
    if not isinstance(first, str) and not isinstance(second, str):
        return (
            "are one number, written in two ways: write it in one way, or, where they are two symbols, "
            "both in quotes (in a .jsonl file or in params.yaml)"
        )
    if isinstance(first, str) and isinstance(second, str) and name(first) != name(second):
        return "look the same and are different characters: write them in one way"
    return "have the same name: write them in one way, or rename one"


def words(text: str) -> list[str]:
    """The symbols of a text: separated by spaces or commas, or a JSON array where symbols hold some themselves."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
        except (ValueError, RecursionError):
            return text.replace(",", " ").split()
        for symbol in found:
            if not isinstance(symbol, str):
                shown = "what is nested" if isinstance(symbol, list | dict) else json.dumps(symbol)
                raise UserError(f"the sequence holds {shown}: allowed are numbers and strings")
        return found
    return text.replace(",", " ").split()


def written(symbols: Sequence[Symbol]) -> str:
    """The inverse of `words`: the symbols' names in one text."""
    names = [name(symbol) for symbol in symbols]
    text = " ".join(names)
    if words(text) == names:
        return text
    return json.dumps([symbol if isinstance(symbol, int | float) else name(symbol) for symbol in symbols],
                      ensure_ascii=False)  # fmt: skip
