"""MLflow keeps where artifacts are by absolute paths. In the default database they follow its folder, which may have
been moved or copied: a copy neither reads nor writes the files of its original.

Nothing here imports mlflow.
"""

import contextlib
import sqlite3
from pathlib import Path

ARTIFACTS = "mlartifacts"  # the folder of artifacts, beside the database
LOCATIONS = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
    ("model_versions", "source"), ("model_versions", "storage_location"),
)  # fmt: skip
WAIT = 20  # seconds for which somebody else may write, as MLflow has it


def location(database: Path) -> str:
    """Return where the artifacts of a database belong, as MLflow writes it."""
    return (database.parent / ARTIFACTS).as_uri()


def elsewhere(connection: sqlite3.Connection, database: Path) -> list[str]:
    """Return the folders of artifacts that the database names, and that do not belong to it."""
    found = connection.execute("SELECT DISTINCT artifact_location FROM experiments")
    here = location(database)
    file = lambda root: root.startswith("file:") and root.endswith(f"/{ARTIFACTS}")
    return [root for (root,) in found if root and file(root) and root != here]


def follow(database: Path) -> None:
    """Replace such folders by the database's own in all its rows, in one transaction."""
    with contextlib.closing(sqlite3.connect(database, timeout=WAIT)) as connection, connection:
        for root in elsewhere(connection, database):
            for table, column in LOCATIONS:
                connection.execute(
                    f"UPDATE {table} SET {column} = :here || substr({column}, :length + 1)"
                    f" WHERE {column} = :root OR substr({column}, 1, :length + 1) = :root || '/'",
                    {"here": location(database), "root": root, "length": len(root)},
                )
