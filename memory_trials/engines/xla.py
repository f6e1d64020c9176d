"""Any Keras cell, all trials of a shard at once: one XLA-compiled loop over epochs and the table of updates.

The model of one trial is mapped over a shard of trials, whose weights are stacked: [trials, ...]. The
gradient of the sum of the trials' losses with respect to the stacked weights is each trial's own gradient,
and the optimizers work element by element, so one optimizer step serves all. The built-in cells have a
quicker engine (`native`), with the same interface and, within rounding, the same results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memory_trials.engines.optimizers import OPTIMIZERS
from memory_trials.errors import UserError
from memory_trials.models.backend import tf
from memory_trials.models.keras_model import Model, predict
from memory_trials.models.user_code import as_user_error
from memory_trials.settings import TrainingSettings
from memory_trials.tasks.encoding import UpdateTable, one_hot

if TYPE_CHECKING:
    from jaxtyping import Float32, Int, Shaped

FOUND = {"learned": tf.bool, "margin": tf.float32, "memory": tf.float32}  # what a check finds of each trial
TINY = np.float32(1e-37)  # no output counts as less, so that memory is finite


@dataclass
class State:
    """carry = (weights, each weight's optimizer slots, states, optimizer steps taken).

    used: how many of its trials are meant; the others, which only fill up the shard, repeat the last of them.
    """

    carry: tuple
    used: int

    def arrays(self) -> dict[str, Shaped[np.ndarray, "used ..."]]:
        """Return each weight, slot and state by its number, and the number of steps taken."""
        *tensors, steps = tf.nest.flatten(self.carry)
        numbered = {str(index): tensor.numpy()[: self.used] for index, tensor in enumerate(tensors)}
        return numbered | {"steps": np.full(self.used, steps.numpy())}


class Program:
    """The compiled loop for one table, model and shard size: what it needs between calls is in a `State`.

    trials: how many there are in a shard at most. capacity: how many checks one call can take.
    """

    def __init__(self, model: Model, settings: TrainingSettings, table: UpdateTable, trials: int, eval_interval: int):
        if settings.shuffle:
            raise UserError("training.shuffle needs a built-in cell with training.engine auto, and a C compiler")
        self.model, self.table, self.eval_interval = model, table, eval_interval
        self.names = model.names
        self.trials = max(2, trials)  # tf.vectorized_map loses the shape of a single trial
        self.x, self.y = one_hot(table.x, table.inputs), one_hot(table.y[..., np.newaxis], table.symbols)
        self.capacity = max(1, min(1000, settings.epochs) // eval_interval)  # checks in one call at most
        self.optimizer, self.slots = OPTIMIZERS[settings.optimizer]
        self.learning_rate = settings.learning_rate
        self._compiled = tf.function(self._run, jit_compile=True, autograph=False)

    def run(
        self, state: State, checks: Int[np.ndarray, " C"], order: Int[np.ndarray, "T E U"] | None
    ) -> tuple[Float32[np.ndarray, "T E"], dict[str, Shaped[np.ndarray, "T C"]]]:
        """Train E = checks[-1] epochs, evaluating after each of the checks: losses; learned, margin and memory.

        order: None, since it refuses to shuffle.
        """
        with as_user_error(self.model.name, "trained by XLA, which compiles not every operation of TensorFlow"):
            state.carry, losses, found = self._compiled(state.carry, tf.constant(checks[-1], tf.int32))
        of_each = {name: array.numpy()[: len(checks), : state.used].T for name, array in zip(FOUND, found)}
        return losses.numpy()[: checks[-1], : state.used].T, of_each

    def weights(self, state: State) -> list[Float32[np.ndarray, "T ..."]]:
        return [w.numpy()[: state.used] for w in state.carry[0]]

    def start(self, weights: list[Float32[np.ndarray, "T ..."]]) -> State:
        trials, batch = len(weights[0]), self.table.x.shape[2]
        slots = [np.zeros_like(w) for w in weights for _ in range(self.slots)]
        states = self.model.begin(trials, batch)
        numbered = {str(index): array for index, array in enumerate([*weights, *slots, *states])}
        return self.resume(numbered | {"steps": np.zeros(trials, np.float32)})

    def resume(self, arrays: dict[str, Shaped[np.ndarray, "T ..."]]) -> State:
        """Continue from a state's arrays, or from those of some of its trials, which have taken the same steps."""
        used, count = len(arrays["steps"]), len(self.model.variables)
        rows = np.minimum(np.arange(self.trials), used - 1)
        tensors = [tf.constant(arrays[str(index)][rows]) for index in range(len(arrays) - 1)]
        slots, states = tensors[count : count * (1 + self.slots)], tensors[count * (1 + self.slots) :]
        of_each = [tuple(slots[index * self.slots : (index + 1) * self.slots]) for index in range(count)]
        return State((tensors[:count], of_each, states, tf.constant(arrays["steps"][0])), used)

    def _run(self, carry: tuple, epochs: tf.Tensor) -> tuple:
        """Train for some epochs, evaluating after every `eval_interval`-th and after the last.

        Returns carry, losses [capacity * eval_interval, T] and what was found [capacity, T]; only the first rows
        are filled.
        """
        updates = len(self.table.x)

        def update_body(u, carry, total):
            carry, loss = self._update(u, carry)
            return u + 1, carry, total + loss

        def epoch_body(epoch, carry, losses):
            start = (tf.constant(0), carry, tf.zeros(self.trials))
            _, carry, total = tf.while_loop(lambda u, *_: u < updates, update_body, start)
            return epoch + 1, carry, losses.write(epoch, total / updates)

        def check_body(check, epoch, carry, losses, found):
            until = tf.minimum(epoch + self.eval_interval, epochs)
            epoch, carry, losses = tf.while_loop(lambda epoch, *_: epoch < until, epoch_body, (epoch, carry, losses))
            found = [array.write(check, new) for array, new in zip(found, self._evaluate(carry[0]))]
            return check + 1, epoch, carry, losses, found

        losses = tf.TensorArray(tf.float32, self.capacity * self.eval_interval, element_shape=[self.trials])
        found = [tf.TensorArray(kind, self.capacity, element_shape=[self.trials]) for kind in FOUND.values()]
        start = (tf.constant(0), tf.constant(0), carry, losses, found)
        _, _, carry, losses, found = tf.while_loop(lambda _, epoch, *__: epoch < epochs, check_body, start)
        return carry, losses.stack(), [array.stack() for array in found]

    def _update(self, u: tf.Tensor, carry: tuple) -> tuple:
        """One optimizer step for every trial: carry, loss [T] before the step."""
        weights, slots, states, steps = carry
        losses, gradients, states = self._losses_and_gradients(u, weights, states)
        step = lambda *of_one_weight: self.optimizer(tf, steps + 1.0, self.learning_rate, *of_one_weight)
        stepped = [step(*of_one_weight) for of_one_weight in zip(weights, gradients, slots)]
        new = [w for w, _ in stepped], [s for _, s in stepped], steps + 1.0
        has_loss = self.table.loss_mask.any(axis=(1, 2))
        if not has_loss.all():  # where nothing was scored no step is taken, only the state moves on
            keep = lambda new, old: tf.where(tf.constant(has_loss)[u], new, old)
            new = tf.nest.map_structure(keep, new, (weights, slots, steps))
        new_weights, new_slots, new_steps = new
        return (new_weights, new_slots, states, new_steps), losses

    def _losses_and_gradients(self, u: tf.Tensor, weights: list, states: list) -> tuple[tf.Tensor, list, list]:
        """Of update u: the losses [T], their gradients with respect to the weights, and the states after it.

        Back-propagation through time in three passes, so that only what must be done step by step is:
        forward through the steps, keeping the state that each began with; backward through them, for the
        gradient with respect to these states alone; then all steps at once, as rows of one batch (a cell
        treats rows alike), for the losses and the gradient with respect to the weights.
        Automatic differentiation of the whole loop does the last step by step, with a sum over steps
        that is as large as the weights, and XLA cannot compile it over `tf.vectorized_map`.
        """
        table = self.table
        x, y = tf.constant(self.x)[u], tf.constant(self.y)[u]
        loss_mask = table.loss_mask / np.maximum(table.loss_mask.sum(axis=(1, 2), keepdims=True), 1)
        loss_mask = tf.constant(loss_mask.astype(np.float32))[u]
        began, final = self._forward(u, x, weights, states)
        as_rows = lambda array: tf.reshape(array, (-1, array.shape[-1]))  # [S, B, ...] -> [S * B, ...]
        trials_first = lambda array: tf.transpose(array, (1, 0, *range(2, len(array.shape))))
        # [S, T, B, *state] -> [T, S * B, *state]
        by_trial = lambda arrays: [tf.reshape(trials_first(a), (self.trials, -1, *a.shape[3:])) for a in arrays]

        def all_steps(arguments):
            weights, states = arguments
            output, new_states = self.model.step(weights, as_rows(x), states, training=True)
            losses = self.model.loss(as_rows(y), self.model.readout(weights, output))
            return tf.reduce_sum(losses * tf.reshape(loss_mask, [-1])), new_states

        through_time = x.shape[0] > 1 and states
        state_gradients = by_trial(self._backward(u, x, y, loss_mask, weights, began)) if through_time else []
        with tf.GradientTape() as tape:
            tape.watch(weights)
            losses, new_states = tf.vectorized_map(all_steps, (weights, by_trial(began)))
            through_states = [
                tf.reduce_sum(state_gradient * new, axis=range(1, len(new.shape)))
                for state_gradient, new in zip(state_gradients, new_states)
            ]
            total = tf.add_n([losses, *through_states])
        return losses, tape.gradient(total, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO), final

    def _one_step(self, weights, x, states):
        step = lambda of_one: self.model.step(of_one[0], x, of_one[1], training=True)
        return tf.vectorized_map(step, (weights, states))

    def _forward(self, u, x, weights, states) -> tuple[list, list]:
        """The states [S, T, B, *state] that each step began with (after resets), and those after the last."""
        count = x.shape[0]

        def body(step, states, began):
            states = self._before_step(u, step, states)
            began = [array.write(step, state) for array, state in zip(began, states)]
            _, new_states = self._one_step(weights, x[step], states)
            return step + 1, self._after_step(u, step, states, new_states), began

        if count == 1:
            began = self._before_step(u, 0, states)
            _, new_states = self._one_step(weights, x[0], began)
            return [state[tf.newaxis] for state in began], self._after_step(u, 0, began, new_states)
        began = [tf.TensorArray(tf.float32, count, element_shape=state.shape) for state in states]
        _, states, began = tf.while_loop(lambda step, *_: step < count, body, (tf.constant(0), states, began))
        return [array.stack() for array in began], states

    def _backward(self, u, x, y, loss_mask, weights, began) -> list:
        """The gradient of the later steps' losses with respect to the states [S, T, B, *state] after each step."""
        count = x.shape[0]

        def body(left, state_gradient, state_gradients):
            step = left - 1
            states = [array[step] for array in began]
            with tf.GradientTape() as tape:
                tape.watch(states)

                def one_trial(arguments):
                    weights, states = arguments
                    output, new_states = self.model.step(weights, x[step], states, training=True)
                    losses = self.model.loss(y[step], self.model.readout(weights, output))
                    return tf.reduce_sum(losses * loss_mask[step]), new_states

                losses, new_states = tf.vectorized_map(one_trial, (weights, states))
                new_states = self._after_step(u, step, states, new_states)
                total = tf.reduce_sum(losses) + tf.add_n(
                    [tf.reduce_sum(p * n) for p, n in zip(state_gradient, new_states)]
                )
            zeros = [tf.zeros_like(p) for p in state_gradient]
            moved = self._after_step(u, step, zeros, state_gradient)  # padding passes it on untouched
            state_gradients = [array.write(step, p) for array, p in zip(state_gradients, moved)]
            gradients = tape.gradient(total, states, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return left - 1, self._before_step(u, step, gradients, backward=True), state_gradients

        zeros = [tf.zeros(array.shape[1:]) for array in began]
        state_gradients = [tf.TensorArray(tf.float32, count, element_shape=zero.shape) for zero in zeros]
        start = (tf.constant(count), zeros, state_gradients)
        state_gradients = tf.while_loop(lambda left, *_: left > 0, body, start)[2]
        return [array.stack() for array in state_gradients]

    def _before_step(self, u, step, states: list, backward: bool = False) -> list:
        """The initial states where the table says so; backward, no gradient there, nor where it is detached."""
        stops = self.table.reset | self.table.detach if backward else self.table.reset
        if not stops.any():
            return states
        keep = 1.0 - tf.cast(tf.constant(stops)[u, step], tf.float32)
        kept = [state * keep for state in states]
        if backward:
            return kept
        initial = self.model.initial
        return [state + begin * (1.0 - keep) if begin.any() else state for state, begin in zip(kept, initial)]

    def _after_step(self, u, step, states: list, new_states: list) -> list:
        """The state does not move where a short sequence is padded."""
        if self.table.step_mask.all():
            return new_states
        step_mask = tf.constant(self.table.step_mask)[u, step]
        of = lambda state: tf.reshape(step_mask, (-1, *[1] * (len(state.shape) - 2)))  # state: [T, B, ...]
        return [tf.where(of(new), new, old) for new, old in zip(new_states, states)]

    def _evaluate(self, weights: list) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """With frozen weights and fresh state, of each trial [T]: is every scored step of every sequence right; the
        least lead of a right output over the best wrong one; memory in bits (see `predictions.memory_bits`)."""
        table = self.table
        outputs = predict(self.model, weights, table.eval_x, table.inputs)
        target = one_hot(table.eval_y[..., np.newaxis], table.symbols)
        right = tf.argmax(outputs, axis=-1) == table.eval_y
        own = tf.reduce_sum(outputs * target, axis=-1)
        lead = own - tf.reduce_max(tf.where(target > 0, -np.inf, outputs), axis=-1)
        lead = tf.where(tf.math.is_nan(tf.reduce_sum(outputs, axis=-1)), np.nan, lead)
        margin = tf.reduce_min(tf.where(table.eval_mask, lead, np.inf), axis=(1, 2))
        margin = tf.where(tf.reduce_any(tf.math.is_nan(lead) & table.eval_mask, axis=(1, 2)), np.nan, margin)
        needed = table.eval_group >= 0
        sets = one_hot(np.arange(table.symbols)[:, np.newaxis], table.symbols)  # each symbol's own row
        members = np.stack([sets[row[row >= 0]].sum(axis=0) for row in table.candidates])[table.eval_group]
        among = tf.reduce_sum(outputs * members, axis=-1) / members.sum(axis=-1)
        log = lambda array: tf.math.log(tf.maximum(array, TINY))
        base = np.log(table.eval_frequency)
        bits = tf.where(needed, (log(own) - log(among) - base) / np.float32(np.log(2)), 0.0)
        memory = tf.reduce_sum(bits, axis=(1, 2)) / needed.sum() if needed.any() else tf.fill([self.trials], np.nan)
        return tf.reduce_all(right | ~table.eval_mask, axis=(1, 2)), margin, tf.cast(memory, tf.float32)
