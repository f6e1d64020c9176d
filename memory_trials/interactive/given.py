"""A cell as a person gives one, which is a class, an instance or a name -> the settings of the section `model`.

Settings name a cell by its dotted path. A class that no path leads to, such as one that a function returned, is put
into a module of this process, GIVEN, so that it has a path here.
"""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from memory_trials.cells import registry
from memory_trials.engines import own
from memory_trials.errors import UserError, brief
from memory_trials.models.protocol import FUNCTIONS
from memory_trials.models.user_code import edited

GIVEN = "given_cells"
KERAS = {name: cell.keras for name, cell in registry.all_cells().items() if cell.keras}
BUILT_IN = {keras.cell: name for name, keras in KERAS.items() if "." not in keras.cell}  # of Keras's classes
LAYERS = {keras.layer: keras.cell for keras in KERAS.values() if "." not in keras.cell}  # which hold a cell
OF_CLASSES = ("torch", "equinox", "flax", "haiku")  # libraries whose instances do not say what they were made by
OF_EVERY_LAYER = ("name", "trainable", "dtype")  # in a layer's configuration, and no argument of the cell


def model_of(cell: Any) -> dict[str, Any]:
    """Return the settings of the section `model` that name this cell.

    Args:
        cell: the name of a built-in cell; a dotted path, such as my_cells.leaky.LeakyCell; a file and a class in it,
            such as my_cells/leaky.py:LeakyCell; a Keras cell's class; or an instance, whose arguments are kept.

    Raises:
        UserError: it is none of these, or calls TensorFlow and was edited since it was imported.
    """
    model = _model_of(cell)
    own.read_anew()
    if not registry.find(model["cell"]) and own.calls_tensorflow(model["cell"]) and (files := edited()):
        raise UserError(
            f"{files[0]} was edited since this process imported it: restart Python, or the notebook's kernel"
        )
    return model


def _model_of(cell: Any) -> dict[str, Any]:
    if isinstance(cell, str):
        return {"cell": _in_file(cell) if ".py:" in cell else cell}
    if isinstance(cell, type):
        return {"cell": _named(cell)}
    if callable(getattr(cell, "get_config", None)):
        return _of_instance(cell)
    if all(callable(getattr(cell, name, None)) for name in FUNCTIONS):
        return {"cell": _put(type(cell).__name__, cell)}
    if any(kind.__module__.partition(".")[0] in OF_CLASSES for kind in type(cell).__mro__):
        raise UserError(
            f"the cell is an instance of {type(cell).__name__}, and trials need cells of their own: give the class, "
            "units and cell_options"
        )
    raise UserError(
        f"the cell is {brief(cell)}: allowed are the name of a built-in cell, a dotted path such as "
        "my_cells.leaky.LeakyCell, the class of a cell (Keras, Flax, Equinox, Haiku, torch), an instance of Keras's, "
        f"and an object with the functions {', '.join(FUNCTIONS)}"
    )


def _in_file(path_and_class: str) -> str:
    """Import the file as a module, from wherever it is; its folder counts for what it imports."""
    name, _, class_name = path_and_class.rpartition(":")
    path = Path(name)
    if not path.is_file():
        raise UserError(
            f"{name} does not exist, or is no file: give an existing file, such as my_cells/leaky.py:LeakyCell"
        )
    module = path.stem
    loaded = sys.modules.get(module)
    if loaded is not None and Path(getattr(loaded, "__file__", None) or "").resolve() != path.resolve():
        raise UserError(f"{name}: another module is called {module}: give the file another name")
    if str(path.parent.resolve()) not in sys.path:
        sys.path.insert(0, str(path.parent.resolve()))
    return f"{module}.{class_name}"


def _named(kind: type) -> str:
    """Return the dotted path of a class."""
    if kind.__module__.startswith("keras."):
        if kind.__name__ in BUILT_IN:
            return BUILT_IN[kind.__name__]
        if kind.__name__ in LAYERS:
            raise UserError(
                f"keras.layers.{kind.__name__} is a layer: give its cell, keras.layers.{LAYERS[kind.__name__]}"
            )
    module = sys.modules.get(kind.__module__)
    if "." not in kind.__qualname__ and getattr(module, kind.__name__, None) is kind:
        return f"{kind.__module__}.{kind.__name__}"
    return _put(kind.__name__, kind)


def _put(name: str, cell: Any) -> str:
    """Put a class or an object to which no path leads where a path does, and return that."""
    if GIVEN not in sys.modules:
        sys.modules[GIVEN] = types.ModuleType(GIVEN, "Cells that were given as objects to which no path leads.")
        sys.modules[GIVEN].__spec__ = ModuleSpec(GIVEN, None)
    setattr(sys.modules[GIVEN], name, cell)
    return f"{GIVEN}.{name}"


def _of_instance(cell: Any) -> dict[str, Any]:
    """Return what makes the like of a Keras cell anew, since each trial begins with weights of its own."""
    kind = type(cell)
    name = _named(kind)
    try:
        config = _arguments(cell)
        units = config.pop("units")
        plain = _arguments(kind(units)) if name in BUILT_IN.values() else {}
    except Exception as error:  # there is no end to what a configuration can lack
        raise UserError(
            f"the cell is an instance of {kind.__name__}, and trials need cells of their own, which cannot be made "
            f"from its get_config() ({type(error).__name__}: {brief(str(error))}): give the class, units and "
            "cell_options"
        ) from None
    return {"cell": name, "units": units, "cell_options": {k: v for k, v in config.items() if plain.get(k, k) != v}}


def _arguments(cell: Any) -> dict[str, Any]:
    return {name: value for name, value in cell.get_config().items() if name not in OF_EVERY_LAYER}
