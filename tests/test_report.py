"""The result in words follows from the numbers."""

from memory_trials.report import answer, table

METRICS = {"successes": 39, "trials": 100, "success_rate": 0.39, "success_rate_low": 0.3002, "success_rate_high": 0.488}
ROW = {"seed": "7", "sequence": "1", "input": "a", "target": "bb", "predicted": "bb", "scored": "1", "right": "1"}


def test_the_answer_changes_with_the_numbers():
    assert answer(METRICS, 0.95) == "memory learned in 39 of 100 trials: 39.0 % (95 % interval 30.0 % to 48.8 %)"
    changed = METRICS | {"successes": 40, "success_rate": 0.4, "success_rate_high": 0.5}
    assert answer(changed, 0.9) == "memory learned in 40 of 100 trials: 40.0 % (90 % interval 30.0 % to 50.0 %)"


def test_the_tutorials_table_marks_what_is_wrong():
    rows = [
        ROW,
        ROW | {"sequence": "2", "predicted": "a", "right": "0"},
        ROW | {"sequence": "2", "predicted": "a", "right": "0", "scored": "0"},
        ROW | {"seed": "8"},
    ]
    assert table(rows, "7").splitlines() == [
        "  Sequence 1",
        "    X=a  y=bb  yhat=bb",
        "  Sequence 2",
        "    X=a  y=bb  yhat=a    <- wrong",
        "    X=a  y=bb  yhat=a    (not scored)",
    ]
