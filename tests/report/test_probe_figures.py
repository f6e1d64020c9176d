"""The probe's pictures show its numbers, in order and with the same bytes each time."""

import math
import re
from xml.etree import ElementTree

import altair as alt
import pytest
from altair.utils import schemapi

from memory_trials.report import drawing, probe_figures, style
from tests.report.test_figures import data_of

LENGTHS = [1, 10]


def square(cell: str, task: str, rate: float, held: float, scores: tuple[float, float]) -> dict:
    share = lambda rate: {"rate": rate, "low": rate / 2, "high": (1 + rate) / 2}
    return {
        "cell": cell, "task": task, "learned": share(rate), "holds": dict(zip(LENGTHS, map(share, (rate, held)))),
        "scores": dict(zip(LENGTHS, scores)),
        "bands": {times: {"low": score - 0.1, "high": score + 0.1} for times, score in zip(LENGTHS, scores)},
    }  # fmt: skip


def recall(mean: float, state: float) -> dict:
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "state": state, "parameters": 5000, "time": 50 / state}


SUMMARY = {
    "tasks": {"parity": {}, "induction": {}}, "lengths": LENGTHS, "first": None, "best": None, "recall": ["induction"],
    "cells": [
        {"cell": "gru", "size": "parameters", "learned": 0.3, "score": 0.4, "holds": 0.05, "recall": recall(0.2, 20)},
        {"cell": "irnn", "size": "parameters", "learned": 0.9, "score": 0.9, "holds": 0.8, "recall": recall(0.8, 2000)},
    ],
    "squares": [
        square("gru", "parity", 0.2, 0.1, (1.0, 0.5)), square("gru", "induction", 0.4, 0.0, (0.9, -3.0)),
        square("irnn", "parity", 0.8, 0.8, (1.0, 1.0)),
    ],
    "compared": [{"task": "parity", "cells": ["gru", "irnn"], "difference": -0.6, "decided": False}],
}  # fmt: skip
SUMMARY["by_state"] = SUMMARY | {"cells": [
    row | {"size": "state", "recall": {key: number for key, number in recall(0.5, 64).items() if key != "time"}
           | {"parameters": weights}}
    for row, weights in zip(SUMMARY["cells"], (700, 9000))
]}  # fmt: skip


@pytest.fixture(scope="module")
def charts():
    with schemapi.debug_mode(True):  # Altair looks at every object when it is made
        return {name: style.specification(chart) for name, chart in probe_figures.charts(SUMMARY).items()}


def test_they_are_valid_and_always_alike(charts, tmp_path):
    for chart in charts.values():
        alt.LayerChart.validate(chart)
    assert charts.keys() == probe_figures.FILES.keys()
    of_parameters = SUMMARY | {"by_state": None}
    files = probe_figures.write(of_parameters, tmp_path)
    again = probe_figures.write(of_parameters, tmp_path / "again")
    assert len(files) == 5 and all(path.read_bytes() == again[name].read_bytes() for name, path in files.items())


def test_rates_stand_in_squares_with_what_is_not_decided(charts):
    (rows, *_) = data_of(charts["learned"])
    assert [(row["cell"], row["task"], row["says"], row["interval"]) for row in rows] == [
        ("gru", "parity", "20 ≈", "10-60"), ("gru", "induction", "40", "20-70"), ("irnn", "parity", "80", "40-90"),
    ]  # fmt: skip
    assert charts["learned"]["layer"][0]["encoding"]["y"]["sort"] == ["irnn", "gru"]  # by mean rate


def test_curves_are_drawn_in_the_square_of_their_cell_and_task(charts):
    _, points, *_ = data_of(charts["holds"])
    found = {(row["cell"], row["task"], row["times"]): row for row in points}
    assert all(int(row["x"]) == (row["task"] == "induction") and int(row["y"]) == (row["cell"] == "gru")
               for row in points)  # fmt: skip
    first, last = found["gru", "parity", 1], found["gru", "parity", 10]
    assert first["x"] == pytest.approx(probe_figures.LEFT) and last["x"] == pytest.approx(probe_figures.RIGHT)
    high = probe_figures.BOTTOM - probe_figures.TOP
    assert first["y"] == pytest.approx(1 + probe_figures.BOTTOM - 0.2 * high)
    assert first["y_low"] == pytest.approx(1 + probe_figures.BOTTOM - 0.1 * high)
    said = next(rows for rows in data_of(charts["holds"]) if "says" in rows[0] and "cell" in rows[0])
    assert [row["says"] for row in said] == ["10", "0", "80"]
    assert charts["holds"]["title"]["subtitle"][0].startswith("In the mean over tasks irnn holds it farthest: 80 %")


def test_a_score_that_is_too_low_is_drawn_at_the_bottom_and_said(charts):
    data = data_of(charts["scores"])
    points = next(rows for rows in data if "times" in rows[0])
    worst = next(row for row in points if row["value"] == -3)
    assert worst["y"] == worst["y_low"] == pytest.approx(1 + probe_figures.BOTTOM)
    said = next(rows for rows in data if "says" in rows[0] and "cell" in rows[0])
    assert [row["says"] for row in said] == ["0.50", "< -1", "1.00"]
    assert charts["scores"]["title"]["subtitle"][0] == "In 1 of 3 squares it is at least 0.9 at 10 times the length."


def test_recall_is_drawn_against_the_size_that_differs(charts):
    rows = next(rows for rows in data_of(charts["recall"]) if "state" in rows[0])
    assert [(row["cell"], row["state"], row["mean"]) for row in rows] == [("irnn", 2000, 0.8), ("gru", 20, 0.2)]
    assert charts["recall"]["title"]["text"] == ["Does recall rise with the size of the state?"]
    assert "All have 5,000 weights" in " ".join(charts["recall"]["title"]["subtitle"])
    rows = next(rows for rows in data_of(charts["time"]) if "time" in rows[0])
    assert [(row["cell"], row["time"]) for row in rows] == [("irnn", 0.025), ("gru", 2.5)]
    one = SUMMARY | {"cells": [SUMMARY["cells"][0], SUMMARY["cells"][1] | {"recall": None}], "by_state": None}
    assert probe_figures.charts(one).keys() == {"learned", "holds", "scores"}


def test_cells_with_states_of_one_size_differ_by_their_weights(charts):
    rows = next(rows for rows in data_of(charts["by_state_recall"]) if "parameters" in rows[0])
    assert sorted((row["cell"], row["parameters"]) for row in rows) == [("gru", 700), ("irnn", 9000)]
    assert "All have 64 numbers in the state" in " ".join(charts["by_state_recall"]["title"]["subtitle"])
    assert charts["by_state_learned"]["title"]["text"][0].endswith("with states of one size?")


def test_labels_do_not_cover_each_other():
    points = [(f"cell_{n}", 300 + 4 * n, 100 + 5 * n) for n in range(8)]
    found = probe_figures._placed(points)
    boxes = [(x, y, x + 7 * len(name)) for name, (x, y) in found.items()]
    apart = lambda a, b: abs(a[1] - b[1]) >= probe_figures.LINE or a[2] <= b[0] or b[2] <= a[0]
    assert sum(not apart(a, b) for n, a in enumerate(boxes) for b in boxes[:n]) == 0


def test_text_can_be_read_where_a_page_shows_it(charts):
    """A README shows 840 pixels; a wider picture would be made smaller."""
    many = SUMMARY | {"tasks": {f"task {n}": {} for n in range(9)}, "squares": [
        square(cell, f"task {n}", 0.5, 0.5, (0.5, 0.5)) for cell in ("gru", "delta_net_2") for n in range(9)
    ], "cells": [row | {"cell": cell} for row, cell in zip(SUMMARY["cells"], ("gru", "delta_net_2"))]}  # fmt: skip
    for chart in probe_figures.charts(many).values():
        drawn = drawing.svg(style.specification(chart))
        assert float(ElementTree.fromstring(drawn).attrib["width"]) <= style.PAGE
        assert min(map(float, re.findall(r'font-size="([\d.]+)px"', drawn))) >= 11


def test_one_length_has_a_curve_of_one_point():
    alone = SUMMARY | {"lengths": [1], "squares": [
        row | {name: {1: row[name][1]} for name in ("holds", "scores", "bands")} for row in SUMMARY["squares"]
    ]}  # fmt: skip
    points = next(rows for rows in data_of(style.specification(probe_figures._holds(alone))) if "times" in rows[0])
    assert len(points) == 3 and all(math.isfinite(row["x"]) for row in points)
