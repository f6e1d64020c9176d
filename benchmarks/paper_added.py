"""A figure of docs/paper.md: what it does to experiment 2a, learned by cross-entropy, when its cell is added.

python -m benchmarks.paper_added      (two minutes on two cores)
"""

import numpy as np

from memory_trials.settings import ComputeSettings
from memory_trials.studies.rows import load_rows, row_arm
from memory_trials.training import streaming

TRIALS, SEQUENCES = 32, 20_000
FALLS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15)


def main() -> None:
    settings = row_arm("noise_free_cross_entropy", load_rows()).settings
    some = {"trials": TRIALS, "epochs": SEQUENCES}
    job = streaming.StreamingJob(
        settings.model,
        settings.training.model_copy(update=some),
        settings.problem.stream,
        settings.evaluation.interval,
    )
    for falls in FALLS:
        added: list[int] = []
        train_block = streaming._train_block

        def noted(program, state, sequences, running, train_block=train_block, added=added):
            asleep = ~running["awake"]
            errors = train_block(program, state, sequences, running)
            added += ((running["done"] + 1) * job.interval)[asleep & running["awake"]].tolist()
            return errors

        streaming.FALLS, streaming._train_block = falls, noted
        until = streaming.train(job, ComputeSettings()).until["success"]
        streaming._train_block = train_block
        learned = until[until > 0]
        after = f" after {learned.mean():,.0f} in the mean" if len(learned) else ""
        print(
            f"added where the error falls by less than {100 * falls:g} %, after {np.median(added):,.0f} sequences: "
            f"{len(learned)} of {TRIALS} learn{after}",
            flush=True,
        )


if __name__ == "__main__":
    main()
