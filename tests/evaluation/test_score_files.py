"""Tables of scores from anywhere: what is read, and what is refused in one sentence."""

import gzip
import json

import numpy as np
import pytest
from click.testing import CliRunner

from memory_trials import cli
from memory_trials.errors import UserError
from memory_trials.evaluation.score_files import Columns, names, read

TABLE = """model,task,seed,score
a,x,1,0.5
a,x,0,0.25
b,x,0,1
b,x,1,2
a,y,0,3
"""
RATES = """model,task,rate,seed,loss,validation
a,x,0.1,0,1.0,9
a,x,0.1,1,1.0,9
a,x,0.01,0,2.0,1
a,x,0.01,1,2.0,1
a,x,1,0,0.1,
a,x,1,1,,
b,x,,0,5.0,5
b,x,,1,5.0,5
"""


def written(tmp_path, text, name="scores.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_runs_are_in_the_order_of_their_seeds_and_tasks_of_one_model_are_left_out(tmp_path):
    scores = read(written(tmp_path, TABLE), Columns())
    assert list(scores.tasks) == ["x"]
    assert scores.tasks["x"]["a"].tolist() == [0.25, 0.5]
    assert scores.paired and scores.models == ["a", "b"]
    assert not read(written(tmp_path, TABLE + "b,x,2,1\n"), Columns()).paired


def test_a_compressed_file_and_columns_of_other_names_are_read(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(TABLE.replace("model,task,seed,score", "cell,problem,run,error").encode()))
    scores = read(path, Columns("cell", ("problem",), "run", "error", lower_is_better=True))
    assert scores.tasks["x"]["a"].tolist() == [-0.25, -0.5]


def test_several_columns_name_a_task(tmp_path):
    text = "model,task,size,seed,score\na,x,1,0,1\nb,x,1,0,2\na,x,2,0,3\nb,x,2,0,4\n"
    assert list(read(written(tmp_path, text), Columns(task=("task", "size"))).tasks) == ["x 1", "x 2"]
    assert names(["task, size", "more"]) == ("task", "size", "more")


def test_each_model_takes_its_best_setting_by_the_score_or_by_another_one(tmp_path):
    path = written(tmp_path, RATES)
    columns = lambda **more: Columns(score="loss", lower_is_better=True, choose="rate", **more)
    scores = read(path, columns())
    assert (scores.chosen["x"]["a"], scores.tasks["x"]["a"].tolist()) == ("0.1", [-1.0, -1.0])
    assert scores.tasks["x"]["b"].tolist() == [-5.0, -5.0]  # which has no such setting
    scores = read(path, columns(choose_by="validation"))
    assert (scores.chosen["x"]["a"], scores.tasks["x"]["a"].tolist()) == ("0.01", [-2.0, -2.0])


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("", {}, "cannot be read as a CSV file"),
        ("model,task,seed,score\n", {}, "has no row below its header"),
        ("cell,task,seed,score\n", {}, "has no column 'model'; it has cell, task, seed, score"),
        (TABLE, {"choose": "rate"}, "has no column 'rate'"),
        (TABLE + "b,x,2,good\n", {}, "line 7: score is 'good', which is no number"),
        (TABLE + "b,x,2,\n", {}, "b on x, seed 2: score is no finite number"),
        (TABLE + "b,x,2,inf\n", {}, "b on x, seed 2: score is no finite number"),
        (TABLE + ",x,2,1\n", {}, "line 7: the column model is empty"),
        (TABLE + "b,x,1,3\n", {}, "b on x, seed 1 comes more than once"),
        ("model,task,seed,score\na,x,0,1\nb,y,0,1\n", {}, "no task has two models"),
        ("model,task,seed,score,r\na,x,0,,1\na,x,0,inf,2\nb,x,0,1,1\n", {"choose": "r"}, "a on x has no r whose runs"),
    ],
)
def test_what_cannot_be_ranked_is_refused_in_one_sentence(tmp_path, text, columns, words):
    with pytest.raises(UserError, match=r"scores\.csv") as error:
        read(written(tmp_path, text), Columns(**columns))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv: there is no such file"):
        read(tmp_path / "none.csv", Columns())


def test_the_command_says_writes_and_prints_it(tmp_path):
    draws = np.random.default_rng(0)
    rows = [
        (m, t, s, level + draws.normal(0, 0.1)) for m, level in (("a", 0.9), ("b", 0.2)) for t in "xy" for s in range(8)
    ]
    path = written(tmp_path, "model,task,seed,score\n" + "".join(f"{m},{t},{s},{v}\n" for m, t, s, v in rows))
    run = lambda *more: CliRunner().invoke(cli.commands, ["rank", str(path), *more], catch_exceptions=False).output
    said = run("--output", str(tmp_path / "out"))
    assert "On 2 of 2 tasks the best model by the mean is better than every other one" in said
    assert "2 tasks, 2 models, 8 runs of each; the same seeds for all models." in said
    page = (tmp_path / "out/ranking.md").read_text()
    assert "| x | **0.9" in page and "≈" not in page.split("## Each task")[1].split("|")[2]
    assert (tmp_path / "out/ranking.png").stat().st_size > 10_000
    summary = json.loads(run("--json"))
    assert summary == json.loads((tmp_path / "out/ranking.json").read_text())
    assert summary["models"][0] == {"model": "a", "tasks": 2, "best": 2, "decided": 2}


def test_the_command_refuses_what_it_cannot_honour(tmp_path):
    path = written(tmp_path, TABLE + "b,x,2,1\n")
    for arguments, words in (
        (["--paired"], "not all models have the same values of seed"),
        (["--choose-by", "score"], "needs --choose"),
    ):
        result = CliRunner().invoke(cli.commands, ["rank", str(path), *arguments])
        assert isinstance(result.exception, UserError) and words in str(result.exception)
