"""Files as people have them: each case is a file in files/, with a public report of its kind and what must come out.

A case holds the file's `name` and `content` (`encoding` unless UTF-8; <9> stands for as many nines as `repeat` says),
and what is `expected`, for the settings `csv`: the `alphabet`, with `names` where they are others, or how many `symbols`;
or the beginning of the sentence by which it is `refused`.
"""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from memory_trials.errors import UserError
from memory_trials.settings import ProblemSettings
from memory_trials.tasks.problems import from_json, make_problem
from memory_trials.tasks.sequence_files import FOLDER
from memory_trials.tasks.symbols import name

CASES = sorted(Path(__file__).with_name("files").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_file_gives_its_symbols_or_one_sentence(path, tmp_path, monkeypatch):
    case = YAML(typ="safe").load(path.read_text())
    assert case["source"].startswith("https://github.com/") and case["says"]
    monkeypatch.chdir(tmp_path)
    FOLDER.mkdir(parents=True)
    content = re.sub(r"<(.)>", lambda found: found[1] * case["repeat"], case["content"])
    (FOLDER / case["name"]).write_bytes(content.encode(case.get("encoding", "utf-8")))
    for expected in case["expected"]:
        settings = ProblemSettings(file=case["name"], csv=expected.get("csv", {}))
        if "refused" in expected:
            with pytest.raises(UserError) as caught:
                make_problem(settings)
            assert str(caught.value).startswith(expected["refused"]) and "\n" not in str(caught.value)
            continue
        problem = make_problem(settings)
        names = [name(symbol) for symbol in problem.alphabet]
        assert len(names) == expected.get("symbols", len(names)) and len(set(names)) == len(names)
        if "alphabet" in expected:
            assert list(map(repr, problem.alphabet)) == list(map(repr, expected["alphabet"]))
            assert names == expected.get("names", list(map(str, problem.alphabet)))
        assert from_json(problem.to_json(), FOLDER) == problem
