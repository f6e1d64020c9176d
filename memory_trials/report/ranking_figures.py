"""A table of scores as a picture: who is best, where that is decided, and what few seeds show."""

from __future__ import annotations

import altair as alt

from memory_trials.report.palette import OTHERS
from memory_trials.report.ranking import Summary, by_wins
from memory_trials.report.style import inline, together


def picture(summary: Summary) -> dict:
    """Draw who is best and where that is decided, what few seeds show, and the performance profile."""
    charts = [_wins(summary), _misled(summary)]
    if summary["profile"]["tasks"]:
        charts.append(_profile(summary))
    apart = dict.fromkeys(("color", "strokeDash", "y"), "independent")
    return together(charts, "concat", columns=2, spacing=40, resolve={"scale": apart})


def _wins(summary: Summary) -> alt.Chart:
    rows = [
        {"model": row["model"], "tasks": row[key] - (row["decided"] if key == "best" else 0), "order": words}
        for row in summary["models"]
        for key, words in (("decided", "decided"), ("best", "not decided"))
    ]
    order = [row["model"] for row in by_wins(summary)]
    decided = sum(not task["undecided"] for task in summary["tasks"])
    chart = alt.Chart(inline(rows), width=260, height=max(120, 26 * len(order)))
    chart.title = alt.TitleParams(
        [f"The best model is decided on {decided} of {len(summary['tasks'])} tasks"],
        subtitle="dark: decided; light: best mean, but not decided",
    )
    return chart.mark_bar().encode(
        x=alt.X("sum(tasks):Q", title="tasks on which the model has the best mean"),
        y=alt.Y("model:N", sort=order, title=None),
        color=alt.Color(
            "order:N", legend=None,
            scale=alt.Scale(domain=["decided", "not decided"], range=["#0b5394", "#9fc5e8"]),
        ),
        order=alt.Order("order:N"),
    )  # fmt: skip


def _misled(summary: Summary) -> alt.Chart:
    rows = [
        {"seeds": str(int(row["seeds"])), "share": 100 * row[key], "by": words}
        for row in summary["misleading"]["all"]["seeds"]
        for key, words in (("wrong", "the mean of the seeds"), ("wrong_by_best", "the best of the seeds"))
    ]
    chart = alt.Chart(inline(rows), width=220, height=max(120, 26 * len(summary["models"])))
    chart.title = alt.TitleParams(["How often do few seeds order two models wrongly?"])
    return chart.mark_line(point=alt.OverlayMarkDef(size=60, filled=True)).encode(
        x=alt.X("seeds:O", title="seeds of each model", sort=None, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("share:Q", title="comparisons that are wrong (%)", scale=alt.Scale(domainMin=0)),
        color=alt.Color(
            "by:N", title="judged by", legend=alt.Legend(orient="bottom"),
            scale=alt.Scale(range=["#b45f06", "#0b5394"]),
        ),
        strokeDash=alt.StrokeDash("by:N", scale=alt.Scale(range=[[6, 3], [1, 0]]), legend=None),
    )  # fmt: skip


def _profile(summary: Summary) -> alt.Chart:
    found = summary["profile"]
    rows = [
        {"score": threshold, "share": 100 * share, "model": model}
        for model, shares in found["models"].items()
        for threshold, share in zip(found["thresholds"], shares)
    ]
    names = list(found["models"])
    styles = [OTHERS[number % len(OTHERS)] for number in range(len(names))]
    chart = alt.Chart(inline(rows), width=260, height=max(120, 26 * len(summary["models"])))
    chart.title = alt.TitleParams(["Which share of a model's runs is that good?"])
    reached = "an error of at most" if summary["lower_is_better"] else "a score of at least"
    return chart.mark_line(interpolate="step").encode(
        x=alt.X("score:Q", title=f"{reached} ({found['tasks']} tasks that all models have)"),
        y=alt.Y("share:Q", title="runs (%)", scale=alt.Scale(domain=[0, 100])),
        color=alt.Color(
            "model:N", title=None, sort=None, legend=alt.Legend(symbolType="stroke", orient="right"),
            scale=alt.Scale(domain=names, range=[style[0] for style in styles]),
        ),
        strokeDash=alt.StrokeDash(
            "model:N", scale=alt.Scale(domain=names, range=[style[2] for style in styles]), legend=None
        ),
    )  # fmt: skip
