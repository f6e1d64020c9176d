"""A recorded trial is trained anew and told equal, or different, by what it is."""

import dataclasses
import json
import re
import threading
from collections import Counter

import numpy as np
import pytest

from memory_trials.engines import native
from memory_trials.errors import UserError
from memory_trials.integrity import digests, verify
from memory_trials.settings import ComputeSettings, ModelSettings, Settings
from memory_trials.studies import design
from memory_trials.tasks.problems import make_problem
from memory_trials.tasks.streams import Stream
from memory_trials.training.job import TrainingJob
from memory_trials.training.trainer import train
from tests.conftest import ROOT

needs_compiler = pytest.mark.skipif(not native.available(), reason="no C compiler")
MINE = design.FOLDER / design.DIGESTS / "mine.json"
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
    table = design.task_of(arm, make_problem(settings.problem))
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
        (design.find("mine")[1], MINE),
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
        path = MINE
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
def test_a_minute_verifies_all_that_there_is_if_that_takes_less_and_a_tenth_takes_a_tenth(clone, capsys):
    verify.check_against_digests(seed=3)
    said = capsys.readouterr()
    assert "**10 of 10 recorded trials were trained anew: all equal.**" in said.out
    assert "Trials of 3 of 3 arms, by SEED=3 and this machine's speed" in said.out
    verify.check_against_digests(0.3, seed=3)
    said = capsys.readouterr()
    assert "**3 of 10 recorded trials" in said.out and "drawn by SEED=3, each as likely as any other." in said.out


@needs_compiler
def test_records_of_other_arms_than_the_parameters_describe_are_told(clone):
    design.FILE.write_text(STUDIES.replace("[lstm, gru]", "[lstm, mlp]"))
    with pytest.raises(UserError, match=r"mine\.json records other arms than .* run memory-trials study mine"):
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


def made_up(arm: str, **seconds_by_kind) -> verify.Record:
    """An arm of `trials` recorded trials, of which each takes so many seconds."""
    trials, seconds = seconds_by_kind["trials"], seconds_by_kind["seconds"]
    record = verify.Record(
        design.Arm("s", arm, None, {}, None), {"first_seed": 0, "trials": "0" * digests.LENGTH * trials}
    )
    vars(record)["seconds"] = dict.fromkeys(range(trials), seconds)
    return record


def in_a_minute(found: list[verify.Record], seconds: float, seed: int = 1, slower: float = 1.0) -> tuple[list, float]:
    """What a machine trains one after another that takes `slower` times as long as expected; and the time it needs."""
    minute, spent, taken = verify.Minute(found, seed), 0.0, []
    while (some := minute.next(seconds - spent)) is not None:
        record, trials = some
        took = slower * (record.start + sum(record.seconds[index] for index in trials))
        spent += took
        minute.took(record, trials, took)
        taken.append(some)
    return taken, spent


def test_the_fastest_arms_come_first_each_arm_has_a_turn_and_no_trial_comes_twice():
    found = [made_up(str(n), trials=30, seconds=0.002 * 4**n) for n in (3, 0, 2, 1)]
    taken, spent = in_a_minute(found, 60.0)
    assert [record.arm.name for record, _ in taken[:4]] == ["0", "1", "2", "3"] and len(taken[3][1]) == 1
    every = Counter((record, index) for record, trials in taken for index in trials)
    assert every == Counter((record, index) for record in found for index in range(30)) and spent < 60
    assert in_a_minute(found, 60.0, seed=1)[0] == taken != in_a_minute(found, 60.0, seed=2)[0]


def test_a_turn_is_short_at_first_and_longer_later():
    (_, first), *later = in_a_minute([made_up("a", trials=1000, seconds=0.011)], 60.0)[0]
    assert len(first) == 8  # 0.01 to begin with, and 0.011 each, in 0.1
    assert max(len(trials) for _, trials in later) == 44  # in 0.5
    assert max(len(trials) for _, trials in in_a_minute([made_up("a", trials=1000, seconds=0.001)], 60.0)[0]) == 50


@pytest.mark.parametrize("slower", [0.3, 1.0, 1.4])
def test_a_trial_that_would_not_end_in_time_is_not_begun(slower):
    found = [
        made_up("fast", trials=400, seconds=0.1),
        made_up("slow", trials=9, seconds=3.0),
        made_up("days", trials=9, seconds=1e5),
    ]
    taken, spent = in_a_minute(found, 10.0, slower=slower)
    assert 5 < spent <= 10 or len(taken) > 20
    assert {record.arm.name for record, _ in taken} == {"fast", "slow"}


def test_a_trial_that_may_end_just_in_time_is_begun():
    needed = verify.LATE * 1.0 * (verify.START + 2.0)
    assert verify.Minute([made_up("a", trials=1, seconds=2.0)], 1).next(needed) is not None
    assert verify.Minute([made_up("a", trials=1, seconds=2.0)], 1).next(np.nextafter(needed, 0)) is None


def test_a_machine_that_is_slower_than_expected_is_found_out_by_the_first_turn():
    taken, spent = in_a_minute([made_up("a", trials=1000, seconds=0.01)], 10.0, slower=20.0)
    assert spent <= 10 and max(len(trials) for _, trials in taken[1:]) == 1


def test_a_trial_of_a_stream_is_expected_to_take_as_long_as_its_sequences_and_one_of_a_table_as_its_updates(settings):
    alone = {"first_seed": 0, "trials": "0" * digests.LENGTH * 2}
    once = verify.Record(design.Arm("s", "a", settings, {}, None), alone).seconds
    longer = settings.model_copy(update={"training": settings.training.model_copy(update={"epochs": 500})})
    twice = verify.Record(design.Arm("s", "a", longer, {}, None), alone).seconds
    assert list(once) == [0, 1] and twice[0] == pytest.approx(2 * once[0])
    # 8 steps of 4 * 20 * (20 + 5 + 5) multiplications in each of 250 epochs, and at 25 checks
    assert once[0] == pytest.approx((250 + 25) * 8 * 4 * 20 * 30 * verify.MULTIPLICATION)


def test_trials_of_the_paper_that_take_too_long_are_left_out(monkeypatch):
    monkeypatch.chdir(ROOT)
    (arm,) = design.find("reber_4x1_slow")[1]
    longest = Stream(arm.settings.problem.stream).shape.longest
    most = verify.STEPS // longest
    until = {"first": [most, most + 1, 0, 1], "other": [1] * 4}
    monkeypatch.setattr(verify.answers, "summaries", lambda folder, keys: {arm.key: {"arms": [{"until": until}]}})
    record = verify.Record(arm, {"first_seed": 0, "trials": "0" * digests.LENGTH * 4})
    too_long = arm.settings.training.epochs * longest > verify.STEPS
    assert list(record.seconds) == ([0, 3] if too_long else [0, 2, 3])
    assert record.seconds[3] == pytest.approx(longest * verify.STEP)
    monkeypatch.setattr(verify.answers, "summaries", lambda folder, keys: {})
    assert list(record.__class__(arm, record.kept).seconds) == [0, 1, 2, 3]


def test_a_share_is_drawn_from_all_trials_and_those_that_follow_one_another_are_trained_together():
    found = [made_up(str(n), trials=60, seconds=1.0) for n in range(3)]
    everything = verify.sample_trials(found, 1.0, seed=1)
    assert sorted((found.index(record), trials.start, trials.stop) for record, trials in everything) == [
        (n, *ends) for n in range(3) for ends in ((0, 50), (50, 60))
    ]
    some = verify.sample_trials(found, 0.4, seed=1)
    trials = [(record, index) for record, trials in some for index in trials]
    assert len(trials) == len(set(trials)) == 72
    assert verify.sample_trials(found, 0.4, seed=1) == some != verify.sample_trials(found, 0.4, seed=2)
    assert sum(len(trials) for _, trials in verify.sample_trials(found, 0.0, seed=1)) == 1
    hits = Counter(
        index for seed in range(200) for _, trials in verify.sample_trials(found[:1], 0.1, seed) for index in trials
    )
    assert len(hits) == 60 and max(hits.values()) < 3 * 20  # each as likely as any other


def test_the_summary_has_rows_for_what_was_trained_and_a_note_only_where_own_cells_were():
    fast, slow = made_up("a", trials=3, seconds=1.0), made_up("b", trials=2000, seconds=1.0)
    own = verify.Record(design.Arm("mine", "c", None, {}, None), {"first_seed": 0, "losses": [0.5]})
    slow = dataclasses.replace(slow, arm=dataclasses.replace(slow.arm, study="long"))
    said = verify.summary([fast, slow, own], Counter({fast: 2}), [], "by chance")
    assert said.startswith("**2 of 2,004 recorded trials were trained anew: all equal.**")
    assert "| s | 3 | 2 |" in said and "| long |" not in said and "| mine |" not in said
    assert "Trials of 1 of 3 arms, by chance." in said and "one's own" not in said
    said = verify.summary([fast, slow, own], Counter({own: 1, slow: 1200}), ["x", "y"], "by chance")
    assert "2 differ, the first one: x" in said and "| long | 2,000 | 1,200 |" in said
    assert "Cells of one's own (1 arms) are compared by their final loss, within 0.001, since XLA" in said


@needs_compiler
def test_trials_of_a_stream_are_trained_as_those_of_a_table():
    settings = Settings.model_validate({
        "problem": {"stream": {"task": "keys", "length": 5}},
        "model": {"cell": "memory_cell", "units": 1, "cell_options": {"connected": "B", "weights": 0.2}},
        "training": {"trials": 4, "first_seed": 3, "epochs": 60, "optimizer": "sgd", "learning_rate": 1.0},
        "evaluation": {"interval": 20},
    })  # fmt: skip
    job = TrainingJob(settings.model, settings.training, 20, Stream(settings.problem.stream))
    kept = digests.recorded(settings.model, {}, train(job, ComputeSettings(threads=1)))
    arm = design.Arm("s", "a", settings, {}, None)
    assert verify.that_differ(verify.Record(arm, kept), range(1, 4)) == []
    changed = kept | {"trials": kept["trials"][: 3 * digests.LENGTH] + "x" * digests.LENGTH}
    assert verify.that_differ(verify.Record(arm, changed), range(1, 4)) == [3]
    assert verify.that_differ(verify.Record(arm, changed), range(2, 3)) == []


def test_as_many_trials_are_trained_at_once_as_there_are_processors(monkeypatch):
    monkeypatch.setattr(verify, "cores", lambda: 3)
    at_work, together = [], threading.Barrier(3, timeout=10)

    def that_differ(record, trials):
        at_work.append(threading.current_thread().name)
        if len(at_work) <= 3:
            together.wait()
        return [trials.start] if trials.start == 1 else []

    monkeypatch.setattr(verify, "that_differ", that_differ)
    record, told = made_up("a", trials=9, seconds=1.0), []
    left = [(record, range(n, n + 2)) for n in range(9)]
    take = lambda: left.pop() if left else None
    checked, different = verify.verify(take, lambda *what: told.append(what))
    assert checked == {record: 18} and different == [record.named(1)] and len(set(at_work)) == 3
    assert sorted(trials.start for _, trials, _ in told) == list(range(9)) and all(
        0 <= spent < 10 for *_, spent in told
    )


def test_a_digest_is_of_everything_that_training_leaves(clone):
    result = trained(design.find("mine")[1][0])
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
        assert digests.agree(kept, 0, other) == [equal]
