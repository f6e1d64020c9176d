"""What the report's memory microscope shows: an arm's trained weights, for the page to compute every number from.

equations.js works out the equations of `forward` there, microscope.js shows them, microscope.css is how they look.
"""

import base64
import math

import numpy as np

from memory_trials.cells import registry
from memory_trials.evaluation import results
from memory_trials.models import forward
from memory_trials.studies import design
from memory_trials.tasks import problems
from memory_trials.tasks.symbols import name
from memory_trials.training.trained import read_trained

COMPUTED = ("lstm", "gru", "simple_rnn", "mlp")  # cells whose arithmetic is in equations.js


def specimens(arm: design.Arm, largest: int = 2_000_000) -> dict | None:
    """Return an arm's problem, model and trials, ready for JSON; None where the page could not compute them.

    That is where the equations are not those of `forward.supports`, where history is shown as further steps, and where
    not one trial fits into `largest` characters of weights. Where not all fit, the best trial comes first (learned, of
    the lowest final loss), then the first that failed, then the others in the order of their seeds; `trials_in_all`
    says how many there were. Symbols are given by their names, since JavaScript writes some numbers otherwise.

    variables: name and shape of each of the model's variables; a trial's weights are their float32 values
    (little-endian, each variable in row-major order, one after the other) in base64. `UserError` where a file is
    missing or damaged.
    """
    model, encoding = arm.settings.model, arm.settings.encoding
    if (
        arm.settings.problem.endless
        or not (model.cell in COMPUTED and forward.supports(model))
        or (encoding.history_as == "steps" and encoding.history > 1)
    ):
        return None
    shown = registry.shown(model.cell)
    assert shown is not None
    problem = problems.read_problem(arm.files.sequences)
    _, trained = read_trained(arm.files.trained)
    rows = results.read_table(arm.files.folder, "trials").set_index("seed")
    trials = []
    for seed in trained.seeds.tolist():
        loss = float(rows["final_loss"][seed])  # nan where training diverged, which JSON has no word for
        learned = bool(rows["learned"][seed])
        trials.append({"seed": seed, "learned": learned, "loss": loss if math.isfinite(loss) else None})

    values = sum(array[0].size for array in trained.weights.values())
    fit = largest // (4 * math.ceil(4 * values / 3))  # base64: four characters for each three bytes, the last filled up
    kept = _in_order_of_use(trials)[:fit]
    if not kept:
        return None
    for index in kept:
        flat = np.concatenate([array[index].ravel() for array in trained.weights.values()]).astype("<f4")
        trials[index]["weights"] = base64.b64encode(flat.tobytes()).decode("ascii")
    return {
        "alphabet": [name(symbol) for symbol in problem.alphabet],
        "evaluation_sequences": [[name(symbol) for symbol in sequence] for sequence in problem.evaluation_sequences],
        "last_only": problem.last_only,
        "history": encoding.history,
        "cell": model.cell,
        "equations": {"gates": [gate._asdict() for gate in shown.gates], "c": shown.c, "h": shown.h},
        "units": model.units,
        "output": model.output,
        "variables": [{"name": name, "shape": list(array.shape[1:])} for name, array in trained.weights.items()],
        "trials": [trials[index] for index in sorted(kept)],
        "trials_in_all": len(trials),
    }


def _in_order_of_use(trials: list[dict]) -> list[int]:
    """The indices of the trials: the best, the first that failed, and the others as they stand."""
    loss = lambda trial: math.inf if trial["loss"] is None else trial["loss"]
    indices = range(len(trials))
    best = min(indices, key=lambda index: (not trials[index]["learned"], loss(trials[index])))
    failed = [index for index in indices if not trials[index]["learned"] and index != best][:1]
    return [best, *failed, *(index for index in indices if index not in (best, *failed))]
