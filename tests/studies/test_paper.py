"""The paper's rows: all are valid, are what the paper describes, and are compared with it by the stated rule."""

import math

import numpy as np
import pytest
from scipy.stats import hypergeom

from memory_trials.errors import UserError
from memory_trials.evaluation import statistics
from memory_trials.models import published
from memory_trials.report import paper as report
from memory_trials.settings import PUBLISHED_CELLS
from memory_trials.studies import paper
from memory_trials.studies import rows as rows_module
from memory_trials.studies.rows import Published, Row, load_rows, row_arm, row_of
from memory_trials.tasks import streams

ROWS = load_rows()


@pytest.mark.parametrize("name", ROWS.rows)
def test_every_row_is_valid_and_has_the_papers_weights(name):
    row, arm = ROWS.rows[name], row_arm(name, ROWS)
    assert row_of(arm) == name
    if row.paper and row.paper.weights and arm.settings.model.cell in PUBLISHED_CELLS:
        shape = streams.shape(arm.settings.problem.stream)
        count = published.weight_count(arm.settings.model, shape.inputs, shape.outputs)
        if arm.settings.model.cell == "chunker":  # of its two nets, the paper counts the one with an output more
            shapes = published.weight_shapes(arm.settings.model, shape.inputs, shape.outputs)
            count = sum(math.prod(of) for name, of in shapes.items() if "chunker" not in name)
        assert count == row.paper.weights


def test_rows_hold_all_of_the_papers_tables_for_lstm():
    counts: dict[str, int] = {}
    for row in ROWS.rows.values():
        if row.paper and row.label.startswith("LSTM"):
            counts[row.experiment] = counts.get(row.experiment, 0) + 1
    assert counts == {"1": 5, "2a": 1, "2b": 1, "2c": 9, "3a": 3, "3b": 3, "3c": 2, "4": 3, "5": 2, "6a": 1, "6b": 1}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"rows": {"a b": None}}, "rows.a b"),
        ({"bases": {}}, "rows.one.like is 'base': allowed are "),
        ({"more": ", kind: reading"}, "rows.one.of is None, which is no row"),
        ({"more": ", kind: rival, of: two"}, "rows.one.of is 'two', which is no row"),
    ],
)
def test_a_mistake_in_the_rows_is_one_sentence(change, expected, tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(
        f"defaults: {{}}\nbases: {change.get('bases', {'base': {}})}\nrows:\n"
        + (
            "  a b: 3\n"
            if "rows" in change
            else "  one: {experiment: '4', label: x, like: base, set: {}" + change.get("more", "") + "}\n"
        )
    )
    monkeypatch.setattr(rows_module, "FILE", tmp_path / "params.yaml")
    with pytest.raises(UserError, match=expected.replace("{", "")):
        load_rows()


def content(times: list[int], budget: int = 1000) -> dict:
    until = np.array(times)
    metrics = statistics.mean_time(until, budget, 0.95)
    low, high = statistics.success_rate(int((until > 0).sum()), len(until), 0.95)[1:]
    metrics |= {
        "successes": int((until > 0).sum()), "trials": len(until), "success_rate_low": low, "success_rate_high": high,
        "median_epochs_to_learn": None, "test_wrong": 1.0, "epochs_budget": budget,
    }  # fmt: skip
    return {"version": 1, "row": "x", "metrics": metrics, "until": {"success": times}}


def fisher_by_counting(successes: int, trials: int, others: int, other_trials: int) -> float:
    """The probability of all tables with these margins that are as unlikely as this one, or more so."""
    table = hypergeom(trials + other_trials, successes + others, trials)
    ways = [table.pmf(k) for k in range(trials + 1)]
    return sum(p for p in ways if p <= table.pmf(successes) * (1 + 1e-7))


def test_successes_are_compared_by_fishers_exact_test():
    assert statistics.fisher(6, 18, 80, 100) == pytest.approx(fisher_by_counting(6, 18, 80, 100))
    few = paper.agreement(Published(trials=18, successful=33), content([500] * 80 + [0] * 20))
    assert few["success"] is False and few["success_p"] == pytest.approx(fisher_by_counting(6, 18, 80, 100))


def test_the_papers_mean_agrees_where_means_of_as_many_trials_lie():
    draws = np.random.default_rng(1)
    times = np.maximum(1, draws.normal(500, 100, 100).round()).astype(int).tolist()
    low, high = statistics.means_of(np.array(times), 10, 10_000)
    half = 1.96 * np.std(times) * (1 / 10 + 1 / 100) ** 0.5  # of the difference of two means
    assert low == pytest.approx(np.mean(times) - half, abs=8) and high == pytest.approx(np.mean(times) + half, abs=8)
    few = Published(trials=10, after=600)
    assert report.agreement(few, content(times, budget=1000)) == "not told: too few sequences"
    row = lambda after: Published(trials=10, after=after)
    assert report.agreement(row(500), content(times, 2000)).startswith("yes (")
    assert report.agreement(row(650), content(times, 2000)).startswith("after (")
    assert report.agreement(row(650), content([*times, *[0] * 100], 2000)).startswith("success and after (")


def test_another_reading_is_compared_with_the_row_that_it_is_one_of():
    said = Published(trials=10, after=500)
    row = lambda **more: Row(experiment="4", label="LSTM", like="b", set={}, **more)
    rows = {"one": row(paper=said), "two": row(kind="reading", of="one"), "three": row(kind="rival", of="one")}
    found = {"one": content([0, 0, 0, 0, 0]), "two": content([400, 500, 600]), "three": content([400, 500, 600])}
    assert report.verdicts(rows, found) == {"one": "success", "two": "yes (1 x)"}
    page = report.page(rows, found)
    assert "**0 of 1 rows agree with the paper**. Of those that do not, 1 agree where" in page
    assert "1 agree where" not in report.page(rows, found | {"one": content([400, 500, 600])})


def test_the_page_says_what_was_run_and_what_was_not():
    rows = {
        "one": Row(experiment="4", label="LSTM", like="b", set={}, paper=Published(trials=10, after=500, wrong=1)),
        "two": Row(experiment="4", label="another", like="b", set={}, paper=Published(trials=10, after=500)),
        "three": Row(experiment="4", label="gru", kind="rival", of="one", like="b", set={}),
    }
    page = report.page(rows, {"one": content([400, 500, 600]), "three": content([0, 0])})
    assert "**1 of 1 rows agree with the paper**" in page and "1 of its rows are not run yet" in page
    assert (
        "| LSTM | 100 % of 10 | 500 | 1 | 3 of 3 (44 to 100 %) | 500 (252 to 748) | not half | 1 | yes (1 x) | 1,000 |"
        in page
    )
    assert "| gru (rival) |  |  |  | 0 of 2 (0 to 66 %) |  | not half | 1 |  | 1,000 |" in page
