"""The sentence of each rule follows from the numbers: when they change, it does."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_trials.evaluation import statistics
from memory_trials.settings import load_settings
from memory_trials.studies import answers
from memory_trials.studies.design import make_arms
from memory_trials.studies.schema import AnswerRule, ArmGroup, Study


def arms_with(rates: dict[str, float], trials=100, changes=None, **more):
    """Rows of a summary: arms of a name and a success rate."""
    rows = []
    for name, rate in rates.items():
        successes = round(rate * trials)
        low, high = statistics.success_rate(successes, trials, 0.95)[1:]
        numbers = {"trials": trials, "successes": successes, "success_rate": rate}
        numbers |= {
            "success_rate_low": low,
            "success_rate_high": high,
            "memory_median": None,
            "memory_whole": None,
        } | more
        changed = (changes or {}).get(name, {})
        rows.append({"name": name, "changes": changed, "together": [], "metrics": numbers, "p": None})
    return rows


def summary_of(verdicts: dict[str, np.ndarray]):
    """A whole summary of a study that compares cells, from their verdicts by seed."""
    study = Study(question="Which?", source="a test", grid={"model.cell": list(verdicts)})
    arms = make_arms("mine", study, load_settings().model_dump())
    outcomes = []
    for learned in verdicts.values():
        numbers = statistics.summary(
            statistics.Verdicts(learned, learned, learned), learned * 1.0, [None] * len(learned), 10, 0.95
        )
        numbers |= {"memory_median": None, "memory_whole": None}
        outcomes.append(Told(numbers, dict(enumerate(learned.tolist()))))
    return answers.summarize("mine", study, arms, outcomes)


@dataclass
class Told:
    """As much of an outcome as a summary of compared arms takes."""

    metrics: dict
    known: dict[int, bool]

    def verdicts(self) -> dict[int, bool]:
        return self.known


METRICS = {
    "successes": 39, "trials": 100, "success_rate": 0.39, "success_rate_low": 0.3002, "success_rate_high": 0.488,
    "confidence": 0.95, "memory_whole": 1.0, "memory_median": 0.0037, "memory_learned_median": 0.014,
    "margin_learned_median": 0.0044,
}  # fmt: skip


def test_an_arms_answer_says_how_often_and_how_much():
    told = answers.how_often_and_how_much
    rate = "39 % (95 % interval 30 % to 49 %)"
    of_all = "the median memory of all trials is 0.004 of 1 bit"
    assert told(METRICS) == (
        f"39 of 100 trials learned: {rate}; {of_all}; of those that learned it is 0.01, and their median lead 0.0044"
    )
    none = METRICS | {"successes": 0, "memory_learned_median": None, "margin_learned_median": None}
    assert told(none) == f"0 of 100 trials learned: {rate}; {of_all}"
    everyone = METRICS | {"successes": 100, "memory_median": 0.98, "margin_learned_median": 0.97}
    assert told(everyone).endswith("; the median memory of all trials is 0.98 of 1 bit, their median lead 0.97")
    strict = told(METRICS | {"margin_required": 0.1})
    assert strict == told(METRICS).replace("trials learned:", "trials learned by a lead of at least 0.1:")
    assert told(METRICS | {"margin_required": 0.0}) == told(METRICS)
    assert told(METRICS | {"memory_median": None, "memory_whole": None}).endswith("49 %)")


@given(st.integers(0, 1000), st.floats(-1, 1), st.floats(-1, 1))
def test_the_memory_of_all_trials_is_told_whatever_those_remember_that_learned(successes, memory, of_learned):
    numbers = METRICS | {"successes": successes, "trials": 1000}
    numbers |= {"memory_median": memory, "memory_learned_median": of_learned if successes else None}
    said = answers.how_often_and_how_much(numbers)
    assert f"the median memory of all trials is {answers.bits(memory, 1.0)}" in said
    assert ("of those that learned" in said) == (0 < successes < 1000)


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.39, "39 %"),
        (0.004, "0.4 %"),
        (0.996, "99.6 %"),
        (1e-5, "0.1 %"),
        (0.99999, "99.9 %"),
    ],
)
def test_a_rate_is_shown_as_none_or_all_only_where_it_is(rate, words):
    assert answers.percent(rate) == words


@pytest.mark.parametrize(
    ("memory", "words"),
    [(0.9, "0.90"), (-0.25, "-0.25"), (0.0037, "0.004"), (-0.0004, "0"), (0.0, "0"), (-12.3, "-12.30"), (None, "")],
)
def test_an_amount_of_memory_has_as_many_digits_as_tell_something(memory, words):
    assert answers.bits(memory, 1.0) == (f"{words} of 1 bit" if words else "")
    assert answers.bits(6.1, np.log2(97)) == "6.10 of 6.6 bit"


def test_longer_arms_of_the_same_training_are_told_as_what_they_are():
    study = Study(question="?", source="?", grid={"training.epochs": [20, 10]})
    same = make_arms("mine", study, load_settings().model_dump())
    assert answers._are_prefixes(same) and not answers._are_prefixes(same[:1])
    study = Study(
        question="?",
        source="?",
        arms=[ArmGroup(name="a"), ArmGroup(name="b", set={"training.epochs": 9, "model.units": 3})],
    )
    assert not answers._are_prefixes(make_arms("mine", study, load_settings().model_dump()))


def test_luck():
    signs = {"signal_median": 0.012, "bias_median": 0.017, "chance_rate": 0.43}
    rows = arms_with({"lstm": 0.42, "gru": 0.13}, trials=1000, **signs)
    told = answers.luck(rows, AnswerRule(rule="luck"), 0.95)
    assert "would if the signal of each trial met the bias of another one: lstm 42 %, and 43 %" in told
    # by hand: one seed each; the better one is alone in learning in 0.42 * 0.87 of cases
    assert f"fails to show lstm ahead of gru in {100 * (1 - 0.42 * 0.87):.0f} %" in told
    assert answers.luck(rows[:1], AnswerRule(rule="luck"), 0.95).count("demonstration") == 0


def test_a_comparison_flips_when_the_verdicts_do():
    few, many = np.arange(40) < 5, np.arange(40) < 30
    assert summary_of({"lstm": few})["answer"] == "cell=lstm learns in 12 % (5 to 26 %)."
    summary = summary_of({"lstm": few, "gru": many})
    assert summary["answer"] == "cell=lstm learns in 12 % (5 to 26 %). More often: cell=gru 75 %."
    assert summary["arms"][1]["p"] == pytest.approx(2 / 2**25) and summary["arms"][0]["p"] is None
    assert summary_of({"lstm": many, "gru": few})["answer"].endswith("Less often: cell=gru 12 %.")
    assert summary_of({"lstm": many, "gru": ~many | many & (np.arange(40) > 10)})["answer"].endswith(
        "Not shown to differ: cell=gru 72 %."
    )


def test_of_many_arms_of_a_kind_an_answer_says_how_many_there_are_and_how_far_they_reach():
    first, *others = arms_with(dict(zip("abcdefghij", (0.4, 0.6, 0.7, 0.8, 0.9, 0.1, 0.1, 0.2, 0.2, 0.41))))
    rows = [first, *(row | {"p": 0.9 if row["name"] == "j" else 1e-9} for row in others)]
    rows[4]["name"] = "the best, e"
    assert answers.compared(rows, AnswerRule(), 0.95) == (
        'a learns in 40 % (31 to 50 %). More often: 4 arms, up to "the best, e" 90 %. '
        "Less often: 4 arms, down to 10 %. Not shown to differ: j 41 %."
    )
    alike = [first, *(row | {"p": 0.9} for row in others[:4])]
    assert answers.compared(alike, AnswerRule(), 0.95).endswith("Not shown to differ: 4 arms, 60 % to 90 %.")


def test_arms_are_compared_on_the_seeds_that_both_have():
    known = [{0: True, 1: False, 2: False}, {1: True, 2: True, 3: False}]
    study = Study(question="?", source="?", grid={"model.cell": ["lstm", "gru"]})
    arms = make_arms("mine", study, load_settings().model_dump())
    numbers = arms_with({"a": 0.5, "b": 0.5})[0]["metrics"]
    outcomes = [Told(numbers, verdicts) for verdicts in known]
    assert answers.summarize("mine", study, arms, outcomes)["arms"][1]["p"] == 0.5


ALONG = AnswerRule(rule="along", key="encoding.history")


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ([0, 0.5, 0.95, 1], "from history 3 on (at 2: 50 %"),
        ([0, 0.5, 0.94, 1], "from history 4 on (at 3: 94 %"),
        ([1, 0.96, 0.2, 0], "up to history 2 (at 3: 20 %"),
        ([1, 1, 1, 1], "at every history from 1 to 4"),
        ([0, 0.2, 0.3, 0.1], "at no history (most at 3: 30 %"),
        ([1, 0, 1, 0], "at history 1 and 3 only"),
    ],
)
def test_along(rates, words):
    names = {f"history={n}": rate for n, rate in enumerate(rates, 1)}
    rows = arms_with(names, changes={f"history={n}": {"encoding.history": n} for n in range(1, 5)})
    assert words in answers.along(rows, ALONG, 0.95)


def test_along_tells_each_group():
    rates = {"epochs=10 history=1": 0, "epochs=10 history=2": 1, "epochs=20 history=1": 1, "epochs=20 history=2": 1}
    changes = {name: {"training.epochs": int(name[7:9]), "encoding.history": int(name[-1])} for name in rates}
    rows = arms_with(rates, changes=changes)
    assert answers.along(rows, ALONG, 0.95) == (
        "At least 95 % of trials learn with epochs=10 from history 2 on (at 1: 0 %, 0 to 4 %); "
        "with epochs=20 at every history from 1 to 2."
    )


def test_reach():
    rule = AnswerRule(rule="reach", key="problem.generate.lag", per="model.cell")
    rates = {
        ("plain", "lstm", 10): 1,
        ("plain", "lstm", 100): 0.1,
        ("chrono", "lstm", 100): 0.97,
        ("plain", "gru", 10): 0.5,
    }
    changes = {f"{r}, cell={c} lag={n}": {"model.cell": c, "problem.generate.lag": n} for r, c, n in rates}
    named = {f"{r}, cell={c} lag={n}": rate for (r, c, n), rate in rates.items()}
    told = answers.reach(arms_with(named, changes=changes), rule, 0.95)
    assert "lstm 100 (chrono: 97 %" in told and "gru none (at most 50 %" in told
    named["chrono, cell=lstm lag=100"] = 0.9
    assert "lstm 10 (plain: 100 %" in answers.reach(arms_with(named, changes=changes), rule, 0.95)


def test_front():
    rows = arms_with({"small": 0.96}, parameters=50, updates=900) + arms_with({"quick": 1}, parameters=90, updates=80)
    told = answers.front(rows, AnswerRule(rule="front"), 0.95)
    assert "has 50 parameters and 900 updates (small: 96 %" in told
    assert "the fewest updates are 90 parameters and 80 updates (quick" in told
    rows[0]["metrics"]["success_rate"] = 0.9
    assert "has 90 parameters and 80 updates (quick" in answers.front(rows, AnswerRule(rule="front"), 0.95)
    assert "No setting" in answers.front(rows[:1], AnswerRule(rule="front"), 0.95)


def test_free_run():
    numbers = {"free_run_learned_right": 3, "free_run_unlearned_right": 1, "free_run_next/0": 5, "free_run_next/b": 1}
    told = answers.free_run(arms_with({"prefix=1": 0.3}, trials=10, **numbers), AnswerRule(rule="free_run"), 0.95)
    assert "3 of the 3 trials that learned and 1 of the 7 others" in told and "predict 0 (83 %) and b (17 %)." in told
    numbers["free_run_next/b"] = 20
    assert "predict b (80 %)" in answers.free_run(
        arms_with({"prefix=1": 0.3}, trials=10, **numbers), AnswerRule(), 0.95
    )


def rows_of(rule: AnswerRule, rates=(), **block) -> list[dict]:
    """Rows of a summary as a study's block makes them, with these success rates (0, where there are none)."""
    study = Study(question="?", source="?", answer=rule, **block)
    arms = make_arms("mine", study, load_settings().model_dump())
    rows = arms_with(dict(zip((arm.name for arm in arms), rates or [0] * len(arms))))
    return [row | {"changes": arm.changes, "together": arm.together} for row, arm in zip(rows, arms)]


def grouped(key: str, **block) -> dict[str, list]:
    found = answers.groups(rows_of(AnswerRule(rule="along", key=key), **block), key)
    return {label: [row["changes"][key] for row in group] for label, group in found.items()}


def test_groups_of_arms_are_those_that_differ_in_one_key_alone():
    several = [ArmGroup(name="a,", grid={"model.cell": ["lstm", "gru"], "training.epochs": [20, 10]})]
    assert grouped("training.epochs", arms=several) == {"a, cell=lstm": [10, 20], "a, cell=gru": [10, 20]}
    grid = {"training.shuffle": [True, False], "model.units": [3, 4]}
    assert grouped("training.shuffle", grid=grid) == {"units=3": [False, True], "units=4": [False, True]}
    alike = {
        "training.batch": [1, 10],
        "encoding.history": [1, 10],
        "model.units": [1],
    }  # each a part of the other's text
    assert grouped("training.batch", grid=alike) == {"history=1 units=1": [1, 10], "history=10 units=1": [1, 10]}


@pytest.mark.parametrize("key", ["training.epochs", "model.units"])
def test_what_a_grid_sets_together_does_not_part_a_group(key):
    recipes = [
        ArmGroup(
            name="wide,", grid={"training.epochs, model.units": [[10, 5], [20, 9]], "model.cell": ["lstm", "gru"]}
        ),
        ArmGroup(name="plain,", grid={"training.epochs": [10, 20], "model.units": [7]}),
    ]
    found = grouped(key, arms=recipes)
    assert [len(group) for group in found.values()] == ([2, 2, 2] if key == "training.epochs" else [2, 2, 1, 1])
    assert [label for label, group in found.items() if len(group) == 2][:2] == ["wide, cell=lstm", "wide, cell=gru"]


def test_groups_that_share_no_name_keep_apart():
    names = [ArmGroup(name=name, set={"encoding.history": place % 2 + 1, "model.units": 3 + place // 2})
             for place, name in enumerate("abcd")]  # fmt: skip
    assert grouped("encoding.history", arms=names) == {"a": [1, 2], "c": [1, 2]}


def test_values_that_cannot_be_compared_are_told_in_the_order_of_the_grid():
    rule = AnswerRule(rule="along", key="training.window")
    rows = rows_of(rule, (0.2, 0.5, 1), grid={"training.window": [1, 2, "sequence"]})
    assert "from window sequence on (at 2: 50 %" in answers.along(rows, rule, 0.95)
    rule = AnswerRule(rule="reach", key="training.window", per="training.shuffle")
    grid = {"training.shuffle": [False, True], "training.window": [1, "sequence"]}
    told = answers.reach(rows_of(rule, (1, 0.96, 1, 0.2), grid=grid), rule, 0.95)
    assert "learn: false sequence (96 %" in told and "true 1 (100 %" in told
    rule = AnswerRule(rule="along", key="model.forget_bias")
    rows = rows_of(rule, (1, 1, 0), grid={"model.forget_bias": [None, 5.0, {"chrono": 9}]})
    assert 'up to forget_bias 5.0 (at {"chrono": 9}: 0 %' in answers.along(rows, rule, 0.95)
