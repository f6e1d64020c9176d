"""The search: what it leaves is a front, on fresh seeds, and a search that was killed ends as one that was not."""

from pathlib import Path

import numpy as np
import pytest

from memory_trials import files
from memory_trials.studies import design, tuning
from memory_trials.studies.schema import Study
from memory_trials.tasks import problems
from memory_trials.training import cache, shards, trainer
from memory_trials.training.trained import Trained, read_trained

STUDY = Study(
    question="How small?",
    source="a test",
    set={"training.trials": 6, "training.learning_rate": 0.02},
    search={
        "proposals": 8, "look_after": 3, "integers": {"model.units": [4, 9], "training.epochs": [60, 90]},
        "choices": {"training.window": [1, "sequence"]},
    },
    answer={"rule": "front", "level": 0.3},
)  # fmt: skip
DEFAULTS = {"problem": {"sequences": [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]}}


def searched(folder: Path, monkeypatch, stop_after: int | None = None) -> tuple[list[design.Arm], int]:
    """Search in a folder of its own; `stop_after` so many calls of training once, then again to the end. Its arms, and
    how many trials were trained."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    (start,) = design.make_arms("mine", STUDY, DEFAULTS)
    files.write_text(start.files.sequences, problems.make_problem(start.settings.problem).to_json())
    store, seeds, calls = cache.TrialCache(folder / ".shards", 100), [], []
    train, resumed = tuning._train, shards.resumed

    def killed(*arguments):
        calls.append(1)
        if len(calls) == stop_after:
            raise KeyboardInterrupt
        return train(*arguments)

    def counted(job, program, batch, **named):
        seeds.extend(batch["seeds"])
        return resumed(job, program, batch, **named)

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "_train", killed)
        patch.setattr(shards, "resumed", counted)
        if stop_after:
            with pytest.raises(KeyboardInterrupt):
                tuning.search(STUDY, start, store)
        tuning.search(STUDY, start, store)
    return design.found_by_search(STUDY, start), len(seeds)


def test_a_search_leaves_its_front_also_when_it_was_killed(tmp_path, monkeypatch, capsys):
    arms, trials = searched(tmp_path / "whole", monkeypatch)
    assert capsys.readouterr().out.count("proposal") == 8
    points = []
    for arm in arms:
        training_inputs, trained = read_trained(Path(tmp_path / "whole" / arm.files.trained))
        assert trained.seeds.tolist() == list(range(10_000, 10_006))  # fresh ones
        assert training_inputs["model"]["units"] == arm.changes["model.units"] == arm.settings.model.units
        parameters = sum(array[0].size for array in trained.weights.values())
        points.append((parameters, arm.settings.training.epochs * (2 if arm.changes["training.window"] != 1 else 8)))
    assert points and not any(a != b and a[0] <= b[0] and a[1] <= b[1] for a in points for b in points)
    again, trials_again = searched(tmp_path / "killed", monkeypatch, stop_after=6)
    assert trials_again == trials  # none was trained twice
    assert [arm.changes for arm in again] == [arm.changes for arm in arms]
    for arm in arms:
        assert (tmp_path / "whole" / arm.files.trained).read_bytes() == (
            tmp_path / "killed" / arm.files.trained
        ).read_bytes()


class Told:
    def __init__(self, *values):
        self.values = values


def test_measuring_stops_where_the_interval_is_below_the_level(monkeypatch):
    asked = []

    def trained(settings, table, store):
        training = settings.training
        asked.append((training.first_seed, training.trials))
        learned = (np.arange(training.first_seed, training.first_seed + training.trials) % 10 < rate)[:, np.newaxis]
        seeds, losses = np.arange(training.trials), np.zeros((training.trials, 1), np.float32)
        weights = {"w": np.zeros((training.trials, 7), np.float32)}
        found = (learned, learned * np.float32(0.1), learned * np.float32(1))
        return Trained(seeds, weights, losses, np.array([1]), *found)

    monkeypatch.setattr(tuning, "_train", trained)
    (start,) = design.make_arms("mine", STUDY, DEFAULTS)
    settings = start.settings.model_copy(
        update={"training": start.settings.training.model_copy(update={"trials": 100})}
    )
    rate = 5
    assert tuning._measured(settings, None, 20, 0.95, trainer.NO_CACHE) == (0.5, 20, 7) and asked == [(0, 20)]
    asked.clear()
    rate = 9
    assert tuning._measured(settings, None, 20, 0.95, trainer.NO_CACHE) == (0.9, 100, 7) and asked == [
        (0, 20),
        (20, 80),
    ]
