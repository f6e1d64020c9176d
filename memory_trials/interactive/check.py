"""Check a cell before anything is trained: is it one that trials can share, and are its gradients and numbers sound?

Each property is a function of the cell that returns a few words, or raises `Refusal` with a sentence that says what to
change. All of them are tried, but for those that come after the cell could not be made at all.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from memory_trials.errors import UserError, brief
from memory_trials.interactive import given
from memory_trials.settings import ModelSettings, validated

if TYPE_CHECKING:
    from memory_trials.models.cells import Model

INPUTS, UNITS = 5, 20  # as in the tutorial
STEPS = 10_000
SHORT = 6  # steps whose gradient is taken
DIRECTIONS, DISTANCE, NEAR = 5, 0.02, 0.03  # of finite differences in single precision
WHOLE = "call_sequence"  # the method in which an author may give the cell's own form for whole sequences
WHOLE_NEAR = 1e-4


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
    from memory_trials.models import cells  # TensorFlow takes seconds to import

    checked = Checked(settings.cell)
    name = "a cell that trials can share"
    try:
        model = cells.make_model(settings, inputs, inputs)
    except UserError as error:
        checked.findings.append(Finding(name, False, _without_name(error, settings.cell)))
        return checked
    checked.findings.append(Finding(name, True, SHARED))
    tried = _Tried(settings, model, inputs)
    for property_name, try_it in PROPERTIES.items():
        checked.findings.append(_finding(property_name, try_it, tried))
    checked.sizes = tried.sizes()
    return checked


SHARED = (
    "shapes and types of the state stay, rows of a batch do not see each other, nothing random or kept between calls"
)


def _finding(name: str, try_it: Callable[[_Tried], str | None], tried: _Tried) -> Finding:
    from memory_trials.models.user_code import told

    try:
        with told(tried.settings.cell):
            words = try_it(tried)
    except UserError as error:
        return Finding(name, False, _without_name(error, tried.settings.cell))
    return Finding(name, None if words is None else True, words or f"the cell has no method {WHOLE}")


def _without_name(error: UserError, cell: str) -> str:
    """Return an error's sentence from the method on, since the cell's name heads the list."""
    return str(error).removeprefix(f"model.cell {cell}").lstrip(",: ")


class _Tried:
    """A cell with the weights of seed 0, and its steps."""

    def __init__(self, settings: ModelSettings, model: Model, inputs: int):
        from memory_trials.models import cells

        self.settings, self.model, self.inputs = settings, model, inputs
        self.weights = cells._plain_weights(settings, inputs, inputs, 0)[: len(model.cell.trainable_variables)]
        self.microseconds = float("nan")

    def symbols(self, steps: int, rows: int) -> np.ndarray:
        """Return one-hot inputs [steps, rows, inputs], always the same."""
        indices = np.random.default_rng(0).integers(self.inputs, size=(steps, rows))
        return np.eye(self.inputs, dtype=np.float32)[indices]

    def run(self, weights: list, x: Any) -> tuple[Any, list]:
        """Return the outputs [steps, rows, width], step by step, and the last states. x [steps, rows, inputs]."""
        from memory_trials.models.backend import tf

        states, outputs = [tf.constant(state) for state in self.model.begin(x.shape[1])], []
        x = tf.convert_to_tensor(x)
        for step in range(x.shape[0]):
            output, states = self.model.step(weights, x[step], states, training=True)
            outputs.append(output)
        return tf.stack(outputs), states

    def sizes(self) -> dict[str, float]:
        found = {
            "parameters": sum(weight.size for weight in self.weights),
            "numbers of state": sum(state.size for state in self.model.initial),
        }
        return found | ({"microseconds a step": self.microseconds} if np.isfinite(self.microseconds) else {})


def _same_seed(tried: _Tried) -> str:
    """That a seed gives the same initial weights each time."""
    from memory_trials.models import cells
    from memory_trials.models.user_code import Refusal

    again = cells._plain_weights(tried.settings, tried.inputs, tried.inputs, 0)
    for one, other in zip(tried.weights, again):
        if not np.array_equal(one, other):
            raise Refusal("the same seed gives it other weights each time: draw them by an initializer of Keras's")
    return "the same seed gives the same weights, the same call the same numbers"


def _no_side_effects(tried: _Tried) -> str:
    """That a call changes no attribute of the cell."""
    from memory_trials.models.user_code import Refusal

    plain = lambda: {
        name: repr(value)
        for layer in tried.model.cell._flatten_layers()
        for name, value in vars(layer).items()
        if not name.startswith("_") and isinstance(value, int | float | str | list | dict | np.ndarray)
    }
    before = plain()
    tried.run(tried.weights, tried.symbols(1, 1))
    after = plain()
    if changed := sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)):
        raise Refusal(
            f"it changes self.{changed[0]}, which is lost once it is compiled: return what is to be kept as a state",
            "call",
        )
    return "a call changes nothing but the state"


def _finite(tried: _Tried) -> str:
    """That states and outputs stay finite for many steps; meanwhile it is timed."""
    from memory_trials.models.backend import tf
    from memory_trials.models.user_code import Refusal, during

    x = tf.constant(tried.symbols(STEPS, 1))
    weights = [tf.constant(weight) for weight in tried.weights]

    @tf.function(jit_compile=True, autograph=False)
    def loop(x):
        def body(step, states, first):
            output, states = tried.model.step(weights, x[step], states)
            sound = tf.reduce_all([tf.reduce_all(tf.math.is_finite(array)) for array in (output, *states)])
            return step + 1, states, tf.where(sound | (first < STEPS), first, step)

        start = (tf.constant(0), [tf.constant(state) for state in tried.model.begin(1)], tf.constant(STEPS))
        return tf.while_loop(lambda step, *_: step < STEPS, body, start)[1:]

    with during("trained by XLA, which compiles not every operation of TensorFlow"):
        loop(x)[1].numpy()
    started = time.perf_counter()
    states, first = loop(x)
    first = int(first.numpy())
    tried.microseconds = 1e6 * (time.perf_counter() - started) / STEPS
    if first == 0:
        raise Refusal(
            "its output or state is not a finite number at step 1: look for 0 / 0, log(0) or sqrt(-1)", "call"
        )
    if first < STEPS:
        raise Refusal(
            f"its output or state is not a finite number from step {first + 1:,} on: bound the state, as tanh does, or "
            "begin with smaller recurrent weights",
            "call",
        )
    largest = max((float(tf.reduce_max(tf.abs(state))) for state in states), default=0.0)
    return f"finite; then no number of the state is larger than {largest:.3g}"


def _gradients(tried: _Tried) -> str:
    """That the gradient is what finite differences say, along random directions in weights."""
    from memory_trials.models.backend import tf
    from memory_trials.models.user_code import Refusal

    rng = np.random.default_rng(1)
    x = tf.constant(tried.symbols(SHORT, 3))
    moved = [w + 0.1 * rng.standard_normal(w.shape).astype(np.float32) for w in tried.weights]  # from where all is even
    if not moved:
        return "it has no weights"
    coefficients = tf.constant(rng.standard_normal(tried.run(moved, x)[0].shape), tf.float32)

    @tf.function(autograph=False)
    def loss(weights):
        return tf.reduce_sum(coefficients * tried.run(weights, x)[0])

    @tf.function(autograph=False)
    def gradients(weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            value = loss(weights)
        return tape.gradient(value, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    weights = [tf.constant(w) for w in moved]
    found = [gradient.numpy() for gradient in gradients(weights)]
    worst = 0.0
    for index, name in enumerate(tried.model.names[: len(moved)]):
        error, slope, expected = _slopes(loss, weights, index, found[index], rng)
        worst = max(worst, error)
        if error > NEAR:
            raise Refusal(
                f"its gradient for the weight {name.partition('/')[2]} is {slope:.4g} where finite differences say "
                f"{expected:.4g}: look for stop_gradient, a rounded value, or a gradient of your own",
                "call",
            )
    return f"as finite differences say, within {100 * worst:.1g} %"


def _slopes(
    loss: Callable, weights: list, index: int, gradient: np.ndarray, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return a slope of the loss along a direction in one weight by its gradient, and by finite differences, and before
    them the error of one relative to the other: the median of several directions, since some cells have kinks."""
    found = []
    for _ in range(DIRECTIONS):
        direction = rng.standard_normal(gradient.shape).astype(np.float32)
        direction /= np.linalg.norm(direction)

        def central(distance: float, direction: np.ndarray = direction) -> float:
            up, down = (
                float(loss([w + sign * distance * direction if at == index else w for at, w in enumerate(weights)]))
                for sign in (1, -1)
            )
            return (up - down) / (2 * distance)

        expected = (4 * central(DISTANCE / 2) - central(DISTANCE)) / 3  # Richardson's extrapolation
        slope = float((gradient * direction).sum())
        found.append((abs(slope - expected) / max(1e-2, abs(slope) + abs(expected)), slope, expected))
    return sorted(found)[DIRECTIONS // 2]


def _whole(tried: _Tried) -> str | None:
    """That the author's own form for whole sequences computes the same as step by step."""
    from memory_trials.models.backend import keras, tf
    from memory_trials.models.user_code import Refusal, during

    cell = tried.model.cell
    if not callable(getattr(cell, WHOLE, None)):
        return None
    x = tf.constant(tried.symbols(20, 3))
    expected = tf.transpose(tried.run(tried.weights, x)[0], (1, 0, 2)).numpy()
    with (
        during(WHOLE),
        keras.StatelessScope(state_mapping=list(zip(cell.trainable_variables, map(tf.constant, tried.weights)))),
    ):
        found = np.asarray(getattr(cell, WHOLE)(tf.transpose(x, (1, 0, 2))))
    if found.shape != expected.shape:
        raise Refusal(f"it returns the shape {found.shape}, and step by step it is {expected.shape}", WHOLE)
    error = float(np.abs(found - expected).max())
    if not error <= WHOLE_NEAR:
        at = int(np.argmax(np.abs(found - expected).max(axis=(0, 2)) > WHOLE_NEAR)) + 1
        raise Refusal(
            f"it differs from step by step by {error:.3g}, first at step {at}: one of the two is wrong", WHOLE
        )
    return f"{WHOLE} computes the same as step by step, within {error:.1g}"


PROPERTIES: dict[str, Callable[[_Tried], str | None]] = {
    "deterministic": _same_seed,
    "no side effects": _no_side_effects,
    "10,000 steps": _finite,
    "gradients": _gradients,
    "whole sequences": _whole,
}
