"""Checks shapes and types at every call of the packages that work on arrays: jaxtyping, with beartype.

Annotations name jaxtyping's types for type checkers alone (importing it would cost every process 40 ms, and whatever
serves a model a library more), so here they are given to all modules.
"""

import builtins
import random
from collections.abc import Callable

import jaxtyping
from beartype import BeartypeConf, beartype
from beartype._check.code import codemain

PACKAGES = [f"memory_trials.{name}" for name in ("evaluation", "models", "numerics", "tasks", "engines")]
# not training.cluster: Ray must see that its tasks are generators, which a function that checks them is not
PACKAGES += [
    f"memory_trials.training.{name}" for name in ("cache", "job", "shards", "table_shards", "trained", "trainer")
]
TYPES = ("Bool", "Float", "Float32", "Float64", "Int", "Int32", "Int64", "Shaped", "UInt8", "UInt32", "UInt64")

RANDOM_BITS = random.Random().getrandbits  # one, also where pytest and a test import conftest.py one after the other


def install() -> None:
    """Before any of the packages is imported."""
    for name in TYPES:
        setattr(builtins, name, getattr(jaxtyping, name))
    # beartype picks an item of a list by Python's own random numbers, by which Keras picks a seed
    codemain.getrandbits = RANDOM_BITS
    jaxtyping.install_import_hook(PACKAGES, "tests.shapes.checked")


def checked(function: Callable) -> Callable:
    """A function without a body, which jaxtyping calls for its annotations' sake alone, as one that checks them."""
    return beartype(function, conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, too
