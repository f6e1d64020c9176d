"""What a step of a trial costs in the probe, beside plain JAX: the same cell, task, batches and optimizer.

    python -m benchmarks.probe_steps [CELL ...]

The plain program is what one would write for one task: vmap over trials, scan over updates and steps, a cross-entropy
at the scored steps, Adam; it counts no errors and pads nothing. Both run in one process, in turns, one thread each;
medians of the rounds' ratios.
"""

import os
import sys
import time
from functools import partial
from statistics import median

os.environ |= {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "KERAS_BACKEND": "jax",
    "MEMORY_TRIALS_BACKEND": "jax",
}

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.tutorial import note
from memory_trials.cells import registry
from memory_trials.engines import jax_engine, jax_streams
from memory_trials.models.adapters import adapted
from memory_trials.probe import plan as plans

CELLS = ("min_gru", "nbrc", "slstm", "lru", "s6", "retnet", "mlstm", "delta_net", "attention")
TASK, UNITS, TRIALS, SEQUENCES, ROUNDS = "selective copying", 24, 16, 256, 7


def plain_program(cell, inputs: int, outputs: int, batch: int, structure):
    """trial by trial: (weights, first and second moments, step), x [updates, steps, batch, 2], y, mask -> the same."""

    def loss(weights, x, y, mask):
        *leaves, kernel, bias = weights
        params = jax.tree.unflatten(structure, leaves)

        def step(state, x):
            hot = jax.nn.one_hot(x, inputs // 2).reshape(batch, inputs)
            return cell.step(params, state, hot, None)

        _, ys = jax.lax.scan(step, cell.initial_state(params, batch), x)
        losses = -jnp.take_along_axis(jax.nn.log_softmax(ys @ kernel + bias), y[..., None], axis=-1)[..., 0]
        return (losses * mask).sum() / batch

    def update(carry, given):
        weights, means, squares, count = carry
        gradients = jax.grad(loss)(weights, *given)
        count += 1
        scale = 0.003 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        means = [m + (g - m) * 0.1 for m, g in zip(means, gradients)]
        squares = [s + (g * g - s) * 0.001 for s, g in zip(squares, gradients)]
        weights = [w - m * scale / (jnp.sqrt(s) + 1e-7) for w, m, s in zip(weights, means, squares)]
        return (weights, means, squares, count), None

    return jax.jit(jax.vmap(lambda carry, *given: jax.lax.scan(update, carry, given)[0]))


def compare(name: str) -> float:
    """Return how many times as long as plain JAX the probe's engine takes for the same updates."""
    plan = plans.load()
    stream, training = plan.stream(TASK), plan.training(0.003, TRIALS, 0)
    shape = stream.shape
    form = registry.all_cells()[name].jax
    assert form is not None
    cell = adapted(form.functions(UNITS, form.options()), UNITS, {}, shape.inputs)
    model = jax_engine.make_model(cell, shape.inputs, shape.outputs, softmax=True)
    program = jax_streams.Program(model, training, shape)
    keys = jax.vmap(jax.random.key)(np.arange(TRIALS, dtype=np.uint32))
    weights = [np.asarray(a) for a in jax.tree.leaves(jax.vmap(lambda key: cell.init(key, shape.inputs))(keys))]
    weights += [
        np.zeros((TRIALS, model.width, shape.outputs), np.float32),
        np.zeros((TRIALS, shape.outputs), np.float32),
    ]
    sequences = stream.draw(np.arange(TRIALS), "train", 0, SEQUENCES)
    state = program.start(weights)

    plain = plain_program(cell, shape.inputs, shape.outputs, plan.batch, model.structure)
    laid = jax_streams.laid(sequences, shape)
    cut = lambda array: np.moveaxis(array.reshape(TRIALS, -1, plan.batch, *array.shape[2:]), 3, 2)
    given = tuple(map(cut, (laid["x"], laid["y"], laid["mask"])))
    zeros = [np.zeros_like(array) for array in weights]
    carry = (weights, zeros, zeros, np.zeros(TRIALS, np.float32))
    ratios = []
    for turn in range(ROUNDS + 1):
        seconds = []
        for run in (partial(program.train, state, sequences), lambda: jax.block_until_ready(plain(carry, *given))):
            started = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - started)
        if turn:  # the first compiles
            ratios.append(seconds[0] / seconds[1])
    return median(ratios)


def main() -> None:
    figures = {}
    for name in sys.argv[1:] or CELLS:
        figures[name] = round(compare(name), 2)
        print(f"{name}: {figures[name]} times plain JAX", flush=True)
    if not sys.argv[1:]:  # of some cells alone, the others' figures would be lost
        note("probe_steps", figures)


if __name__ == "__main__":
    main()
