"""A study's arms in rows: how often each learns, how much it remembers, how soon, as points with their intervals."""

import json
import textwrap
from dataclasses import dataclass

import altair as alt

from memory_trials.report.palette import series_style
from memory_trials.report.style import CHARACTER, INSIDE, ZERO, inline, sentence, titled, together
from memory_trials.studies import answers

STEP, GAP = 21, 14  # pixels: of a row, and between columns
ENDS = ("", "_low", "_high")


@dataclass(frozen=True)
class Column:
    """What a chart shows of every arm, and its texts.

    rows: one for each arm, with `arm`, `cell`, `value`, `low`, `high` and `label`; an arm without a value has None. A
    row is `open` where its interval has no upper end. domain: of the axis; None: from the values.
    """

    question: str
    finding: str
    axis: str
    rows: list[dict]
    domain: list[float] | None
    scale: str = "linear"
    marks: tuple[str, ...] = ()


def columns(summary: dict) -> dict[str, Column]:
    """Return the columns by name: rate; memory, where an arm needs any; time, where half of an arm's trials learned."""
    found = {"rate": _rate(summary)}
    if any(arm["metrics"]["memory_whole"] for arm in summary["arms"]):
        found["memory"] = _memory(summary)
    if summary["rule"]["rule"] == "compare" and any(_median(arm) for arm in summary["arms"]):
        found["time"] = _time(summary)
    return found


def alone(column: Column, summary: dict) -> alt.LayerChart:
    """Return a column as a chart of its own."""
    text = [column.finding, *column.marks, _marks(summary)]
    height = STEP * len(column.rows)
    return titled(_drawn(column, legend=_needs_legend(column.rows)), column.question, text, height=height)


def side_by_side(found: list[Column], summary: dict) -> dict:
    """Return columns beside each other, the arms' names once, under the study's question."""
    names = CHARACTER * max(len(row["arm"]) for row in found[0].rows)
    labels = sum(_label_width(column) for column in found)
    width = int(min(460, max(100, (INSIDE - 30 - names - labels - GAP * (len(found) - 1)) / len(found))))
    charts, shown = [], _needs_legend(found[0].rows)
    for number, column in enumerate(found):
        chart = _drawn(column, named=number == 0, legend=shown and number == 0)
        chart.width, chart.height = width, STEP * len(column.rows)
        charts.append(chart)
    marks = "; ".join([*(mark for column in found for mark in column.marks), _marks(summary)])
    text = [*(column.finding for column in found), marks]
    text = [line for part in text for line in textwrap.wrap(sentence(part), 135)]
    own = {"scale": dict.fromkeys(("color", "shape", "x"), "independent")}
    title = {"text": textwrap.wrap(summary["question"], 95), "subtitle": text, "fontSize": 16}
    return together(charts, "hconcat", spacing=GAP, resolve=own, title=title)


def _marks(summary: dict) -> str:
    arms = summary["arms"]
    compared = f"; dotted: {arms[0]['name']}" if len(arms) > 1 else ""
    return f"point: estimate; line: {100 * summary['confidence']:g} % interval{compared}"


def _label_width(column: Column) -> float:
    return 10 + CHARACTER * max(len(row["label"]) for row in column.rows)


def _needs_legend(rows: list[dict]) -> bool:
    """Whether some arm's name does not say which cell its colour and shape stand for."""
    return len({row["cell"] for row in rows}) > 1 and any(row["cell"] not in row["arm"] for row in rows)


def _drawn(column: Column, named: bool = True, legend: bool = False) -> alt.LayerChart:
    rows = column.rows
    scale = alt.Scale(type=column.scale, **({"domain": column.domain} if column.domain else {}))
    ticks = {"values": [0, 25, 50, 75, 100]} if column.domain == [0, 100] else {"tickCount": 4}
    x = alt.X("low:Q", title=column.axis, scale=scale, axis=alt.Axis(**ticks))
    y = alt.Y(
        "arm:N", title=None, sort=[row["arm"] for row in rows],
        axis=alt.Axis(ticks=False, domain=False, labelPadding=9, **({} if named else {"labels": False})),
    )  # fmt: skip
    data = inline(rows)
    base = alt.Chart(data).encode(y=y)
    known = base.transform_filter("datum.value !== null")
    colour, shape = scales([row["cell"] for row in rows], legend)
    tooltip = [
        *map(alt.Tooltip, ("arm:N", "cell:N")),
        *(alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("value", "low", "high")),
        alt.Tooltip("p:N"),
    ]
    layers = [
        known.mark_rule(strokeWidth=2).encode(x=x, x2=alt.X2("high:Q"), color=alt.Color("cell:N", **colour)),
        known.mark_point(filled=True, size=70, opacity=1).encode(
            x=alt.X("value:Q"), color=alt.Color("cell:N", **colour), shape=alt.Shape("cell:N", **shape), tooltip=tooltip
        ),
        base.mark_text(align="left", dx=8).encode(x=alt.value("width"), text=alt.Text("label:N")),
    ]
    if any(row.get("open") for row in rows):
        arrows = known.transform_filter("datum.open").mark_point(
            shape="triangle-right", filled=True, size=50, opacity=1
        )
        layers.append(arrows.encode(x=alt.X("high:Q"), color=alt.Color("cell:N", **colour)))
    if len(rows) > 1 and rows[0]["value"] is not None:
        first = alt.Chart(inline(rows[:1])).mark_rule(color="#888", strokeDash=[2, 3])
        layers.insert(0, first.encode(x=alt.X("value:Q")))
    return alt.layer(*layers)


def scales(cells: list[str], legend: bool = True) -> tuple[dict, dict]:
    """Return the options of a colour and of a shape by cell; a legend only where there is something to tell apart."""
    present = list(dict.fromkeys(cells))
    shown = alt.Legend(orient="bottom", title=None) if legend and len(present) > 1 else None
    colour, shape = (
        {"scale": alt.Scale(domain=present, range=[series_style(cell, i)[index] for i, cell in enumerate(present)]),
         "legend": shown, "sort": present}
        for index in (0, 1)
    )  # fmt: skip
    return colour, shape


def _rate(summary: dict) -> Column:
    rows = []
    for arm in summary["arms"]:
        row = rated(arm)
        rows.append(row | {"value": row["rate"]})
    return Column("How often does each arm learn?", _rates(summary), "trials that learned (%)", rows, [0, 100])


def _rates(summary: dict) -> str:
    """What a comparison's test shows of the rates; without a test, only how far they reach."""
    arms = summary["arms"]
    if len(arms) == 1 or summary["rule"]["rule"] != "compare":
        rates = sorted(arm["metrics"]["success_rate"] for arm in arms)
        return f"{spread(*map(answers.percent, rates))} of an arm's trials learned"
    kinds = answers.kinds(arms, summary["confidence"])
    if set(kinds) == {"not shown to differ"}:
        return f"No arm is shown to differ from {arms[0]['name']}"
    named = [
        f"{len(found)} arms" if len(found) > 2 else " and ".join(arm["name"] for arm in found)
        for found in kinds.values()
    ]
    first, *others = kinds
    than = [f"Learned {first} than {arms[0]['name']}", *others]
    return "; ".join(f"{words}: {which}" for words, which in zip(than, named))


def spread(*ascending: str) -> str:
    """Return the first and the last of these texts, or the one that all are."""
    return ascending[0] if ascending[0] == ascending[-1] else f"{ascending[0]} to {ascending[-1]}"


def beyond(rows: list[dict], low: str, high: str) -> dict | None:
    """Return the arm whose interval lies above those of all others; None where it overlaps one, or has an open end."""
    if len(rows) < 2 or any(row[end] is None for row in rows for end in (low, high)):
        return None
    best = max(rows, key=lambda row: row[low])
    return best if best[low] > max(row[high] for row in rows if row is not best) else None


def _time(summary: dict) -> Column:
    rows = []
    for arm in summary["arms"]:
        value, low, high = (arm["metrics"][f"median_epochs_to_learn{end}"] for end in ENDS)
        label = "not half" if value is None else f"{value:g}"
        rows.append(rated(arm) | {"value": value, "low": low, "high": high, "label": label, "open": False})
    known = [row[key] for row in rows for key in ("value", "low", "high") if row[key] is not None]
    finding, wide = _times(rows), max(known) > 20 * min(known)
    end = 1.3 * max(known) if wide else 1.05 * max(known)
    for row in rows:  # an interval without an upper end reaches to the edge
        if row["value"] is not None and row["high"] is None:
            row |= {"high": end, "open": True}
    marks = ("arrow: the interval has no upper end",) if any(row["open"] for row in rows) else ()
    domain, scale = ([0.8 * min(known), end], "log") if wide else ([0, end], "linear")
    question, axis = "How soon have half of an arm's trials learned?", "epochs until half have learned"
    return Column(question, finding, axis, rows, domain, scale, marks)


def _times(rows: list[dict]) -> str:
    """Which arm's half learned first, where its interval shows it; else only when half of the trials of an arm had."""
    negative = lambda value: None if value is None else -value
    earliness = [{"arm": row["arm"], "low": negative(row["high"]), "high": negative(row["low"])} for row in rows]
    if first := beyond(earliness, "low", "high"):
        median = next(row["value"] for row in rows if row["arm"] == first["arm"])
        return f"Half of the trials had once learned soonest, by epoch {median:g}, with {first['arm']}"
    known = sorted(row["value"] for row in rows if row["value"] is not None)
    arms = "all arms" if len(known) == len(rows) else f"{len(known)} of {len(rows)} arms"
    return f"In {arms}, half of the trials had once learned by epoch {spread(f'{known[0]:g}', f'{known[-1]:g}')}"


def _memory(summary: dict) -> Column:
    """The median memory: in bits, where all arms have the same to remember, else in % of it."""
    wholes = {arm["metrics"]["memory_whole"] for arm in summary["arms"]} - {None}
    all_there_is = max(wholes) if len(wholes) == 1 else 100.0
    rows = []
    for arm in summary["arms"]:
        numbers, whole = arm["metrics"], arm["metrics"]["memory_whole"]
        values = [numbers[f"memory_median{end}"] for end in ENDS] if whole else [None] * 3
        shares = [None if value is None else round(all_there_is * value / whole, 6) for value in values]
        told = answers.bits(values[0], whole)
        label = "not needed" if not told else told.split()[0] if len(wholes) == 1 else told.removesuffix(" bit")
        rows.append(rated(arm) | dict(zip(("value", "low", "high"), shares)) | {"label": label, "amount": told})
    known = [row for row in rows if row["value"] is not None]
    finding = _remembered(known, wholes)
    lowest = min(0.0, *(row[key] for row in known for key in ("low", "value") if row[key] is not None))
    for row in known:  # an end that so few trials do not have is as far as is drawn
        row["low"] = row["low"] if row["low"] is not None else lowest
        row["high"] = row["high"] if row["high"] is not None else all_there_is
    unit = "bits" if len(wholes) == 1 else "% of all there is"
    domain = [max(-all_there_is, lowest), all_there_is]
    question = "How much do an arm's trials remember?"
    return Column(question, finding, f"median memory ({unit})", rows, domain, marks=(f"memory of {ZERO}",))


def _remembered(known: list[dict], wholes: set[float]) -> str:
    """Which arm remembers most, where its interval shows it; else only how far the medians reach. known: arms that need
    memory; wholes: all there is to remember."""
    if best := beyond(known, "low", "high"):
        return f"Most is remembered with {best['arm']}: {best['amount']}"
    least, most = (found(known, key=lambda row: row["value"]) for found in (min, max))
    if len(wholes) == 1:
        ends = spread(least["amount"].split()[0], most["amount"].split()[0])
        return f"The median memory is {most['amount'].replace(most['amount'].split()[0], ends, 1)}"
    shares = [f"{row['value']:.2g} %" for row in (least, most)]
    return f"The median memory is {spread(*shares)} of all there is"


def said_next(summary: dict) -> alt.LayerChart:
    """Return what trials that learned predict after the last symbol, when they are fed their own predictions."""
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
    order = list(dict.fromkeys(row["arm"] for row in rows))
    base = alt.Chart(inline(rows)).encode(y=alt.Y("arm:N", title=None, sort=order, axis=alt.Axis(ticks=False)))
    bars = base.mark_bar(stroke="#fff").encode(
        x=alt.X("start:Q", title="predictions after the last symbol (%)", scale=alt.Scale(domain=[0, 100])),
        x2=alt.X2("end:Q"),
        color=alt.Color("symbol:N", legend=None, scale=alt.Scale(domain=symbols, range=(fills * 9)[: len(symbols)])),
        tooltip=[*map(alt.Tooltip, ("arm:N", "symbol:N")), alt.Tooltip("share:Q", title="%", format=".1f")],
    )
    light = json.dumps([symbol for symbol, fill in zip(symbols, fills * 9) if fill in fills[1::2]])
    text = base.mark_text().encode(
        x=alt.X("at:Q"),
        text=alt.Text("label:N"),
        color=alt.condition(f"indexof({light}, datum.symbol) >= 0", alt.value("#000"), alt.value("#fff")),
    )
    question = "Which symbol is predicted after the last one?"
    marks = "trials that learned, fed their own predictions; each part is named by its symbol"
    return titled(
        alt.layer(bars, text), question, [_commonest(rows), marks], width=460, height=26 * len(summary["arms"])
    )


def _commonest(rows: list[dict]) -> str:
    """How often the commonest symbol is predicted, and not which it is: others may be as common but for chance."""
    most: dict[str, float] = {}
    for row in rows:
        most[row["arm"]] = max(row["share"], most.get(row["arm"], 0))
    if not most:
        return "No trial learned, so none predicts anything"
    shares = [answers.percent(share / 100) for share in sorted(most.values())]
    return f"The commonest next symbol is predicted in {spread(*shares)} of cases"


def rated(arm: dict) -> dict:
    """Return what charts show of an arm's rate, in %."""
    numbers = arm["metrics"]
    rate, low, high = (100 * numbers[f"success_rate{end}"] for end in ENDS)
    p = arm.get("p")
    return {
        "arm": arm["name"], "cell": arm["changes"].get("model.cell", "lstm"), "rate": rate, "low": low, "high": high,
        "label": answers.percent(rate / 100), "p": "" if p is None else f"{p:.3g}",
    }  # fmt: skip


def _median(arm: dict) -> float | None:
    return arm["metrics"]["median_epochs_to_learn"]
