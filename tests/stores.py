"""Real stores for the tests: a PostgreSQL of their own, and an MLflow server on whatever database."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

USER, PASSWORD = "tracker", "c4n@ry/of:the%tests"
ENCODED = "c4n%40ry%2Fof%3Athe%25tests"  # the password as a URI holds it


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def postgres_programs() -> Path | None:
    """The folder of initdb and pg_ctl, where PostgreSQL's server is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    here = found[-1] if found else shutil.which("initdb")
    return Path(here).parent if here else None


@contextlib.contextmanager
def postgres(*options: str) -> Iterator[str]:
    """A private cluster on 127.0.0.1, which takes a password; yields the URI of its server, without a database.

    PostgreSQL refuses to run as root, so that it is run as nobody there.
    """
    programs, port = postgres_programs(), free_port()
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    (folder / "password").write_text(PASSWORD)
    if user:
        for path in (folder, folder / "password"):
            shutil.chown(path, "nobody", "nogroup")

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [programs / program, "-D", folder / "data", *arguments], cwd=folder, text=True, **user,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    run("initdb", "-U", USER, "-A", "scram-sha-256", "--pwfile", str(folder / "password"), "--no-sync",
        "--encoding=UTF8", "--no-locale")  # fmt: skip
    said = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", *options]
    try:
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", " ".join(f"-c {option}" for option in said), "start")
        yield f"postgresql://{USER}:{ENCODED}@127.0.0.1:{port}"
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def execute(uri: str, statement: str) -> list:
    """Run one statement outside a transaction; its rows. A database is made or removed from beside it."""
    import sqlalchemy

    beside = statement.split()[1] == "DATABASE"
    engine = sqlalchemy.create_engine(
        f"{uri.rpartition('/')[0]}/postgres" if beside else uri, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        result = connection.execute(sqlalchemy.text(statement))
        rows = result.fetchall() if result.returns_rows else []
    engine.dispose()
    return rows


@contextlib.contextmanager
def mlflow_server(folder: Path, backend: str, *options: str) -> Iterator[tuple[str, int]]:
    """An MLflow server on a database; yields its address and its group of processes. Its log is server.log in the
    folder."""
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--artifacts-destination", str(folder / "kept"), *options,
    ]  # fmt: skip
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": backend,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a dozen processes more, for what is not used here
    }
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True, env=environment
        )  # fmt: skip
    try:
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=1)
                break
            except OSError:
                assert process.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.1)
        yield uri, process.pid
    finally:
        os.killpg(process.pid, 9)  # asked to end, it takes seconds
        process.wait(120)


@contextlib.contextmanager
def going_away(uri: str, after: int) -> Iterator[str]:
    """Another address of an HTTP server, which is gone after so many requests."""
    host, port = uri.removeprefix("http://").split(":")
    listening = socket.create_server(("127.0.0.1", 0))
    everything, requests = [listening], [0]

    def go_away() -> None:
        for one in everything:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                requests[0] += content.count(b" HTTP/1.1\r\n")
                if requests[0] > after:
                    go_away()
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client = listening.accept()[0]
                server = socket.create_connection((host, int(port)))
                everything.extend((client, server))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=copy, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    go_away()
