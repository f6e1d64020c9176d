"""Pictures of tasks: what is written in them is what the stream holds."""

import pytest

from memory_trials.report import task_figures
from memory_trials.stream_settings import TAKES, stream_settings
from memory_trials.tasks.streams import Stream

TASKS = [task for task in TAKES if task_figures.shown_as(task)]


def written(task: str) -> tuple[str, dict[int, str]]:
    shown = task_figures.shown_as(task)
    squares = task_figures.cells(stream_settings(task=task, **shown.settings), shown)
    inputs = "".join(square["symbol"] for square in squares if square["row"] == "input")
    return inputs, {square["step"]: square["symbol"] for square in squares if square["row"] == "target"}


@pytest.mark.parametrize("task", TASKS)
def test_every_symbol_of_a_task_has_a_letter_of_its_own(task):
    shown = task_figures.shown_as(task)
    shape = Stream(stream_settings(task=task, **shown.settings)).shape
    assert len(set(shown.inputs)) == len(shown.inputs) == shape.inputs
    assert len(set(shown.outputs)) == len(shown.outputs) == shape.outputs


def test_the_eight_tasks_are_shown_with_their_targets():
    assert len(TASKS) == 8
    inputs, targets = written("induction")
    assert targets == {24: inputs[inputs.index("*") + 1]} and inputs.endswith("*")
    inputs, targets = written("a_n_b_n")
    assert inputs == "Saaaabbbb" and list(targets.values()) == ["a", *["ab"] * 4, *["b"] * 3, "T"]
    inputs, targets = written("copying_memory")
    assert "".join(targets.values()) == inputs[:5] and min(targets) == len(inputs) - 4
    inputs, targets = written("flip_flop")
    assert [step - 1 for step in targets] == [place for place, symbol in enumerate(inputs) if symbol == "r"]
