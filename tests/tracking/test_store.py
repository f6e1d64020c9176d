"""Publishing cannot hurt: what is cut is completed, publishers do not clash, and no secret is written anywhere."""

import shutil

import pytest

from memory_trials.errors import UserError
from memory_trials.serving import registry
from memory_trials.settings import TrackingSettings
from memory_trials.studies import design
from memory_trials.tracking import publisher
from tests import publishers, stores, untrained

LONGEST = 1.5  # seconds, about, that a publisher takes here


@pytest.fixture
def arm(evaluated, tmp_path, monkeypatch) -> design.Arm:
    """A result, and no store."""
    shutil.copytree(evaluated / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return untrained.pipeline_arm()


@pytest.fixture(params=["sqlite", "postgresql", "server"])
def uri(request, tmp_path, evaluated) -> str:
    """Of a store of each kind, with other experiments or none."""
    if request.param == "server":
        return request.getfixturevalue("server")
    if request.param == "postgresql":
        empty, name = request.getfixturevalue("empty_database"), f"cut_{tmp_path.name}".lower()
        stores.execute(empty, f"CREATE DATABASE {name} TEMPLATE empty")
        return f"{empty.rpartition('/')[0]}/{name}"
    shutil.copy(evaluated / "mlflow.db", tmp_path)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_what_was_killed_at_any_moment_is_completed(arm, uri, tmp_path):
    settings = TrackingSettings(uri=uri, experiment="cut")
    publishers.changed(arm, 1)
    for share in (0.2, 0.7):
        publishers.cut(share * LONGEST, tmp_path, [arm], settings)
    publishers.seconds(tmp_path, [arm], settings)
    publishers.check_once(uri, settings, [arm])


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "server"])
def test_publishers_at_the_same_time_do_not_clash(arm, kind, request, tmp_path):
    """Two with the same arm, one with another, into a store that has no tables yet."""
    if kind == "postgresql":
        uri = f"{request.getfixturevalue('postgresql')}/new"
        stores.execute(uri, "CREATE DATABASE new")
    else:
        uri = request.getfixturevalue("server") if kind == "server" else f"sqlite:///{tmp_path / 'mlflow.db'}"
    settings = TrackingSettings(uri=uri, experiment="at-once")
    other, meeting = publishers.other_arm(publishers.changed(arm, -1)), publishers.PROCESSES.Barrier(3)
    processes = [publishers.started(tmp_path, [each], settings, meeting) for each in (arm, arm, other)]
    for process in processes:
        process.join(120)
    said = (tmp_path / "said.txt").read_text()
    assert [process.exitcode for process in processes] == [0, 0, 0], said
    publishers.check_once(uri, settings, [arm, other])


def test_a_server_that_goes_away_meanwhile_costs_one_sentence_and_is_completed_later(
    arm, server, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    publishers.changed(arm, -2)
    for after in (1, 6, 14, 21):  # requests: before anything is there, in the parent, in the children, at the end
        with (
            stores.going_away(server, after) as uri,
            pytest.raises(UserError, match="^MLflow failed at http") as caught,
        ):
            publisher.publish([arm], TrackingSettings(uri=uri, experiment="going away"))
            registry.register(arm, TrackingSettings(uri=uri, experiment="going away"))
        assert "\n" not in str(caught.value)
    settings = TrackingSettings(uri=server, experiment="going away")
    publishers.seconds(tmp_path, [arm], settings)
    publishers.check_once(server, settings, [arm])


def test_no_secret_reaches_what_is_said_or_written(
    arm, server, empty_database, postgresql, tmp_path, tmp_path_factory, monkeypatch, capfd
):
    stores.execute(empty_database, "CREATE DATABASE secret TEMPLATE empty")
    place = postgresql.rpartition("@")[2]
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", stores.PASSWORD)  # of whoever is not named in the URI
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    settings = {
        "a database": TrackingSettings(uri=f"{postgresql}/secret"),
        "in the query": TrackingSettings(uri=f"postgresql://{place}/secret?user={stores.USER}&password={stores.ENCODED}"),
        "a server": TrackingSettings(uri=server.replace("//", f"//me:{stores.ENCODED}@"), experiment="secret"),
    }  # fmt: skip
    for each in settings.values():
        publisher.publish([arm], each)
        registry.register(arm, each)
    written = [capfd.readouterr().out]
    assert written[0].count("MLflow now shows") == 2 and written[0].count("has this result already") == 1
    wrong = [
        f"{postgresql}/no_such_database", f"postgresql://tracker:{stores.ENCODED}wrong@{place}/secret",
        f"postgresql://{place}/secret?user=tracker&password={stores.ENCODED}x", f"postgresql+nosuch://u:{stores.ENCODED}@h/d",
        f"postgresql://u:{stores.ENCODED}@127.0.0.1:9/d", f"nosuch://u:{stores.ENCODED}@h/d?token={stores.ENCODED}",
        f"postgresql://u:{stores.PASSWORD}@h/d", f"http://{stores.ENCODED}@127.0.0.1:9", f"http://u:{stores.ENCODED}@h:port",
        f"mysql://u:{stores.ENCODED}@{place}/d", f"postgresql://u:{stores.ENCODED}@{place}/d?nosuch={stores.ENCODED}",
    ]  # fmt: skip
    for uri in wrong:
        with pytest.raises(UserError) as caught:
            publisher.publish([arm], TrackingSettings(uri=uri))
        written.append(str(caught.value))
        assert "\n" not in written[-1] and "Traceback" not in written[-1]
    written += capfd.readouterr()
    for name in ("secret", "server"):
        tables = stores.execute(f"{postgresql}/{name}", "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        written += [str(stores.execute(f"{postgresql}/{name}", f"SELECT * FROM {table}")) for (table,) in tables]
    everything = "\n".join(written).encode() + publishers.text_of(tmp_path)
    for folder in tmp_path_factory.getbasetemp().glob("server*"):
        everything += publishers.text_of(folder)
    assert b"success/rate" in everything and b"memory.npz" in everything and b"GET /health" in everything
    for form in (stores.PASSWORD, stores.ENCODED, repr(stores.PASSWORD)[1:-1]):
        assert form.encode() not in everything
