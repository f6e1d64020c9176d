"""The IRNN of Le, Jaitly & Hinton 2015, rectified linear units that begin with the identity, is simple_rnn with options."""

import numpy as np

from memory_trials.engines import own
from memory_trials.settings import ModelSettings

OPTIONS = {"activation": "relu", "recurrent_initializer": "identity"}


def test_simple_rnn_with_options_is_an_irnn_on_jax():
    model = ModelSettings(cell="simple_rnn", units=4, output="softmax", cell_options=OPTIONS)
    names = own.weight_names(model, 3, 3)
    weights = dict(zip(names, own.initial_weights(model, 3, 3, np.arange(2))))
    assert (weights["cell/recurrent_kernel"] == np.eye(4)).all() and not weights["cell/bias"].any()
    x = np.random.default_rng(0).integers(0, 3, (1, 9, 1))
    found = own.predict(model, weights, x, 3, 3)
    for trial in range(2):
        h = np.zeros(4)
        for step, (index,) in enumerate(x[0]):
            h = np.maximum(0, weights["cell/kernel"][trial, index] + h @ weights["cell/recurrent_kernel"][trial])
            activations = np.exp(h @ weights["output/kernel"][trial])
            assert np.allclose(found[trial, 0, step], activations / activations.sum(), atol=1e-5)
    assert own.sizes(model, 3, 3) == (3 * 4 + 4 * 4 + 4, 47, 4)
