"""Figures of docs/paper.md: what it does to experiment 2a when its cell is added, learned by cross-entropy and by
squared error, and to 2b by cross-entropy.

    python -m benchmarks.paper_added      (some minutes on two cores)
"""

import numpy as np

from memory_trials.settings import ComputeSettings
from memory_trials.studies import design
from memory_trials.tasks.streams import Stream
from memory_trials.training import stream_shards
from memory_trials.training.job import TrainingJob
from memory_trials.training.trainer import train

TRIALS, SEQUENCES = 32, 20_000
FALLS = {  # row, loss: the shares
    ("noise_free", "cross_entropy"): (0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15),
    ("noise_free", None): (0.01, 0.05, 0.2, 0.5, 0.9),
    ("noisy", "cross_entropy"): (0.03, 0.05, 0.08),
}


def main() -> None:
    train_block = stream_shards.train_block
    added: list[int] = []

    def noted(program, state, sequences, running):
        asleep = ~running["awake"]
        errors = train_block(program, state, sequences, running)
        added.extend((running["done"] + sequences.lengths.shape[1])[asleep & running["awake"]].tolist())
        return errors

    stream_shards.train_block = noted
    for (row, loss), shares in FALLS.items():
        settings = design.find(row)[1][0].settings
        training = settings.training.model_copy(update={"trials": TRIALS, "epochs": SEQUENCES, "loss": loss})
        interval = settings.evaluation.interval
        job = TrainingJob(settings.model, training, interval, Stream(settings.problem.stream))
        for stream_shards.FALLS in shares:
            added.clear()
            until = train(job, ComputeSettings()).met_criterion_at["success"]
            learned = until[until > 0]
            after = f" after {learned.mean():,.0f} in the mean" if len(learned) else ""
            print(
                f"{row}, {loss or 'squared error'}, added where the error falls by less than "
                f"{100 * stream_shards.FALLS:g} %, after {np.median(added):,.0f} sequences: "
                f"{len(learned)} of {TRIALS} learn{after}",
                flush=True,
            )


if __name__ == "__main__":
    main()
