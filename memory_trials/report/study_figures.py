"""A study's charts: its arms side by side, by the rule that its answer is read off with."""

import json
from pathlib import Path

import altair as alt

from memory_trials.evaluation import results, statistics
from memory_trials.report import drawing, forest_figures
from memory_trials.report.figures import learned, remembered
from memory_trials.report.forest_figures import beyond, rated, spread
from memory_trials.report.palette import series_style
from memory_trials.report.style import HEIGHT, INSIDE, START, WIDE, inline, percent, specification, titled, together
from memory_trials.studies import answers
from memory_trials.studies.design import word

PLAIN = "format(datum.value, '~g')"  # a logarithmic axis would label only some of its ticks
# settings along an axis, in words and with units; any other by the last part of its name
WORDS = {
    "problem.generate.lag": "lag (steps)",
    "problem.generate.train": "different training sequences",
    "encoding.history": "symbols shown at each step",
    "training.window": "window (steps that the gradient flows back)",
    "training.epochs": "training (epochs)",
    "training.batch": "batch (sequences or steps)",
    "training.learning_rate": "learning rate",
    "model.units": "units",
}


def of_study(summary: dict) -> dict[str, alt.TopLevelMixin]:
    """Return a study's charts by name, from its summary."""
    columns = forest_figures.columns(summary) if summary["rule"]["rule"] not in ("front", "along", "reach") else {}
    rows = {name: forest_figures.alone(column, summary) for name, column in columns.items()}
    return rows | _others(summary)


def _others(summary: dict) -> dict[str, alt.TopLevelMixin]:
    """The charts that do not show each arm in a row."""
    rule = summary["rule"]["rule"]
    if rule == "front":
        return {"front": front(summary)}
    if rule in ("along", "reach"):
        best = {"best": best_over_axis(summary)} if rule == "reach" else {}
        return best | {"axis": over_axis(summary)}
    if rule == "luck":  # of one arm alone there is nothing to rank
        return {"wrong": wrongly_ranked(summary)} if summary["luck"]["pairs"] else {}
    if rule == "free_run":
        return {"next": forest_figures.said_next(summary)}
    if curve := summary.get("over_epochs"):
        longest = max(summary["arms"], key=lambda arm: arm["metrics"]["updates"])
        numbers = longest["metrics"]
        last = curve[-1]
        finding = f"The same trials over {last['epoch']:,} epochs: {answers.percent(last['share_learned'])} in the end"
        charts = {"over_epochs": learned(curve, numbers, rated(longest)["cell"], finding)}
        return charts | ({"remembered": remembered(curve, numbers)} if numbers["memory_whole"] else {})
    return {}


def study(summary: dict) -> dict:
    """Return a study's charts as one picture under its question, as wide as a README shows it: a row for each arm, with
    its numbers side by side, then the other charts."""
    rule, others = summary["rule"]["rule"], list(_others(summary).values())
    if rule in ("front", "along", "reach"):
        parts = [specification(chart) for chart in others]
        if len(parts) == 1:  # the study's question is the chart's
            title = parts[0]["title"] | {"text": summary["question"], "fontSize": 16}
            return parts[0] | {"title": title}
        own = {"color": "independent", "shape": "independent", "strokeDash": "independent"}
        title = {"text": summary["question"], "fontSize": 16, "offset": 14}
        return together(others, "vconcat", spacing=30, title=title, resolve={"scale": own})
    picture = forest_figures.side_by_side(list(forest_figures.columns(summary).values()), summary)
    if not others:
        return picture
    shared = {name: picture.pop(name) for name in ("$schema", "config")}
    if len(others) > 1:
        for chart in others:
            chart.width = 300
    below = together(others, "hconcat", spacing=40)
    parts = [picture, {name: value for name, value in below.items() if name not in shared}]
    apart = dict.fromkeys(("color", "shape", "strokeDash"), "independent")
    return shared | {"vconcat": parts, "spacing": 30, "resolve": {"scale": apart}}


def wrongly_ranked(summary: dict, most: int = 50) -> alt.LayerChart:
    """Return a chart of how often a demonstration ranks two arms wrongly, by the number of seeds that it shows."""
    rates = {arm["name"]: arm["metrics"]["success_rate"] for arm in summary["arms"]}
    rows: list[dict] = []
    pairs = [f"{pair['better']} before {pair['worse']}" for pair in summary["luck"]["pairs"]]
    for name, pair in zip(pairs, summary["luck"]["pairs"]):
        for seeds in range(1, most + 1):
            wrong, alike = statistics.wrongly_ranked(rates[pair["better"]], rates[pair["worse"]], seeds)
            rows.append(
                {"pair": name, "seeds": seeds, "share": round(100 * (wrong + alike), 4), "wrong": round(100 * wrong, 4)}
            )
    styles = [series_style("", i) for i in range(len(pairs))]
    legend = alt.Legend(orient="bottom", columns=1, title=None, symbolType="stroke", symbolSize=400)
    scale = lambda index: alt.Scale(domain=pairs, range=[style[index] for style in styles])
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("seeds:Q", title="seeds of each arm", scale=alt.Scale(nice=False, domain=[1, most])),
        y=alt.Y("share:Q", title="ranked wrongly, or as equal (%)", scale=alt.Scale(domain=[0, 100])),
        color=alt.Color("pair:N", scale=scale(0), legend=legend, sort=pairs),
        tooltip=[
            *map(alt.Tooltip, ("pair:N", "seeds:Q")),
            *(alt.Tooltip(f"{key}:Q", format=".3~g") for key in ("share", "wrong")),
        ],
    )
    line = base.mark_line().encode(strokeDash=alt.StrokeDash("pair:N", scale=scale(2), legend=legend, sort=pairs))
    misled = max(row["share"] for row in rows if row["seeds"] == 1)
    finding = f"With one seed of each arm, up to {misled:.0f} % of demonstrations fail to rank two in the right order"
    marks = "two binomial counts, with the measured rates for the true ones"
    return titled(line, "How often does a demonstration with few seeds mislead?", [finding, marks], width=WIDE)


def times_to_learn(summary: dict, folders: dict[str, Path]) -> alt.LayerChart:
    """Return the Kaplan-Meier curves of a study's arms, each from the time_to_learn.csv in its folder."""
    arms = [rated(arm) for arm in summary["arms"]]
    by_cell = len({arm["cell"] for arm in arms}) == len(arms)
    styles = {arm["arm"]: series_style(arm["cell"] if by_cell else "", i) for i, arm in enumerate(arms)}
    rows: list[dict] = [
        {"arm": name} | row
        for name, folder in folders.items()
        for row in [
            START,
            *percent(results.read_table(folder, "time_to_learn").to_dict("records"), "share_ever_learned"),
        ]
    ]
    colour, dashes = (
        {
            "scale": alt.Scale(domain=list(styles), range=[style[index] for style in styles.values()]),
            "sort": list(styles),
        }
        for index in (0, 2)
    )
    legend = alt.Legend(orient="bottom", columns=2, title=None, symbolType="stroke", symbolSize=400)
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False, domainMin=0)),
        y=alt.Y("share:Q", title="trials that ever knew every step (%)", scale=alt.Scale(domain=[0, 100])),
        color=alt.Color("arm:N", legend=legend, **colour),
        tooltip=[*map(alt.Tooltip, ("arm:N", "epoch:Q")), alt.Tooltip("share:Q", format=".4~g")],
    )
    line = base.mark_line(interpolate="step-after").encode(strokeDash=alt.StrokeDash("arm:N", legend=legend, **dashes))
    points = base.mark_point(opacity=0, size=60)
    last = list({row["arm"]: row for row in rows}.values())
    shares = sorted(row["share"] for row in last)
    finding = f"In the end {spread(*(answers.percent(share / 100) for share in shares))} of trials have ever learned"
    if best := beyond(last, "low", "high"):
        finding = f"Most trials, {answers.percent(best['share'] / 100)}, have ever learned with {best['arm']}"
    text = [finding, "Kaplan-Meier curves of the time to learn"]
    return titled(alt.layer(line, points), "How soon does each arm learn for the first time?", text, width=WIDE)


def over_axis(summary: dict) -> alt.TopLevelMixin:
    """Return the success rate over the values of a key, a line for each group of arms that differ in it alone.

    Where the answer is for each value of two keys, a panel for each: a column for `per`, a row for `rows`.
    """
    rule = summary["rule"]
    panels = {"column": rule["per"], "row": rule["rows"]}
    rows, cells = [], {}
    for label, group in answers.groups(summary["arms"], rule["key"]).items():
        line = answers.shortened(label, group[0], [*panels.values()]) or "all arms"
        cells.setdefault(line, set()).add(rated(group[0])["cell"])
        rows += [rated(arm) | {"x": arm["changes"][rule["key"]], "line": line} | _panel(arm, panels) for arm in group]
    by_cell = len({tuple(found) for found in cells.values()}) == len(cells) > 1  # so each line is a cell's
    styles = {line: series_style(min(found) if by_cell else "", i) for i, (line, found) in enumerate(cells.items())}
    reliable = sum(row["rate"] >= 100 * rule["level"] for row in rows)
    finding = f"In {reliable} of {len(rows)} arms, at least {100 * rule['level']:g} % of trials learned"
    return _lines(rows, styles, summary, f"How often does each setting learn, by {_words(rule['key'])}?", [finding])


def best_over_axis(summary: dict) -> alt.TopLevelMixin:
    """Return, for each value of `per`, the highest success rate that any recipe reaches at each value of the key."""
    rule = summary["rule"]
    panels, rank = {"column": rule["rows"]}, answers.ranks(summary["arms"], rule["key"])
    best: dict[tuple, dict] = {}
    for arm in summary["arms"]:
        line = word(arm["changes"][rule["per"]])
        row = rated(arm) | {"x": arm["changes"][rule["key"]], "line": line} | _panel(arm, panels)
        point = (row.get("column"), line, rank[row["arm"]])
        if point not in best or row["rate"] > best[point]["rate"]:
            best[point] = row
    rows = list(best.values())
    styles = {line: series_style(line, i) for i, line in enumerate(dict.fromkeys(row["line"] for row in rows))}
    reached = [row for row in rows if row["rate"] >= 100 * rule["level"]]
    end = max((rank[row["arm"]] for row in reached), default=None)
    farthest = [row for row in reached if rank[row["arm"]] == end]
    name, level = _last(rule["key"]), f"at least {100 * rule['level']:g} % of an arm's trials"
    lines = "; ".join(", ".join(filter(None, [row["line"], row.get("column")])) for row in farthest)
    finding = (
        f"The largest {name} that {level} learned is {word(farthest[0]['x'])} ({lines})"
        if farthest
        else f"{level} learned at no {name}".capitalize()
    )
    marks = "the highest rate at each point; as the highest of several, it is a little too high"
    question = f"How far does the best setting reach, by {_words(rule['key'])}?"
    return _lines(rows, styles, summary, question, [finding, marks])


def _panel(arm: dict, panels: dict[str, str | None]) -> dict[str, str]:
    """What the column and the row of panels are called that hold the arm."""
    return {side: f"{_last(key)} {word(arm['changes'][key])}" for side, key in panels.items() if key}


def _lines(
    rows: list[dict], styles: dict[str, tuple], summary: dict, question: str, text: list[str]
) -> alt.TopLevelMixin:
    """rows: from `rated`, with x and line, and column and row where there is a panel for each.

    x that are no numbers, such as sequence, stand side by side in their order.
    """
    key = summary["rule"]["key"]
    labels = PLAIN
    if any(type(row["x"]) not in (int, float) for row in rows):
        rank = answers.ranks(summary["arms"], key)
        names = {rank[row["arm"]]: drawing.literal(word(row["x"])) for row in rows}
        labels = f"{json.dumps(names)}[datum.value]"
        rows = [row | {"x": rank[row["arm"]]} for row in rows]
    lines, values = list(styles), sorted({row["x"] for row in rows})
    log = 0 < 20 * values[0] < values[-1]
    for row in rows:  # side by side, where several lines share a point
        aside = lines.index(row["line"]) - (len(lines) - 1) / 2
        row["at"] = row["x"] * 1.03**aside if log else row["x"] + 0.008 * (values[-1] - values[0]) * aside
    margin = 0.05 * (values[-1] - values[0])
    domain = [values[0] / 1.25, values[-1] * 1.25] if log else [values[0] - margin, values[-1] + margin]
    x = alt.X(
        "at:Q", title=WORDS.get(key) or _words(key),
        axis=alt.Axis(values=values, tickCount=len(values), labelExpr=labels),
        scale=alt.Scale(type="log" if log else "linear", domain=domain, nice=False),
    )  # fmt: skip
    legend = (
        None
        if len(lines) == 1
        else alt.Legend(orient="bottom", columns=3, title=None, symbolDash=[1, 0], symbolStrokeWidth=0)
    )
    scale = lambda index: {"scale": alt.Scale(domain=lines, range=[style[index] for style in styles.values()]),
                           "legend": legend, "sort": lines}  # fmt: skip
    base = alt.Chart().encode(x=x, color=alt.Color("line:N", **scale(0)))
    y = alt.Y("low:Q", title="trials that learned (%)", scale=alt.Scale(domain=[0, 100]))
    tooltip = [alt.Tooltip("arm:N"), *([alt.Tooltip("x:Q", title=_last(key))] if labels == PLAIN else [])]
    tooltip += [alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("rate", "low", "high")]
    columns, panel_rows = (list(dict.fromkeys(row.get(side) for row in rows)) for side in ("column", "row"))
    chart = alt.layer(
        base.mark_rule(opacity=0.7).encode(y=y, y2=alt.Y2("high:Q")),
        base.mark_line().encode(y=alt.Y("rate:Q"), strokeDash=alt.StrokeDash("line:N", **scale(2))),
        base.mark_point(filled=True, size=55, opacity=1).encode(
            y=alt.Y("rate:Q"), shape=alt.Shape("line:N", **scale(1)), tooltip=tooltip
        ),
        data=inline(rows),
    )
    if columns != [None]:
        facets = {"column": alt.Column("column:N", title=None, sort=columns)}
        if panel_rows != [None]:
            facets["row"] = alt.Row("row:N", title=None, sort=panel_rows)
        height = HEIGHT if panel_rows == [None] else 150
        chart = chart.properties(width=min(330, (INSIDE - 60) // len(columns) - 40), height=height).facet(**facets)
    marks = f"vertical line: {_interval(summary)}"
    return titled(chart, question, [*text, marks], width=WIDE + 100, sized=columns == [None])


def front(summary: dict) -> alt.LayerChart:
    """Return parameters against updates of the settings that were found, with their rate on fresh seeds."""
    level = summary["rule"]["level"]
    sizes = ("parameters", "updates")
    arms = sorted(summary["arms"], key=lambda arm: arm["metrics"]["parameters"])
    rows = [
        rated(arm) | {size: arm["metrics"][size] for size in sizes} | {"below": i % 2} for i, arm in enumerate(arms)
    ]
    colour, shape = forest_figures.scales([row["cell"] for row in rows])
    padded = lambda values: [min(values) / 1.4, max(values) * 1.6]
    axis = lambda key, title: {
        "shorthand": f"{key}:Q", "title": title,
        "scale": alt.Scale(type="log", domain=padded([row[key] for row in rows]), nice=False),
        "axis": alt.Axis(values=[d * 10**e for e in range(7) for d in (1, 2, 5)], tickCount=30, labelExpr=PLAIN),
    }  # fmt: skip
    base = alt.Chart(inline(rows)).encode(
        x=alt.X(**axis("parameters", "parameters of the model")),
        y=alt.Y(**axis("updates", "updates (optimizer steps)")),
    )
    points = base.mark_point(size=90, strokeWidth=2, opacity=1).encode(
        color=alt.Color("cell:N", **colour),
        shape=alt.Shape("cell:N", **shape),
        fill=alt.condition(
            f"datum.rate >= {100 * level}", alt.value(series_style(rows[0]["cell"])[0]), alt.value("#fff")
        ),
        tooltip=[alt.Tooltip(key) for key in ("arm:N", "parameters:Q", "updates:Q", "rate:Q", "low:Q", "high:Q")],
    )
    text = [  # in turn above and below, since neighbours may be close
        base.transform_filter(f"datum.below === {below}")
        .mark_text(align="left", dx=9, dy=dy)
        .encode(text=alt.Text("label:N"))
        for below, dy in ((0, -7), (1, 9))
    ]
    good = [row for row in rows if row["rate"] >= 100 * level]
    finding = f"{len(good)} of {len(rows)} settings that the search found learn in {100 * level:g} % of trials or more"
    marks = f"label: share that learned, on seeds that the search did not use; filled: at least {100 * level:g} %"
    question = "How few parameters and updates are enough?"
    return titled(alt.layer(points, *text), question, [finding, marks], width=WIDE + 100, height=300)


def _interval(summary: dict) -> str:
    return f"{100 * summary['confidence']:g} % interval"


def _last(key: str) -> str:
    return key.split(".")[-1]


def _words(key: str) -> str:
    return WORDS.get(key, _last(key).replace("_", " ")).partition(" (")[0]
