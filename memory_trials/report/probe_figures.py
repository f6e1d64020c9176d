"""A probe as pictures: which cell learns which task, how far it holds that, how scores fall, and what recall costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt

from memory_trials.cells import registry
from memory_trials.report import probe as words
from memory_trials.report import style
from memory_trials.report.palette import series_style
from memory_trials.report.probe import TIE, Square, Summary, free_size, ordered, recalling, undecided
from memory_trials.report.style import CHARACTER, INSIDE, inline, specification, titled

FILES = {
    "learned": "probe.png", "holds": "probe-holds.png", "scores": "probe-scores.png", "recall": "probe-recall.png",
    "time": "probe-time.png", "by_state_learned": "probe-by_state.png", "by_state_recall": "probe-by_state-recall.png",
}  # fmt: skip
QUESTIONS = {
    "learned": "How often does each cell learn to remember?",
    "holds": "How far do trials hold what they have learned?",
    "scores": "How does the score fall as sequences get longer?",
    "recall": "Does recall rise with the size of the state?",
    "time": "Does recall rise with the time of training?",
    "by_state_learned": "How often does each cell learn to remember, with states of one size?",
    "by_state_recall": "Does recall rise with the number of weights, with states of one size?",
}
CELL_WIDTH, CELL_HEIGHT = 80, 36
BLUES = ["#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b"]
DARK = 0.68  # of a share: from here on white is read better on its blue than black
HIGH_SCORE = 0.9
LEAST_SCORE = -0.2  # of a square of `scores`: what is lower is drawn there
# of a square of curves, as shares of its width and height: where the curve is, and its number
LEFT, RIGHT, NUMBER, TOP, BOTTOM = 0.07, 0.62, 0.67, 0.16, 0.84
PLOT_WIDTH, PLOT_HEIGHT, LINE = INSIDE - 60, 360, 14  # pixels; LINE: of a label
AXES = {
    "state": "numbers in the state (mean over these tasks)", "parameters": "weights (mean over these tasks)",
    "time": "time of training on selective copying, lstm = 1",
}  # fmt: skip


def write(summary: Summary, folder: Path) -> dict[str, Path]:
    """Draw the pictures of a page into a folder, and return their files by name."""
    drawn = {name: specification(chart) for name, chart in charts(summary).items()}
    for name, picture in drawn.items():
        style.write(picture, folder / FILES[name])
    return {name: folder / FILES[name] for name in drawn}


def charts(summary: Summary, names: Collection[str] = tuple(FILES)) -> dict[str, alt.LayerChart]:
    """Return the pictures of a page with these names: recall only where two cells were tried on the tasks that ask for
    it, time only where all were timed, those of states of one size only where there are such trials."""
    of_all = {"learned": _learned, "holds": _holds, "scores": _scores}
    drawn = {name: draw(summary) for name, draw in of_all.items() if name in names} | _if_recalled(summary)
    if by_state := summary.get("by_state"):
        of_state = {"learned": _learned(by_state)} | _if_recalled(by_state)
        drawn |= {f"by_state_{name}": chart for name, chart in of_state.items()}
    return {name: chart for name, chart in drawn.items() if name in names}


def _if_recalled(summary: Summary) -> dict[str, alt.LayerChart]:
    found = recalling(summary)
    if len(found) < 2:
        return {}
    timed = all("time" in row["recall"] for row in found)
    return {"recall": _recall(summary, free_size(summary))} | ({"time": _recall(summary, "time")} if timed else {})


def _question(summary: Summary, name: str) -> str:
    """Return the title of a picture, by whatever size cells are matched."""
    by_state = free_size(summary) == "parameters"
    return QUESTIONS[f"by_state_{name}"] if by_state and f"by_state_{name}" in QUESTIONS else QUESTIONS[name]


def _learned(summary: Summary) -> alt.LayerChart:
    rows = []
    for found in summary["squares"]:
        rate, tied = found["learned"], undecided(summary, found["cell"], found["task"])
        rows.append({
            "cell": found["cell"], "task": found["task"], "rate": 100 * rate["rate"],
            "says": f"{100 * rate['rate']:.0f}{f' {TIE}' * tied}",
            "interval": f"{100 * rate['low']:.0f}-{100 * rate['high']:.0f}",
            "dark": rate["rate"] > DARK,
        })  # fmt: skip
    base = _squares(summary, rows)
    squares = base.mark_rect(stroke="white", strokeWidth=2).encode(
        color=alt.Color("rate:Q", scale=alt.Scale(domain=[0, 25, 50, 75, 100], range=BLUES), legend=None)
    )
    ink = alt.Color("dark:N", scale=alt.Scale(domain=[False, True], range=["#1a1a1a", "#ffffff"]), legend=None)
    says = base.mark_text(fontSize=13, dy=-6, fontWeight="bold").encode(text=alt.Text("says:N"), color=ink)
    interval = base.mark_text(fontSize=11, dy=10).encode(text=alt.Text("interval:N"), color=ink)
    whose = f"{summary['first']}'s" if summary["first"] else "the best cell's"
    marks = f"% of trials that learn, and its 95 % interval; {TIE}: not decided whether it is above or below {whose}"
    which = "the other cells" if summary["first"] else "cells"
    order = f"{which} by their mean over tasks" if len(summary["cells"]) > 1 else ""
    chart = alt.layer(squares, says, interval).resolve_scale(color="independent")
    finding = [] if summary["first"] else words.best(summary)
    return _sized(chart, summary, _question(summary, "learned"), [*finding, marks, order])


def _holds(summary: Summary) -> alt.LayerChart:
    shares = lambda row: {
        times: tuple(held[key] for key in ("rate", "low", "high")) for times, held in row["holds"].items()
    }
    says = lambda share: f"{100 * share:.0f}"
    marks = [
        "share of all trials that have learned, and answer right at this length and all shorter ones, from 0 to 100 %",
        "band: its 95 % interval",
    ]
    finding = [] if summary["first"] else words.farthest(summary)
    return _curves(summary, QUESTIONS["holds"], [*finding, *marks], shares, says, (0.0, 1.0), "%")


def _scores(summary: Summary) -> alt.LayerChart:
    scores = lambda row: {
        times: (score, row["bands"][times]["low"], row["bands"][times]["high"])
        for times, score in row["scores"].items()
    }
    says = lambda score: f"{round(score, 2) + 0:.2f}" if score >= -1 else "< -1"
    marks = [
        "mean score of all trials: from 1, always right, to 0, the dotted line, as good as the best guess from the "
        "present symbol",
        f"what is below {LEAST_SCORE:g} is drawn there; band: its 95 % interval",
    ]
    far = summary["lengths"][-1]
    high = sum(row["scores"][far] >= HIGH_SCORE for row in summary["squares"])
    finding = f"in {high} of {len(summary['squares'])} squares it is at least {HIGH_SCORE} at {far} times the length"
    return _curves(summary, QUESTIONS["scores"], [finding, *marks], scores, says, (LEAST_SCORE, 1.0), "")


def _curves(
    summary: Summary, question: str, marks: list[str],
    values: Callable[[Square], dict[int, tuple[float, float, float]]], says: Callable[[float], str],
    ends: tuple[float, float], unit: str,
) -> alt.LayerChart:  # fmt: skip
    """Draw a square with a curve over lengths for each cell and task, and beside it the number at the longest length.

    Args:
        summary: what was found.
        question: the title.
        marks: what the curve and its band are.
        values: of a square, by times the length: the value, and the low and high end of its interval.
        says: how the number is written.
        ends: the values at the bottom and at the top of a square.
        unit: of the number.
    """
    cells, tasks, lengths = ordered(summary), list(summary["tasks"]), summary["lengths"]
    low_end, high_end = ends
    across = {
        times: LEFT + (RIGHT - LEFT) * (math.log(times) / math.log(lengths[-1]) if lengths[-1] > 1 else 0.5)
        for times in lengths
    }

    def down(value: float) -> float:
        share = (min(max(value, low_end), high_end) - low_end) / (high_end - low_end)
        return BOTTOM - share * (BOTTOM - TOP)

    points, numbers = [], []
    for found in summary["squares"]:
        column, row = tasks.index(found["task"]), cells.index(found["cell"])
        named = {"cell": found["cell"], "task": found["task"]}
        of_square = values(found)
        for times, (value, low, high) in of_square.items():
            points.append(named | {
                "times": times, "value": value, "low": low, "high": high, "x": column + across[times],
                "y": row + down(value), "y_low": row + down(low), "y_high": row + down(high),
            })  # fmt: skip
        numbers.append(named | {"says": says(of_square[lengths[-1]][0]), "x": column + NUMBER, "y": row + 0.5})
    rules = [
        {"x": column + LEFT, "x2": column + RIGHT, "y": row + down(0.0)}
        for column in range(len(tasks)) for row in range(len(cells))
    ] if low_end < 0 else []  # fmt: skip
    ticks = [
        {"x": column + across[times], "says": str(times)}
        for column in range(len(tasks)) for times in lengths
    ]  # fmt: skip
    styles = _styles(summary)
    colour = alt.Color(
        "cell:N", legend=None, scale=alt.Scale(domain=cells, range=[styles[cell][0] for cell in cells])
    )  # fmt: skip
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, len(tasks)], nice=False), axis=None)
    y_of = lambda key: alt.Y(f"{key}:Q", scale=alt.Scale(domain=[len(cells), 0], nice=False), axis=None)
    y = y_of("y")
    curve = alt.Chart(inline(points)).encode(x=x, color=colour, detail=[alt.Detail("task:N")])
    band = curve.mark_area(opacity=0.25).encode(y=y_of("y_low"), y2=alt.Y2("y_high:Q"))
    tooltip = [alt.Tooltip("cell:N"), alt.Tooltip("task:N"), *_tooltips("times", "value", "low", "high")]
    line = curve.mark_line(strokeWidth=1.8).encode(y=y)
    dots = curve.mark_point(filled=True, size=14, opacity=1).encode(y=y, tooltip=tooltip)
    said = alt.Chart(inline(numbers)).mark_text(align="left", fontSize=12, fontWeight="bold").encode(
        x=x, y=y, text=alt.Text("says:N"), color=colour
    )  # fmt: skip
    below = alt.Chart(inline(ticks)).mark_text(fontSize=11, color="#444", dy=9).encode(
        x=x, y=alt.value(CELL_HEIGHT * len(cells)), text=alt.Text("says:N")
    )  # fmt: skip
    layers = [band, line, dots, said, below]
    if rules:
        zero = alt.Chart(inline(rules)).mark_rule(color="#999", strokeDash=[2, 2])
        layers.insert(0, zero.encode(x=x, x2=alt.X2("x2:Q"), y=y))
    ground = [{"cell": row["cell"], "task": row["task"]} for row in summary["squares"]]
    squares = _squares(summary, ground).mark_rect(color="#f4f4f4", stroke="white", strokeWidth=3)
    apart = {"x": "independent", "y": "independent"}
    chart = alt.layer(squares, alt.layer(*layers)).resolve_scale(**apart)
    where = ", ".join(map(str, lengths[:-1])) + f" and {lengths[-1]}" if len(lengths) > 1 else str(lengths[0])
    number = f"number: at {lengths[-1]} times the length{f', in {unit}' * bool(unit)}"
    return _sized(chart, summary, question, [*marks, f"from left to right: {where} times the length; {number}"])


def _squares(summary: Summary, rows: list[dict[str, Any]]) -> alt.Chart:
    """Squares of tasks, side by side, and cells, one below the other, with their names."""
    return alt.Chart(inline(rows)).encode(
        x=alt.X("task:N", sort=list(summary["tasks"]), title=None, scale=alt.Scale(paddingInner=0, paddingOuter=0),
                axis=alt.Axis(orient="top", labelAngle=0, labelLimit=0, labelExpr="split(datum.label, ' ')",
                              labelOverlap=False, domain=False, ticks=False, labelPadding=18)),
        y=alt.Y("cell:N", sort=ordered(summary), title=None, scale=alt.Scale(paddingInner=0, paddingOuter=0),
                axis=alt.Axis(domain=False, ticks=False)),
    )  # fmt: skip


def _sized(chart: alt.LayerChart, summary: Summary, question: str, marks: list[str]) -> alt.LayerChart:
    width, height = CELL_WIDTH * len(summary["tasks"]), CELL_HEIGHT * len(summary["cells"])
    return titled(chart, question, _without_stop(marks), width, height, text_width=INSIDE)


def _without_stop(sentences: list[str]) -> list[str]:
    return [sentence.rstrip(".") for sentence in sentences if sentence]


def _tooltips(*keys: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{key}:Q", format=".3~g") for key in keys]


def _styles(summary: Summary) -> dict[str, tuple[str, str, list[int]]]:
    """How each cell is drawn; those without a style of their own are told apart by their number among these."""
    names = [row["cell"] for row in summary["cells"]]
    others = [name for name in names if not registry.shown(name)]
    return {name: series_style(name, others.index(name) if name in others else 0) for name in names}


class _Box(NamedTuple):
    """Pixels that a label or a marker covers."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def _recall(summary: Summary, key: str) -> alt.LayerChart:
    """The mean score on tasks of recall against a cost by which cells differ."""
    found = sorted(recalling(summary), key=lambda row: -row["recall"]["mean"])
    sizes = [row["recall"][key] for row in found]
    across = [min(sizes) / 1.6, max(sizes) * 2.4]  # on the right is room for a name
    ticks = [digit * 10.0**power for power in range(-3, 8) for digit in (1, 2, 5)]
    ticks = [tick for tick in ticks if across[0] <= tick <= across[1]]
    down = [min(0.0, *(row["recall"]["low"] for row in found)), 1.0]
    place = lambda row: (
        PLOT_WIDTH * math.log(row["recall"][key] / across[0]) / math.log(across[1] / across[0]),
        PLOT_HEIGHT * (down[1] - row["recall"]["mean"]) / (down[1] - down[0]),
    )
    labels = _placed([(row["cell"], *place(row)) for row in found])
    rows = [
        {"cell": row["cell"]} | {name: row["recall"][name] for name in (key, "mean", "low", "high")}
        | {"label_x": labels[row["cell"]][0], "label_y": labels[row["cell"]][1]}
        for row in found
    ]  # fmt: skip
    cells = [row["cell"] for row in found]
    styles = _styles(summary)
    look = lambda part: alt.Scale(domain=cells, range=[styles[cell][part] for cell in cells])
    x = alt.X(f"{key}:Q", title=AXES[key], axis=alt.Axis(format=",~g", values=ticks),
              scale=alt.Scale(type="log", domain=across, nice=False))  # fmt: skip
    y = alt.Y("mean:Q", title="mean score", scale=alt.Scale(domain=down, nice=False))
    colour = alt.Color("cell:N", scale=look(0), legend=None)
    base = alt.Chart(inline(rows)).encode(x=x, color=colour)
    interval = base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        y=y, shape=alt.Shape("cell:N", scale=look(1), legend=None),
        tooltip=[alt.Tooltip("cell:N"), *_tooltips(key, "mean", "low", "high")],
    )  # fmt: skip
    names = alt.Chart(inline(rows)).mark_text(align="left", baseline="middle").encode(
        x=alt.X("label_x:Q", scale=alt.Scale(domain=[0, PLOT_WIDTH], nice=False), axis=None),
        y=alt.Y("label_y:Q", scale=alt.Scale(domain=[PLOT_HEIGHT, 0], nice=False), axis=None),
        text=alt.Text("cell:N"), color=colour,
    )  # fmt: skip
    chart = alt.layer(alt.layer(interval, points), names).resolve_scale(x="independent", y="independent")
    tasks = summary["recall"]
    of_tasks = f"{', '.join(tasks[:-1])} and {tasks[-1]}" if len(tasks) > 1 else tasks[0]
    matched = ("state", "numbers in the state") if free_size(summary) == "parameters" else ("parameters", "weights")
    span = words.span(row["recall"][matched[0]] for row in found)
    marks = [
        f"mean score on {of_tasks}, 0: the best guess from the present symbol; line: its 95 % interval over seeds",
        f"all have {span} {matched[1]}, and states of other sizes"
        if key == "time"
        else f"all have {span} {matched[1]}",
    ]
    text = _without_stop([*words.recall(summary, key), *marks])
    question = _question(summary, "time" if key == "time" else "recall")
    return titled(chart, question, text, PLOT_WIDTH, PLOT_HEIGHT, text_width=INSIDE)


def _placed(points: list[tuple[str, float, float]]) -> dict[str, tuple[float, float]]:
    """Return where each point's label begins, and its middle: the place beside its point that covers least."""
    taken = [_Box(x - 6, y - 6, x + 6, y + 6) for _, x, y in points]
    found = {}
    for name, x, y in points:
        wide = 1.1 * CHARACTER * len(name)
        places = [
            (left, y + shift)
            for shift in (0, -LINE, LINE, -2 * LINE, 2 * LINE)
            for left in (x + 10, x - 10 - wide)
            if 0 <= left <= PLOT_WIDTH - wide
        ]
        boxes = [_Box(left, middle - LINE / 2, left + wide, middle + LINE / 2) for left, middle in places]
        meetings = [sum(box.meets(other) for other in taken) for box in boxes]
        best = meetings.index(min(meetings))
        found[name] = places[best]
        taken.append(boxes[best])
    return found
