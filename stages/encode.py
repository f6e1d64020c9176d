"""DVC stage encode: sequences.json -> table.npz, the table of updates that an epoch consists of."""

from memory_trials import encoding, problems, studies
from memory_trials.errors import exit_on_user_error
from stages import chosen


def main() -> None:
    arms = chosen()
    tables = [studies.table_of(arm, problems.read_problem(arm.files.sequences)) for arm in arms]
    for arm, table in zip(arms, tables):
        encoding.write_table(arm.files.table, table)
    studies.keep_only([arm.files.table for arm in arms])
    if len(arms) == 1:
        updates, steps, batch, _ = tables[0].x.shape
        print(f"an epoch is {updates} updates of {steps} steps, batch {batch}, {tables[0].symbols} symbols")


if __name__ == "__main__":
    exit_on_user_error(main)
