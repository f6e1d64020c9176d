"""One step of an optimizer, element by element, exactly as Keras takes it.

Keras's own optimizers cannot be called without state on TensorFlow (`stateless_apply` refuses), so the
three formulas are here; the tests compare them with Keras. Element by element means that stacked trials
take the same steps as each trial alone.
"""

from collections.abc import Callable

# (tensorflow or jax.numpy, step number from 1, learning rate, weight, gradient, slots) -> (weight, slots); any shape,
# all float32
Step = Callable[..., tuple]


def adam(ops, step, learning_rate, weight, gradient, slots):
    """Take a step of Kingma & Ba 2015, algorithm 1 as reordered in section 2: beta 0.9 and 0.999, epsilon 1e-7."""
    mean, square = slots
    scale = learning_rate * ops.sqrt(1.0 - ops.pow(0.999, step)) / (1.0 - ops.pow(0.9, step))
    mean += (gradient - mean) * (1 - 0.9)
    square += (ops.square(gradient) - square) * (1 - 0.999)
    return weight - mean * scale / (ops.sqrt(square) + 1e-7), (mean, square)


def rmsprop(ops, step, learning_rate, weight, gradient, slots):
    """Take a step of Hinton's lecture 6e, without momentum: rho 0.9, epsilon 1e-7 under the root."""
    (square,) = slots
    square = 0.9 * square + (1 - 0.9) * ops.square(gradient)
    return weight - learning_rate * gradient / ops.sqrt(square + 1e-7), (square,)


def sgd(ops, step, learning_rate, weight, gradient, slots):
    """Take a step of gradient descent."""
    return weight - learning_rate * gradient, ()


OPTIMIZERS: dict[str, tuple[Step, int]] = {"adam": (adam, 2), "rmsprop": (rmsprop, 1), "sgd": (sgd, 0)}  # and slots
