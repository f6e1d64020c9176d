"""DVC stage encode: sequences.json -> table.npz, the table of updates that an epoch consists of."""

from memory_trials import artifacts, encoding, problems, studies
from memory_trials.errors import exit_on_user_error
from stages import chosen, keep_only


def main() -> None:
    study, arms = chosen()
    tables = [
        studies.table_of(arm, problems.from_json(artifacts.read_text(arm.sequences), arm.sequences)) for arm in arms
    ]
    for arm, table in zip(arms, tables):
        encoding.write_table(arm.table, table)
    if study:
        keep_only(arms[0].table.parent, {arm.table.name for arm in arms})
        return
    updates, steps, batch, _ = tables[0].x.shape
    print(f"an epoch is {updates} updates of {steps} steps, batch {batch}, {tables[0].symbols} symbols")


if __name__ == "__main__":
    exit_on_user_error(main)
