"""What plain Keras comes to where it takes long, recorded in tests/keras_outcomes.json, with a sample computed anew.

A trial of the tutorial takes Keras 4 seconds. So tests/training/test_trainer.py compares what this project trains with
what is recorded of Keras, and what is recorded with Keras itself in other trials each time: all that is recorded is
tried in the course of time, and whatever is wrong there is wrong for this project's trials too. `python -m
tests.keras_outcomes` records all of it anew.
"""

import json
from pathlib import Path

import numpy as np

from tests import plain_keras

FILE = Path(__file__).with_name("keras_outcomes.json")
PAIRS = [(np.eye(5, dtype=np.float32)[s[:-1]], np.eye(5, dtype=np.float32)[s[1:]])
         for s in ([3, 0, 1, 2, 3], [4, 0, 1, 2, 4])]  # fmt: skip
TRIALS = [("lstm", seed, 250) for seed in range(10)]  # cell, seed, epochs
TRIALS += [(c, seed, 80) for c in ("gru", "simple_rnn", "mlp", "my_cells.leaky.LeakyCell") for seed in (5, 6)]
DIGITS = 7  # a single-precision number has no more


def name(cell: str, seed: int, epochs: int) -> str:
    return f"{cell}, seed {seed}, {epochs} epochs"


def computed(cell: str, seed: int, epochs: int) -> dict:
    """A trial of the tutorial by plain Keras: its loss per epoch, whether it has learned, its outputs [K, L, symbols]."""
    network = plain_keras.model(seed, cell)
    losses = plain_keras.train_by_steps(network, PAIRS, epochs)
    outputs = np.stack([plain_keras.outputs(network, x) for x, _ in PAIRS])
    return {"learned": plain_keras.learned(network, PAIRS), "losses": losses, "outputs": outputs.astype(float).tolist()}


def recorded() -> dict[str, dict]:
    return json.loads(FILE.read_text())


def main() -> None:
    known = {name(*trial): computed(*trial) for trial in TRIALS}
    for trial in known.values():
        trial["learned"] = bool(trial["learned"])
        trial["losses"] = [float(f"{loss:.{DIGITS}g}") for loss in trial["losses"]]
        trial["outputs"] = [[[float(f"{o:.{DIGITS}g}") for o in step] for step in row] for row in trial["outputs"]]
    lines = ",\n".join(f"{json.dumps(of)}: {json.dumps(trial)}" for of, trial in known.items())
    FILE.write_text(f"{{\n{lines}\n}}\n")
    print(f"{FILE.name} is written")


if __name__ == "__main__":
    main()
