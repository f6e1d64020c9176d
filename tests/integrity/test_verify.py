"""A recorded trial is trained anew and told equal, or different, by what it is."""

import dataclasses
import itertools
import json
import re
from collections import Counter

import numpy as np
import pytest

from memory_trials.engines import native
from memory_trials.errors import UserError
from memory_trials.integrity import digests, verify
from memory_trials.settings import ComputeSettings, ModelSettings
from memory_trials.studies import design
from memory_trials.tasks.problems import make_problem
from memory_trials.training.job import TrainingJob
from memory_trials.training.trainer import train
from tests.conftest import ROOT

needs_compiler = pytest.mark.skipif(not native.available(), reason="no C compiler")
STUDIES = """
defaults: {problem: {sequences: [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]}}
studies:
  mine:
    question: Which?
    source: a test
    set: {training.trials: 3, training.epochs: 20, model.units: 5}
    grid: {model.cell: [lstm, gru]}
"""


def trained(arm: design.Arm):
    settings = arm.settings
    table = design.table_of(arm, make_problem(settings.problem))
    job = TrainingJob(settings.model, settings.training, settings.evaluation.interval, table)
    return train(job, ComputeSettings(shard=2))


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """What a fresh clone holds: parameters, and the digests of a pipeline and of a study."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text().replace("trials: 100", "trials: 4").replace("epochs: 250", "epochs: 30")
    (tmp_path / "params.yaml").write_text(text)
    design.FILE.parent.mkdir()
    design.FILE.write_text(STUDIES)
    for arms, path in (
        ([design.pipeline_arm()], design.PIPELINE_DIGESTS),
        (design.study_arms("mine")[1], design.DIGESTS / "mine.json"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        recorded = {arm.name: digests.recorded(arm.settings.model, arm.changes, trained(arm)) for arm in arms}
        path.write_text(json.dumps(recorded))
    return tmp_path


@needs_compiler
def test_all_that_is_recorded_is_equal(clone, capsys, monkeypatch):
    verify.check_against_digests(1.0)
    said = capsys.readouterr().out
    assert "**10 of 10 recorded trials were trained anew: all equal.**" in said
    assert "| pipeline | 4 | 4 |" in said and "| mine | 6 | 6 |" in said
    assert {path.name for path in clone.iterdir()} == {"params.yaml", "experiments", "data"}  # nothing is kept


@needs_compiler
@pytest.mark.parametrize("change", ["digest", "setting"])
def test_the_first_trial_that_differs_is_named(clone, capsys, monkeypatch, change):
    if change == "digest":  # of the second trial of the second arm
        path = design.DIGESTS / "mine.json"
        kept = json.loads(path.read_text())
        text = kept["cell=gru"]["trials"]
        other = "0" if text[digests.LENGTH] != "0" else "1"
        kept["cell=gru"]["trials"] = text[: digests.LENGTH] + other + text[digests.LENGTH + 1 :]
        path.write_text(json.dumps(kept))
        expected = r"study mine, arm cell=gru, seed 1 is not what is recorded"
    else:
        text = (clone / "params.yaml").read_text()
        (clone / "params.yaml").write_text(text.replace("learning_rate: 0.001", "learning_rate: 0.0011"))
        expected = r"the pipeline, seed \d is not what is recorded"
    with pytest.raises(UserError, match=expected):
        verify.check_against_digests(1.0)
    assert re.search(r"trained anew: [14] differ, the first one: ", capsys.readouterr().out)


@needs_compiler
def test_records_of_other_arms_than_the_parameters_describe_are_told(clone):
    design.FILE.write_text(STUDIES.replace("[lstm, gru]", "[lstm, mlp]"))
    with pytest.raises(UserError, match=r"mine\.json records other arms than .* run make study NAME=mine"):
        verify.records()


@pytest.mark.parametrize("content", ["[]", '{"a": 1}', '{"a": {"first_seed": 0, "trials": "", "changes": {}}}', "{"])
def test_damaged_records_are_told(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(UserError, match="is damaged"):
        digests.read(tmp_path / "x.json")


def test_nothing_recorded_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    with pytest.raises(UserError, match="no trial is recorded"):
        verify.records()


@pytest.mark.parametrize("share", [2.0, -0.1, float("nan")])
def test_wrong_numbers_are_told(share):
    with pytest.raises(UserError, match=f"the share to verify is {share}: allowed is a number from 0 to 1"):
        verify.check_against_digests(share)


def test_little_time_says_something_about_each_arm_and_no_trial_comes_twice():
    arms = [dataclasses.replace(design.Arm("s", str(n), None, {}, None)) for n in range(5)]
    records = [verify.Record(arm, {"first_seed": 0, "trials": "0" * digests.LENGTH * 3}) for arm in arms]
    order = list(verify.chosen(records, None, seed=1))
    assert len({record for record, _ in order[:5]}) == 5
    assert Counter(record for record, _ in order) == Counter({record: 3 for record in records})
    assert len(set(order)) == len(order) == 15
    assert len(list(verify.chosen(records, 0.4, seed=1))) == 6
    first = list(itertools.islice(verify.chosen(records, None, seed=1), 7))
    assert first == order[:7]


def test_a_digest_is_of_everything_that_training_leaves(clone):
    result = trained(design.study_arms("mine")[1][0])
    whole = digests.of_trials(result)
    assert len(set(whole)) == 3 and all(len(digest) == digests.LENGTH for digest in whole)
    for name in ("losses", "learned", "margin", "memory"):
        array = np.array(getattr(result, name))
        array[1, -1] = ~array[1, -1] if array.dtype == bool else np.nextafter(array[1, -1], np.float32(2))
        changed = digests.of_trials(dataclasses.replace(result, **{name: array}))
        assert [a == b for a, b in zip(whole, changed)] == [True, False, True]


def test_a_cell_of_ones_own_is_compared_within_a_tolerance():
    own = ModelSettings(cell="my_cells.leaky.LeakyCell")
    result = dataclasses.make_dataclass("Some", ["seeds", "losses"])(np.array([7]), np.array([[1.0, 0.5]]))
    kept = digests.recorded(own, {}, result)
    assert kept == {"changes": {}, "first_seed": 7, "losses": [0.5]} and digests.count(kept) == 1
    for loss, equal in ((0.5 * (1 + 5e-4), True), (0.5 * (1 + 5e-3), False), (np.nan, False)):
        other = dataclasses.replace(result, losses=np.array([[1.0, loss]]))
        assert digests.agree(kept, 0, other) == equal
