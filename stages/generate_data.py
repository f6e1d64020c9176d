"""DVC stage generate_data: the problem that the settings describe -> sequences.json."""

from memory_trials import artifacts, problems, studies
from memory_trials.errors import exit_on_user_error
from stages import chosen, keep_only


def main() -> None:
    study, arms = chosen()
    made = [problems.make_problem(arm.settings.problem, studies.where(arm)) for arm in arms]
    for arm, problem in zip(arms, made):
        artifacts.write_text(arm.sequences, problems.to_json(problem))
    if study:
        keep_only(arms[0].sequences.parent, {arm.sequences.name for arm in arms})
        return
    lag = problems.lag(made[0])
    if lag is None:
        print("note: no model can learn this: two sequences are alike up to a scored step where they differ")
    else:
        print(
            f"{len(made[0].sequences)} sequences of {len(made[0].alphabet)} symbols; memory must reach back {lag} steps"
        )


if __name__ == "__main__":
    exit_on_user_error(main)
