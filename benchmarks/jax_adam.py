"""One step of Adam as Keras takes it, for the plain JAX programs beside this one."""

import jax.numpy as jnp


def adam(weights, gradients, means, squares, t):
    """Return weights and both moments after step t, from 1; each a list of arrays. The learning rate is 0.001."""
    scale = 0.001 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    means = [m + 0.1 * (g - m) for m, g in zip(means, gradients)]
    squares = [s + 0.001 * (g * g - s) for s, g in zip(squares, gradients)]
    return [w - scale * m / (jnp.sqrt(s) + 1e-7) for w, m, s in zip(weights, means, squares)], means, squares
