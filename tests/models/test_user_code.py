"""What a library says of a mistake in a user's code, in one sentence with its place."""

import importlib
import sys

import pytest

from memory_trials.errors import UserError
from memory_trials.models import backend
from memory_trials.models.keras_model import make_model
from memory_trials.models.user_code import Refusal, as_user_error, described, during, is_users
from memory_trials.settings import ModelSettings
from tests.conftest import ROOT, run


def raised(function) -> BaseException:
    with pytest.raises(BaseException) as caught:
        function()
    return caught.value


def chained():
    try:
        raise KeyError("the cause")
    except KeyError:
        raise ValueError from None


def wrapped():
    raise RuntimeError(
        "Exception encountered when calling Cell.call().\n\n\x1b[1mthe  cause\x1b[0m\n\nArguments received:"
    )


def test_a_sentence_has_the_cause_and_its_place():
    here = r" (tests/models/test_user_code.py, line \d+)"
    for function, words in (
        (wrapped, "RuntimeError: the cause"),
        (chained, "KeyError: 'the cause'"),
        (lambda: (_ for _ in ()).throw(AssertionError), "AssertionError"),
        (lambda: sys.exit("enough"), "SystemExit: enough"),
        (lambda: exec(compile("a b", str(ROOT / "tests/bits.py"), "exec")), "SyntaxError: invalid syntax"),
    ):
        said = described(raised(function))
        assert said.startswith(words) and "\n" not in said, (said, here)
        assert "test_user_code.py, line" in said or "tests/bits.py, line 1" in said
    assert len(described(ValueError("x" * 1000))) < 400


def test_whatever_is_raised_is_told_with_the_method_it_was_raised_in():
    for error, words in (
        (ValueError("no"), "model.cell a.B, call: ValueError: no"),
        (SystemExit(3), "model.cell a.B, call: SystemExit: 3"),
        (Refusal("it must not"), "model.cell a.B, call: it must not"),
        (UserError("as it is"), "as it is"),
    ):
        with pytest.raises(UserError) as caught, as_user_error("a.B"), during("call"):
            raise error
        assert str(caught.value).startswith(words)
    with pytest.raises(KeyboardInterrupt), as_user_error("a.B"), during("call"):
        raise KeyboardInterrupt


def test_what_is_installed_anywhere_is_not_the_users(tmp_path):
    """Such as by `pip install --user`, or in another environment that is on the path."""
    installed, own = tmp_path / "lib/site-packages/keras.py", tmp_path / "lib/cells.py"
    installed.parent.mkdir(parents=True)
    for file in (installed, own):
        file.touch()
    assert is_users(str(own)) and not is_users(str(installed)) and not is_users(str(tmp_path / "none.py"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def f(:", "import: SyntaxError: invalid syntax (cells_here/new.py, line 1)"),
        ("import sys\nsys.exit('bye')", "import: SystemExit: bye (cells_here/new.py, line 2)"),
        ("Cell = 3", "new.Cell: it is not a Keras layer class"),
    ],
)
def test_code_that_cannot_be_imported(code, words, tmp_path, monkeypatch):
    (tmp_path / "cells_here").mkdir()
    (tmp_path / "cells_here/new.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("cells_here")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UserError) as caught:
        make_model(ModelSettings(cell="cells_here.new.Cell"), 5, 5)
    assert words in str(caught.value)


def test_tensorflow_that_was_used_before_keeps_its_threads(monkeypatch):
    backend.tf.constant(1.0) + 1.0
    monkeypatch.setenv("XLA_FLAGS", "")
    importlib.reload(backend)  # as if it were imported now
    monkeypatch.setattr(backend.keras.config, "backend", lambda: "jax")
    with pytest.raises(
        UserError, match="Keras was imported with the backend jax, and this cell is computed with TensorFlow"
    ):
        importlib.reload(backend)


def test_a_traceback_is_printed_where_it_is_asked_for(tmp_path):
    command = (sys.executable, "-m", "memory_trials")
    environment = {"PYTHONPATH": str(ROOT)}
    short = run(tmp_path, *command, "answer", fails=True, **environment)
    assert short.startswith("error: ") and "Traceback" not in short
    for more in (["--debug"], []):
        said = run(
            tmp_path,
            *command,
            *more,
            "answer",
            fails=True,
            **environment,
            **({} if more else {"MEMORY_TRIALS_DEBUG": "1"}),
        )
        assert "Traceback" in said and said.endswith(short)
