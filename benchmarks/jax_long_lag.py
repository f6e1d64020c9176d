"""Full back-propagation through long sequences in JAX, as its users would write it: scan over steps, vmap over trials.

.venv-bench/bin/python benchmarks/jax_long_lag.py LAG TRIALS EPOCHS [RUNS]
prints microseconds per trial, step and sequence, a run a line
"""

import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax_adam import adam

UNITS, SYMBOLS = 20, 3


def initial_weights(key):
    shapes = [(SYMBOLS, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,), (UNITS, SYMBOLS), (SYMBOLS,)]
    return [0.2 * jax.random.normal(k, shape) for k, shape in zip(jax.random.split(key, len(shapes)), shapes)]


def loss(weights, x, y):
    kernel, recurrent, bias, out_kernel, out_bias = weights

    def step(state, x):
        h, c = state
        i, f, g, o = jnp.split(x @ kernel + h @ recurrent + bias, 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    (h, _), _ = jax.lax.scan(step, (jnp.zeros(UNITS), jnp.zeros(UNITS)), x)
    z = h @ out_kernel + out_bias
    return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))


def trial(weights, x, y, epochs):
    def update(carry, row):
        weights, means, squares, t = carry
        value, gradients = jax.value_and_grad(loss)(weights, *row)
        t = t + 1
        weights, means, squares = adam(weights, gradients, means, squares, t)
        return (weights, means, squares, t), value

    def epoch(carry, _):
        carry, losses = jax.lax.scan(update, carry, (x, y))
        return carry, losses.mean()

    zeros = [jnp.zeros_like(w) for w in weights]
    (weights, *_), losses = jax.lax.scan(epoch, (weights, zeros, zeros, 0.0), None, length=epochs)
    return weights, losses


if __name__ == "__main__":
    lag, trials, epochs = (int(argument) for argument in sys.argv[1:4])
    runs = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    sequences = np.array([[key, *[0] * lag, key] for key in (1, 2)])
    x, y = jnp.eye(SYMBOLS)[sequences[:, :-1]], jnp.eye(SYMBOLS)[sequences[:, -1]]
    weights = jax.vmap(initial_weights)(jax.random.split(jax.random.PRNGKey(0), trials))
    train = jax.jit(jax.vmap(lambda weights: trial(weights, x, y, epochs)))
    jax.block_until_ready(train(weights))
    for _ in range(runs):
        started = time.perf_counter()
        jax.block_until_ready(train(weights))
        print((time.perf_counter() - started) / trials / epochs / 2 / (lag + 1) * 1e6, flush=True)
