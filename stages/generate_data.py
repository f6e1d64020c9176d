"""DVC stage generate_data: what the settings describe -> sequences.json."""

from memory_trials import files
from memory_trials.errors import exit_on_user_error
from memory_trials.studies import design
from memory_trials.tasks import making
from stages import arms_from_argv


def main() -> None:
    arms = arms_from_argv()
    made = [making.make(arm.settings.problem, design.where(arm)) for arm in arms]
    for arm, problem in zip(arms, made):
        files.write_text(arm.files.sequences, problem.to_json(arm.settings.training.first_seed))
    design.keep_only([arm.files.sequences for arm in arms])
    if len(arms) == 1:
        print(made[0].described())


if __name__ == "__main__":
    exit_on_user_error(main)
