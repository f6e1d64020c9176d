"""A probe as a picture: which cell learns which task, how long it holds that, and accuracy against length."""

from __future__ import annotations

import altair as alt

from memory_trials.report.palette import series_style
from memory_trials.report.probe import TIE, Summary, ordered, square, undecided
from memory_trials.report.style import inline, together

CELL_WIDTH, CELL_HEIGHT = 84, 34
BLUES = ["#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b"]


def picture(summary: Summary) -> dict:
    """Draw two heat maps, trials that learn and trials that hold it at the longest length, and scores over lengths."""
    far = summary["lengths"][-1]
    charts = [
        _heat_map(summary, "How often does a trial learn?", lambda row: row["learned"], marks=True),
        _heat_map(summary, f"How often does it still answer right at {far} times the length?",
                  lambda row: row["holds"][far]),
        _over_lengths(summary),
    ]  # fmt: skip
    return together(charts, "vconcat", spacing=34, resolve={"scale": {"color": "independent"}})


def _heat_map(summary: Summary, title: str, share, marks: bool = False) -> alt.LayerChart:
    rows = []
    for cell in ordered(summary):
        for task in summary["tasks"]:
            found = square(summary, cell, task)
            if found is None:
                continue
            rate = share(found)
            tied = marks and undecided(summary, cell, task)
            rows.append({
                "cell": cell, "task": task, "rate": 100 * rate["rate"],
                "says": f"{100 * rate['rate']:.0f}{f' {TIE}' * tied}",
                "interval": f"{100 * rate['low']:.0f}-{100 * rate['high']:.0f}",
                "dark": rate["rate"] > 0.55,
            })  # fmt: skip
    cells, tasks = ordered(summary), list(summary["tasks"])
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("task:N", sort=tasks, title=None, axis=alt.Axis(orient="top", labelAngle=0, labelLimit=0,
                labelExpr="split(datum.label, ' ')", domain=False, ticks=False, labelPadding=18)),
        y=alt.Y("cell:N", sort=cells, title=None, axis=alt.Axis(domain=False, ticks=False)),
    )  # fmt: skip
    squares = base.mark_rect(stroke="white", strokeWidth=2).encode(
        color=alt.Color("rate:Q", scale=alt.Scale(domain=[0, 25, 50, 75, 100], range=BLUES), legend=None)
    )
    ink = alt.Color("dark:N", scale=alt.Scale(domain=[False, True], range=["#1a1a1a", "#ffffff"]), legend=None)
    says = base.mark_text(fontSize=13, dy=-6, fontWeight="bold").encode(text="says:N", color=ink)
    interval = base.mark_text(fontSize=11, dy=9).encode(text="interval:N", color=ink)
    whose = f"{summary['first']}'s" if summary["first"] else "the best cell's"
    subtitle = f"% of trials, and its 95 % interval{f'; {TIE}: not decided that it differs from {whose}' * marks}"
    chart = alt.layer(squares, says, interval).resolve_scale(color="independent")
    chart.title = alt.TitleParams([title], subtitle=subtitle)
    chart.width, chart.height = CELL_WIDTH * len(tasks), CELL_HEIGHT * len(cells)
    return chart


def _over_lengths(summary: Summary) -> alt.FacetChart:
    cells, tasks = ordered(summary), list(summary["tasks"])
    rows = []
    for found in summary["squares"]:
        rows += [
            {"cell": found["cell"], "task": found["task"], "times": times, "score": score}
            for times, score in found["scores"].items()
        ]
    styles = [series_style(cell, number) for number, cell in enumerate(cells)]
    first = summary["first"]
    chart = alt.Chart(inline(rows), width=170, height=130).mark_line(point=alt.OverlayMarkDef(size=28, filled=True))
    chart = chart.encode(
        x=alt.X("times:O", title="times the length it was trained at", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("score:Q", title="mean score", scale=alt.Scale(domain=[-0.2, 1], clamp=True)),
        color=alt.Color("cell:N", sort=cells, title=None, legend=alt.Legend(orient="bottom", columns=7),
                        scale=alt.Scale(domain=cells, range=[style[0] for style in styles])),
        strokeDash=alt.StrokeDash("cell:N", sort=cells, legend=None,
                                  scale=alt.Scale(domain=cells, range=[style[2] for style in styles])),
        strokeWidth=alt.condition(alt.datum.cell == first, alt.value(3.5), alt.value(1.4)),
    )  # fmt: skip
    facets = chart.facet(facet=alt.Facet("task:N", sort=tasks, title=None), columns=4, spacing=18)
    facets.title = alt.TitleParams(
        ["How does the score fall with length?"],
        subtitle="1: always right; 0: as the best guess from the present symbol",
    )
    return facets
