"""DVC stage generate_data: the problem that params.yaml describes -> sequences.json."""

from memory_trials import artifacts, problems, results
from memory_trials.config import load_settings
from memory_trials.errors import exit_on_user_error
from stages import FOLDER


def main() -> None:
    problem = problems.make_problem(load_settings().problem)
    artifacts.write_text(FOLDER / results.SEQUENCES, problems.to_json(problem))
    lag = problems.lag(problem)
    if lag is None:
        print("note: no model can learn this: two sequences are alike up to a scored step where they differ")
    else:
        print(
            f"{len(problem.sequences)} sequences of {len(problem.alphabet)} symbols; memory must reach back {lag} steps"
        )


if __name__ == "__main__":
    exit_on_user_error(main)
