"""The independent reference: trials trained one at a time by plain Keras, as the tutorial's reader would."""

import numpy as np

from memory_trials.models.backend import keras
from my_cells.leaky import LeakyCell


def recurrent_layer(cell: str, units: int, **kwargs):
    built_in = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple_rnn": keras.layers.SimpleRNN}
    if cell in built_in:
        return built_in[cell](units, **kwargs)
    return keras.layers.RNN(LeakyCell(units), **kwargs)


def model(seed, cell="lstm", units=20, symbols=5, output="sigmoid", batch=1, steps=1, optimizer="adam", **kwargs):
    keras.utils.set_random_seed(seed)
    if cell == "mlp":
        body = [keras.layers.Dense(units, activation="tanh")]
    else:
        body = [recurrent_layer(cell, units, stateful=True, **kwargs)]
    inputs = keras.Input(batch_shape=(batch, steps, symbols))
    network = keras.Sequential([inputs, *body, keras.layers.Dense(symbols, activation=output)])
    loss = "binary_crossentropy" if output == "sigmoid" else "categorical_crossentropy"
    network.compile(loss=loss, optimizer=optimizer, jit_compile=False)  # each model compiled anew would take longer
    return network


def reset(network) -> None:
    if hasattr(network.layers[0], "reset_states"):
        network.layers[0].reset_states()


def train_by_steps(network, sequences, epochs: int, resets=True) -> list[float]:
    """The tutorial's loop: train_on_batch for each step, the state reset after each sequence; the loss per epoch."""
    losses = []
    for _ in range(epochs):
        epoch_losses = []
        for x, y in sequences:
            for step in range(len(x)):
                target = y[step : step + 1]
                target = target[:, np.newaxis] if len(network.output_shape) == 3 else target
                epoch_losses.append(network.train_on_batch(x[np.newaxis, step : step + 1], target))
            if resets:
                reset(network)
        losses.append(float(np.mean(epoch_losses)))
    return losses


def outputs(network, x) -> np.ndarray:
    """Of one sequence, step by step from a fresh state: [steps, symbols]."""
    reset(network)
    said = [np.ravel(network(x[np.newaxis, step : step + 1], training=False)) for step in range(len(x))]
    reset(network)
    return np.stack(said)


def learned(network, sequences) -> bool:
    """Is every step of every sequence right, from a fresh state?"""
    return all((outputs(network, x).argmax(axis=-1) == y.argmax(axis=-1)).all() for x, y in sequences)
