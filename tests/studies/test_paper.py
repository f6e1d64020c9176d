"""The arms of paper.yaml: all are valid, are what the paper describes, and are compared with it by the stated rule."""

import math

import numpy as np
import pytest
import yaml
from scipy.stats import hypergeom

from memory_trials.errors import UserError
from memory_trials.evaluation import statistics
from memory_trials.models import weights as model_weights
from memory_trials.report import paper as report
from memory_trials.studies import design, references, schema
from memory_trials.studies.schema import Experiments, Reference, SeparateArm, Study
from memory_trials.tasks.streams import Stream
from tests.conftest import ROOT

PAPER = schema.load(ROOT / design.PAPER)


@pytest.mark.parametrize("name", PAPER.arms)
def test_every_arm_is_valid_and_has_the_papers_weights(name):
    reference, arm = PAPER.arms[name].reference, design.separate_arm(name, PAPER)
    assert arm.unit == arm.key == name and arm.study in PAPER.studies
    if reference and reference.weights and arm.settings.model.options:
        shape = Stream(arm.settings.problem.stream).shape
        count = model_weights.weight_count(arm.settings.model, shape.inputs, shape.outputs)
        if arm.settings.model.cell == "chunker":  # of its two nets, the paper counts the one with an output more
            shapes = model_weights.weight_shapes(arm.settings.model, shape.inputs, shape.outputs)
            count = sum(math.prod(of) for name, of in shapes.items() if "chunker" not in name)
        assert count == reference.weights


def test_arms_hold_all_of_the_papers_tables_for_lstm():
    counts: dict[str, int] = {}
    for arm in PAPER.arms.values():
        if arm.reference and arm.label.startswith("LSTM"):
            counts[arm.study.removeprefix("paper_")] = counts.get(arm.study.removeprefix("paper_"), 0) + 1
    assert counts == {"1": 5, "2a": 1, "2b": 1, "2c": 9, "3a": 3, "3b": 3, "3c": 2, "4": 3, "5": 2, "6a": 1, "6b": 1}


DEFAULTS = {"problem": {"stream": {"task": "adding"}}, "training": {"update": "sequence"}}
ONE = {"study": "table", "label": "x", "like": "base", "set": {}, "kind": "own"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"arms": {"a b": ONE}}, "arms: 'a b' is no name, which has at most"),
        ({"arms": {"table": ONE}}, "arms.table: this name is taken already"),
        ({"bases": {}}, "arms.one.like is 'base': allowed are "),
        ({"arms": {"one": ONE | {"study": "other"}}}, "arms.one.study is 'other': allowed are table"),
        ({"arms": {"one": ONE | {"kind": "reading"}}}, "arms.one.of is None, which is no arm"),
        ({"arms": {"one": ONE | {"kind": "rival", "of": "two"}}}, "arms.one.of is 'two', which is no arm"),
        ({"arms": {"one": ONE | {"kind": "published"}}}, "kind is published: an arm has a reference where"),
        ({"arms": {"one": ONE | {"reference": {"trials": 3}}}}, "kind is own: an arm has a reference where"),
        ({"studies": {"table": {"question": "?", "source": "?"}}}, "give one of grid, arms and search"),
    ],
)
def test_a_mistake_in_an_arm_that_is_trained_by_itself_is_one_sentence(content, expected, tmp_path):
    path = tmp_path / "paper.yaml"
    table = {"question": "?", "source": "?", "answer": {"rule": "reference"}}
    whole = {"defaults": DEFAULTS, "bases": {"base": {}}}
    path.write_text(yaml.safe_dump(whole | {"studies": {"table": table}, "arms": {"one": ONE}} | content))
    with pytest.raises(UserError) as caught:
        schema.load(path)
    assert str(caught.value).startswith(f"{path}: ") and expected in str(caught.value)


def experiments(arms: dict[str, SeparateArm]) -> Experiments:
    table = Study(title="Experiment 4: adding", question="?", source="?", answer={"rule": "reference"})
    return Experiments(defaults={}, studies={"paper_4": table}, arms=arms)


def content(times: list[int], budget: int = 1000) -> dict:
    until = np.array(times)
    metrics = statistics.mean_time(until, budget, 0.95)
    low, high = statistics.success_rate(int((until > 0).sum()), len(until), 0.95)[1:]
    metrics |= {
        "successes": int((until > 0).sum()), "trials": len(until), "success_rate_low": low, "success_rate_high": high,
        "median_epochs_to_learn": None, "test_wrong": 1.0, "epochs_budget": budget,
    }  # fmt: skip
    return {"metrics": metrics, "until": {"success": times}}


def fisher_by_counting(successes: int, trials: int, others: int, other_trials: int) -> float:
    """The probability of all tables with these margins that are as unlikely as this one, or more so."""
    table = hypergeom(trials + other_trials, successes + others, trials)
    ways = [table.pmf(k) for k in range(trials + 1)]
    return sum(p for p in ways if p <= table.pmf(successes) * (1 + 1e-7))


def test_successes_are_compared_by_fishers_exact_test():
    assert statistics.fisher(6, 18, 80, 100) == pytest.approx(fisher_by_counting(6, 18, 80, 100))
    few = references.agreement(Reference(trials=18, successful=33), content([500] * 80 + [0] * 20))
    assert few["success"] is False and few["success_p"] == pytest.approx(fisher_by_counting(6, 18, 80, 100))


def test_the_papers_mean_agrees_where_means_of_as_many_trials_lie():
    draws = np.random.default_rng(1)
    times = np.maximum(1, draws.normal(500, 100, 100).round()).astype(int).tolist()
    low, high = statistics.means_of(np.array(times), 10, 10_000)
    half = 1.96 * np.std(times) * (1 / 10 + 1 / 100) ** 0.5  # of the difference of two means
    assert low == pytest.approx(np.mean(times) - half, abs=8) and high == pytest.approx(np.mean(times) + half, abs=8)
    few = Reference(trials=10, after=600)
    assert report.agreement(few, content(times, budget=1000)) == "too few sequences to tell"
    row = lambda after: Reference(trials=10, after=after)
    assert report.agreement(row(500), content(times, 2000)).startswith("yes (")
    assert report.agreement(row(650), content(times, 2000)).startswith("after (")
    assert report.agreement(row(650), content([*times, *[0] * 100], 2000)).startswith("success and after (")


def test_where_few_learned_the_mean_of_all_is_a_lower_bound():
    half = content([400, 500, 600, 0, 0, 0], budget=2000)
    bound = (1500 + 3 * 2000) / 6
    compared = references.agreement(Reference(trials=10, after=500), half)
    assert compared["at_least"] and compared["ratio"] == bound / 500
    assert (
        references.agreement(Reference(trials=4, after=5000), half)["after"] is None
    )  # a lower bound agrees with nothing
    assert references.agreement(Reference(trials=10, after=300), half)["after"] is False
    assert report.agreement(Reference(trials=4, after=800), half) == f"share alone (at least {bound / 800:.2g} x)"
    rows = {"one": SeparateArm(study="paper_4", label="x", kind="rival", of="one")}
    page = report.page(experiments(rows), {"one": half})
    assert "| at least 1,250 |" in page


def test_rows_in_which_nobody_learns_are_counted_apart_and_say_who_gave_up_sooner():
    rows = {
        "one": SeparateArm(study="paper_4", label="x", reference=Reference(trials=10, successful=0, gave_up=4000), note="a note"),
        "two": SeparateArm(study="paper_4", label="y", reference=Reference(trials=10, successful=0, gave_up=1000)),
        "three": SeparateArm(study="paper_4", label="z", reference=Reference(trials=10, after=500)),
    }  # fmt: skip
    none = content([0] * 10, budget=1000)
    page = report.page(experiments(rows), {"one": none, "two": none, "three": content([400, 500, 600])})
    assert "Of the 1 rows in which the paper learned something, 1 agree with it" in page
    assert "Of the 2 in which it learned nothing, 2 learned nothing here; 1 of these" in page
    assert "| yes (at 25 %) | 1,000 |" in page and "| yes | 1,000 |" in page and "- x: a note" in page


def test_another_reading_is_compared_with_the_row_that_it_is_one_of():
    said = Reference(trials=10, after=500)
    row = lambda **more: SeparateArm(study="paper_4", label="LSTM", **more)
    rows = {"one": row(reference=said), "two": row(kind="reading", of="one"), "three": row(kind="rival", of="one")}
    found = {"one": content([0, 0, 0, 0, 0]), "two": content([400, 500, 600]), "three": content([400, 500, 600])}
    assert report.verdicts(rows, found) == {"one": "success", "two": "yes (1 x)"}
    page = report.page(experiments(rows), found)
    assert "in which the paper learned something, 0 agree with it**. Of the rows that do not agree, 1 do if" in page
    assert "1 do if" not in report.page(experiments(rows), found | {"one": content([400, 500, 600])})


def test_the_page_says_what_was_run_and_what_was_not():
    rows = {
        "one": SeparateArm(study="paper_4", label="LSTM", reference=Reference(trials=10, after=500, wrong=1)),
        "two": SeparateArm(study="paper_4", label="another", reference=Reference(trials=10, after=500)),
        "three": SeparateArm(study="paper_4", label="gru", kind="rival", of="one"),
    }
    page = report.page(experiments(rows), {"one": content([400, 500, 600]), "three": content([0, 0])})
    assert (
        "**Of the 1 rows in which the paper learned something, 1 agree with it**" in page
        and "1 of its rows are not run yet" in page
    )
    assert "| LSTM | 100 % of 10 | 500 | 1 | 3 of 3 (44 to 100 %) | 500 (252 to 748) | 1 | yes (1 x) | 1,000 |" in page
    assert "| gru (rival) | 0 of 2 (0 to 66 %) | 1 | 1,000 |" in page
