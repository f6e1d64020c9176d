"""DVC stage encode: sequences.json -> table.npz, the table of updates that an epoch consists of."""

from memory_trials.errors import exit_on_user_error
from memory_trials.studies import design
from memory_trials.tasks import encoding, problems, stream_files
from stages import chosen


def main() -> None:
    arms = chosen()
    tables = [None if arm.settings.problem.stream else table_of(arm) for arm in arms]
    for arm, table in zip(arms, tables):
        if table is None:
            stream_files.write_beginning(arm.files.table, arm.settings.problem.stream, arm.settings.training.first_seed)
        else:
            encoding.write_table(arm.files.table, table)
    design.keep_only([arm.files.table for arm in arms])
    if len(arms) == 1 and tables[0] is None:
        print("an epoch is a sequence of the stream, another one for each trial")
    elif len(arms) == 1:
        updates, steps, batch, _ = tables[0].x.shape
        print(f"an epoch is {updates} updates of {steps} steps, batch {batch}, {tables[0].symbols} symbols")


def table_of(arm: design.Arm) -> encoding.UpdateTable:
    return design.table_of(arm, problems.read_problem(arm.files.sequences))


if __name__ == "__main__":
    exit_on_user_error(main)
