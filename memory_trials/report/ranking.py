"""A table of scores in words, and as a page of Markdown: which model is better, and how sure that is."""

from __future__ import annotations

from typing import Any

MOST_TASKS = 40  # whose undecided winners the terminal lists

Summary = dict[str, Any]  # as `evaluation.ranking.summarize` returns it


def text(summary: Summary) -> str:
    """Say what a table of scores shows, for a terminal."""
    width = max(len(row["model"]) for row in summary["models"])
    head = f"{'model':{width}}  best on  decided on"
    lines = [*_sentences(summary), "", head]
    lines += [f"{row['model']:{width}}  {row['best']:7}  {row['decided']:10}" for row in by_wins(summary)]
    undecided = [task for task in summary["tasks"] if task["undecided"]]
    if undecided:
        lines += ["", "not decided:"]
        lines += [
            f"  {task['task']}: {task['best']} over {', '.join(task['undecided'])}" for task in undecided[:MOST_TASKS]
        ]
        lines += [f"  and on {len(undecided) - MOST_TASKS} more tasks"] * (len(undecided) > MOST_TASKS)
    return "\n".join(lines)


def _sentences(summary: Summary) -> list[str]:
    tasks, seeds = summary["tasks"], summary["seeds"]
    decided = sum(not task["undecided"] for task in tasks)
    runs = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    how = "the same seeds for all models" if summary["paired"] else "seeds not paired"
    found = [
        f"{_count(len(tasks), 'task')}, {len(summary['models'])} models, {_count(runs, 'run')} of each; {how}.",
        f"On {decided} of {_count(len(tasks), 'task')} the best model by the mean is better than every other one "
        f"({100 * summary['confidence']:g} % level, permutation tests, adjusted for the number of others).",
    ]
    if undecidable := sum(not task["decidable"] for task in tasks):
        found.append(
            f"On {_count(undecidable, 'task')} there are too few runs to decide anything, whatever they score."
        )
    found += _few_seeds(summary["misleading"])
    return found


def _few_seeds(misleading: dict[str, Any]) -> list[str]:
    rows = misleading["all"]["seeds"]
    if not rows:
        return []
    means = ", ".join(f"{_percent(row['wrong'])} with {row['seeds']:g}" for row in rows)
    best = ", ".join(f"{_percent(row['wrong_by_best'])} with {row['seeds']:g}" for row in rows[1:])
    found = [
        f"How often the mean of so few seeds orders two models otherwise than all runs do: {means} "
        f"(mean over {misleading['all']['pairs']:,} pairs of models on one task).",
        f"How often the best of so many seeds does: {best}.",
    ]
    if decided := misleading["decided"]["seeds"]:
        found.append(
            f"Where the order is decided ({misleading['decided']['pairs']:,} pairs): "
            f"{_percent(decided[0]['wrong'])} with 1 seed; {_percent(decided[-1]['wrong_by_best'])} by the best of "
            f"{decided[-1]['seeds']:g}."
        )
    return found


def page(summary: Summary, title: str, pictures: str) -> str:
    """Write the page: the sentences, the picture, and every task with its models.

    Args:
        summary: as `evaluation.ranking.summarize` returns it.
        title: what the scores are of.
        pictures: the file beside the page that `ranking_figures.picture` was drawn to.
    """
    models = [row["model"] for row in summary["models"]]
    lines = [f"# {title}", "", *(f"{line}  " for line in _sentences(summary)), ""]
    lines += [f"![Which model is best, and what few seeds show]({pictures})", ""]
    lines += ["| model | tasks | best on | of these decided |", "|---|---:|---:|---:|"]
    lines += [f"| {r['model']} | {r['tasks']} | {r['best']} | {r['decided']} |" for r in by_wins(summary)]
    level = f"{100 * summary['confidence']:g} %"
    lines += [
        "", "## Each task", "",
        f"The mean with its {level} interval. **Bold**: the best mean. ≈: not decided from the best.", "",
        f"| task | {' | '.join(models)} |", "|---|" + "---|" * len(models),
    ]  # fmt: skip
    lines += [f"| {task['task']} | {' | '.join(_cells(task, models))} |" for task in summary["tasks"]]
    lines += [
        "", "## Every two models", "",
        "How probable it is that a run of the first is better than a run of the second, in the mean over their tasks, "
        f"with its {level} interval.", "",
        "| first | second | tasks | probability |", "|---|---|---:|---|",
    ]  # fmt: skip
    lines += [
        f"| {r['first']} | {r['second']} | {r['tasks']} | {r['probability']:.2f} ({r['low']:.2f} to {r['high']:.2f}) |"
        for r in summary["improvement"]
    ]
    return "\n".join(lines) + "\n"


def _cells(task: dict[str, Any], models: list[str]) -> list[str]:
    cells = []
    for model in models:
        if model not in task["models"]:
            cells.append("")
            continue
        numbers = task["models"][model]
        mean, low, high = (numbers[name] for name in ("mean", "low", "high"))
        mark = "**" if model == task["best"] else ""
        near = " ≈" if model in task["undecided"] else ""
        cells.append(f"{mark}{mean:.3g}{mark} ({low:.3g} to {high:.3g}){near}")
    return cells


def by_wins(summary: Summary) -> list[dict[str, Any]]:
    """Return what is known of each model, the one that is best on most tasks first."""
    return sorted(summary["models"], key=lambda row: (-row["best"], -row["decided"]))


def _count(number: int | str, noun: str) -> str:
    return f"{number} {noun}" if str(number) == "1" else f"{number} {noun}s"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
