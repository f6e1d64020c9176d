"""DVC stage encode: sequences.json -> table.npz, the table of updates that an epoch consists of."""

from memory_trials.errors import exit_on_user_error
from memory_trials.stream_settings import StreamSettings
from memory_trials.studies import design
from memory_trials.tasks import encoding, problems, stream_files
from stages import arms_from_argv


def main() -> None:
    arms = arms_from_argv()
    encoded = [encode(arm) for arm in arms]
    for arm, table in zip(arms, encoded):
        if isinstance(table, StreamSettings):
            stream_files.write_beginning(arm.files.table, table, arm.settings.training.first_seed)
        else:
            encoding.write_table(arm.files.table, table)
    design.keep_only([arm.files.table for arm in arms])
    if len(arms) == 1:
        print(told(encoded[0]))


def encode(arm: design.Arm) -> encoding.UpdateTable | StreamSettings:
    """The arm's table; of a stream, which is endless, itself."""
    return arm.settings.problem.stream or design.table_of(arm, problems.read_problem(arm.files.sequences))


def told(encoded: encoding.UpdateTable | StreamSettings) -> str:
    if isinstance(encoded, StreamSettings):
        return "an epoch is a sequence of the stream, another one for each trial"
    updates, steps, batch, _ = encoded.x.shape
    return f"an epoch is {updates} updates of {steps} steps, batch {batch}, {encoded.symbols} symbols"


if __name__ == "__main__":
    exit_on_user_error(main)
