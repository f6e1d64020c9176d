"""What the first stages leave of a stream: its rule, and how it begins, as training sees it."""

import json

import numpy as np
import pytest

from memory_trials import files
from memory_trials.stream_settings import stream_settings
from memory_trials.tasks import stream_files, streams

KEYS = stream_settings(task="keys", length=6, middle="random")
ADDING = stream_settings(task="adding", length=20)


@pytest.mark.parametrize("stream", [KEYS, ADDING])
def test_the_rule_and_the_first_three_sequences_are_told(stream):
    text = stream_files.to_json(stream, seed=7)
    assert text.count("\n") == 6 and text.startswith("{\n") and text.endswith("\n}\n")  # a line for each part
    told = json.loads(text)
    assert told["stream"] == {name: value for name, value in stream.model_dump().items() if value is not None}
    shape = streams.shape(stream)
    assert told["shape"] | {"masked": False} == vars(shape) and told["shape"]["longest"] == (
        6 if stream is KEYS else 22
    )
    assert told["criteria"] == {name: vars(criterion) for name, criterion in streams.criteria(stream).items()}
    assert told["first_sequences"]["seed"] == 7
    drawn = streams.draw(stream, np.array([7]), "train", 0, 3)
    ends = np.cumsum(drawn.lengths[0])
    shown = told["first_sequences"]["sequences"]
    assert len(shown) == 3
    for number, (end, length) in enumerate(zip(ends, drawn.lengths[0])):
        assert shown[number]["x"] == drawn.x[0, end - length : end].tolist()
        expected = drawn.y[0, end - length : end] if shape.every_step else drawn.y[0, number]
        assert shown[number]["y"] == expected.tolist()


def test_the_same_sequences_are_kept_as_arrays(tmp_path):
    stream_files.write_beginning(tmp_path / "x.npz", ADDING, seed=7)
    settings, arrays = files.read_arrays(tmp_path / "x.npz", stream_files.FORMAT, ["seeds", "lengths", "x", "y"])
    drawn = streams.draw(ADDING, np.array([7]), "train", 0, 3)
    assert settings == {"task": "adding", "length": 20} and arrays["seeds"].tolist() == [7]
    assert all(np.array_equal(arrays[name], getattr(drawn, name)) for name in ("lengths", "x", "y"))


def test_a_stream_is_described_by_its_size():
    assert stream_files.described(ADDING) == (
        "an endless stream of the task adding for each trial: sequences of up to 22 steps, 2 inputs, 1 outputs"
    )
