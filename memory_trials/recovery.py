"""What a DVC that was killed, or met a full disk, may leave: a dvc.lock that ends in the middle of a line, or an empty
list of who is at work, which it then refuses to read. What a dvc.lock says of whole stages is kept; DVC runs the others
again, or takes them from its cache.

python -m memory_trials.recovery      (before `dvc repro`: make repro, make study, make studies)
"""

import json
import re
import time
from pathlib import Path

import yaml

from memory_trials import artifacts
from memory_trials.errors import exit_on_user_error

LOCKS = (Path("dvc.lock"), Path("studies/dvc.lock"))
AT_WORK = Path(".dvc/tmp/rwlock")  # what DVC is reading and writing, as JSON


def whole_stages(text: str) -> str:
    """A lock file as far as its stages are whole; where no line is wrong, the same text."""
    if _readable(text):
        return text
    beginnings = [match.start() for match in re.finditer(r"^  \S", text, re.MULTILINE)]
    return next((text[:end] for end in reversed(beginnings) if _readable(text[:end])), "")


def _readable(text: str) -> bool:
    """As DVC sees it: of this form, and with everything in it that it needs."""
    from dvc.exceptions import DvcException
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        content = yaml.safe_load(text)
        COMPILED_LOCKFILE_SCHEMA(content)
    except (yaml.YAMLError, Invalid, DvcException, ValueError, TypeError):
        return False
    return bool(content) and text.endswith("\n")


def main() -> None:
    for path in LOCKS:
        if not path.exists():
            continue
        before = path.read_bytes().decode("utf-8", "replace")
        after = whole_stages(before)
        if after != before or not after:
            print(f"note: {path} was cut short; what it says of whole stages is kept")
            artifacts.write_text(path, after) if after else path.unlink()
    if _damaged(AT_WORK) and (time.sleep(0.5) or _damaged(AT_WORK)):  # not one that is just being written
        print(f"note: {AT_WORK} was cut short; removed")
        AT_WORK.unlink(missing_ok=True)


def _damaged(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False


if __name__ == "__main__":
    exit_on_user_error(main)
