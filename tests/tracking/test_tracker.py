"""Whether anything answers at a tracking URI, how soon that is known, and that its secrets are never shown."""

import contextlib
import http.server
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_trials.errors import UserError
from memory_trials.settings import TrackingSettings
from memory_trials.tracking import store, tracker
from tests import stores


@contextlib.contextmanager
def answering(status: int):
    """A web server that says this to everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    asked: list[str] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", asked
        server.shutdown()


@contextlib.contextmanager
def silent():
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@contextlib.contextmanager
def black_hole():
    """A port where no packet is answered: the queue of those who wait to be taken is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, contextlib.ExitStack() as stack:
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        time.sleep(0.1)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_what_answers_is_there():
    for status in (200, 401, 404):
        with answering(status) as (place, asked):
            assert tracker.unreachable_reason(f"http://me:pass%2Fword@{place}/mlflow/") is None
            assert asked == ["/mlflow/health"]
    for nowhere in (
        "sqlite:///mlflow.db",
        tracker.uri_of_file(Path("/a b/c?d/mlflow.db")),
        "postgresql:///on_a_socket",
        "databricks",
    ):
        assert tracker.unreachable_reason(nowhere) is None


def test_a_database_that_answers_is_there(postgresql):
    assert tracker.unreachable_reason(f"{postgresql}/any") is None


def test_what_mlflow_cannot_open_is_told_before_training(tmp_path, monkeypatch, capsys):
    """Its migrations' folder is read by configparser, which has a meaning for %."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracker.warn_if_unreachable(TrackingSettings())
    assert capsys.readouterr().err == "" and "mlflow" in tracker.mlflows_folder()
    monkeypatch.setattr(tracker, "mlflows_folder", lambda: "/a%20b/mlflow/__init__.py")
    tracker.warn_if_unreachable(TrackingSettings())
    assert "MLflow opens no database where it is installed in a folder with a % in its name" in capsys.readouterr().err
    with pytest.raises(UserError, match="with a % in its name, as /a%20b/mlflow"), store.opened(TrackingSettings()):
        pass
    assert tracker.unreachable_reason("databricks") is None and not list(tmp_path.iterdir())


def test_another_server_is_no_database():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=lambda: listening.accept()[0].sendall(b"HTTP"), daemon=True).start()
        place = f"127.0.0.1:{listening.getsockname()[1]}"
        assert tracker.unreachable_reason(f"postgresql://u:p@{place}/any") == "this is no PostgreSQL server"


def test_what_does_not_answer_is_away():
    with answering(502) as (place, _):
        assert tracker.unreachable_reason(f"http://{place}") == "it answers 502"
    port = stores.free_port()
    for scheme in ("http", "https", "postgresql", "postgresql+psycopg", "mysql"):
        assert tracker.unreachable_reason(f"{scheme}://me:secret@127.0.0.1:{port}/x") == "connection refused"
        assert tracker.unreachable_reason(f"{scheme}://me:secret@no-such-host.invalid/x") == "no such host"


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql"])
@pytest.mark.parametrize("where", [silent, black_hole])
def test_what_says_nothing_is_away_in_time(scheme, where):
    with where() as place:
        assert tracker.unreachable_reason(f"{scheme}://{place}/x", seconds=0.4) == "no answer within 0.4 seconds"


def test_it_is_said_before_training_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{(port := stores.free_port())}")
    tracker.warn_if_unreachable(TrackingSettings())
    assert capsys.readouterr().err == (
        f"warning: MLflow cannot be reached at http://***@127.0.0.1:{port}: connection refused; training goes on, "
        "and the results are kept: publish them later with memory-trials track\n"
    )
    tracker.warn_if_unreachable(TrackingSettings(enabled=False))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("uri", ["postgresql://u:sec/ret@h/d", "http://h:port", "http://[h", "http://u:sec ret@h"])
def test_what_is_no_uri_is_told_without_it(uri):
    with pytest.raises(UserError, match="the tracking URI .* cannot be read: write it as scheme://user") as caught:
        tracker.unreachable_reason(uri)
    assert "sec" not in str(caught.value)


password = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=5).filter(
    lambda text: text.strip("*") and text == text.strip() and text not in "postgresql://tracker@example.org:5432/runs"
)


@given(
    password, st.sampled_from(["{0}", "x {0} y", "cannot reach '{0}': no", "{1}", "login of 'me' with '{1}'", "{2}"])
)
def test_no_password_is_shown_however_it_is_written(secret, said):
    encoded = quote(secret, safe="")
    for uri in (
        f"postgresql://me:{encoded}@example.org:5432/runs",
        f"https://{encoded}@example.org/runs",
        f"postgresql://example.org/runs?user=me&password={encoded}&sslmode=require",
    ):
        text = said.format(uri, secret, repr(secret))
        for shown in (tracker.redacted(uri), tracker.without_secrets(text, uri)):
            left = shown.replace("***", "")
            assert secret not in left and encoded not in left and repr(secret)[1:-1] not in left
        assert "example.org" in tracker.redacted(uri)


@given(
    st.text(st.characters(exclude_characters="/\0\n\r", exclude_categories=("Cs",)), min_size=1).filter(
        lambda name: name not in (".", "..")
    )
)
def test_a_path_is_no_uri_and_comes_back_from_one_as_it_was(name):
    import sqlalchemy

    path = Path("/home") / name / "mlflow.db"
    uri = tracker.uri_of_file(path)
    assert sqlalchemy.make_url(uri).database == str(path) and not sqlalchemy.make_url(uri).query
    assert tracker.is_database(uri) and tracker.unreachable_reason(uri) is None
    assert uri == f"sqlite:///{path}" or "%" in name or "?" in name


def test_the_environment_comes_before_the_parameters_and_temporary_experiments_reach_the_repository(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracker.uri_of(TrackingSettings()) == f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    assert tracker.uri_of(TrackingSettings(uri="http://a")) == "http://a"
    here = Path.cwd()
    temporary = here / ".dvc/tmp/exps/abc"
    temporary.mkdir(parents=True)
    monkeypatch.chdir(temporary)
    assert tracker.uri_of(TrackingSettings()) == f"sqlite:///{here / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://b")
    assert tracker.uri_of(TrackingSettings(uri="http://a")) == "http://b"
