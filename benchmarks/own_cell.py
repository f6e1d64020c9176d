"""A cell of one's own beside plain JAX: my_cells.leaky.LeakyCell, 20 trials, 50 epochs, softmax, full gradient.

    python -m benchmarks.own_cell

Both train in processes of their own, in turns: from a cold start (all imports, compiling, no compiled program kept from
before), and once more in the same process. Medians of the rounds' ratios.
"""

import os
import subprocess
import sys
import tempfile
import time
from statistics import median

from benchmarks.tutorial import HERE, note

LAGS, TRIALS, EPOCHS, ROUNDS = (3, 100, 1000), 20, 50, 3


def ours(lag: int) -> None:
    """Print seconds since the process began, and of two further runs."""
    started = time.time()
    from memory_trials.settings import (
        ComputeSettings,
        EncodingSettings,
        GeneratedSettings,
        ModelSettings,
        ProblemSettings,
        TrainingSettings,
    )
    from memory_trials.tasks.encoding import make_table
    from memory_trials.tasks.problems import make_problem
    from memory_trials.training import trainer
    from memory_trials.training.job import TrainingJob

    tutorial = ProblemSettings(sequences=[[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]])
    of_lag = ProblemSettings(generate=GeneratedSettings(lag=lag, middle="fixed"))
    settings = TrainingSettings(trials=TRIALS, epochs=EPOCHS, window="sequence")
    table = make_table(make_problem(tutorial if lag == 3 else of_lag), EncodingSettings(), settings, False)
    model = ModelSettings(cell="my_cells.leaky.LeakyCell", output="softmax")
    for _ in range(3):
        trainer.train(TrainingJob(model, settings, EPOCHS, table), ComputeSettings())
        print(time.time() - started, flush=True)
        started = time.time()


def seconds(*command: str) -> tuple[float, float]:
    """Cold, and the best of two warm runs."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"XDG_CACHE_HOME": folder, "PYTHONPATH": str(HERE.parent)}
        said = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=True)
    cold, *warm = map(float, said.stdout.split())
    return cold, min(warm)


def main() -> None:
    figures = {}
    for lag in LAGS:
        rounds = []
        for _ in range(ROUNDS):
            plain = seconds(str(HERE / "jax_own_cell.py"), str(lag), str(TRIALS), str(EPOCHS), "2")
            rounds.append((plain, seconds("-m", "benchmarks.own_cell", str(lag))))
        names = ("cold", "warm")
        figures[str(lag)] = {
            n: round(median(mine[k] / plain[k] for plain, mine in rounds), 2) for k, n in enumerate(names)
        }
        figures[str(lag)] |= {f"jax_{n}": round(min(plain[k] for plain, _ in rounds), 3) for k, n in enumerate(names)}
        print(f"lag {lag}: {figures[str(lag)]}", flush=True)
    note("own_cell", figures)


if __name__ == "__main__":
    ours(int(sys.argv[1])) if len(sys.argv) > 1 else main()
