"""What is said of a table of trials, worked out by hand."""

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import binomtest

from memory_trials.errors import UserError
from memory_trials.probe import findings, recorded, trials
from memory_trials.probe import plan as plans
from memory_trials.report import probe as words
from memory_trials.report import probe_page
from tests.conftest import ROOT

CONTENT = yaml.safe_load((ROOT / plans.FILE).read_text())
LENGTHS = [1, 2]
TASKS = {"parity": CONTENT["tasks"]["parity"], "flip-flop": CONTENT["tasks"]["flip-flop"]}
CLAIMS = [
    {"task": "parity", "cells": ["a", "b"], "can": False, "times": 2, "source": "Somebody 1999"},
    {"task": "parity", "cells": ["a", "b"], "can": True, "source": "Somebody else"},
]
CELLS = {name: {"cell": "gru"} for name in "ab"}
PLAN = plans.Plan.model_validate(
    CONTENT | {"tasks": TASKS, "lengths": LENGTHS, "trials": 20, "cells": CELLS, "expected": CLAIMS}
)
PICTURES = {name: f"{name}.png" for name in ("learned", "holds", "scores")}


def rows(cell: str, task: str, learned: int, right_1: int = 100, right_2: int = 98, accuracy: float = 0.9):
    """20 trials, of which the first so many have learned, after 1000 sequences and their seed."""
    seeds = np.arange(20)
    after = pd.array([1000 + seed if seed < learned else None for seed in seeds], "Int64")
    content = {"cell": cell, "task": task, "size": "parameters", "seed": seeds, "rate": 0.01, "units": 7,
               "parameters": 500, "state": 14, "learned_after": after, "error": 0.1, "right_1": right_1,
               "accuracy_1": accuracy, "bits_1": -0.1, "right_2": right_2, "accuracy_2": accuracy / 2,
               "bits_2": -0.5}  # fmt: skip
    kinds = trials.columns(LENGTHS)
    return pd.DataFrame(content)[list(kinds)].astype(kinds)


TABLE = pd.concat(
    [rows("a", "parity", 20), rows("b", "parity", 5, right_2=99), rows("a", "flip-flop", 3), rows("b", "flip-flop", 4)]
)


def test_rates_have_intervals_and_scores_are_corrected_for_guessing():
    summary = findings.summarize(PLAN, TABLE)
    square = words.square(summary, "b", "parity")
    low, high = binomtest(5, 20).proportion_ci(method="wilson")
    assert square["learned"] == pytest.approx({"rate": 0.25, "low": low, "high": high})
    chance = 21 / 40  # the first bit, and half of the other 19
    assert square["scores"][1] == pytest.approx((0.9 - chance) / (1 - chance))
    assert square["scores"][2] == pytest.approx((0.45 - 41 / 80) / (1 - 41 / 80))
    assert square["sequences_until_learned"] == 1002 and square["accuracy"] == pytest.approx({1: 0.9, 2: 0.45})


def test_a_trial_holds_as_far_as_it_answers_all_but_one_of_a_hundred():
    summary = findings.summarize(PLAN, TABLE)
    assert words.square(summary, "a", "parity")["holds"][2]["rate"] == 0  # two are wrong
    assert words.square(summary, "b", "parity")["holds"][2]["rate"] == 0.25  # one is
    short = rows("a", "parity", 20, right_1=98, right_2=100)
    assert findings.holds_to(PLAN, short).tolist() == [0] * 20
    assert findings.holds_to(PLAN, rows("a", "parity", 2, right_2=100)).tolist() == [2, 2] + [0] * 18


def test_cells_are_compared_on_the_same_seeds():
    compared = {row["task"]: row for row in findings.summarize(PLAN, TABLE)["compared"]}
    assert compared["parity"]["p"] == pytest.approx(2 * 0.5**15)  # 15 seeds learn in one cell alone
    assert compared["parity"]["adjusted_p"] == pytest.approx(4 * 0.5**15) and compared["parity"]["decided"]
    assert compared["flip-flop"]["p"] == 1 and not compared["flip-flop"]["decided"]
    with_first = findings.summarize(PLAN, TABLE, "b")
    assert [row["cells"] for row in with_first["compared"]] == [["b", "a"]] * 2
    fewer = pd.concat([rows("a", "parity", 20)[:8], rows("b", "parity", 5)])
    (row,) = findings.summarize(PLAN, fewer)["compared"]
    assert row["p"] == pytest.approx(2 * 0.5**3)  # of the eight seeds that both have


def test_what_was_published_is_shown_by_one_trial_and_denied_by_none():
    found = {(row["cell"], row["can"]): row for row in findings.summarize(PLAN, TABLE)["expected"]}
    assert found["a", False]["agrees"] and found["a", False]["holding"] == 0
    assert not found["b", False]["agrees"] and found["b", False]["holding"] == 5
    assert found["a", True]["agrees"] and found["b", True]["agrees"]


def test_how_often_few_seeds_mislead_is_said_where_all_cells_have_the_same_seeds():
    varied = TABLE.assign(accuracy_1=np.random.default_rng(0).uniform(0.5, 1, len(TABLE)))
    misleading = findings.summarize(PLAN, varied)["misleading"]
    assert misleading["pairs"] == 2 and 0 < misleading["seeds"][0]["wrong"] < 0.7
    assert misleading["seeds"][0]["wrong"] > misleading["seeds"][-1]["wrong"]
    assert findings.summarize(PLAN, rows("a", "parity", 3))["misleading"] is None


def test_the_page_says_what_was_found():
    page = probe_page.page(findings.summarize(PLAN, TABLE), "The probe", PICTURES, "About it.")
    assert page.startswith("# The probe\n\nAbout it.\n\n![How often each cell learns each task](learned.png)\n")
    assert "| a | 100 (84-100) | 15 (5-36) ≈ |" in page and "| b | 25 (11-47) | 20 (8-42) |" in page
    assert "1 of 2 comparisons of two cells on a task is decided" in page
    assert "- In the mean over tasks a learns most often: 57 % of its trials do (paired" in page
    assert (
        "- In the mean over tasks b holds it farthest: 12 % of its trials still answer right at 2 times the length;"
        in page
    )
    assert "- **parity**: a learns it in 100 % of trials; 25 % of b's still answer right at 2 times the length." in page
    assert (
        "- **flip-flop**: b learns it in 20 % of trials; that a learns it less often is not decided (≈); no trial still "
        "answers right at 2 times the length." in page
    )
    assert (
        "| parity | b | cannot learn it and hold it at 2 times the length (Somebody 1999) | 5 of 20 | **does not"
        in page
    )
    assert "states of one size" not in page
    own = words.text(findings.summarize(PLAN, TABLE, "b"))
    assert "parity: 25 (11-47) learn, 25 (11-47) hold it at 2 times the length; it learns less often than a." in own


def test_cells_with_states_of_one_size_have_a_section_of_their_own():
    of_state = TABLE.assign(size="state", state=TABLE["cell"].map({"a": 63, "b": 65}), parameters=1200)
    summary = recorded.summarize(PLAN, pd.concat([TABLE, of_state]))
    page = probe_page.page(summary, "The probe", PICTURES | {"by_state_learned": "by_state.png"}).partition("\n## And")[
        2
    ]
    assert "states of one size?\n\nThe same cells with 63 to 65 numbers in their state, and 1,200 weights.\n" in page
    assert "](by_state.png)\n\n- 2 cells on 2 tasks, 20 trials each." in page
    assert recorded.summarize(PLAN, TABLE)["by_state"] is None and recorded.summarize(PLAN, of_state) is None


def test_memory_is_what_outputs_know_beyond_the_best_guess_of_all_trials():
    trials_ = rows("a", "flip-flop", 3).assign(bits_1=[-0.5] * 10 + [np.nan] + [-2.0] * 9)  # one trial diverged
    square = words.square(findings.summarize(PLAN, trials_), "a", "flip-flop")
    assert square["memory"]["mean"] == pytest.approx((10 * 0.5 + 0 - 9 * 1) / 20)
    assert square["memory"]["low"] < square["memory"]["mean"] < square["memory"]["high"] < 0.5
    assert square["memory"]["guess"] == square["memory"]["whole"] == 1
    guess = findings.summarize(PLAN, rows("a", "parity", 3))["squares"][0]["memory"]["guess"]  # 21 of 40 are right
    assert guess == pytest.approx(-21 / 40 * np.log2(21 / 40) - 19 / 40 * np.log2(19 / 40))


ADDING = PLAN.model_copy(
    update={"tasks": {name: plans.Plan.model_validate(CONTENT).tasks[name] for name in ("adding", "induction")}}
)


def test_a_target_that_is_a_number_has_no_bits():
    table = pd.concat([rows("a", "adding", 3).assign(bits_1=np.nan, bits_2=np.nan), rows("a", "induction", 0)])
    summary = findings.summarize(ADDING, table)
    assert words.square(summary, "a", "adding")["memory"] is None
    page = probe_page.page(summary, "The probe", PICTURES)
    assert "| cell | adding | induction, of 4 bits |" in page and "| a | — | 3.90 (3.90 to 3.90) |" in page
    assert "In 1 square no trial learns, but its outputs know at least half of the bits" in page
    assert "a on induction 3.90 of 4 bits." in page and "**induction**: no trial learns it; the best mean" in page


def test_recall_is_the_mean_score_over_the_tasks_that_ask_for_it():
    table = pd.concat([rows("a", "induction", 3, accuracy=1.0), rows("a", "adding", 3), rows("b", "adding", 3)])
    a, b = findings.summarize(ADDING, table)["cells"]
    assert a["recall"] == {"mean": 1, "low": 1, "high": 1, "parameters": 500, "state": 14} and b["recall"] is None
    spread = rows("a", "induction", 3).assign(accuracy_1=[1 / 16] * 10 + [1.0] * 10)
    (a,) = findings.summarize(ADDING, spread)["cells"]
    assert a["recall"]["mean"] == pytest.approx(0.5) and 0.2 < a["recall"]["low"] < 0.4 < 0.6 < a["recall"]["high"]


def test_who_learns_most_often_is_said_with_those_from_whom_that_is_not_decided():
    assert findings.summarize(PLAN, TABLE)["best"] == {"cell": "a", "undecided": []}  # parity decides it
    flip_flop = TABLE[TABLE["task"] == "flip-flop"]
    summary = findings.summarize(PLAN, flip_flop)
    assert summary["best"] == {"cell": "b", "undecided": ["a"]}
    said = words.sentences(summary)
    assert any("that it learns more often than a is not decided" in sentence for sentence in said)
    assert "The one comparison of two cells is not decided" in said[2]
    other_seeds = flip_flop.assign(seed=flip_flop["seed"] + (flip_flop["cell"] == "b"))
    assert findings.summarize(PLAN, other_seeds)["best"] is None


@pytest.mark.parametrize(
    ("cells", "said"),
    [("a", "a's"), ("ab", "a's and b's"), ("abc", "a's, b's and c's"), ("abcdef", "those of 6 cells")],
)
def test_a_sentence_names_a_few_cells_and_counts_more(cells, said):
    table = pd.concat([rows(cell, "parity", 20, right_2=100) for cell in cells])
    (sentence,) = words.of_each_task(findings.summarize(PLAN, table))
    assert f"100 % of {said} still answer right at 2 times the length." in sentence


def test_numbers_agree_with_their_nouns():
    varied = TABLE.assign(accuracy_1=np.random.default_rng(0).uniform(0.5, 1, len(TABLE)))
    said = words.text(findings.summarize(PLAN, varied[varied["task"] == "parity"]))
    assert "2 cells on 1 task, 20 trials each. In 1 of 2 squares" in said and "(over 1 pair of cells on one" in said
    assert "None of 2 comparisons" in words.text(
        findings.summarize(PLAN, pd.concat([rows(cell, task, 3) for cell in "ab" for task in TASKS]))
    )


def test_recall_and_size_go_together_by_rank():
    cells = [{"cell": str(n), "size": "parameters", "recall": {"mean": n / 9, "state": 2**n, "parameters": 500}}
             for n in range(8)]  # fmt: skip
    (said,) = words.recall({"cells": cells})
    assert said == "Recall rises with the size of the state: rank correlation 1.00 over 8 cells (Spearman, p = 0)."
    swapped = [cell | {"size": "state", "recall": cell["recall"] | {"parameters": 1000 - 9 * n * (-1) ** n}}
               for n, cell in enumerate(cells)]  # fmt: skip
    assert words.recall({"cells": swapped})[0].startswith("Whether recall goes with the number of weights is not")
    assert words.recall({"cells": cells[:7]}) == []


def test_a_table_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "a.csv"
    trials.write(path, TABLE)
    assert trials.read(path, trials.columns(LENGTHS)).equals(TABLE.reset_index(drop=True))
    first = path.read_bytes()
    trials.write(path, trials.read(path, trials.columns(LENGTHS)))
    assert path.read_bytes() == first
    with pytest.raises(UserError, match="has other columns than the plan asks for"):
        trials.read(path, trials.columns([1]))
    path.write_text("cell,task\n1")
    with pytest.raises(UserError, match="a.csv"):
        trials.read(path, trials.columns(LENGTHS))
