"""How every chart looks: Vega-Lite, written with Altair, drawn as PNG or SVG here and alive in the report page.

A title is the question; below it stand the finding, by rule from the numbers, and what the marks mean. Text is large
enough to be read where a README shows the picture, `PAGE` pixels wide. Channels are written as objects,
x=alt.X("epoch:Q"): from a mere text Altair works out the class anew, 3 ms each time. Only tests check that each object
is valid.
"""

import json
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import altair as alt
from altair.utils import schemapi

from memory_trials import files
from memory_trials.report import drawing
from memory_trials.report.palette import series_style

MEMORY = "#444444"  # its curve, beside a cell's
PAGE, PADDING = 840, 12  # pixels: as wide as a README shows a picture, and the white around it
INSIDE = PAGE - 2 * PADDING
CHARACTER = 6.2  # pixels that a character of an axis's labels takes
WIDTH, WIDE, HEIGHT, SINGLE = 360, 560, 210, 20  # pixels; SINGLE: so many trials' losses are drawn one by one
# before training no trial has ever known everything
START: dict[str, float] = {"epoch": 0, "share": 0, "low": 0, "high": 0}
CONFIG = {
    "font": f"{drawing.FAMILY}, Liberation Sans, Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "axis": {"gridColor": "#e3e3e3", "domainColor": "#888", "tickColor": "#888", "tickCount": 6, "labelOverlap": True,
             "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 0, "titleLimit": 0},
    "title": {"anchor": "start", "fontSize": 14, "subtitleFontSize": 12, "subtitleColor": "#444", "limit": 0,
              "fontWeight": "bold", "offset": 10, "subtitlePadding": 4, "subtitleLineHeight": 16},
    "header": {"labelFontSize": 12, "titleFontSize": 12, "labelLimit": 0},
    "axisX": {"labelFlush": False},
    "text": {"fontSize": 12},
    "legend": {"labelLimit": 0, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal",
               "symbolOpacity": 1, "symbolSize": 90},
}  # fmt: skip
ZERO = "0: the best guess without memory"
SomeChart = TypeVar("SomeChart", bound=alt.TopLevelMixin)
schemapi.disable_debug_mode()


def write(specification: dict, *paths: Path) -> None:
    """Draw to files, as PNG or SVG by each path's suffix. The same numbers give the same bytes."""
    drawn = drawing.svg(specification)
    for path in paths:
        if path.suffix == ".svg":
            files.write_text(path, drawn)
        else:
            files.write_bytes(path, drawing.png(drawn))


def specification(chart: alt.TopLevelMixin) -> dict:
    """Return the chart as Vega-Lite, in the project's style."""
    with alt.data_transformers.enable(max_rows=None, consolidate_datasets=False):
        drawn = chart.to_dict(validate=False)  # validating takes seconds; `configure` would copy all of the chart
    of_altair = drawn.pop("config")
    return drawn | {"config": of_altair | CONFIG | {"view": of_altair["view"] | CONFIG["view"], "padding": PADDING}}


def together(charts: Iterable[alt.TopLevelMixin], how: str, **properties: Any) -> dict:
    """Return charts as one picture, in the project's style.

    Altair's own functions would copy all data.

    Args:
        charts: the charts, in order.
        how: Vega-Lite's concat, hconcat or vconcat.
        properties: of that composition.
    """
    parts, shared = [specification(chart) for chart in charts], {}
    for part in parts:
        shared = {name: part.pop(name) for name in ("$schema", "config")}
    return shared | {how: parts} | properties


def titled(
    chart: SomeChart,
    question: str,
    subtitle: str | list[str],
    width: int = WIDTH,
    height: int = HEIGHT,
    sized: bool = True,
    text_width: int = 0,
) -> SomeChart:
    """Put a chart that has just been made under its title, and return it. (Altair's `properties` would copy its data.)

    Args:
        chart: the chart.
        question: the title.
        subtitle: the finding, then what the marks mean, a sentence each.
        width: of the plot, in pixels.
        height: of the plot, in pixels.
        sized: False for panels, which have their own size.
        text_width: pixels that the title may take (default: a little more than the plot).
    """
    text, room = [subtitle] if isinstance(subtitle, str) else subtitle, text_width or width + 50
    lines = [line for part in text for line in textwrap.wrap(sentence(part), room // 6)]
    chart.title = alt.TitleParams(textwrap.wrap(question, room // 8), **({"subtitle": lines} if lines else {}))
    if sized:
        chart.width, chart.height = width, height
    return chart


def sentence(text: str) -> str:
    """Return the text with a capital letter and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def inline(rows: list[dict]) -> alt.InlineData:
    """Return rows as JSON text, which Altair copies for free; it would copy objects again for every layer."""
    return alt.InlineData(values=json.dumps(rows, ensure_ascii=False), format=alt.JsonDataFormat(type="json"))


def percent(rows: list[dict[str, float]], key: str) -> list[dict[str, float]]:
    shares = {"share": key, "low": "low", "high": "high"}
    return [{"epoch": row["epoch"]} | {name: round(100 * row[of], 4) for name, of in shares.items()} for row in rows]


def curve(rows: list[dict], y: str, question: str, subtitle: list[str], cell: str, interpolate: str) -> alt.LayerChart:
    """Return percentages over epochs with a band, the last one labelled. rows: with epoch, share, low and high."""
    colour = series_style(cell)[0]
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False, domainMin=0)),
        tooltip=[alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("epoch", "share", "low", "high")],
    )
    band = base.mark_area(opacity=0.25, color=colour, interpolate=interpolate).encode(
        y=alt.Y("low:Q", title=y, scale=alt.Scale(domain=[0, 100])), y2=alt.Y2("high:Q")
    )
    line = base.mark_line(color=colour, interpolate=interpolate).encode(y=alt.Y("share:Q"))
    points = base.mark_point(color=colour, filled=True, size=30, opacity=1 if len(rows) < 60 else 0)
    last = alt.Chart(inline([rows[-1] | {"label": f"{rows[-1]['share']:.3g} %"}])).mark_text(align="left", dx=7)
    label = last.encode(x=alt.X("epoch:Q"), y=alt.Y("share:Q"), text=alt.Text("label:N"))
    return titled(alt.layer(band, line, points.encode(y=alt.Y("share:Q")), label), question, subtitle)
