"""The cells that there are: every module of this folder that assigns `CELL`, by the module's name.

Importing it imports neither TensorFlow nor JAX. Everything else that depends on a cell asks here.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable

from memory_trials import cells
from memory_trials.cells.interface import Cell, Shown

OTHERS = ("interface", "projections", "registry")  # modules that are no cells


@functools.cache
def all_cells() -> dict[str, Cell]:
    """Return all cells by name, in the order of their names."""
    found = sorted(module.name for module in pkgutil.iter_modules(cells.__path__) if module.name not in OTHERS)
    return {name: importlib.import_module(module_of(name)).CELL for name in found}


def find(name: str) -> Cell | None:
    """Return the cell of this name; None where it is none of these, but perhaps a user's."""
    return all_cells().get(name)


def named(having: Callable[[Cell], object]) -> list[str]:
    """Return the names of the cells of which this is true, such as `lambda cell: cell.keras`."""
    return [name for name, cell in all_cells().items() if having(cell)]


def module_of(name: str) -> str:
    """Return the dotted name of a cell's module."""
    return f"{cells.__name__}.{name}"


def shown(name: str) -> Shown | None:
    """Return how a cell is shown; None where it says nothing of it, or is a user's."""
    return getattr(importlib.import_module(module_of(name)), "SHOWN", None) if find(name) else None
