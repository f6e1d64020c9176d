"""DVC stage train: table.npz -> trained.npz, the weights, losses and verdicts of every trial."""

from memory_trials import encoding, results
from memory_trials.config import load_settings
from memory_trials.errors import exit_on_user_error
from memory_trials.progress import Progress
from stages import FOLDER


def main() -> None:
    settings = load_settings()
    table = encoding.read_table(FOLDER / results.TABLE)
    from memory_trials import training  # TensorFlow takes seconds to import: mistakes are told before

    with Progress(settings.training.trials, settings.training.epochs) as progress:
        trained = training.train(
            settings.model, settings.training, settings.evaluation.every, settings.compute, table, progress
        )
    made_with = settings.model_dump(include={"problem": True, "model": True, "training": True, "evaluation": {"every"}})
    results.write_trained(FOLDER, trained, made_with)


if __name__ == "__main__":
    exit_on_user_error(main)
