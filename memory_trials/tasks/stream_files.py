"""What the stages generate_data and encode leave of a stream, which is endless: its rule, and how it begins."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from memory_trials import files
from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks import streams

FORMAT = "memory-trials stream 1"
SHOWN = 3  # sequences


def to_json(stream: StreamSettings, seed: int) -> str:
    """The rule of a stream, when a trial has learned it, and the first sequences of the trial of this seed."""
    sequences, shape = streams.draw(stream, np.array([seed]), "train", 0, SHOWN), streams.shape(stream)
    ends = np.cumsum(sequences.lengths[0])
    shown = []
    for number, (first, last) in enumerate(zip(ends - sequences.lengths[0], ends)):
        x, y = sequences.x[0, first:last], sequences.y[0]
        shown.append({"x": x.tolist(), "y": y[first:last].tolist() if shape.every_step else y[number].item()})
    content = {
        "stream": stream.model_dump(exclude_none=True),
        "shape": {name: value for name, value in asdict(shape).items() if name != "masked" or value},
        "criteria": {name: asdict(criterion) for name, criterion in streams.criteria(stream).items()},
        "first_sequences": {"seed": seed, "sequences": shown},
    }
    lines = [f"{json.dumps(name)}: {json.dumps(part, ensure_ascii=False)}" for name, part in content.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def described(stream: StreamSettings) -> str:
    """How large a stream's sequences are, in one line."""
    shape = streams.shape(stream)
    return (
        f"an endless stream of the task {stream.task} for each trial: sequences of up to {shape.longest} steps, "
        f"{shape.inputs} inputs, {shape.outputs} outputs"
    )


def write_beginning(path: Path, stream: StreamSettings, seed: int) -> None:
    """The first sequences of the trial of this seed as arrays, as training sees them."""
    sequences = streams.draw(stream, np.array([seed]), "train", 0, SHOWN)
    arrays = {"seeds": np.array([seed]), "lengths": sequences.lengths, "x": sequences.x, "y": sequences.y}
    files.write_arrays(path, FORMAT, arrays, settings=stream.model_dump(exclude_none=True))
