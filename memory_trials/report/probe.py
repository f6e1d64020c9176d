"""A probe in words: which cell learns which task, how long it holds that, and which orders are decided.

Every sentence follows from numbers by rule.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

TITLE = "How often do cells learn to remember, what, and for how long?"  # of the page of all recorded cells
ABOUT = """One layer of each cell, all of about the same size, on tasks that ask for memory. `memory-trials probe`
sets a cell of your own beside these; [docs/probe.md](docs/probe.md) explains tasks, budget and numbers."""
Summary = dict[str, Any]  # as `probe.findings.summarize` returns it
Square = dict[str, Any]  # one of its squares
TIE = "≈"  # behind a rate: it is not decided that it differs from the first cell's, or the best one's
NONE = "—"
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
        found = [_all(summary), *best(summary), *farthest(summary)]
    return [
        *found, *_known_without_learning(summary), *recall(summary), *_decided(summary["compared"]),
        *_few_seeds(summary["misleading"]),
    ]  # fmt: skip


def _all(summary: Summary) -> str:
    squares = summary["squares"]
    always = sum(row["learned"]["rate"] == 1 for row in squares)
    never = sum(row["learned"]["rate"] == 0 for row in squares)
    far = summary["lengths"][-1]
    holds = sum(row["holds"][far]["rate"] >= 0.5 for row in squares)
    return (
        f"{_count(len(summary['cells']), 'cell')} on {_count(len(summary['tasks']), 'task')}, {squares[0]['trials']} "
        f"trials each. In {always} of {_count(len(squares), 'square')} every trial learns, in {never} none does; in "
        f"{holds} at least half of the trials still answer right at {far} times the length."
    )


def best(summary: Summary) -> list[str]:
    """Say which cell learns most often, and from which others that is not decided, where the cells can be compared."""
    if not (found := summary["best"]):
        return []
    rate = next(row["learned"] for row in summary["cells"] if row["cell"] == found["cell"])
    names = [cell for cell in ordered(summary) if cell in found["undecided"]]
    open_ = f"; that it learns more often than {_names(names)} is not decided" if names else ""
    return [
        f"In the mean over tasks {found['cell']} learns most often: {_percent(rate)} of its trials do{open_} (paired "
        "permutation tests, adjusted by Holm, 5 % level)."
    ]


def farthest(summary: Summary) -> list[str]:
    """Say of which cell most trials still answer right at the longest length."""
    far = summary["lengths"][-1]
    cells = sorted(summary["cells"], key=lambda row: -row["holds"])
    if len(cells) < 2 or not cells[0]["holds"]:
        return []
    return [
        f"In the mean over tasks {cells[0]['cell']} holds it farthest: {_percent(cells[0]['holds'])} of its trials "
        f"still answer right at {far} times the length; next is {cells[1]['cell']}, {_percent(cells[1]['holds'])}."
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
        f"{row['cell']} on {row['task']} {row['memory']['mean']:.2f} of {_bits(row['memory']['whole'])}"
        for row in much[:MOST_EXAMPLES]
    ]
    such, whose = "for example " * (len(much) > MOST_EXAMPLES), "its" if len(much) == 1 else "their"
    return [
        f"In {_count(len(much), 'square')} no trial learns, but {whose} outputs know at least half of the bits there "
        f"are to remember: {such}{'; '.join(named)}."
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
    beside = f", beside {_count(others, 'recorded cell')}" if others else ""
    return (
        f"{summary['first']}: {_count(len(mine), 'task')}, {mine[0]['trials']} trials each{beside}. "
        f"{_percent(sum(row['learned']['rate'] for row in mine) / len(mine))} of its trials learn, in the mean over "
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
        said = [f"{task}: {_rate(row['learned'])} learn, {_rate(row['holds'][far])} hold it at {far} times the length"]
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
        return [
            f"no trial learns it; the best mean score is {_theirs([nearest['cell']])}, {_score(nearest['scores'][1])}"
        ]
    best = [row["cell"] for row in rows if row["learned"]["rate"] == highest]
    said = [f"{_names(best)} {_verb(best)} it in {_percent(highest)} of trials"]
    open_ = [row["cell"] for row in rows if row["cell"] not in best and undecided(summary, row["cell"], task)]
    said += [f"that {_names(open_)} {_verb(open_)} it less often is not decided ({TIE})"] if open_ else []
    never = [row["cell"] for row in rows if not row["learned"]["rate"]]
    said += [f"no trial of {_names(never, 'or')} does"] if never else []
    farthest = max(row["holds"][far]["rate"] for row in rows)
    holding = [row["cell"] for row in rows if row["holds"][far]["rate"] == farthest]
    said.append(
        f"{_percent(farthest)} of {_theirs(holding)} still answer right at {far} times the length"
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
    means = ", ".join(f"{_percent(row['wrong'])} with {row['seeds']:g}" for row in rows)
    best = ", ".join(f"{_percent(row['wrong_by_best'])} with {row['seeds']:g}" for row in rows[1:])
    return [
        f"How often the mean score of so few seeds orders two cells otherwise than all seeds do: {means} (over "
        f"{_count(misleading['pairs'], 'pair')} of cells on one task). How often the best of so many seeds does: "
        f"{best}."
    ]


def text(summary: Summary) -> str:
    """Say what a probe shows, for a terminal."""
    return "\n".join(sentences(summary))


def page(summary: Summary, title: str, pictures: dict[str, str], about: str = "") -> str:
    """Write the page in Markdown.

    Args:
        summary: what was found.
        title: of the page.
        pictures: the files, as seen from the page, that `probe_figures.pictures` were drawn to, by name.
        about: what stands below the title.
    """
    far, tables = summary["lengths"][-1], _tables(summary)
    whose = f"{summary['first']}'s" if summary["first"] else "that of the best cell"
    lines = [f"# {title}", "", *([about, ""] if about else [])]
    lines += _shown(pictures, "learned", "How often each cell learns each task")
    lines += [*(f"- {sentence}" for sentence in sentences(summary)), ""]
    lines += [] if summary["first"] else ["## What each task shows", "", *map("- {}".format, of_each_task(summary)), ""]
    lines += [f"## How far does it hold what it has learned, up to {far} times the length?", ""]
    lines += _shown(pictures, "holds", "The share of all trials that have learned and still answer right, over lengths")
    lines += ["## How does the score fall with length?", ""]
    lines += _shown(pictures, "scores", "The mean score over lengths")
    if memory := tables.pop("memory", None):
        lines += ["## How many bits do its outputs remember?", "", _about_bits(summary), "", *_markdown(memory), ""]
    if "recall" in pictures:
        lines += ["## What does recall cost?", ""]
        lines += _shown(pictures, "recall", "The mean score on tasks of recall against size")
    if "time" in pictures:
        lines += _shown(pictures, "time", "The mean score on tasks of recall against the time of training")
    lines += _by_state(summary.get("by_state"), pictures)
    lines += _claims(summary)
    lines += _longer(summary) + _by_hand(summary)
    lines += ["## All numbers", "", f"In brackets the 95 % interval. {TIE}: it is not decided whether the rate is "
              f"higher or lower than {whose}. Score 0: as good as the best guess from the present symbol; 1: always "
              "right.", ""]  # fmt: skip
    for name, table in tables.items():
        lines += [f"<details markdown><summary>{name}</summary>", "", *_markdown(table), "", "</details>", ""]
    return "\n".join(lines).rstrip() + "\n"


def _by_state(summary: Summary | None, pictures: dict[str, str]) -> list[str]:
    """What the same cells do with as many units as give them states of one size."""
    if not summary:
        return []
    states, weights = (span(square[key] for square in summary["squares"]) for key in ("state", "parameters"))
    sizes = f"The same cells with {states} numbers in their state, and {weights} weights."
    lines = ["## And with states of one size?", "", sizes, ""]
    lines += _shown(pictures, "by_state_learned", "How often each cell learns each task, with states of one size")
    found = [_all(summary), *best(summary), *farthest(summary), *recall(summary)]
    lines += [*map("- {}".format, found), ""]
    if "by_state_recall" in pictures:
        lines += _shown(pictures, "by_state_recall", "The mean score on tasks of recall against the number of weights")
    return lines


def span(numbers: Iterable[float]) -> str:
    """Say from what to what numbers go, rounded."""
    ends = sorted(numbers)
    return " to ".join(dict.fromkeys(f"{end:,.0f}" for end in (ends[0], ends[-1])))


def _shown(pictures: dict[str, str], name: str, what: str) -> list[str]:
    return [f"![{what}]({pictures[name]})", ""]


def _about_bits(summary: Summary) -> str:
    without = [task for task in summary["tasks"] if not any(row["memory"] for row in of_task(summary, task))]
    return (
        "Bits that a trial's outputs tell of the target at a scored step beyond the best guess from the present "
        "symbol, where it was trained: mean over all trials, in brackets its 95 % interval; beside each task, all "
        "there is to remember. A negative number is worse than that guess."
        + f" {NONE}: the targets are numbers, or it is not worked out."
        * bool(without)
    )


def _longer(summary: Summary) -> list[str]:
    """What came of trials that were trained for longer, as `probe.longer.summarize` has it."""
    rows = summary.get("longer") or []
    if not rows:
        return []
    times, count = rows[0]["times"], rows[0]["trials"]
    found = {(row["cell"], row["task"]): row for row in rows}
    cells = [cell for cell in ordered(summary) if any(row["cell"] == cell for row in rows)]
    tasks = [task for task in summary["tasks"] if any(row["task"] == task for row in rows)]
    table = [["cell", *tasks]]
    for cell in cells:
        table.append([cell, *(_of_longer(found.get((cell, task))) for task in tasks)])
    short = sum(row["short_of_time"] for row in rows)
    never = sum(not row["late"] for row in rows)
    about = (
        f"Where a cell rarely learned a task, its first {count} trials were trained for up to {times} times as many "
        f"updates, at the same learning rate: how many of the {count} learned sooner → and how many in all. In "
        f"{short} of {_count(len(rows), 'square')} more learn, in bold: there the cell was short of time. In {never} "
        f"none learns even so, which is no proof that the cell cannot: of {count} trials none may learn although up to "
        f"{_percent(rows[0]['unseen'])} would."
    )
    return ["## Is a cell that fails short of time?", "", about, "", *_markdown(table), ""]


def _of_longer(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"**{row['soon']} → {row['late']}**" if row["short_of_time"] else f"{row['soon']} → {row['late']}"


def _by_hand(summary: Summary) -> list[str]:
    """What models answer whose weights are set by hand, as `probe.by_hand.recorded` has it."""
    rows = summary.get("by_hand") or []
    if not rows:
        return []
    far, count, lengths = summary["lengths"][-1], rows[0]["sequences"], ", ".join(map(str, summary["lengths"]))
    head = f"of {count} sequences right, at {lengths} times the length"
    table = [["task", "cell", "how", head, "trials that learn", f"and hold it at {far} times"]]
    of_both = {(row["task"], row["cell"]): row for row in rows}
    for task, cell in itertools.product(summary["tasks"], ordered(summary)):
        row, trained = of_both.get((task, cell)), square(summary, cell, task)
        if row and trained:
            right = ", ".join(str(row["right"][times]) for times in summary["lengths"])
            shares = [_percent(share["rate"]) for share in (trained["learned"], trained["holds"][far])]
            table.append([task, cell, row["how"], right, *shares])
    able = sum(row["holds"] == far for row in rows)
    about = (
        "Where few trials learn a task, or hold it, and a solution is easy to write down, weights were set by hand in "
        f"the same models, which were asked as trials are. {able} of {len(rows)} do the task at {far} times the "
        "length: there it is not the cell that is unable, but training that does not find the weights."
    )
    return ["## Could it, with other weights?", "", about, "", *_markdown(table), ""]


Table = list[list[str]]  # the head first


def tables(summary: Summary) -> dict[str, Table]:
    """Return what a page shows of a probe in rows, by title."""
    named = _tables(summary)
    if memory := named.pop("memory", None):
        named["Memory, in bits a scored step, beyond the best guess from the present symbol"] = memory
    return named


def _tables(summary: Summary) -> dict[str, Table]:
    far = summary["lengths"][-1]
    found = {
        "How often a trial learns (%)": _by_task(
            summary,
            lambda row: f"{_rate(row['learned'])}{f' {TIE}' * undecided(summary, row['cell'], row['task'])}",
        ),
        f"How often it learns, and still answers right at {far} times the length (%)": _by_task(
            summary, lambda row: _rate(row["holds"][far])
        ),
    }
    if any(row["memory"] for row in summary["squares"]):
        found["memory"] = _by_task(summary, _memory, lambda task: _whole(summary, task))
    squares = [row for cell in ordered(summary) for row in summary["squares"] if row["cell"] == cell]
    found[f"Size, learning rate and score: {_count(len(squares), 'square')}"] = [
        ["cell", "task", "units", "weights", "state", "rate", "sequences until learned",
         *(f"score at {times}" for times in summary["lengths"])],
        *(_row(row) for row in squares),
    ]  # fmt: skip
    return found


def _row(row: Square) -> list[str]:
    until = row["sequences_until_learned"]
    sizes = [f"{row[key]:,}" for key in ("units", "parameters", "state")]
    return [
        row["cell"], row["task"], *sizes, f"{row['learning_rate']:g}", NONE if until is None else f"{until:,.0f}",
        *map(_score, row["scores"].values()),
    ]  # fmt: skip


def _by_task(summary: Summary, say: Callable[[Square], str], head: Callable[[str], str] = str) -> Table:
    rows = [["cell", *map(head, summary["tasks"])]]
    for cell in ordered(summary):
        found = [square(summary, cell, task) for task in summary["tasks"]]
        rows.append([cell, *("" if row is None else say(row) for row in found)])
    return rows


def _memory(row: Square) -> str:
    if not (found := row["memory"]):
        return NONE
    return f"{_score(found['mean'], -10)} ({_score(found['low'], -10)} to {_score(found['high'], -10)})"


def _whole(summary: Summary, task: str) -> str:
    whole = next((row["memory"]["whole"] for row in of_task(summary, task) if row["memory"]), None)
    return task if whole is None else f"{task}, of {_bits(whole)}"


def _markdown(table: Table) -> list[str]:
    head, *body = table
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body)]


def _claims(summary: Summary) -> list[str]:
    if not summary["expected"]:
        return []
    agree = sum(row["agrees"] for row in summary["expected"])
    able = {
        (row["cell"], row["task"], times)
        for row in summary.get("by_hand") or []
        for times in summary["lengths"]
        if times <= row["holds"]
    }
    lines = [
        "## What was published", "",
        f"{agree} of {_count(len(summary['expected']), 'statement')} {'agrees' if agree == 1 else 'agree'} with these "
        "trials. That a cell can is shown by one trial; that it cannot, by none, which a small budget does not tell "
        "from a cell that learns slowly. By hand: no trial does, but weights that were set by hand do.", "",
        "| task | cell | publication | trials that do | |", "|---|---|---|---:|---|",
    ]  # fmt: skip
    for row in summary["expected"]:
        can = "can" if row["can"] else "cannot"
        where = f" and hold it at {row['times']} times the length" if row["times"] > 1 else ""
        verdict = "agrees" if row["agrees"] else "**does not agree**" if not row["can"] else "not shown"
        if verdict == "not shown" and (row["cell"], row["task"], row["times"]) in able:
            verdict = "it can, by hand"
        lines.append(
            f"| {row['task']} | {row['cell']} | {can} learn it{where} ({row['source']}) | {row['holding']} of "
            f"{row['trials']} | {verdict} |"
        )
    return [*lines, ""]


def _rate(share: dict[str, float]) -> str:
    return f"{100 * share['rate']:.0f} ({100 * share['low']:.0f}-{100 * share['high']:.0f})"


def _score(score: float, least: float = -1) -> str:
    return f"{round(score, 2) + 0:.2f}" if score >= least else f"below {least:g}"


def _bits(amount: float) -> str:
    return f"{amount:.3g} bit{'s' * (amount != 1)}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
