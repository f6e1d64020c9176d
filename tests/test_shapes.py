"""That shapes and types are checked in tests at all: tests/shapes.py."""

import importlib.util
import inspect
import pkgutil
import random
import typing

import jaxtyping
import numpy as np
import pytest

from memory_trials.evaluation import predictions, statistics
from memory_trials.models import forward, initializers
from memory_trials.settings import ModelSettings
from memory_trials.tasks.encoding import one_hot
from memory_trials.training import trained
from tests import shapes

HAS_TORCH = importlib.util.find_spec("torch") is not None
WRONG = {
    "a dimension too few": lambda: predictions.memory_bits(np.ones((2, 3)), np.zeros(3, int), np.ones(3)),
    "sizes that differ": lambda: predictions.memory_bits(np.ones((2, 3, 4)), np.zeros(2, int), np.ones(2)),
    "another kind": lambda: statistics.loss_curves(np.ones((2, 3), int)),
    "no array": lambda: statistics.changes_of_verdict([[True, False]]),
    "in a list": lambda: statistics.compare(np.zeros(3, bool), [np.zeros(2, bool)]),
    "in a dictionary": lambda: next(forward.outputs(ModelSettings(), {"cell/kernel": None}, np.zeros((1, 1, 1), int))),
    "a field": lambda: trained.Trained(*[np.zeros(2, int)] * 7),
    "a plain type": lambda: one_hot(np.zeros((2, 1), int), "3"),
    "seeds as floats": lambda: initializers.draw("zeros", (2,), np.zeros(3)),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_has_another_shape_or_type_is_refused(case):
    with pytest.raises(jaxtyping.TypeCheckError):
        WRONG[case]()


def test_checking_draws_none_of_pythons_random_numbers():
    """By which Keras picks a seed."""
    before = random.getstate()
    statistics.compare(np.zeros(3, bool), [np.zeros(3, bool)] * 5)
    assert random.getstate() == before


def annotated():
    """All functions and classes of the packages, with what they are defined in."""
    for package in map(importlib.import_module, shapes.PACKAGES):
        inside = pkgutil.iter_modules(package.__path__, f"{package.__name__}.") if hasattr(package, "__path__") else ()
        names = [found.name for found in inside if HAS_TORCH or not found.name.endswith("torch_cells")]
        for module in [importlib.import_module(name) for name in names] or [package]:
            for thing in vars(module).values():
                if getattr(thing, "__module__", None) == module.__name__:
                    yield module, thing
                    if inspect.isclass(thing):
                        yield from ((module, of) for of in vars(thing).values() if inspect.isfunction(of))


def test_no_annotation_is_left_out_because_a_name_in_it_is_unknown():
    """jaxtyping takes what it cannot resolve as Any, and says nothing."""
    count = 0
    for module, thing in annotated():
        if inspect.isclass(thing) or inspect.isfunction(thing):
            count += len(typing.get_type_hints(thing, vars(module)))
    assert count > 300


def test_every_function_is_checked():
    plain = [
        function.__qualname__
        for module, function in annotated()
        if inspect.isfunction(function)
        and function.__code__.co_filename == module.__file__  # dataclasses write some themselves
        and not hasattr(function, "__no_type_check__")
    ]
    assert plain == []
