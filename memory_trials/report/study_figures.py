"""A study's charts: its arms side by side, by the rule that its answer is read off with."""

import json
import textwrap
from pathlib import Path

import altair as alt

from memory_trials.evaluation import results, statistics
from memory_trials.report import drawing
from memory_trials.report.figures import learned
from memory_trials.report.palette import series_style
from memory_trials.report.style import HEIGHT, START, WIDE, ZERO, inline, percent, titled, together
from memory_trials.studies import answers
from memory_trials.studies.design import word

PLAIN = "format(datum.value, '~g')"  # a logarithmic axis would label only some of its ticks


def of_study(summary: dict) -> dict[str, alt.TopLevelMixin]:
    """A study's charts by name, from its summary."""
    rule = summary["rule"]["rule"]
    if rule == "front":
        return {"front": front(summary)}
    if rule in ("along", "reach"):
        best = {"best": best_over_axis(summary)} if rule == "reach" else {}
        return best | {"axis": over_axis(summary)}
    charts = {"rate": forest(summary)}
    if rule == "luck":  # of one arm alone there is nothing to rank
        return charts | ({"wrong": wrongly_ranked(summary)} if summary["luck"]["pairs"] else {})
    if any(arm["metrics"]["memory_whole"] for arm in summary["arms"]):
        charts["memory"] = memory_forest(summary)
    if rule == "free_run":
        return charts | {"next": said_next(summary)}
    if curve := summary.get("over_epochs"):
        longest = max(summary["arms"], key=lambda arm: arm["metrics"]["updates"])
        finding = f"The same trials over {curve[-1]['epoch']:,} epochs: how often, and how much"
        charts["over_epochs"] = learned(curve, longest["metrics"], _rated(longest)["cell"], finding)
    return charts | ({"time": time_forest(summary)} if any(_median(arm) for arm in summary["arms"]) else {})


def study(summary: dict) -> dict:
    """A study's charts as one picture under its question."""
    title = {"text": textwrap.wrap(summary["question"], 100), "fontSize": 15, "offset": 14}
    own = {"color": "independent", "shape": "independent", "strokeDash": "independent"}
    return together(of_study(summary).values(), "vconcat", spacing=30, title=title, resolve={"scale": own})


def forest(summary: dict) -> alt.LayerChart:
    """One row an arm: its success rate and interval; the first arm's as a line to compare with."""
    rows = [_rated(arm) for arm in summary["arms"]]
    chart = _forest(rows, ("low", "rate", "high"), f"trials that learned (%), {_interval(summary)}", [0, 100])
    first = alt.Chart(inline(rows[:1])).mark_rule(color="#888", strokeDash=[2, 3]).encode(x=alt.X("rate:Q"))
    text = _rows_of(rows).mark_text(align="left", dx=8).encode(x=alt.value("width"), text=alt.Text("label:N"))
    return titled(alt.layer(first, chart, text), _rates(summary), f"dotted: {rows[0]['arm']}", height=22 * len(rows))


def _rates(summary: dict) -> str:
    """What a comparison's test shows of the rates; without a test, only how far they reach."""
    arms = summary["arms"]
    if len(arms) == 1 or summary["rule"]["rule"] != "compare":
        rates = sorted(arm["metrics"]["success_rate"] for arm in arms)
        return f"{_range(*map(answers.percent, rates))} of an arm's trials learned"
    kinds = answers.kinds(arms, summary["confidence"])
    if set(kinds) == {"not shown to differ"}:
        return f"No arm is shown to differ from {arms[0]['name']}"
    named = [found[0]["name"] if len(found) == 1 else f"{len(found)} arms" for found in kinds.values()]
    first, *others = kinds
    than = [f"Learn {first} than {arms[0]['name']}", *others]
    return "; ".join(f"{words}: {which}" for words, which in zip(than, named))


def _range(*ascending: str) -> str:
    return ascending[0] if ascending[0] == ascending[-1] else f"{ascending[0]} to {ascending[-1]}"


def _beyond(rows: list[dict], low: str, high: str) -> dict | None:
    """The arm whose interval lies above those of all others; none where it overlaps one, or an end is not known."""
    if len(rows) < 2 or any(row[end] is None for row in rows for end in (low, high)):
        return None
    best = max(rows, key=lambda row: row[low])
    return best if best[low] > max(row[high] for row in rows if row is not best) else None


def time_forest(summary: dict) -> alt.LayerChart:
    """One row an arm: the epoch by which half of its trials have ever learned, with its interval."""
    ends = ("", "_low", "_high")
    rows = [
        _rated(arm)
        | {f"median{end}": arm["metrics"][f"median_epochs_to_learn{end}"] for end in ends}
        | {"time": "not half" if _median(arm) is None else f"{_median(arm):g}"}
        for arm in summary["arms"]
    ]
    known = [row[f"median{end}"] for row in rows for end in ends if row[f"median{end}"] is not None]
    finding = _times(rows)
    for row in rows:  # an open end reaches as far as is drawn
        if row["median"] is not None and row["median_high"] is None:
            row["median_high"] = max(known)
            row["time"] += ", upper end open"
    wide = max(known) > 20 * min(known)
    chart = _forest(
        rows, ("median_low", "median", "median_high"), f"epochs until half have ever learned, {_interval(summary)}",
        None if wide else [0, max(known)], "log" if wide else "linear",
    )  # fmt: skip
    text = _rows_of(rows).mark_text(align="left", dx=8).encode(x=alt.value("width"), text=alt.Text("time:N"))
    subtitle = "median of the Kaplan-Meier curve of the time to learn"
    return titled(alt.layer(chart, text), finding, subtitle, height=22 * len(rows))


def _times(rows: list[dict]) -> str:
    """Which arm's half learned first, where its interval shows it; else only when half of the trials of an arm had."""
    earliness = [
        {"arm": row["arm"]} | {end: None if row[key] is None else -row[key] for end, key in
                               (("low", "median_high"), ("high", "median_low"))}
        for row in rows
    ]  # fmt: skip
    if first := _beyond(earliness, "low", "high"):
        median = next(row["median"] for row in rows if row["arm"] == first["arm"])
        return f"Half of the trials had once learned soonest, by epoch {median:g}, with {first['arm']}"
    known = sorted(row["median"] for row in rows if row["median"] is not None)
    arms = "all arms" if len(known) == len(rows) else f"{len(known)} of {len(rows)} arms"
    return f"In {arms}, half of the trials had once learned by epoch {_range(f'{known[0]:g}', f'{known[-1]:g}')}"


def memory_forest(summary: dict) -> alt.LayerChart:
    """One row an arm: the median memory of its trials, in % of all there is, with its interval."""
    ends = ("", "_low", "_high")
    rows = []
    for arm in summary["arms"]:
        numbers, whole = arm["metrics"], arm["metrics"]["memory_whole"]
        values = [numbers[f"memory_median{end}"] for end in ends] if whole else [None] * 3
        shares = [None if value is None else round(100 * value / whole, 4) for value in values]
        rows.append(_rated(arm) | dict(zip(("memory", "memory_low", "memory_high"), shares))
                    | {"amount": answers.bits(values[0], whole) or "not needed"})  # fmt: skip
    known = [row for row in rows if row["memory"] is not None]
    finding = _remembered(known, {arm["metrics"]["memory_whole"] for arm in summary["arms"]} - {None})
    lowest = min(0.0, *(row[key] for row in known for key in ("memory_low", "memory") if row[key] is not None))
    for row in known:  # an end that so few trials do not have is as far as is drawn
        row["memory_low"] = row["memory_low"] if row["memory_low"] is not None else lowest
        row["memory_high"] = row["memory_high"] if row["memory_high"] is not None else 100.0
    title = f"memory (% of all there is to remember), median, {_interval(summary)}"
    chart = _forest(rows, ("memory_low", "memory", "memory_high"), title, [max(-100.0, lowest), 100])
    text = _rows_of(rows).mark_text(align="left", dx=8).encode(x=alt.value("width"), text=alt.Text("amount:N"))
    return titled(alt.layer(chart, text), finding, ZERO, height=22 * len(rows))


def _remembered(known: list[dict], wholes: set[float]) -> str:
    """Which arm remembers most, where its interval shows it; else only how far the medians reach. known: arms that need
    memory; wholes: all there is to remember."""
    if best := _beyond(known, "memory_low", "memory_high"):
        return f"Most is remembered with {best['arm']}: {best['amount']}"
    least, most = (found(known, key=lambda row: row["memory"]) for found in (min, max))
    if len(wholes) == 1:
        ends = _range(least["amount"].split()[0], most["amount"].split()[0])
        return f"The median memory is {most['amount'].replace(most['amount'].split()[0], ends, 1)}"
    shares = [f"{row['memory']:.2g} %" for row in (least, most)]
    return f"The median memory is {_range(*shares)} of all there is"


def wrongly_ranked(summary: dict, most: int = 50) -> alt.LayerChart:
    """How often a demonstration ranks two arms wrongly, by how many seeds of each it shows."""
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
    legend = alt.Legend(orient="bottom", columns=1, title=None, symbolType="stroke", symbolSize=400, labelLimit=0)
    scale = lambda index: alt.Scale(domain=pairs, range=[style[index] for style in styles])
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("seeds:Q", title="seeds of each", scale=alt.Scale(nice=False, domain=[1, most])),
        y=alt.Y("share:Q", title="ranked wrongly, or alike (%)", scale=alt.Scale(domain=[0, 100])),
        color=alt.Color("pair:N", scale=scale(0), legend=legend, sort=pairs),
        tooltip=[
            *map(alt.Tooltip, ("pair:N", "seeds:Q")),
            *(alt.Tooltip(f"{key}:Q", format=".3~g") for key in ("share", "wrong")),
        ],
    )
    line = base.mark_line().encode(strokeDash=alt.StrokeDash("pair:N", scale=scale(2), legend=legend, sort=pairs))
    misled = max(row["share"] for row in rows if row["seeds"] == 1)
    finding = f"With one seed of each arm, up to {misled:.0f} % of demonstrations rank two wrongly, or alike"
    return titled(line, finding, "two binomial counts, with the measured rates for the true ones", width=WIDE)


def times_to_learn(summary: dict, folders: dict[str, Path]) -> alt.LayerChart:
    """The Kaplan-Meier curves of a study's arms, each from its time_to_learn.csv."""
    arms = [_rated(arm) for arm in summary["arms"]]
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
    finding = f"In the end {_range(*(answers.percent(share / 100) for share in shares))} of trials have ever learned"
    if best := _beyond(last, "low", "high"):
        finding = f"Most trials, {answers.percent(best['share'] / 100)}, have ever learned with {best['arm']}"
    return titled(alt.layer(line, points), finding, "Kaplan-Meier curves of the time to learn", width=WIDE)


def _forest(rows: list[dict], keys: tuple[str, str, str], title: str, domain, scale: str = "linear") -> alt.LayerChart:
    low, middle, high = keys
    x = alt.X(f"{low}:Q", title=title, scale=alt.Scale(type=scale, **({"domain": domain} if domain else {})))
    base = _rows_of(rows).transform_filter(f"datum['{middle}'] !== null")
    colour, shape = _scales([row["cell"] for row in rows])
    tooltip = [
        *map(alt.Tooltip, ("arm:N", "cell:N")),
        *(alt.Tooltip(f"{key}:Q", format=".4~g") for key in (middle, low, high)),
        alt.Tooltip("p:N"),
    ]
    return alt.layer(
        base.mark_rule(strokeWidth=2).encode(x=x, x2=alt.X2(f"{high}:Q"), color=alt.Color("cell:N", **colour)),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            x=alt.X(f"{middle}:Q"),
            color=alt.Color("cell:N", **colour),
            shape=alt.Shape("cell:N", **shape),
            tooltip=tooltip,
        ),
    )


def _rows_of(rows: list[dict]) -> alt.Chart:
    return alt.Chart(inline(rows)).encode(y=alt.Y("arm:N", title=None, sort=[row["arm"] for row in rows]))


def over_axis(summary: dict) -> alt.TopLevelMixin:
    """Success rate over the values of a key, a line for each group of arms that differ in it alone.

    Where the answer is for each value of two keys, a panel for each: a column for `per`, a row for `rows`.
    """
    rule = summary["rule"]
    panels = {"column": rule["per"], "row": rule["rows"]}
    rows, cells = [], {}
    for label, group in answers.groups(summary["arms"], rule["key"]).items():
        line = answers.shortened(label, group[0], [*panels.values()]) or "all arms"
        cells.setdefault(line, set()).add(_rated(group[0])["cell"])
        rows += [_rated(arm) | {"x": arm["changes"][rule["key"]], "line": line} | _panel(arm, panels) for arm in group]
    by_cell = len({tuple(found) for found in cells.values()}) == len(cells) > 1  # so each line is a cell's
    styles = {line: series_style(min(found) if by_cell else "", i) for i, (line, found) in enumerate(cells.items())}
    reliable = sum(row["rate"] >= 100 * rule["level"] for row in rows)
    finding = f"In {reliable} of {len(rows)} arms, at least {100 * rule['level']:g} % of trials learned"
    return _lines(rows, styles, summary, finding, "")


def best_over_axis(summary: dict) -> alt.TopLevelMixin:
    """For each value of `per`, the highest success rate that any recipe reaches at each value of the key."""
    rule = summary["rule"]
    panels, rank = {"column": rule["rows"]}, answers.ranks(summary["arms"], rule["key"])
    best: dict[tuple, dict] = {}
    for arm in summary["arms"]:
        line = word(arm["changes"][rule["per"]])
        row = _rated(arm) | {"x": arm["changes"][rule["key"]], "line": line} | _panel(arm, panels)
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
    subtitle = "the highest rate at each point; as the highest of several, it is a little too high"
    return _lines(rows, styles, summary, finding, subtitle)


def _panel(arm: dict, panels: dict[str, str | None]) -> dict[str, str]:
    """What the column and the row of panels are called that hold the arm."""
    return {side: f"{_last(key)} {word(arm['changes'][key])}" for side, key in panels.items() if key}


def _lines(rows: list[dict], styles: dict[str, tuple], summary: dict, finding: str, subtitle: str) -> alt.TopLevelMixin:
    """rows: from _rated, with x and line, and column and row where there is a panel for each.

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
        "at:Q", title=key, axis=alt.Axis(values=values, tickCount=len(values), labelExpr=labels),
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
    y = alt.Y("low:Q", title=f"trials that learned (%), {_interval(summary)}", scale=alt.Scale(domain=[0, 100]))
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
        chart = chart.properties(width=max(270, WIDE // len(columns)), height=HEIGHT).facet(**facets)
    return titled(chart, finding, subtitle, width=WIDE, sized=columns == [None])


def front(summary: dict) -> alt.LayerChart:
    """Parameters against updates of the settings that were found, with their rate on fresh seeds."""
    level = summary["rule"]["level"]
    sizes = ("parameters", "updates")
    arms = sorted(summary["arms"], key=lambda arm: arm["metrics"]["parameters"])
    rows = [
        _rated(arm) | {size: arm["metrics"][size] for size in sizes} | {"below": i % 2} for i, arm in enumerate(arms)
    ]
    colour, shape = _scales([row["cell"] for row in rows])
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
    subtitle = f"share that learned, on seeds that the search did not use; filled: at least {100 * level:g} %"
    return titled(alt.layer(points, *text), finding, subtitle, width=WIDE, height=300)


def said_next(summary: dict) -> alt.LayerChart:
    """What trials that learned say after the last symbol, when they are fed their own predictions."""
    rows = []
    for arm in summary["arms"]:
        said = {key.partition("/")[2]: n for key, n in arm["metrics"].items() if key.startswith("free_run_next/")}
        start, total = 0.0, sum(said.values())
        for symbol, count in said.items():
            end = start + 100 * count / total
            rows.append({"arm": arm["name"], "symbol": symbol, "start": start, "end": end, "at": (start + end) / 2,
                         "label": symbol if end - start > 4 else "", "share": end - start})  # fmt: skip
            start = end
    symbols = list(dict.fromkeys(row["symbol"] for row in rows))
    fills = ["#741b47", "#ead1dc", "#2a7b8c", "#d0e0e3", "#595959", "#d9d9d9"]
    base = _rows_of(rows)
    bars = base.mark_bar(stroke="#fff").encode(
        x=alt.X("start:Q", title="share of what is said next (%)", scale=alt.Scale(domain=[0, 100])),
        x2=alt.X2("end:Q"),
        color=alt.Color("symbol:N", legend=None, scale=alt.Scale(domain=symbols, range=(fills * 9)[: len(symbols)])),
        tooltip=[*map(alt.Tooltip, ("arm:N", "symbol:N")), alt.Tooltip("share:Q", title="%", format=".1f")],
    )
    light = [symbol for symbol, fill in zip(symbols, fills * 9) if fill in fills[1::2]]
    text = base.mark_text().encode(
        x=alt.X("at:Q"),
        text=alt.Text("label:N"),
        color=alt.condition(alt.FieldOneOfPredicate("symbol", light), alt.value("#000"), alt.value("#fff")),
    )
    return titled(
        alt.layer(bars, text),
        _commonest(rows),
        "trials that learned, fed their own predictions",
        height=26 * len(summary["arms"]),
    )


def _commonest(rows: list[dict]) -> str:
    """How often the commonest symbol is said, and not which it is: others may be as common but for chance."""
    most: dict[str, float] = {}
    for row in rows:
        most[row["arm"]] = max(row["share"], most.get(row["arm"], 0))
    if not most:
        return "No trial learned, so none says anything"
    shares = [answers.percent(share / 100) for share in sorted(most.values())]
    return f"The commonest next symbol is said in {_range(*shares)} of cases"


def _scales(cells: list[str]) -> tuple[dict, dict]:
    """Colour and shape by cell; a legend only where there is something to tell apart."""
    present = list(dict.fromkeys(cells))
    legend = alt.Legend(orient="bottom", title=None) if len(present) > 1 else None
    colour, shape = (
        {"scale": alt.Scale(domain=present, range=[series_style(cell, i)[index] for i, cell in enumerate(present)]),
         "legend": legend, "sort": present}
        for index in (0, 1)
    )  # fmt: skip
    return colour, shape


def _rated(arm: dict) -> dict:
    numbers = arm["metrics"]
    rate, low, high = (100 * numbers[f"success_rate{end}"] for end in ("", "_low", "_high"))
    p = arm.get("p")
    return {
        "arm": arm["name"], "cell": arm["changes"].get("model.cell", "lstm"), "rate": rate, "low": low, "high": high,
        "label": answers.percent(rate / 100), "p": "" if p is None else f"{p:.3g}",
    }  # fmt: skip


def _median(arm: dict) -> float | None:
    return arm["metrics"]["median_epochs_to_learn"]


def _interval(summary: dict) -> str:
    return f"{100 * summary['confidence']:g} % interval"


def _last(key: str) -> str:
    return key.split(".")[-1]
