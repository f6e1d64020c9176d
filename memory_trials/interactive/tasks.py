"""A task as a person names or gives one -> the settings of the section `problem`, and for examples the problem itself.

A task is a name, sequences, or examples of input, target and mask.
"""

from __future__ import annotations

import difflib
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from memory_trials.errors import UserError, brief
from memory_trials.interactive.own_streams import own_stream
from memory_trials.settings import GeneratedSettings, ProblemSettings
from memory_trials.stream_settings import TAKES
from memory_trials.tasks.problems import Example, Examples, Problem
from memory_trials.tasks.streams import Stream

TUTORIAL = "tutorial"
STREAMS = tuple(TAKES)
TRAIN, UNSEEN = 100, 100  # examples of a function, to train and to evaluate on
OF_EXAMPLES, OF_ENDLESS = ("train", "unseen", "seed"), ("check", "wrong")  # settings of a task that is a function
FOR_STREAMS = {"update": "sequence", "epochs": 20_000, "interval": 500}  # an epoch of these is one sequence


class Given(NamedTuple):
    """A task: what it is called, its section `problem`, settings of other sections that suit it, and where no settings
    describe it, the task itself."""

    name: str
    problem: dict[str, Any] | ProblemSettings
    suiting: dict[str, Any]
    made: Problem | Stream | None = None


def settings_of(task: Any) -> tuple[str, ...]:
    """Return the names of the settings that this task takes."""
    if task == TUTORIAL:
        return tuple(GeneratedSettings.model_fields)
    if isinstance(task, str) and task in STREAMS:
        return tuple(TAKES[task])
    if callable(task):
        return (*OF_EXAMPLES, "endless", *OF_ENDLESS)
    return ("evaluation_sequences", "csv") if not isinstance(task, dict) else ()


def given(task: Any, settings: dict[str, Any]) -> Given:
    """Return a task from its name, its sequences or its examples.

    Args:
        task: `tutorial` (a key, `lag` symbols, the key again); a stream, such as `adding`; the name of a file in
            data/problems/; a section `problem` as in params.yaml; a list of sequences; a list of examples (input,
            target, mask); or a function that makes examples, given a numpy.random.Generator if it takes one; with
            endless=True each trial has examples of its own.
        settings: of the task, those of `settings_of`.

    Raises:
        UserError: there is no such task, or an example cannot be used.
    """
    if isinstance(task, str):
        return _named(task, settings)
    if isinstance(task, dict):
        return Given("problem", task, {})
    if callable(task):
        name = getattr(task, "__name__", "task")
        if _endless(settings):
            problem, stream = own_stream(task, **settings)
            return Given(f"{name}, endless", problem, FOR_STREAMS, stream)
        return _of_examples(name, *_drawn(task, name, settings))
    if isinstance(task, Sequence) and task:
        if (
            isinstance(task[0], tuple)
            and isinstance(task[0][0], Sequence | np.ndarray)
            and not isinstance(task[0][0], str)
        ):
            return _of_examples("examples", [_example(each, number) for number, each in enumerate(task, 1)], [])
        return Given("sequences", {"sequences": [_plain(sequence) for sequence in task], **settings}, {})
    raise UserError(
        f"the task is {brief(task)}: allowed are a name ({', '.join((TUTORIAL, *STREAMS))}), a list of "
        "sequences, a list of examples (input, target, mask), and a function that makes examples"
    )


def _endless(settings: dict[str, Any]) -> bool:
    """Return whether the function is to be an endless task, and leave its settings alone."""
    endless = settings.pop("endless", False)
    if not isinstance(endless, bool):
        raise UserError(f"endless is {brief(endless)}: allowed are True and False")
    for name in OF_EXAMPLES if endless else OF_ENDLESS:
        if name in settings:
            other = "draws new examples for each trial" if endless else "is for endless=True"
            raise UserError(f"{name}: {'an endless task' if endless else 'it'} {other}: leave it out")
    return endless


def _named(name: str, settings: dict[str, Any]) -> Given:
    if name == TUTORIAL:
        shown = "".join(f", {key} {value}" for key, value in settings.items())
        return Given(f"{TUTORIAL}{shown}", {"generate": {"lag": 3} | settings}, {})
    if name in STREAMS:
        shown = "".join(f", {key} {value}" for key, value in settings.items())
        return Given(f"{name}{shown}", {"stream": {"task": name} | settings}, FOR_STREAMS)
    if Path(name).suffix in (".csv", ".jsonl"):
        return Given(name, {"file": name, **settings}, {})
    names = (TUTORIAL, *STREAMS)
    close = difflib.get_close_matches(name, names, 1)
    raise UserError(
        f"there is no task {brief(name)}{f' (is it {close[0]}?)' if close else ''}; there are {', '.join(names)}, "
        "files in data/problems/, and tasks of your own: a function that makes (input, target, mask)"
    )


def _drawn(task: Callable, name: str, settings: dict[str, Any]) -> tuple[list[Example], list[Example]]:
    """Return examples that a function makes, to train and to evaluate on; of one that ends, the same for both."""
    counts = {"train": TRAIN, "unseen": UNSEEN, "seed": 0} | settings
    for key, least in (("train", 1), ("unseen", 0), ("seed", 0)):
        if not isinstance(counts[key], int) or not least <= counts[key] <= 1_000_000:
            raise UserError(f"{key} is {brief(counts[key])}: allowed are whole numbers from {least} to 1000000")
    rng = np.random.default_rng(counts["seed"])
    wanted = counts["train"] + counts["unseen"]
    made = [_example(each, number, name) for number, each in enumerate(itertools.islice(_made(task, rng), wanted), 1)]
    if not made:
        raise UserError(f"the task {name} makes no example")
    return made[: counts["train"]], made[counts["train"] :]


def _made(task: Callable, rng: np.random.Generator) -> Iterator:
    """Go through what a function makes: all that a generator yields, or what one call after another returns."""
    arguments = [rng] if inspect.signature(task).parameters else []
    first = task(*arguments)
    if isinstance(first, Iterable) and not isinstance(first, tuple):
        yield from first
        return
    yield first
    while True:
        yield task(*arguments)


def _example(given: Any, number: int, name: str = "examples") -> Example:
    """Return input, target and mask as an example; without a mask every step is scored."""
    where = f"the task {name}, example {number}"
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise UserError(f"{where} is {brief(given)}: it must be (input, target) or (input, target, mask)")
    shown, targets, *mask = (_plain(part) for part in given)
    scored = mask[0] if mask else [True] * len(shown)
    if not len(shown) == len(targets) == len(scored) or not shown:
        raise UserError(
            f"{where} has {len(shown)} inputs, {len(targets)} targets and a mask of {len(scored)}: they must be equal"
        )
    for symbol in (*shown, *targets):
        if isinstance(symbol, bool) or not isinstance(symbol, int | float | str):
            raise UserError(
                f"{where} holds {brief(symbol)}: inputs and targets must be symbols, numbers or text, one a step"
            )
    if not any(scored):
        raise UserError(f"{where} has a mask that scores no step")
    return Example(tuple(shown), tuple(targets), tuple(map(bool, scored)))


def _plain(array: Any) -> list:
    """Return a list of Python's own numbers from a list or an array."""
    return np.asarray(array).tolist() if isinstance(array, np.ndarray) else [
        value.item() if isinstance(value, np.generic) else value for value in array
    ]  # fmt: skip


def _of_examples(name: str, examples: list[Example], unseen: list[Example]) -> Given:
    symbols = {symbol for example in (*examples, *unseen) for symbol in (*example[:-1], *example.targets)}
    if len({(isinstance(symbol, str), symbol) for symbol in symbols}) < 2:
        raise UserError(f"the task {name} has the one symbol {brief(symbols.pop())}: there is nothing to predict")
    alphabet = tuple(sorted(symbols, key=lambda symbol: (isinstance(symbol, str), symbol)))
    problem = Examples(alphabet, tuple(examples), tuple(unseen or examples))
    return Given(name, {"sequences": [list(example) for example in examples]}, {}, problem)
