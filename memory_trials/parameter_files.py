"""Parameter files in YAML, read as DVC reads them, and refused where DVC or JSON could not hold what is in them."""

import copy
import functools
import re
from datetime import date
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent, ScalarEvent, SequenceStartEvent

from memory_trials.errors import UserError, brief

NO_RESULT_DEPENDS_ON_THIS = "it reads what stages depend on by their parameters"
DEEPEST, MOST_VALUES = 50, 1_000_000
ZERO_FIRST = re.compile(r"[-+]?0[0-9_]+(\.[0-9_]*)?")  # which may be meant as text


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read the sections of a parameter file as DVC does (YAML 1.2).

    Raises:
        UserError: It is missing or not YAML.
    """
    path = Path(path)
    try:
        parsed, doubtful = _parsed(path.read_text(encoding="utf-8"))
        content = copy.deepcopy(parsed)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run this from the folder that holds it") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start})") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = " ".join((getattr(error, "problem", None) or str(error)).split())[:200]
        raise UserError(f"{path}{where} is not valid YAML: {what}") from None
    except RecursionError:
        raise UserError(f"{path} is nested more than {DEEPEST} levels deep") from None
    except (ValueError, TypeError) as error:  # impossible dates, endless numbers, odd keys
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())[:200]}") from None
    if doubtful:
        line, text = doubtful
        raise UserError(
            f"{path}, line {line}: {text[:60]} is a number to YAML, which drops the zeros; "
            "put it in quotes, and it is text, or leave the zeros out"
        )
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold named sections, not {'null' if content is None else brief(content)}")
    _check_plain(content, path)
    return content


@functools.lru_cache(4)  # the paper's rows take 45 ms, and a process asks for such files several times
def _parsed(text: str) -> tuple[Any, tuple[int, str] | None]:
    """The content; and line and text of the first number in a list of lists, as symbols are, that begins with a zero
    which YAML drops."""
    nested: list[bool] = []  # for each list or section around: is it a list?
    doubtful = None
    for event in YAML(typ="safe").parse(text):
        if isinstance(event, CollectionStartEvent):
            nested.append(isinstance(event, SequenceStartEvent))
        elif isinstance(event, CollectionEndEvent):
            nested.pop()
        elif isinstance(event, ScalarEvent) and event.implicit[0] and nested[-2:] == [True, True]:
            if doubtful is None and ZERO_FIRST.fullmatch(event.value):
                doubtful = event.start_mark.line + 1, event.value
        if len(nested) > DEEPEST:  # libyaml, which builds what is nested, would run over the end of its stack
            raise RecursionError
    return YAML(typ="safe").load(text), doubtful


def _check_plain(content: dict, path: Path) -> None:
    """`UserError` for what JSON could not hold: dates, sets, bytes, what holds itself, and the gigabytes that a
    few lines of aliases unfold to."""
    known: dict[int, tuple[int, int]] = {}  # by identity, since an alias is the same list or section once more

    def look(value: object, depth: int) -> tuple[int, int]:
        """Return the number of values in a value, itself included, and of its levels."""
        if isinstance(value, dict | list) and depth <= DEEPEST:
            if id(value) not in known:
                inner = (*value, *value.values()) if isinstance(value, dict) else value
                counts, levels = zip((1, 0), *(look(each, depth + 1) for each in inner))
                known[id(value)] = sum(counts), max(levels) + 1
            values, deep = known[id(value)]
        elif isinstance(value, date):
            raise UserError(f"{path}: {value} is a date to YAML; put it in quotes, and it is text")
        elif not isinstance(value, dict | list | str | int | float | None):
            raise UserError(f"{path}: {brief(value)} is neither text, number, true, false, null, list nor section")
        else:
            values, deep = 1, 0
        if depth + deep > DEEPEST:
            raise UserError(f"{path} is nested more than {DEEPEST} levels deep")
        if values > MOST_VALUES:
            raise UserError(f"{path} holds more than {MOST_VALUES:,} values")
        return values, deep

    look(content, 0)
