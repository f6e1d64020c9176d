"""DVC stage encode: sequences.json -> table.npz, the one-hot table of updates that an epoch consists of."""

from memory_trials import artifacts, encoding, problems, results
from memory_trials.config import load_settings
from memory_trials.errors import exit_on_user_error
from stages import FOLDER


def main() -> None:
    training = load_settings().training
    path = FOLDER / results.SEQUENCES
    problem = problems.from_json(artifacts.read_text(path), path)
    table = encoding.make_table(problem, training)
    encoding.write_table(FOLDER / results.TABLE, table)
    updates, steps, batch, symbols = table.x.shape
    print(f"an epoch is {updates} updates of {steps} steps, batch {batch}, {symbols} symbols")


if __name__ == "__main__":
    exit_on_user_error(main)
