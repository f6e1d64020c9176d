"""The tutorial in JAX, as its users would write it: one trial with scan, mapped over trials with vmap, compiled.

.venv-bench/bin/python benchmarks/jax_tutorial.py TRIALS [RUNS]      prints seconds per trial, a run a line
"""

import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax_adam import adam

EPOCHS, UNITS, SYMBOLS = 250, 20, 5
SEQUENCES = np.array([[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]])
X = np.eye(SYMBOLS, dtype=np.float32)[SEQUENCES[:, :-1].ravel()]
Y = np.eye(SYMBOLS, dtype=np.float32)[SEQUENCES[:, 1:].ravel()]
KEEP = np.array([0, 1, 1, 1] * 2, np.float32)  # 0: the state is reset before the step


def initial_weights(key):
    shapes = [(SYMBOLS, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,), (UNITS, SYMBOLS), (SYMBOLS,)]
    return [0.2 * jax.random.normal(k, shape) for k, shape in zip(jax.random.split(key, len(shapes)), shapes)]


def loss(weights, x, y, h, c):
    kernel, recurrent, bias, out_kernel, out_bias = weights
    i, f, g, o = jnp.split(x @ kernel + h @ recurrent + bias, 4)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    z = h @ out_kernel + out_bias
    return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))), (h, c)


def trial(weights):
    def update(carry, row):
        weights, means, squares, h, c, t = carry
        x, y, keep = row
        (value, (h, c)), gradients = jax.value_and_grad(loss, has_aux=True)(weights, x, y, keep * h, keep * c)
        t = t + 1
        weights, means, squares = adam(weights, gradients, means, squares, t)
        return (weights, means, squares, h, c, t), value

    def epoch(carry, _):
        carry, losses = jax.lax.scan(update, carry, (X, Y, KEEP))
        return carry, losses.mean()

    zeros = [jnp.zeros_like(w) for w in weights]
    start = (weights, zeros, zeros, jnp.zeros(UNITS), jnp.zeros(UNITS), 0.0)
    (weights, *_), losses = jax.lax.scan(epoch, start, None, length=EPOCHS)
    return weights, losses


if __name__ == "__main__":
    trials, runs = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    weights = jax.vmap(initial_weights)(jax.random.split(jax.random.PRNGKey(0), trials))
    train = jax.jit(jax.vmap(trial))
    jax.block_until_ready(train(weights))
    for _ in range(runs):
        started = time.perf_counter()
        jax.block_until_ready(train(weights))
        print((time.perf_counter() - started) / trials, flush=True)
