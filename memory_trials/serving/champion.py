"""Which memory MLflow's registry offers by the alias champion, and whether it is the one that is here.

Nothing here imports mlflow, which takes a second: `make repro` looks whenever it is run.
"""

import contextlib
import hashlib
import sqlite3
from pathlib import Path

from memory_trials import files
from memory_trials.settings import Settings
from memory_trials.tracking import moved, tracker

NAME, ALIAS = "memory-trials", "champion"
TAG = "memory"  # of a version: the digest of its memory.npz
QUERY = """SELECT tags.value FROM registered_model_aliases AS aliases
    LEFT JOIN model_version_tags AS tags ON tags.name = aliases.name AND tags.version = aliases.version AND tags.key = ?
    WHERE aliases.name = ? AND aliases.alias = ?"""


def digest(memory: Path) -> str:
    return hashlib.sha256(files.read_bytes(memory)).hexdigest()


def is_another(settings: Settings, memory: Path) -> bool:
    """Whether the default database has a champion that is another than this memory, or looks for its files elsewhere.

    False where there is no such database or champion, and where it cannot be read: whoever publishes there is told.
    """
    database = tracker.default_database()
    wanted = settings.tracking.enabled and tracker.is_default(settings.tracking) and not settings.problem.endless
    if not (wanted and files.repository() == Path.cwd() and database.exists() and memory.exists()):
        return False
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection,
    ):
        found = connection.execute(QUERY, (TAG, NAME, ALIAS)).fetchone()
        return found is not None and (found[0] != digest(memory) or bool(moved.elsewhere(connection, database)))
    return False
