"""A cell as `check` tries it: its steps, gradients and sizes, all in NumPy's arrays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from memory_trials.models.user_code import during
from memory_trials.settings import ModelSettings

if TYPE_CHECKING:
    from jaxtyping import Float32

WHOLE = "call_sequence"  # the method in which an author may give the cell's own form for whole sequences
SIMPLE = int | float | str | list | dict | np.ndarray  # kinds of attributes that are looked at


class Tried:
    """A cell that trials can share, on one library: what each of its methods returns, whichever library that is.

    names: of its weights. steps: how many `last` goes through. seconds_a_step: NaN before `last` was called.
    """

    def __init__(self, cell: str, size: int, names: list[str], steps: int):
        self.cell, self._size, self.names, self.steps = cell, size, names, steps
        self.seconds_a_step = float("nan")

    def inputs(self, steps: int, rows: int) -> Float32[np.ndarray, "steps rows inputs"]:
        """Return one-hot inputs, always the same."""
        indices = np.random.default_rng(0).integers(self._size, size=(steps, rows))
        return np.eye(self._size, dtype=np.float32)[indices]

    def weights(self, seed: int) -> list[Float32[np.ndarray, ...]]:
        """Return the initial weights that a seed gives."""
        raise NotImplementedError

    def outputs(self, weights: list, x: np.ndarray) -> Float32[np.ndarray, "steps rows width"]:
        """Return the outputs, step by step from the initial state."""
        raise NotImplementedError

    def loss(self, weights: list, x: np.ndarray, coefficients: np.ndarray) -> float:
        """Return the sum of the outputs times coefficients."""
        raise NotImplementedError

    def gradients(self, weights: list, x: np.ndarray, coefficients: np.ndarray) -> list[Float32[np.ndarray, ...]]:
        """Return the gradient of `loss` with respect to each weight."""
        raise NotImplementedError

    def last(self, weights: list, x: Float32[np.ndarray, "steps rows inputs"]) -> tuple[int | None, float, float]:
        """Return the first step after which an output or state is not finite, the largest number of the last state,
        and the seconds that a step takes once it is compiled."""
        raise NotImplementedError

    def whole(self, weights: list, x: np.ndarray) -> Float32[np.ndarray, "rows steps width"] | None:
        """Return the outputs by the cell's own form for whole sequences; None where it has none."""
        raise NotImplementedError

    def side_effects(self) -> list[str]:
        """Return the names of attributes that a call changes."""
        raise NotImplementedError

    def states(self) -> int:
        """Return how many numbers the state has."""
        raise NotImplementedError

    def sizes(self) -> dict[str, float]:
        """Return parameters, numbers of state, and where it was timed, microseconds a step."""
        found = {"parameters": sum(weight.size for weight in self.weights(0)), "numbers of state": self.states()}
        microseconds = 1e6 * self.seconds_a_step
        return found | ({"microseconds a step": microseconds} if np.isfinite(microseconds) else {})


def changed_attributes(objects: Iterable[Any], call: Callable[[], Any]) -> list[str]:
    """Return the names of the simple attributes of some objects that a call changes."""
    objects = list(objects)
    before = [_simple_attributes(each) for each in objects]
    call()
    after = [_simple_attributes(each) for each in objects]
    return sorted(
        name
        for one, other in zip(before, after)
        for name in one.keys() | other.keys()
        if one.get(name) != other.get(name)
    )


def _simple_attributes(each: Any) -> dict[str, str]:
    """By name, as text."""
    found = vars(each) if hasattr(each, "__dict__") else {}
    return {
        name: repr(value) for name, value in found.items() if not name.startswith("_") and isinstance(value, SIMPLE)
    }


class OnTensorFlow(Tried):
    """A Keras cell that calls TensorFlow."""

    def __init__(self, settings: ModelSettings, inputs: int, steps: int):
        from memory_trials.models import keras_model  # TensorFlow takes seconds to import
        from memory_trials.models.backend import tf

        self._settings = settings
        self._model = keras_model.make_model(settings, inputs, inputs)
        super().__init__(settings.cell, inputs, self._model.names[: len(self._model.cell.trainable_variables)], steps)
        self._compiled = tf.function(self._outputs, autograph=False)
        self._with_gradients = tf.function(self._gradients, autograph=False)

    def weights(self, seed: int) -> list[Float32[np.ndarray, ...]]:
        from memory_trials.models import keras_model

        return keras_model._plain_weights(self._settings, self._size, self._size, seed)[: len(self.names)]

    def outputs(
        self, weights: list, x: Float32[np.ndarray, "steps rows inputs"]
    ) -> Float32[np.ndarray, "steps rows width"]:
        return self._compiled(weights, x).numpy()

    def _outputs(self, weights, x):
        from memory_trials.models.backend import tf

        states, outputs = [tf.constant(state) for state in self._model.begin(x.shape[1])], []
        x = tf.convert_to_tensor(x)
        for step in range(x.shape[0]):
            output, states = self._model.step(weights, x[step], states, training=True)
            outputs.append(output)
        return tf.stack(outputs)

    def loss(self, weights: list, x: np.ndarray, coefficients: np.ndarray) -> float:
        return float((self.outputs(weights, x) * coefficients).sum(dtype=np.float64))

    def gradients(self, weights: list, x: np.ndarray, coefficients: np.ndarray) -> list[Float32[np.ndarray, ...]]:
        return [gradient.numpy() for gradient in self._with_gradients(weights, x, coefficients)]

    def _gradients(self, weights, x, coefficients):
        from memory_trials.models.backend import tf

        tensors = [tf.convert_to_tensor(weight) for weight in weights]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = tf.reduce_sum(coefficients * self._outputs(tensors, x))
        return tape.gradient(value, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def last(self, weights: list, x: Float32[np.ndarray, "steps rows inputs"]) -> tuple[int | None, float, float]:
        from memory_trials.models.backend import tf

        steps, x, weights = len(x), tf.constant(x), [tf.constant(weight) for weight in weights]

        @tf.function(jit_compile=True, autograph=False)
        def loop(x):
            def body(step, states, first):
                output, states = self._model.step(weights, x[step], states)
                sound = tf.reduce_all([tf.reduce_all(tf.math.is_finite(array)) for array in (output, *states)])
                return step + 1, states, tf.where(sound | (first < steps), first, step)

            start = (
                tf.constant(0),
                [tf.constant(state) for state in self._model.begin(x.shape[1])],
                tf.constant(steps),
            )
            return tf.while_loop(lambda step, *_: step < steps, body, start)[1:]

        with during("trained by XLA, which compiles not every operation of TensorFlow"):
            loop(x)[1].numpy()
        started = time.perf_counter()
        states, first = loop(x)
        number = int(first.numpy())
        seconds = (time.perf_counter() - started) / steps
        largest = max((float(np.abs(state.numpy()).max()) for state in states), default=0.0)
        return None if number == steps else number, largest, seconds

    def whole(self, weights: list, x: np.ndarray) -> Float32[np.ndarray, "rows steps width"] | None:
        from memory_trials.models.backend import keras, tf

        cell = self._model.cell
        if not callable(getattr(cell, WHOLE, None)):
            return None
        with keras.StatelessScope(state_mapping=list(zip(cell.trainable_variables, map(tf.constant, weights)))):
            return np.asarray(getattr(cell, WHOLE)(tf.transpose(x, (1, 0, 2))))

    def side_effects(self) -> list[str]:
        weights, x = self.weights(0), self.inputs(1, 1)
        return changed_attributes(self._model.cell._flatten_layers(), lambda: self._outputs(weights, x))

    def states(self) -> int:
        return sum(state.size for state in self._model.initial)
