"""DVC stage encode: sequences.json -> table.npz, the table of updates that an epoch consists of."""

from memory_trials.errors import exit_on_user_error
from memory_trials.studies import design
from memory_trials.tasks import making
from stages import arms_from_argv


def main() -> None:
    arms = arms_from_argv()
    tasks = [design.task_of(arm, making.read(arm.settings.problem, arm.files.sequences)) for arm in arms]
    for arm, task in zip(arms, tasks):
        task.write(arm.files.table, arm.settings.training.first_seed)
    design.keep_only([arm.files.table for arm in arms])
    if len(arms) == 1:
        print(tasks[0].epoch())


if __name__ == "__main__":
    exit_on_user_error(main)
