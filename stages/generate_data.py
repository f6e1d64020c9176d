"""DVC stage generate_data: the problem that the settings describe -> sequences.json."""

from memory_trials import files
from memory_trials.errors import exit_on_user_error
from memory_trials.studies import design
from memory_trials.tasks import problems
from stages import chosen


def main() -> None:
    arms = chosen()
    made = [problems.make_problem(arm.settings.problem, design.where(arm)) for arm in arms]
    for arm, problem in zip(arms, made):
        files.write_text(arm.files.sequences, problems.to_json(problem))
    design.keep_only([arm.files.sequences for arm in arms])
    if len(arms) == 1:
        print(problems.described(made[0]))


if __name__ == "__main__":
    exit_on_user_error(main)
