"""Progress in plain lines, where there is no terminal."""

import sys

import pytest

from memory_trials.progress import Progress, Tally, counted


def test_lines_tell_trials_epoch_learned_and_time_left(capsys):
    with Progress(trials=10, epochs=100, seconds_between_lines=0.0) as progress:
        progress(500, 3)
        progress(500, -1)  # one has forgotten
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("10 trials, epoch 50 of 100, 3 learned so far, ")
    assert lines[1] == "10 trials, epoch 100 of 100, 2 learned so far, 0 s left"


def test_lines_are_not_more_frequent_than_wanted(capsys):
    with Progress(trials=1, epochs=100, seconds_between_lines=60.0) as progress:
        for _ in range(100):
            progress(1, 0)
    assert capsys.readouterr().out == ""


def test_what_was_kept_says_nothing_about_the_time_that_is_left(capsys):
    with Progress(trials=10, epochs=100, seconds_between_lines=0.0) as progress:
        progress(900, 4, True)
        progress.started -= 10  # seconds for the next
        progress(50, 1)
    assert capsys.readouterr().out == "10 trials, epoch 95 of 100, 5 learned so far, 10 s left\n"


def test_items_are_counted_in_plain_lines_on_stderr(capsys):
    assert list(counted("abc", 3, "arms evaluated", seconds_between_lines=0.0)) == ["a", "b", "c"]
    said = capsys.readouterr()
    assert said.err == "arms evaluated: 1 of 3, 0 s left\narms evaluated: 2 of 3, 0 s left\n" and said.out == ""
    assert list(counted("abc", 3, "arms evaluated", seconds_between_lines=60.0)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar_instead(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(counted(range(3), 3, "arms evaluated", seconds_between_lines=0.0)) == [0, 1, 2]
    assert "arms evaluated:" in (said := capsys.readouterr().err) and " of 3 [" in said and "s left" not in said


def test_a_tally_tells_how_many_of_all_are_through_or_how_much_of_the_time_is_left(capsys):
    with Tally("trials", total=2000, seconds_between_lines=0.0) as tally:
        tally.started -= 10
        tally(500)
        tally(1500)
    with Tally("trials", seconds=60, seconds_between_lines=0.0) as tally:
        tally.started -= 20
        tally(1234)
        tally.started -= 100  # the last ones took too long
        tally(1)
    with Tally("trials", seconds=60, seconds_between_lines=60.0) as tally:
        tally(1)
    said = capsys.readouterr()
    assert said.err == "trials: 500 of 2,000, 30 s left\ntrials: 1,234, 40 s left\n" and said.out == ""


@pytest.mark.parametrize("bound", [{"total": 4}, {"seconds": 4.0}])
def test_a_tally_is_a_bar_on_a_terminal(capsys, monkeypatch, bound):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Tally("trials", **bound, seconds_between_lines=0.0) as tally:
        tally.bar.mininterval = 0
        tally.started -= 2
        tally(2)
        assert round(tally.bar.n) == 2
    said = capsys.readouterr().err
    assert "trials: 2" in said and "s left" not in said
