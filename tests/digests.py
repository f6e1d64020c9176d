"""Small arms of every kind, and what their trials come to, recorded in tests/digests.json.

They guard what DVC's graph and the key of kept trials leave out: whoever changes code that no stage depends on, and by
it a trained bit, is told so by tests/integrity/test_digests.py. Where bits are meant to change, `python -m tests.digests` records
them anew (and every study must be trained anew).
"""

import itertools
import json
from pathlib import Path

from memory_trials.integrity import digests
from memory_trials.settings import ComputeSettings, Settings
from memory_trials.tasks.encoding import make_table
from memory_trials.tasks.problems import make_problem
from memory_trials.training.job import TrainingJob
from memory_trials.training.trainer import train

FILE = Path(__file__).with_name("digests.json")
TUTORIAL = {"sequences": [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]}
CELLS, OUTPUTS, OPTIMIZERS = ("lstm", "gru", "simple_rnn", "mlp"), ("sigmoid", "softmax"), ("adam", "rmsprop", "sgd")
TRAINING = {"trials": 2, "epochs": 12, "first_seed": 3, "learning_rate": 0.01}


def arms() -> dict[str, dict]:
    """Name -> sections of the settings."""
    found: dict[str, dict] = {}
    for cell, output, optimizer in itertools.product(CELLS, OUTPUTS, OPTIMIZERS):
        found[f"{cell} {output} {optimizer}"] = {
            "model": {"cell": cell, "units": 5, "output": output}, "training": {"optimizer": optimizer},
        }  # fmt: skip
    for reset, window in itertools.product(("window", "epoch", "never"), (1, 3, "sequence")):
        found[f"reset {reset}, window {window}"] = {"training": {"reset": reset, "window": window}}
    return found | {
        "update sequence": {"training": {"update": "sequence"}},
        "update epoch": {"training": {"update": "epoch"}},
        "batch of steps": {"training": {"batch": 3, "batch_of": "steps"}},
        "batch of sequences": {"training": {"batch": 2, "window": "sequence"}},
        "shuffled": {"training": {"shuffle": True}},
        "history as features": {"encoding": {"history": 3}},
        "history as steps": {"encoding": {"history": 2, "history_as": "steps"}},
        "forget bias": {"model": {"forget_bias": 5.0}},
        "chrono": {"model": {"cell": "gru", "forget_bias": {"chrono": 9}}},
        "options of the cell": {"model": {"cell_options": {"unit_forget_bias": False}}},
        "many symbols": {"problem": {"generate": {"lag": 2, "keys": 19}}, "training": {"epochs": 3}},
        "random sequences": {
            "problem": {"generate": {"lag": 3, "middle": "random", "train": 4, "unseen": 3}, "scored": "last"},
        },
        "long": {"problem": {"generate": {"lag": 150, "middle": "fixed"}}, "training": {"window": "sequence"}},
        "37 units": {"model": {"units": 37, "cell": "gru"}},
    }  # fmt: skip


def digest(sections: dict) -> str:
    """The digests of an arm's trials, together."""
    model = {"units": 7} | sections.get("model", {})
    settings = Settings.model_validate({"problem": TUTORIAL} | sections | {
        "model": model, "training": TRAINING | sections.get("training", {}), "evaluation": {"interval": 5},
    })  # fmt: skip
    table = make_table(make_problem(settings.problem), settings.encoding, settings.training, False)
    job = TrainingJob(settings.model, settings.training, settings.evaluation.interval, table)
    return " ".join(digests.of_trials(train(job, ComputeSettings(threads=1))))


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: digest(sections) for name, sections in arms().items()}, indent=1) + "\n")
