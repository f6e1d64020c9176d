"""What memory_trials offers to Python: imported when it is used, and as docs/questions.md shows it."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest

import memory_trials
from tests.conftest import ROOT

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs/questions.md").read_text(), re.DOTALL)


def run(code: str, folder=ROOT) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", memory_trials.API)
def test_every_name_is_what_its_module_calls_so(name):
    module, _, attribute = memory_trials.API[name].partition(":")
    found = getattr(memory_trials, name)
    assert found.__name__ == attribute and found.__module__ == f"memory_trials.{module}" and found.__doc__


def test_nothing_is_imported_before_it_is_used():
    code = (
        "import json, sys, memory_trials\nlist_of = lambda: sorted(m for m in sys.modules if 'memory_trials.' in m)\n"
    )
    assert json.loads(run(code + "dir(memory_trials)\nprint(json.dumps(list_of()))")) == []
    assert json.loads(run(code + "memory_trials.UserError\nprint(json.dumps(list_of()))")) == ["memory_trials.errors"]


def test_all_names_and_no_others():
    scope: dict = {}
    exec("from memory_trials import *", scope)
    assert scope.keys() - {"__builtins__"} == set(memory_trials.__all__) == set(memory_trials.API)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        memory_trials.trian  # noqa: B018


def test_the_probe_of_the_documentation_learns(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)  # in this process, which has TensorFlow already
    exec(EXAMPLES[0], {})
    success_rate, memory = map(float, capsys.readouterr().out.split())
    assert success_rate == 1.0 and 0.9 < memory <= 1.0
    assert len(ast.parse(EXAMPLES[0]).body) < 10


def test_the_predictor_of_the_documentation_predicts(evaluated):
    ((symbol, probability),) = ast.literal_eval(run(EXAMPLES[1], evaluated))
    assert symbol in range(5) and 0 < probability < 1
