"""A probe in words: which cell learns which task, how long it holds that, and which orders are decided.

Every sentence follows from numbers by rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Summary = dict[str, Any]  # as `probe.findings.summarize` returns it
Square = dict[str, Any]  # one of its squares
TIE = "≈"  # behind a rate: it is not decided that it differs from the first cell's, or the best one's
MOST_NAMES = 5  # cells that a sentence names; of more it gives the number
MOST_EXAMPLES = 3
LEAST_CELLS = 8  # of which a rank correlation is given; of fewer its p is too rough


def ordered(summary: Summary) -> list[str]:
    """Return the cells: the one that was asked for, then the others from the highest mean rate down."""
    cells = sorted(summary["cells"], key=lambda row: (-row["learned"], -row["score"]))
    names = [row["cell"] for row in cells]
    first = summary["first"]
    return [first, *(name for name in names if name != first)] if first else names


def square(summary: Summary, cell: str, task: str) -> Square | None:
    """Return what was found of a cell on a task; None where it was not tried."""
    found = (row for row in summary["squares"] if (row["cell"], row["task"]) == (cell, task))
    return next(found, None)


def of_task(summary: Summary, task: str) -> list[Square]:
    """Return what was found on a task, the cells in order."""
    return [row for cell in ordered(summary) if (row := square(summary, cell, task))]


def leader(summary: Summary, task: str) -> str:
    """Return the cell with which the others are compared on a task: the first one, or that with the highest rate."""
    rows = of_task(summary, task)
    return summary["first"] or max(rows, key=lambda row: (row["learned"]["rate"], row["scores"][1]))["cell"]


def undecided(summary: Summary, cell: str, task: str) -> bool:
    """Return whether this cell and the leader learn the task in other shares of trials, but it is open which of them
    learns it more often."""
    pair = {cell, leader(summary, task)}
    found = (row for row in summary["compared"] if row["task"] == task and set(row["cells"]) == pair)
    return any(row["difference"] and not row["decided"] for row in found)


def sentences(summary: Summary) -> list[str]:
    """Say what the probe shows."""
    if first := summary["first"]:
        found = [_one(summary), *_about(summary, first)]
    else:
        found = [of_all(summary), *best(summary), *farthest(summary)]
    return [
        *found, *_known_without_learning(summary), *_able(summary), *recall(summary), *_decided(summary["compared"]),
        *_few_seeds(summary["misleading"]),
    ]  # fmt: skip


def of_all(summary: Summary) -> str:
    squares = summary["squares"]
    always = sum(row["learned"]["rate"] == 1 for row in squares)
    never = sum(row["learned"]["rate"] == 0 for row in squares)
    far = summary["lengths"][-1]
    holds = sum(row["holds"][far]["rate"] >= 0.5 for row in squares)
    return (
        f"{say_count(len(summary['cells']), 'cell')} on {say_count(len(summary['tasks']), 'task')}, "
        f"{squares[0]['trials']} trials each. In {always} of {say_count(len(squares), 'square')} every trial "
        f"learns, in {never} none does; in {holds} at least half of the trials still answer right at {far} times "
        "the length."
    )


def best(summary: Summary) -> list[str]:
    """Say which cell learns most often, and from which others that is not decided, where the cells can be compared."""
    if not (found := summary["best"]):
        return []
    rate = next(row["learned"] for row in summary["cells"] if row["cell"] == found["cell"])
    names = [cell for cell in ordered(summary) if cell in found["undecided"]]
    open_ = f"; that it learns more often than {_names(names)} is not decided" if names else ""
    return [
        f"In the mean over tasks {found['cell']} learns most often: {say_percent(rate)} of its trials do{open_} "
        "(paired permutation tests, adjusted by Holm, 5 % level)."
    ]


def farthest(summary: Summary) -> list[str]:
    """Say of which cell most trials still answer right at the longest length."""
    far = summary["lengths"][-1]
    cells = sorted(summary["cells"], key=lambda row: -row["holds"])
    if len(cells) < 2 or not cells[0]["holds"]:
        return []
    return [
        f"In the mean over tasks {cells[0]['cell']} holds it farthest: {say_percent(cells[0]['holds'])} of its trials "
        f"still answer right at {far} times the length; next is {cells[1]['cell']}, {say_percent(cells[1]['holds'])}."
    ]


def _known_without_learning(summary: Summary) -> list[str]:
    """Squares of which the rate alone would say too little; of the cell that was asked for, if any was."""
    much = [
        row
        for row in summary["squares"]
        if summary["first"] in (None, row["cell"])
        and not row["learned"]["rate"]
        and row["memory"]
        and row["memory"]["mean"] >= row["memory"]["whole"] / 2
    ]
    if not much:
        return []
    much.sort(key=lambda row: -row["memory"]["mean"] / row["memory"]["whole"])
    named = [
        f"{row['cell']} on {row['task']} {row['memory']['mean']:.2f} of {say_bits(row['memory']['whole'])}"
        for row in much[:MOST_EXAMPLES]
    ]
    such, whose = "for example " * (len(much) > MOST_EXAMPLES), "its" if len(much) == 1 else "their"
    return [
        f"In {say_count(len(much), 'square')} no trial learns, but {whose} outputs know at least half of the bits "
        f"there are to remember: {such}{'; '.join(named)}."
    ]


def _able(summary: Summary) -> list[str]:
    """Say how many models could do what their trials do not, as `probe.by_hand.recorded` has it."""
    far = summary["lengths"][-1]
    able = [row for row in summary.get("by_hand") or [] if row["holds"] == far]
    rates = [found["holds"][far]["rate"] for row in able if (found := square(summary, row["cell"], row["task"]))]
    if not rates or max(rates) >= 0.5:
        return []
    few = "no trial does" if not max(rates) else f"at most {say_percent(max(rates))} of trials do"
    return [
        f"In {say_count(len(rates), 'square')}, weights set by hand solve the task at {far} times the length, where "
        f"{few}: the cell could, but training does not find such weights."
    ]


COSTS = {"state": "the size of the state", "parameters": "the number of weights", "time": "the time of training"}


def recall(summary: Summary, key: str | None = None) -> list[str]:
    """Say how the mean score on tasks of recall goes with one of `COSTS`, by default the size that is not matched."""
    found, key = recalling(summary), key or free_size(summary)
    if len(found) < LEAST_CELLS:
        return []
    from scipy.stats import spearmanr

    what = COSTS[key]
    sizes, scores = zip(*((row["recall"][key], row["recall"]["mean"]) for row in found))
    correlation, p = spearmanr(sizes, scores)
    if not p < 0.05:
        return [f"Whether recall goes with {what} is not decided by these {len(found)} cells (Spearman, p = {p:.2g})."]
    return [
        f"Recall {'rises' if correlation > 0 else 'falls'} with {what}: rank correlation {correlation:.2f} over "
        f"{len(found)} cells (Spearman, p = {p:.2g})."
    ]


def recalling(summary: Summary) -> list[dict[str, Any]]:
    """Return the cells that were tried on all tasks of recall that any was."""
    return [row for row in summary["cells"] if row["recall"]]


def free_size(summary: Summary) -> str:
    """Return by which size cells differ: not the one by which they are matched."""
    return "state" if summary["cells"][0]["size"] == "parameters" else "parameters"


def _decided(compared: list[dict[str, Any]]) -> list[str]:
    if not compared:
        return []
    count, decided = len(compared), sum(row["decided"] for row in compared)
    if count == 1:
        verdict = "is decided" if decided else "is not decided"
        return [f"The one comparison of two cells {verdict} (exact McNemar test on the same seeds, 5 % level)."]
    return [
        f"{decided or 'None'} of {count} comparisons of two cells on a task {'are' if decided > 1 else 'is'} decided "
        "(exact McNemar tests on the same seeds, adjusted for their number by Holm, 5 % level)."
    ]


def _one(summary: Summary) -> str:
    mine = [row for row in summary["squares"] if row["cell"] == summary["first"]]
    others = len(summary["cells"]) - 1
    beside = f", beside {say_count(others, 'recorded cell')}" if others else ""
    return (
        f"{summary['first']}: {say_count(len(mine), 'task')}, {mine[0]['trials']} trials each{beside}. "
        f"{say_percent(sum(row['learned']['rate'] for row in mine) / len(mine))} of its trials learn, in the mean over "
        "tasks."
    )


def _about(summary: Summary, cell: str) -> list[str]:
    far, found = summary["lengths"][-1], []
    for task in summary["tasks"]:
        row = square(summary, cell, task)
        if row is None:
            continue
        compared = [pair for pair in summary["compared"] if pair["task"] == task and cell in pair["cells"]]
        sign = lambda pair: pair["difference"] if pair["cells"][0] == cell else -pair["difference"]
        better = [_other(pair, cell) for pair in compared if pair["decided"] and sign(pair) > 0]
        worse = [_other(pair, cell) for pair in compared if pair["decided"] and sign(pair) < 0]
        said = [
            f"{task}: {say_rate(row['learned'])} learn, {say_rate(row['holds'][far])} hold it at {far} times the length"
        ]
        said += [f"it learns more often than {_names(better)}"] if better else []
        said += [f"it learns less often than {_names(worse)}"] if worse else []
        found.append("; ".join(said) + ".")
    return found


def of_each_task(summary: Summary) -> list[str]:
    """Say, a sentence for each task, which cells learn it, which do not, and which hold it."""
    return [f"**{task}**: {'; '.join(_about_task(summary, task))}." for task in summary["tasks"]]


def _about_task(summary: Summary, task: str) -> list[str]:
    rows, far = of_task(summary, task), summary["lengths"][-1]
    highest = max(row["learned"]["rate"] for row in rows)
    if not highest:
        nearest = max(rows, key=lambda row: row["scores"][1])
        score = say_score(nearest["scores"][1])
        return [f"no trial learns it; the best mean score is {_theirs([nearest['cell']])}, {score}"]
    best = [row["cell"] for row in rows if row["learned"]["rate"] == highest]
    said = [f"{_names(best)} {_verb(best)} it in {say_percent(highest)} of trials"]
    open_ = [row["cell"] for row in rows if row["cell"] not in best and undecided(summary, row["cell"], task)]
    said += [f"that {_names(open_)} {_verb(open_)} it less often is not decided ({TIE})"] if open_ else []
    never = [row["cell"] for row in rows if not row["learned"]["rate"]]
    said += [f"no trial of {_names(never, 'or')} does"] if never else []
    farthest = max(row["holds"][far]["rate"] for row in rows)
    holding = [row["cell"] for row in rows if row["holds"][far]["rate"] == farthest]
    said.append(
        f"{say_percent(farthest)} of {_theirs(holding)} still answer right at {far} times the length"
        if farthest
        else f"no trial still answers right at {far} times the length"
    )
    return said


def _names(cells: Sequence[str], word: str = "and") -> str:
    if len(cells) > MOST_NAMES:
        return f"{len(cells)} cells"
    return f" {word} ".join(filter(None, [", ".join(cells[:-1]), cells[-1]]))


def _theirs(cells: Sequence[str]) -> str:
    return _names([f"{cell}'s" for cell in cells]) if len(cells) <= MOST_NAMES else f"those of {_names(cells)}"


def _verb(cells: Sequence[str]) -> str:
    return "learns" if len(cells) == 1 else "learn"


def _other(pair: dict[str, Any], cell: str) -> str:
    return next(name for name in pair["cells"] if name != cell)


def _few_seeds(misleading: dict[str, Any] | None) -> list[str]:
    if not misleading:
        return []
    rows = misleading["seeds"]
    means = ", ".join(f"{say_percent(row['wrong'])} with {row['seeds']:g}" for row in rows)
    best = ", ".join(f"{say_percent(row['wrong_by_best'])} with {row['seeds']:g}" for row in rows[1:])
    return [
        f"How often the mean score of so few seeds orders two cells otherwise than all seeds do: {means} (over "
        f"{say_count(misleading['pairs'], 'pair')} of cells on one task). How often the best of so many seeds does: "
        f"{best}."
    ]


def text(summary: Summary) -> str:
    """Say what a probe shows, for a terminal."""
    return "\n".join(sentences(summary))


def span(numbers: Iterable[float]) -> str:
    """Say from what to what numbers go, rounded."""
    ends = sorted(numbers)
    return " to ".join(dict.fromkeys(f"{end:,.0f}" for end in (ends[0], ends[-1])))


def say_rate(share: dict[str, float]) -> str:
    return f"{100 * share['rate']:.0f} ({100 * share['low']:.0f}-{100 * share['high']:.0f})"


def say_score(score: float, least: float = -1) -> str:
    return f"{round(score, 2) + 0:.2f}" if score >= least else f"below {least:g}"


def say_bits(amount: float) -> str:
    return f"{amount:.3g} bit{'s' * (amount != 1)}"


def say_count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def say_percent(share: float) -> str:
    return f"{100 * share:.0f} %"
