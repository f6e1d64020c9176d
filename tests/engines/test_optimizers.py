"""Each optimizer's steps against Keras's own."""

import numpy as np
import pytest

from memory_trials.engines.optimizers import OPTIMIZERS
from memory_trials.models.backend import keras, tf


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_steps_are_those_of_keras(name):
    random = np.random.default_rng(0)
    weight = random.normal(size=(3, 4)).astype(np.float32)
    gradients = random.normal(size=(50, 3, 4)).astype(np.float32) * np.float32(0.1)
    reference = keras.optimizers.get(name)
    reference.learning_rate = 0.01
    variable = keras.Variable(weight)
    step, slots = OPTIMIZERS[name]
    ours, state = tf.constant(weight), tuple(tf.zeros((3, 4)) for _ in range(slots))
    for number, gradient in enumerate(gradients, 1):
        reference.apply([tf.constant(gradient)], [variable])
        ours, state = step(tf, tf.constant(float(number)), 0.01, ours, tf.constant(gradient), state)
    assert np.allclose(ours, variable.numpy(), atol=1e-6)
