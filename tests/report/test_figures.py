"""The pictures say what the numbers say, for any outcome, in one grammar and the same bytes each time."""

import json
import re
from xml.etree import ElementTree

import altair as alt
import numpy as np
import pytest
import vl_convert
from altair.utils import schemapi
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from memory_trials.cells import registry
from memory_trials.report import drawing, figures, forest_figures, palette, study_figures, style
from memory_trials.studies.schema import AnswerRule
from memory_trials.tasks.problems import Problem
from tests import outcomes
from tests.conftest import ROOT
from tests.studies.test_answers import arms_with, rows_of

SUMMARIES = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "experiments/data/studies/summaries").iterdir())
}
PROBLEM = Problem((0, 1, 2, 3, 4), ((3, 0, 1, 2, 3), (4, 0, 1, 2, 4)), ((3, 0, 1, 2, 3), (4, 0, 1, 2, 4)), False)


@pytest.fixture
def checked():
    """Altair looks at every object of a chart when it is made."""
    with schemapi.debug_mode(True):
        yield


def data_of(spec: dict) -> list[list[dict]]:
    """Every data set of a specification, decoded."""
    found = [json.loads(spec["data"]["values"])] if "values" in spec.get("data", {}) else []
    inner = [part for key in ("layer", "hconcat", "vconcat", "spec") for part in _listed(spec.get(key, []))]
    return found + [data for part in inner for data in data_of(part)]


def _listed(value):
    return value if isinstance(value, list) else [value]


def finding(spec: dict) -> str:
    """What stands below a chart's question."""
    return " ".join(spec["title"]["subtitle"])


def made_up(successes: int):
    """Three trials, of which so many learned, and their losses."""
    losses = np.random.default_rng(0).uniform(0.1, 1, size=(3, 40)).astype(np.float32)
    learned = np.arange(3)[:, np.newaxis] < np.array([0, successes, successes])
    said = [(seed, k + 1, 4, 2, target, target if seed < successes else 3) for seed in range(3)
            for k, target in enumerate((3, 4))]  # fmt: skip
    return outcomes.made_up(np.arange(3), losses, np.array([10, 20, 40]), learned, confusion=said), losses


@pytest.mark.parametrize("successes", [0, 1, 3])
def test_an_arms_picture_is_drawn_for_any_outcome_and_always_alike(tmp_path, successes, checked):
    outcome, losses = made_up(successes)
    folder = tmp_path
    chart = figures.overview(figures.of_arm(outcome, "gru", losses), "memory learned now and then")
    alt.HConcatChart.validate(chart)  # as Vega-Lite, which is not checked where pictures are made
    for name in ("one", "two"):
        style.write(chart, folder / f"{name}.png", folder / f"{name}.svg")
    assert (folder / "one.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "one.png").read_bytes() == (folder / "two.png").read_bytes()
    assert (folder / "one.svg").read_bytes() == (folder / "two.svg").read_bytes()
    text = " ".join(ElementTree.parse(folder / "one.svg").getroot().itertext())
    assert "Memory learned now and then" in text and f"{successes} of 3 trials know every step in the end" in text


def test_what_is_drawn_of_an_arm_is_what_is_known_of_it():
    outcome, losses = made_up(1)
    charts = {name: style.specification(chart) for name, chart in figures.of_arm(outcome, "lstm", losses).items()}
    learned = data_of(charts["learned"])[0]
    remembered = data_of(charts["remembered"])[0]
    assert [row["median"] for row in remembered] == [0, 0, 0]
    assert [row["p90"] for row in remembered] == pytest.approx([0, 0.4, 0.4])
    assert [(row["asked"], row["trials"]) for row in data_of(charts["margin"])[0]] == [
        ("0", 1), ("0.01", 1), ("0.1", 0), ("0.5", 0),
    ]  # fmt: skip
    bars = data_of(charts["memory"])[0]
    assert {(row["verdict"], row["trials"]) for row in bars} == {("learned", 1), ("not learned", 2)}
    assert next(row for row in bars if row["verdict"] == "learned")["from"] == 0.5
    assert [row["share"] for row in learned] == pytest.approx([0, 100 / 3, 100 / 3], abs=1e-4)
    assert all(row["low"] <= row["share"] <= row["high"] for row in learned)
    single, median = data_of(charts["loss"])[:2]
    last = {row["trial"]: row["loss"] for row in single if row["epoch"] == 40}
    assert [last[trial] for trial in range(3)] == pytest.approx(losses[:, -1], abs=1e-5)
    assert median[-1]["median"] == pytest.approx(np.median(losses[:, -1]), abs=1e-6)
    said = {(row["target"], row["predicted"]): row["trials"] for row in data_of(charts["confusion"])[0]}
    assert said == {("3", "3"): 3, ("4", "4"): 1, ("4", "3"): 2}  # one knows both, two always say 3
    assert finding(charts["confusion"]).startswith("After 2, where 3 or 4 may follow, 4 of 6 predictions are right")


@given(st.floats(1e-3, 8), st.lists(st.floats(-9, 8), min_size=1, max_size=9))
def test_every_trial_stands_in_a_bar_of_memory_however_much_there_is_to_remember(whole, memories):
    rows = [{"memory": min(memory, whole), "learned": 0} for memory in memories]
    chart = style.specification(figures.memory(rows, {"memory_whole": whole, "memory_median": 0.0}, "lstm"))
    assert sum(row["trials"] for row in data_of(chart)[0]) == len(rows)


def test_the_leads_of_a_stricter_evaluation_are_told_as_what_was_required():
    outcome, losses = made_up(1)
    outcome.metrics["margin_required"] = 0.05
    chart = style.specification(figures.of_arm(outcome, "lstm", losses)["margin"])
    assert finding(chart).startswith("1 of 3 trials learned by the required lead of 0.05")
    assert [row["asked"] for row in data_of(chart)[0]] == ["0.01", "0.05", "0.1", "0.5"]


def compared(*arms: tuple, rule: str = "compare") -> dict:
    """A summary of arms: success rate, p, and median memory and epochs to learn, each with the ends of its interval."""
    rows = arms_with({name: rate for name, (rate, *_) in zip("abcdef", arms)})
    for row, (_, p, memory, epochs) in zip(rows, arms):
        ends = ("", "_low", "_high")
        row["p"] = p
        row["metrics"] |= {"memory_whole": 1.0} | {f"memory_median{e}": value for e, value in zip(ends, memory)}
        row["metrics"] |= {f"median_epochs_to_learn{e}": value for e, value in zip(ends, epochs)}
        row["metrics"] |= {"updates": 9}
    return {"question": "?", "confidence": 0.95, "rule": {"rule": rule}, "arms": rows}


def findings(summary: dict) -> dict[str, str]:
    columns = {name: column.finding for name, column in forest_figures.columns(summary).items()}
    shown = {name: finding(style.specification(chart)) for name, chart in study_figures.of_study(summary).items()}
    assert all(shown[name].startswith(told) for name, told in columns.items())
    return shown | columns


def test_a_title_names_a_winner_only_where_a_test_or_the_intervals_do():
    first = (0.39, None, (0.004, 0.002, 0.006), (130, 90, 180))
    alike = (0.43, 0.6, (0.0045, 0.003, 0.007), (100, 80, 140))
    assert findings(compared(first, alike)) == {
        "rate": "No arm is shown to differ from a",
        "memory": "The median memory is 0.004 of 1 bit",
        "time": "In all arms, half of the trials had once learned by epoch 100 to 130",
    }
    better = (0.9, 1e-9, (0.5, 0.4, 0.6), (30, 20, 50))
    assert findings(compared(first, better, alike)) == {
        "rate": "Learned more often than a: b; not shown to differ: c",
        "memory": "Most is remembered with b: 0.50 of 1 bit",
        "time": "Half of the trials had once learned soonest, by epoch 30, with b",
    }
    never = (0.1, 1e-9, (0.001, 0.0005, 0.002), (None, None, None))  # it may have been trained for less long
    assert findings(compared(first, better, never))["time"] == (
        "In 2 of 3 arms, half of the trials had once learned by epoch 30 to 130"
    )
    assert findings(compared(first, better, never))["rate"] == "Learned more often than a: b; less often: c"
    free_run = compared(first, better, rule="free_run")
    assert findings(free_run)["rate"] == "39 % to 90 % of an arm's trials learned"
    few = findings(compared((0.39, None, (0.9, None, None), (130, 90, None)), alike))  # intervals that have no end
    assert few["memory"] == "The median memory is 0.004 to 0.90 of 1 bit" and "soonest" not in few["time"]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5))
def test_an_arm_is_ahead_only_where_its_interval_overlaps_no_other(ends):
    rows = [{"low": min(pair), "high": max(pair)} for pair in ends]
    others = lambda row: [other for other in rows if other is not row]
    ahead = [row for row in rows if others(row) and all(row["low"] > other["high"] for other in others(row))]
    assert forest_figures.beyond(rows, "low", "high") is (ahead[0] if ahead else None)


def test_what_nobody_can_say_or_rank_is_told():
    silent = {"free_run_learned_right": 0, "free_run_unlearned_right": 0}
    rows = arms_with({"a": 0.0}, **silent)
    free_run = {"question": "?", "confidence": 0.95, "rule": {"rule": "free_run"}, "arms": rows}
    assert findings(free_run)["next"].startswith("No trial learned, so none predicts anything")
    assert set(findings(free_run | {"rule": {"rule": "luck"}, "luck": {"pairs": []}})) == {"rate"}


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_studys_picture_is_valid_and_shows_each_arm_at_its_rate(name, checked):
    summary = SUMMARIES[name]
    charts = study_figures.of_study(summary)
    picture = study_figures.study(summary)
    kinds = {"vconcat": alt.VConcatChart, "hconcat": alt.HConcatChart, "layer": alt.LayerChart}
    next(kind for key, kind in kinds.items() if key in picture).validate(picture)
    rates = {arm["name"]: 100 * arm["metrics"]["success_rate"] for arm in summary["arms"]}
    main = charts.get("axis") or charts.get("front") or charts["rate"]
    shown = {row["arm"]: row["rate"] for rows in data_of(style.specification(main)) for row in rows if "rate" in row}
    assert shown == pytest.approx(rates)
    best = data_of(style.specification(charts["best"]))[0] if "best" in charts else []
    for row in best:  # none of the arms in the same place learns more often
        rivals = [arm for arm in summary["arms"] if arm["changes"]["model.cell"] == row["line"]
                  and arm["changes"]["problem.generate.lag"] == row["x"]
                  and f"middle {arm['changes']['problem.generate.middle']}" == row["column"]]  # fmt: skip
        assert row["rate"] == max(rates[arm["name"]] for arm in rivals)


def texts_at(drawn: str, shown: float) -> list[float]:
    """The sizes of a picture's texts, in pixels, where it is shown at most so wide."""
    width = float(ElementTree.fromstring(drawn).get("width", "0"))
    sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)px"', drawn)]
    return [size * min(drawing.SCALE, shown / width) for size in sizes]


@pytest.mark.parametrize("name", ["alphabets", "batch_learning", "credit", "long_sequences", "luck", "tutorial"])
def test_a_studys_picture_can_be_read_where_a_readme_shows_it(name):
    assert min(texts_at(drawing.svg(study_figures.study(SUMMARIES[name])), style.PAGE)) >= 11


def test_a_recorded_answer_is_short_enough_to_be_read():
    assert {name: words for name, summary in SUMMARIES.items() if (words := len(summary["answer"].split())) > 90} == {}


@pytest.mark.parametrize("path", sorted((ROOT / "experiments/pictures").glob("*.png")), ids=lambda path: path.stem)
def test_recorded_pictures_are_no_wider_and_not_much_taller_than_a_page(path):
    with Image.open(path) as picture:
        assert picture.width <= drawing.SCALE * style.PAGE and picture.height <= drawing.SCALE * 1000


def test_an_axis_of_values_that_are_no_numbers_shows_them_in_their_order():
    axis = AnswerRule(rule="reach", key="training.window", per="training.shuffle")
    grid = {"training.shuffle": [False, True], "training.window": [1, "sequence"]}
    summary = {"question": "?", "confidence": 0.95, "rule": axis.model_dump(), "arms": rows_of(axis, grid=grid)}
    for chart in study_figures.of_study(summary).values():
        shown = " ".join(ElementTree.fromstring(drawing.svg(style.specification(chart))).itertext())
        assert "1 sequence window (steps" in shown and "false" in shown and "False" not in shown


@pytest.mark.parametrize("name", sorted(drawing.NAMES))
def test_what_vega_has_a_meaning_for_is_drawn_as_any_other_text(name):
    cells, axis = SUMMARIES["cells"], AnswerRule(rule="along", key="problem.file")
    arms = [arm | {"name": name} if number == 0 else arm for number, arm in enumerate(cells["arms"])]
    along = {"confidence": 0.95, "rule": axis.model_dump(), "arms": rows_of(axis, grid={"problem.file": ["a", name]})}
    outcome, _ = made_up(1)
    said = outcome.confusion.assign(predicted=name)
    charts = [
        study_figures.study(cells | {"question": name, "arms": arms}),
        style.specification(study_figures.over_axis(along)),
        style.specification(figures.confusion(said.to_dict("records"), "lstm")),
    ]
    for specification in charts:
        in_the_page = vl_convert.vegalite_to_svg(drawing.with_literals(specification))
        for drawn in (drawing.svg(specification), in_the_page):
            assert name in [text.strip() for text in ElementTree.fromstring(drawn).itertext()]


def test_cells_look_the_same_everywhere_and_are_told_apart_without_colour():
    def scales(spec) -> list[dict]:
        if isinstance(spec, list):
            return [found for part in spec for found in scales(part)]
        if not isinstance(spec, dict):
            return []
        here = [spec["scale"]] if "lstm" in spec.get("scale", {}).get("domain", []) else []
        return here + [found for part in spec.values() for found in scales(part)]

    looks = {name: palette.series_style(name) for name in registry.named(lambda cell: cell.keras or cell.jax)}
    seen = set()
    for name in ("cells", "long_sequences", "tuning"):
        for scale in scales(study_figures.study(SUMMARIES[name])):
            for cell, shown in zip(scale["domain"], scale["range"]):
                assert shown in looks[cell]
                seen.add(cell)
    assert seen == {"lstm", "gru", "simple_rnn", "mlp"}
    for several in (list(looks.values()), palette.OTHERS):
        assert len({(marker, tuple(dashes)) for _, marker, dashes in several}) == len(several)
    for colour, *_ in (*looks.values(), *palette.OTHERS):  # WCAG: contrast with white, 3 for graphics
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        assert 1.05 / (0.05 + np.dot(linear, (0.2126, 0.7152, 0.0722))) >= 3, colour
