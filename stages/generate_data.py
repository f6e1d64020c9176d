"""DVC stage generate_data: the problem that the settings describe -> sequences.json."""

from memory_trials import artifacts, problems, studies
from memory_trials.errors import exit_on_user_error
from stages import chosen


def main() -> None:
    arms = chosen()
    made = [problems.make_problem(arm.settings.problem, studies.where(arm)) for arm in arms]
    for arm, problem in zip(arms, made):
        artifacts.write_text(arm.files.sequences, problems.to_json(problem))
    studies.keep_only([arm.files.sequences for arm in arms])
    if len(arms) == 1:
        print(problems.described(made[0]))


if __name__ == "__main__":
    exit_on_user_error(main)
