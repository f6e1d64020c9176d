"""The result in words follows from the numbers."""

import pandas as pd

from memory_trials.report.wording import table, without_empty_columns

ROW = {"seed": 7, "sequence": 1, "input": "a", "target": "bb", "predicted": "bb", "lead": 0.25, "scored": 1, "right": 1}


def test_the_tutorials_table_marks_what_is_wrong_and_what_leads_by_too_little():
    wrong = ROW | {"sequence": 2, "predicted": "a", "right": 0, "lead": -0.0021}
    rows = [
        ROW,
        ROW | {"lead": 0.0044},
        wrong,
        wrong | {"scored": 0},
        ROW | {"sequence": 2, "lead": float("nan")},  # of a trial that diverged
        ROW | {"seed": 8},
    ]
    marked = [
        "  Sequence 1",
        "    X=a  y=bb  yhat=bb  lead 0.25",
        "    X=a  y=bb  yhat=bb  lead 0.0044   <- right, but by less than the required 0.1",
        "  Sequence 2",
        "    X=a  y=bb  yhat=a   lead -0.0021  <- wrong",
        "    X=a  y=bb  yhat=a   lead -0.0021  (not scored)",
        "    X=a  y=bb  yhat=bb  lead nan      <- wrong",
    ]
    assert table(pd.DataFrame(rows), 7, 0.1).splitlines() == marked
    marked[2] = "    X=a  y=bb  yhat=bb  lead 0.0044"
    assert table(pd.DataFrame(rows), 7, 0).splitlines() == marked


def test_a_column_that_holds_nothing_is_left_out():
    rows = [["arm", "learned", "forgot", "p"], ["a", "1 of 2", "0", ""], ["b", "not half", "", ""]]
    assert without_empty_columns(rows) == [["arm", "learned"], ["a", "1 of 2"], ["b", "not half"]]
    assert without_empty_columns([["arm", "x"], ["", ""]]) == [["arm"], [""]]
