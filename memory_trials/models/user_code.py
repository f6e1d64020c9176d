"""What a user's cell raises, or a library on its behalf: one sentence that says what, and where in the user's file.

Keras and TensorFlow wrap what code raises in messages of many lines, whose first line seldom names the cause.
"""

from __future__ import annotations

import contextlib
import functools
import re
import site
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from memory_trials.errors import UserError

LONGEST = 300  # letters of what an exception says
_WRAPPED = "Exception encountered when calling"  # Keras's first line; the cause follows, and an account of arguments
_INSTALLED = [*map(sysconfig.get_path, ("stdlib", "purelib", "platlib")), *site.getsitepackages()]
_INSTALLED_IN = {"site-packages", "dist-packages"}  # also a user's own, and those of another environment on the path
_LIBRARIES = [Path(folder).resolve() for folder in (*_INSTALLED, str(Path(__file__).parents[1]))]


class Refusal(Exception):
    """What a cell does and must not do; method: where in the cell, such as call."""

    def __init__(self, words: str, method: str = ""):
        super().__init__(words)
        self.method = method


@contextlib.contextmanager
def during(method: str) -> Iterator[None]:
    """Say of what is raised in which method of the cell that was."""
    try:
        yield
    except Refusal as refusal:
        refusal.method = refusal.method or method
        raise
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise Refusal(described(error), method) from error


@contextlib.contextmanager
def as_user_error(cell: str, method: str = "") -> Iterator[None]:
    """Turn what is raised into a `UserError`, such as: model.cell my_cells.x.Cell, call: ..."""
    from memory_trials.models.backend import keras

    shortened = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()  # which replaces exceptions by others
    try:
        with during(method):
            yield
    except Refusal as refusal:
        where = f"model.cell {cell}, {refusal.method}" if refusal.method else f"model.cell {cell}"
        raise UserError(f"{where}: {refusal}") from refusal.__cause__ or refusal
    finally:
        if shortened:
            keras.config.enable_traceback_filtering()


def described(error: BaseException) -> str:
    """Return a description such as: AttributeError: module 'keras.ops' has no attribute 'tahn' (my_cells/typo.py,
    line 12)."""
    said = _said(error)
    while not said and (error.__cause__ or error.__context__):
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # just found to be one
        said = _said(error)
    place = _place(error)
    return type(error).__name__ + (f": {said}" if said else "") + (f" ({place})" if place else "")


def _said(error: BaseException) -> str:
    """The line of the message that says what happened."""
    if isinstance(error, SyntaxError):
        return error.msg
    text = re.sub(r"\x1b\[[0-9;]*m|\{\{.*?\}\}", "", str(error))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(_WRAPPED)]
    said = re.sub(r" ?\[Op:\w+\].*", "", lines[0]) if lines else ""
    said = said.strip(" :")
    return said if len(said) <= LONGEST else said[: LONGEST - 3] + "..."


def _place(error: BaseException) -> str:
    """The last line in a file that is neither a library's nor this project's."""
    if isinstance(error, SyntaxError) and error.filename:
        return _shown(error.filename, error.lineno)
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # None ends the loop
    for each in chain:
        for frame in reversed(traceback.extract_tb(each.__traceback__)):
            if is_users(frame.filename):
                return _shown(frame.filename, frame.lineno)
    return ""


def is_users(file: str) -> bool:
    """Return whether a file of code belongs neither to Python nor to an installed library nor to this library."""
    path = Path(file)
    if not path.is_file() or not _INSTALLED_IN.isdisjoint(path.parts):
        return False
    return not any(path.resolve().is_relative_to(folder) for folder in _LIBRARIES)


_is_users = functools.cache(is_users)  # which takes tenths of a second for all modules of JAX and TensorFlow
_imported: dict[str, tuple[int, int]] = {}  # the user's files that this process has imported: time and size


def edited() -> list[str]:
    """Return the user's files that this process has imported and that have changed since this was first asked of
    them."""
    changed = []
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and _is_users(file):
            stat = Path(file).stat()
            now = stat.st_mtime_ns, stat.st_size
            if _imported.setdefault(file, now) != now:
                changed.append(file)
    return changed


def _shown(file: str, line: int | None) -> str:
    path = Path(file)
    with contextlib.suppress(ValueError):
        path = path.resolve().relative_to(Path.cwd())
    return f"{path.as_posix()}, line {line}"
