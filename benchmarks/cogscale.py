"""Which of CogScale's bold winners are decided, by its own 25,760 published runs (examples/cogscale).

    python -m benchmarks.cogscale

Its table (baseline/results/mean_std.md) gives the mean error of the learning rate that has the least, to two digits,
and sets the least of each row in bold. Here every such winner is compared with each other model by a permutation test.
"""

from pathlib import Path

from memory_trials.evaluation import ranking, score_files

RUNS = Path("examples/cogscale/results.csv.gz")
COLUMNS = score_files.Columns(
    task=("task", "difficulty", "parameters"), score="test_error", lower_is_better=True, choose="learning_rate"
)


def main() -> None:
    scores = score_files.read(RUNS, COLUMNS)
    for paired in (True, False):
        summary = ranking.summarize(scores.tasks, paired, 0.95, lower_is_better=True)
        alone = [task for task in summary["tasks"] if len(bold(task)) == 1]
        undecided = [task for task in alone if task["undecided"]]
        print(f"{'paired by seed' if paired else 'not paired'}: {len(alone)} of {len(summary['tasks'])} rows have one")
        print(f"bold winner; {len(undecided)} of these are not decided:")
        for task in undecided:
            print(f"  {task['task']}: {task['best']}, from {', '.join(task['undecided'])}")


def bold(task: dict) -> list[str]:
    """The models whose mean is the least of the row, to two digits."""
    shown = {model: round(numbers["mean"], 2) for model, numbers in task["models"].items()}
    return [model for model, mean in shown.items() if mean == min(shown.values())]


if __name__ == "__main__":
    main()
