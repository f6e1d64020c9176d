"""A table of scores as a picture: who is best, where that is decided, and what few seeds show."""

from __future__ import annotations

import altair as alt

from memory_trials.report.palette import OTHERS
from memory_trials.report.ranking import Summary, by_wins
from memory_trials.report.style import CHARACTER, INSIDE, inline, specification, titled, together

HALF = (INSIDE - 30) // 2 - 20


def picture(summary: Summary) -> dict:
    """Draw who is best and where that is decided, what few seeds show, and the performance profile."""
    apart = {"scale": dict.fromkeys(("color", "strokeDash", "y"), "independent")}
    above = together([_wins(summary), _misled(summary)], "hconcat", spacing=30, resolve=apart)
    if not summary["profile"]["tasks"]:
        return above
    below = specification(_profile(summary))
    shared = {name: above.pop(name) for name in ("$schema", "config")}
    rows = [above, {name: part for name, part in below.items() if name not in shared}]
    return shared | {"vconcat": rows, "spacing": 30, "resolve": apart}


def _wins(summary: Summary) -> alt.Chart:
    rows = [
        {"model": row["model"], "tasks": row[key] - (row["decided"] if key == "best" else 0), "order": words}
        for row in summary["models"]
        for key, words in (("decided", "decided"), ("best", "not decided"))
    ]
    order = [row["model"] for row in by_wins(summary)]
    decided = sum(not task["undecided"] for task in summary["tasks"])
    chart = alt.Chart(inline(rows)).mark_bar().encode(
        x=alt.X("sum(tasks):Q", title="tasks with the best mean"),
        y=alt.Y("model:N", sort=order, title=None),
        color=alt.Color(
            "order:N", legend=None,
            scale=alt.Scale(domain=["decided", "not decided"], range=["#0b5394", "#9fc5e8"]),
        ),
        order=alt.Order("order:N"),
    )  # fmt: skip
    text = [
        f"The best one is decided on {decided} of {len(summary['tasks'])} tasks",
        "dark: decided; light: best mean, but not decided",
    ]
    names = CHARACTER * max((len(name) for name in order), default=0)
    room = int(max(150, HALF - names))
    return titled(chart, "Which model is best, and is that decided?", text, room, _height(summary), text_width=HALF)


def _misled(summary: Summary) -> alt.Chart:
    rows = [
        {"seeds": str(int(row["seeds"])), "share": 100 * row[key], "by": words}
        for row in summary["misleading"]["all"]["seeds"]
        for key, words in (("wrong", "the mean of the seeds"), ("wrong_by_best", "the best of the seeds"))
    ]
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("seeds:O", title="seeds of each model", sort=None, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("share:Q", title="comparisons that are wrong (%)", scale=alt.Scale(domainMin=0)),
        color=alt.Color("by:N", legend=None, scale=alt.Scale(range=["#b45f06", "#0b5394"])),
    )
    lines = base.mark_line(point=alt.OverlayMarkDef(size=60, filled=True)).encode(
        strokeDash=alt.StrokeDash("by:N", scale=alt.Scale(range=[[6, 3], [1, 0]]), legend=None)
    )
    last = base.transform_filter(f"datum.seeds === {rows[-1]['seeds']!r}")
    names = [  # one above its line, which falls more slowly, the other below
        last.transform_filter(f"datum.by === {by!r}")
        .mark_text(align="right", dx=10, dy=dy)
        .encode(text=alt.Text("by:N"))
        for by, dy in (("the best of the seeds", -12), ("the mean of the seeds", 14))
    ]
    chart = alt.layer(lines, *names)
    first = rows[0]
    seeds = "one seed" if first["seeds"] == "1" else f"{first['seeds']} seeds"
    finding = f"With {seeds} of each, {first['share']:.0f} % of comparisons are wrong"
    question = "How often do few seeds order two models wrongly?"
    return titled(chart, question, [finding], HALF - 60, _height(summary), text_width=HALF)


def _profile(summary: Summary) -> alt.Chart:
    found = summary["profile"]
    rows = [
        {"score": threshold, "share": 100 * share, "model": model}
        for model, shares in found["models"].items()
        for threshold, share in zip(found["thresholds"], shares)
    ]
    names = list(found["models"])
    styles = [OTHERS[number % len(OTHERS)] for number in range(len(names))]
    legend = alt.Legend(symbolType="stroke", symbolSize=400, orient="right", title=None)
    reached = "an error of at most" if summary["lower_is_better"] else "a score of at least"
    chart = alt.Chart(inline(rows)).mark_line(interpolate="step").encode(
        x=alt.X("score:Q", title=f"{reached} ({found['tasks']} tasks)"),
        y=alt.Y("share:Q", title="runs (%)", scale=alt.Scale(domain=[0, 100])),
        color=alt.Color(
            "model:N", title=None, sort=names, legend=legend,
            scale=alt.Scale(domain=names, range=[style[0] for style in styles]),
        ),
        strokeDash=alt.StrokeDash(
            "model:N", scale=alt.Scale(domain=names, range=[style[2] for style in styles]), legend=legend, sort=names
        ),
    )  # fmt: skip
    question = "How large a share of a model's runs is that good?"
    return titled(chart, question, ["the higher, the better"], INSIDE - 290, 220, text_width=INSIDE)


def _height(summary: Summary) -> int:
    return max(150, 26 * len(summary["models"]))
