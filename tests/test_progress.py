"""Progress in plain lines, where there is no terminal."""

import re
import sys
from types import SimpleNamespace

import pytest

from memory_trials import progress as progress_module
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


@pytest.mark.parametrize(("terminal", "shown"), [(False, True), (True, False)])
def test_whoever_makes_a_bar_may_say_whether_it_is_shown(capsys, monkeypatch, terminal, shown):
    """As in a notebook, whose output is no terminal."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with Progress(trials=1, epochs=10, seconds_between_lines=60.0, shown=shown) as progress:
        progress(10, 1)
        assert progress.bar.disable is not shown
    said = capsys.readouterr()
    assert ("1 trials" in said.err) == shown and said.out == ""


@pytest.fixture
def clock(monkeypatch):
    """What time it is, in a list, to be set."""
    now = [1000.0]
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def drawn(bar, seconds: float) -> str:
    """A bar as it is drawn so many seconds after its beginning, without its blocks."""
    bar.start_t = bar._time() - seconds
    return re.sub(r"\|?[ \u2588-\u258f]*\|", "|", str(bar))


def quietly(bar):
    """It is not drawn at each update, as on a quick machine."""
    bar.mininterval = 1e9
    return bar


def test_the_time_that_is_left_is_that_of_the_items_so_far(clock, capsys):
    for _ in counted(range(4), 4, "arms", seconds_between_lines=10.0):
        clock[0] += 10
    assert capsys.readouterr().err.splitlines() == [f"arms: {n} of 4, {10 * (4 - n)} s left" for n in (1, 2, 3)]


def test_a_tally_tells_a_line_each_few_seconds(clock, capsys):
    with Tally("trials", total=4, seconds_between_lines=5.0) as tally:
        for seconds, items in ((5.0, 1), (4.0, 1), (1.0, 0), (1.0, 2)):
            clock[0] += seconds
            tally(items)
    said = capsys.readouterr().err.splitlines()
    assert said == ["trials: 1 of 4, 15 s left", "trials: 2 of 4, 10 s left"]


def test_what_comes_from_a_store_while_others_are_trained_does_not_begin_the_time_anew(clock, capsys):
    with Progress(trials=10, epochs=100, seconds_between_lines=4.0) as progress:
        progress(300, 2, True)
        clock[0] += 5
        progress(200, 1, True)  # all so far is kept, so the time begins here
        for seconds, epochs, kept in ((4, 1, False), (4, 100, True), (4, 3, False)):
            clock[0] += seconds
            progress(epochs, 0, kept)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"10 trials, epoch 50 of 100, 3 learned so far, {4 * 499} s left",
        f"10 trials, epoch 60 of 100, 3 learned so far, {12 * 396 // 4} s left",
    ]


def test_the_bar_of_training_tells_epochs_who_learned_and_the_time_of_what_is_trained(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(trials=10, epochs=100) as progress:
        quietly(progress.bar)
        progress(500, 3, True)
        progress(250, 1)
        assert drawn(progress.bar, 10) == "10 trials:  75%| 75/100 epochs, 4 learned so far [00:10, 00:10 left]"
    assert capsys.readouterr().err.endswith("\r")  # nothing of it is left


def test_the_bar_of_a_tally_is_of_all_items_or_of_the_time(monkeypatch, clock, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Tally("trials", total=2000) as tally:
        quietly(tally.bar)
        tally(300)
        tally(200)
        assert (tally.bar.n, tally.bar.total) == (500, 2000)
        assert drawn(tally.bar, 10) == "trials: 500 of 2,000| [00:10, 00:30 left]"
    with Tally("trials", seconds=60.0) as tally:
        quietly(tally.bar)
        clock[0] += 20
        tally(1234)
        clock[0] += 20
        tally(1)
        assert (tally.bar.n, tally.bar.total) == (40, 60)
        assert drawn(tally.bar, 40) == "trials: 1,235| [00:40, 00:20 left]"
    assert capsys.readouterr().err.endswith("\r")


def test_a_bar_of_items_leaves_nothing_behind(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(counted(range(2), 2, "arms")) == [0, 1]
    assert capsys.readouterr().err.endswith("\r")
