"""A Keras cell on JAX as its author would train it: stateless_call, vmap over trials, scan over steps.

python benchmarks/jax_own_cell.py LAG TRIALS EPOCHS [RUNS]
prints seconds since the process began, and of each further run, a run a line
"""

import os
import sys
import time

STARTED = time.time()
os.environ["KERAS_BACKEND"] = "jax"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
from jax_adam import adam  # noqa: E402

from my_cells.leaky import LeakyCell  # noqa: E402

UNITS = 20


def main(lag: int, trials: int, epochs: int, runs: int) -> None:
    sequences = np.array([[key, *[0] * lag, key] for key in (1, 2)]) if lag > 3 else TUTORIAL
    symbols = int(sequences.max()) + 1
    x, y = np.eye(symbols, dtype=np.float32)[sequences[:, :-1]], np.eye(symbols, dtype=np.float32)[sequences[:, 1:]]
    cell, dense = LeakyCell(UNITS), keras.layers.Dense(symbols, activation="softmax")
    cell.build((1, symbols))
    dense.build((1, UNITS))
    count = len(cell.trainable_variables)

    def drawn(key):
        shapes = [v.shape for v in cell.trainable_variables + dense.trainable_variables]
        return [0.2 * jax.random.normal(k, shape) for k, shape in zip(jax.random.split(key, len(shapes)), shapes)]

    weights = jax.vmap(drawn)(jax.random.split(jax.random.key(0), trials))

    def loss(weights, x, y):
        def step(h, x):
            (output, (h,)), _ = cell.stateless_call(weights[:count], [], x[None], [h])
            return h, dense.stateless_call(weights[count:], [], output)[0][0]

        _, outputs = jax.lax.scan(step, jnp.zeros((1, UNITS)), x)
        return keras.losses.categorical_crossentropy(y, outputs).mean()

    def trial(weights):
        def update(carry, row):
            weights, means, squares, t = carry
            value, gradients = jax.value_and_grad(loss)(weights, *row)
            t = t + 1
            weights, means, squares = adam(weights, gradients, means, squares, t)
            return (weights, means, squares, t), value

        zeros = [jnp.zeros_like(w) for w in weights]
        epoch = lambda carry, _: jax.lax.scan(update, carry, (x, y))
        (weights, *_), losses = jax.lax.scan(epoch, (weights, zeros, zeros, 0.0), None, length=epochs)
        return weights, losses

    train = jax.jit(jax.vmap(trial))
    jax.block_until_ready(train(weights))
    print(time.time() - STARTED, flush=True)
    for _ in range(runs):
        started = time.perf_counter()
        jax.block_until_ready(train(weights))
        print(time.perf_counter() - started, flush=True)


TUTORIAL = np.array([[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]])

if __name__ == "__main__":
    main(*(int(argument) for argument in [*sys.argv[1:4], *(sys.argv[4:] or ["3"])]))
