"""The result in words follows from the numbers."""

import pandas as pd

from memory_trials.report.wording import table

ROW = {"seed": 7, "sequence": 1, "input": "a", "target": "bb", "predicted": "bb", "scored": 1, "right": 1}


def test_the_tutorials_table_marks_what_is_wrong():
    rows = [
        ROW,
        ROW | {"sequence": 2, "predicted": "a", "right": 0},
        ROW | {"sequence": 2, "predicted": "a", "right": 0, "scored": 0},
        ROW | {"seed": 8},
    ]
    assert table(pd.DataFrame(rows), 7).splitlines() == [
        "  Sequence 1",
        "    X=a  y=bb  yhat=bb",
        "  Sequence 2",
        "    X=a  y=bb  yhat=a    <- wrong",
        "    X=a  y=bb  yhat=a    (not scored)",
    ]
