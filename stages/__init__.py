"""One thin file per DVC stage: read inputs, call the library, write outputs. Run by `dvc repro`."""

from pathlib import Path

FOLDER = Path("data/tutorial")
