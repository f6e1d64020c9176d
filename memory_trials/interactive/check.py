"""Check a cell before anything is trained: is it one that trials can share, and are its gradients and numbers sound?

Each property is a function of the cell that returns a few words, or raises `Refusal` with a sentence that says what to
change. All of them are tried, but for those that come after the cell could not be made at all.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from memory_trials.engines import own, worker
from memory_trials.errors import UserError, brief
from memory_trials.interactive import given, trying
from memory_trials.interactive.trying import WHOLE, Tried
from memory_trials.models.user_code import Refusal, as_user_error, during
from memory_trials.settings import ModelSettings, validated

INPUTS, UNITS = 5, 20  # as in the tutorial
STEPS = 10_000
SHORT, ROWS = 6, 3  # steps whose gradient is taken, and rows
DIRECTIONS, DISTANCE, NEAR = 5, 0.02, 0.03  # of finite differences in single precision
WHOLE_STEPS, WHOLE_NEAR = 20, 1e-4


@dataclass(frozen=True)
class Finding:
    """What came of one property. passed: None where it does not apply. words: what was found, or what to change."""

    name: str
    passed: bool | None
    words: str


@dataclass
class Checked:
    """What `check` returns. cell: its name. sizes: parameters, numbers of state, microseconds a step."""

    cell: str
    findings: list[Finding] = field(default_factory=list)
    sizes: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether no property fails."""
        return all(finding.passed is not False for finding in self.findings)

    @property
    def failures(self) -> list[str]:
        """A sentence for each property that fails."""
        return [finding.words for finding in self.findings if finding.passed is False]

    def __str__(self) -> str:
        sizes = ", ".join(
            f"{value:,.4g} {name}" if value < 1000 else f"{value:,.0f} {name}" for name, value in self.sizes.items()
        )
        lines = [f"{self.cell}: {sizes}" if sizes else self.cell]
        lines += [f"  {MARKS[finding.passed]:6}  {finding.name}: {finding.words}" for finding in self.findings]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{MARKS[finding.passed]}</td><td>{finding.name}</td>"
            f'<td style="text-align: left">{html.escape(finding.words)}</td></tr>'
            for finding in self.findings
        )
        return f"<p><b>{html.escape(str(self).splitlines()[0])}</b></p><table>{rows}</table>"


MARKS = {True: "ok", False: "FAILED", None: "-"}


def check(cell: Any, units: int = UNITS, inputs: int = INPUTS, cell_options: dict[str, Any] | None = None) -> Checked:
    """Check a cell in a few seconds, before anything is trained.

    Args:
        cell: as `measure` takes it.
        units: the cell's first argument; an instance has its own.
        inputs: length of the input vector.
        cell_options: further arguments of the cell; an instance has its own.

    Returns:
        What was found: print it, or let a notebook show it. `passed` says whether nothing fails.

    Raises:
        UserError: the cell is none, or there is no cell of this name.
    """
    if not isinstance(inputs, int) or inputs < 2:
        raise UserError(f"inputs is {brief(inputs)}: allowed are whole numbers from 2")
    settings = validated(
        ModelSettings, {"units": units, "cell_options": cell_options or {}} | given.model_of(cell), "check"
    )
    if own.calls_tensorflow(settings.cell):
        tried = lambda: trying.OnTensorFlow(settings, inputs, STEPS)
        return Checked(settings.cell, *_everything(settings.cell, tried, tuple(PROPERTIES)))
    asked = own.request(settings, inputs, inputs)
    return Checked(settings.cell, *worker.call(f"{__name__}:in_worker", asked, STEPS, tuple(PROPERTIES)))


def in_worker(asked: own.Request, steps: int, names: tuple[str, ...]) -> tuple[list[Finding], dict[str, float]]:
    """Check a cell on JAX, in the process in which JAX trains (`engines.worker`)."""
    from memory_trials.interactive.trying_jax import OnJax

    return _everything(asked.cell, lambda: OnJax(asked, steps), names)


def _everything(cell: str, make: Callable[[], Tried], names: tuple[str, ...]) -> tuple[list[Finding], dict[str, float]]:
    """Return what came of these properties, and the cell's sizes."""
    try:
        tried = make()
    except UserError as error:
        return [Finding(SHARED, False, _without_name(error, cell))], {}
    findings = [Finding(SHARED, True, SHARED_WORDS)]
    findings += [_finding(name, PROPERTIES[name], tried) for name in names]
    return findings, tried.sizes()


SHARED = "a cell that trials can share"
SHARED_WORDS = (
    "shapes and types of the state stay, rows of a batch do not see each other, nothing random or kept between calls"
)


def _finding(name: str, try_it: Callable[[Tried], str | None], tried: Tried) -> Finding:
    try:
        with as_user_error(tried.cell):
            words = try_it(tried)
    except UserError as error:
        return Finding(name, False, _without_name(error, tried.cell))
    return Finding(name, None if words is None else True, words or f"the cell has no method {WHOLE}")


def _without_name(error: UserError, cell: str) -> str:
    """Return an error's sentence from the method on, since the cell's name heads the list."""
    return str(error).removeprefix(f"model.cell {cell}").lstrip(",: ")


def _same_seed(tried: Tried) -> str:
    """That a seed gives the same initial weights each time, and a call the same numbers."""
    weights, x = tried.weights(0), tried.inputs(SHORT, ROWS)
    for one, other in zip(weights, tried.weights(0)):
        if not np.array_equal(one, other):
            raise Refusal("the same seed gives it other weights each time: draw them by an initializer of Keras's")
    if not np.array_equal(tried.outputs(weights, x), tried.outputs(weights, x)):
        raise Refusal(
            "the same call gives other numbers each time: draw what is random from the key that step is given"
        )
    return "the same seed gives the same weights, the same call the same numbers"


def _rows(tried: Tried) -> str:
    """That a row gives the same beside other rows. That it does alone was looked for before."""
    weights, x = tried.weights(0), tried.inputs(SHORT, ROWS)
    others = np.concatenate([x[:, :1], np.roll(x[:, 1:], 1, axis=2)], axis=1)
    if not np.allclose(tried.outputs(weights, x)[:, 0], tried.outputs(weights, others)[:, 0], rtol=1e-4, atol=1e-4):
        raise Refusal("a row gives other outputs beside other rows: rows are sequences, and must not be mixed")
    return "a row gives the same whatever the other rows of a batch are"


def _no_side_effects(tried: Tried) -> str:
    """That a call changes no attribute of the cell."""
    if changed := tried.side_effects():
        raise Refusal(
            f"it changes self.{changed[0]}, which is lost once it is compiled: return what is to be kept as a state",
            "call",
        )
    return "a call changes nothing but the state"


def _finite(tried: Tried) -> str:
    """That states and outputs stay finite for many steps; meanwhile it is timed."""
    first, largest, tried.seconds_a_step = tried.last(tried.weights(0), tried.inputs(tried.steps, 1))
    if first is not None:
        raise Refusal(
            f"its output or state is not a finite number from step {first + 1:,} on: bound the state, as tanh does, or "
            "begin with smaller recurrent weights",
            "call",
        )
    return f"finite; then no number of the state is larger than {largest:.3g}"


def _gradients(tried: Tried) -> str:
    """That the gradient is what finite differences say, along random directions in weights."""
    rng, x = np.random.default_rng(1), tried.inputs(SHORT, ROWS)
    weights = [w + 0.1 * rng.standard_normal(w.shape).astype(np.float32) for w in tried.weights(0)]  # none is even now
    if not weights:
        return "it has no weights"
    coefficients = rng.standard_normal(tried.outputs(weights, x).shape).astype(np.float32)
    loss = lambda weights: tried.loss(weights, x, coefficients)
    worst = 0.0
    for index, (name, gradient) in enumerate(zip(tried.names, tried.gradients(weights, x, coefficients))):
        error, slope, expected = _slopes(loss, weights, index, gradient, rng)
        worst = max(worst, error)
        if error > NEAR:
            raise Refusal(
                f"its gradient for the weight {name.partition('/')[2]} is {slope:.4g} where finite differences say "
                f"{expected:.4g}: look for stop_gradient, a rounded value, or a gradient of your own",
                "call",
            )
    return f"as finite differences say, within {100 * worst:.1g} %"


def _slopes(
    loss: Callable[[list], float], weights: list, index: int, gradient: np.ndarray, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return a slope of the loss along a direction in one weight by its gradient, and by finite differences, and before
    them the error of one relative to the other: the median of several directions, since some cells have kinks."""
    found = []
    for _ in range(DIRECTIONS):
        direction = rng.standard_normal(gradient.shape).astype(np.float32)
        direction /= np.linalg.norm(direction)

        def central(distance: float, direction: np.ndarray = direction) -> float:
            step = np.float32(distance) * direction
            up, down = (
                loss([w + sign * step if at == index else w for at, w in enumerate(weights)]) for sign in (1, -1)
            )
            return (up - down) / (2 * distance)

        expected = (4 * central(DISTANCE / 2) - central(DISTANCE)) / 3  # Richardson's extrapolation
        slope = float((gradient * direction).sum())
        found.append((abs(slope - expected) / max(1e-2, abs(slope) + abs(expected)), slope, expected))
    return sorted(found)[DIRECTIONS // 2]


def _whole(tried: Tried) -> str | None:
    """That the author's own form for whole sequences computes the same as step by step."""
    weights, x = tried.weights(0), tried.inputs(WHOLE_STEPS, ROWS)
    with during(WHOLE):
        found = tried.whole(weights, x)
    if found is None:
        return None
    expected = tried.outputs(weights, x).transpose(1, 0, 2)
    if found.shape != expected.shape:
        raise Refusal(f"it returns the shape {found.shape}, and step by step it is {expected.shape}", WHOLE)
    errors = np.abs(found - expected).max(axis=(0, 2))
    if not errors.max() <= WHOLE_NEAR:
        at = int(np.argmax(~(errors <= WHOLE_NEAR))) + 1
        raise Refusal(
            f"it differs from step by step by {errors.max():.3g}, first at step {at}: one of the two is wrong", WHOLE
        )
    return f"{WHOLE} computes the same as step by step, within {errors.max():.1g}"


PROPERTIES: dict[str, Callable[[Tried], str | None]] = {
    "deterministic": _same_seed,
    "rows": _rows,
    "no side effects": _no_side_effects,
    "10,000 steps": _finite,
    "gradients": _gradients,
    "whole sequences": _whole,
}
