"""DVC stage generate_data: the problem that the settings describe -> sequences.json."""

from memory_trials import files
from memory_trials.errors import exit_on_user_error
from memory_trials.studies import design
from memory_trials.tasks import problems, stream_files
from stages import arms_from_argv


def main() -> None:
    arms = arms_from_argv()
    made = [describe(arm) for arm in arms]
    for arm, (text, _) in zip(arms, made):
        files.write_text(arm.files.sequences, text)
    design.keep_only([arm.files.sequences for arm in arms])
    if len(arms) == 1:
        print(made[0][1])


def describe(arm: design.Arm) -> tuple[str, str]:
    """The content of sequences.json, and a line about it."""
    if stream := arm.settings.problem.stream:
        return stream_files.to_json(stream, arm.settings.training.first_seed), stream_files.described(stream)
    problem = problems.make_problem(arm.settings.problem, design.where(arm))
    return problems.to_json(problem), problems.described(problem)


if __name__ == "__main__":
    exit_on_user_error(main)
