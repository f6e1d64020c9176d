"""The files that stages pass to each other: written whole or not at all, checked when read.

Arrays travel as .npz without pickle (NumPy's own format: a zip whose members carry checksums), with two
entries besides the arrays: `format`, which says what the file is and in which version, and `settings`,
the JSON text of the settings it was made with. The same content gives the same bytes.
"""

import contextlib
import fcntl
import glob
import hashlib
import io
import json
import os
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memory_trials.errors import UserError

NO_RESULT_DEPENDS_ON_THIS = "it writes and reads what it is given, in formats that carry checksums"

LARGEST, MARGIN = 2**32, 2**20  # bytes of a file of arrays; of its headers


def repository() -> Path:
    """Return the folder for what outlasts a run.

    It is the current one; in a temporary copy of DVC's (`dvc exp run --temp`, the queue), the repository it was made
    from.
    """
    here = Path.cwd()
    folders = here.parts
    for index in range(len(folders) - 2):
        if folders[index : index + 3] == (".dvc", "tmp", "exps"):
            project = Path(*folders[:index])  # which is the repository, or the folder of a DVC project in it
            return next((folder for folder in (project, *project.parents) if (folder / ".git").exists()), project)
    return here


def where_a_package_is(package: str) -> str:
    """Return the folders in which a package was looked for, and what to do if it is in the current one."""
    if words := not_in_this_copy(package):
        return words
    here, first = Path.cwd(), Path(sys.path[0] or ".").resolve()
    if any((here / name).exists() for name in (package, f"{package}.py")):
        return f": it is in {here}, which is not on Python's path: set PYTHONPATH={here}"
    return (
        f" from this folder, {here}"
        + (f", nor from {first}" if first != here else "")
        + (": run Python in the folder that holds it, or put that folder on Python's path (PYTHONPATH, sys.path)")
    )


def not_in_this_copy(module: str) -> str:
    """Return the message about a module that DVC's copy of the repository lacks, because git does not track it."""
    original, here = repository(), Path.cwd()
    path = module.replace(".", "/")
    known = next((name for name in (f"{path}.py", path) if (original / name).exists()), None)
    if original == here or known is None or (here / known).exists():
        return ""
    return f": git does not know {known}, so DVC's copy of the repository is without it: git add {known}"


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all: into a temporary file beside it, then renamed over it."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                with contextlib.suppress(OSError):  # some file systems have no locks
                    fcntl.flock(file, fcntl.LOCK_EX)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o644)
                os.replace(file.name, path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        _keep_names(path.parent)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


def _sweep(path: Path) -> None:
    """Remove temporary files of writers that were killed: a writer that is still running holds a lock on its own."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        with contextlib.suppress(OSError), open(left, "rb") as file:
            if time.time() - os.fstat(file.fileno()).st_mtime > 1:  # else it may not have its lock yet
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()


def _keep_names(folder: Path) -> None:
    """That a file was renamed is kept by its folder, which a power cut may take back until it is on the disk too."""
    with contextlib.suppress(OSError):  # some file systems have no such thing
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run dvc repro (or dvc pull) to make it") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def write_text(path: str | Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def read_text(path: str | Path) -> str:
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is damaged: run dvc repro to make it anew") from None


def json_text(content: Any) -> str:
    """Return content as `write_json` writes it."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: str | Path, content: Any) -> None:
    write_text(path, json_text(content))


def read_json(path: str | Path) -> Any:
    try:
        return json.loads(read_text(path))
    except ValueError:
        raise UserError(f"{path} is damaged: run dvc repro to make it anew") from None


def write_arrays(path: str | Path, format: str, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> None:
    """Write arrays and settings, which `read_arrays` and `np.load` read; the same ones give the same bytes.

    Args:
        path: of the file.
        format: of which kind it is.
        arrays: by name.
        settings: whatever JSON can hold.

    Raises:
        UserError: it would have more than `LARGEST` bytes.
    """
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
    named = {"format": np.array(format), "settings": np.array(text)}
    named |= {name: np.asanyarray(array) for name, array in arrays.items()}
    if sum(array.nbytes for array in named.values()) > LARGEST - MARGIN:
        raise UserError(f"{path} would have more than {LARGEST >> 30} GB: train fewer trials")
    write_bytes(path, _zipped({f"{name}.npy": _npy(array) for name, array in named.items()}))


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _zipped(entries: Mapping[str, bytes]) -> bytes:
    """Return entries in an uncompressed zip, byte for byte as `np.savez` writes it since Python 3.11.4.

    Older ones' zipfile writes other headers, and on Windows all do. So that a file's checksum tells of its content
    alone, they are written here (PKWARE's APPNOTE.TXT, 4.3.7, 4.3.12, 4.3.16, 4.5.3).
    """
    version, day, unix, mode, size_is_in_extra = 45, 0x21, 3 << 8, 0o600 << 16, 0xFFFFFFFF  # day: 1 January 1980
    parts, contents, offset = [], [], 0
    for entry, content in entries.items():
        name, size, crc = entry.encode("utf-8"), len(content), zlib.crc32(content)
        utf_8 = 0 if entry.isascii() else 0x800
        sizes = (size_is_in_extra, size_is_in_extra)
        head = struct.pack("<4s5H3L2H", b"PK\3\4", version, utf_8, 0, 0, day, crc, *sizes, len(name), 20) + name
        head += struct.pack("<2H2Q", 1, 16, size, size)
        fields = (version | unix, version, utf_8, 0, 0, day, crc, size, size, len(name), 0, 0, 0, 0, mode, offset)
        contents.append(struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields) + name)
        parts += [head, content]
        offset += len(head) + size
    table = b"".join(contents)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(contents), len(contents), len(table), offset, 0)
    return b"".join([*parts, table, end])


def _entries(content: bytes) -> int:
    """How many entries a zip says it has. Each entry of its table of contents tells where the next one begins, so one
    wrong length there hides all that follow, which no checksum notices."""
    end = content[-22:]
    return int.from_bytes(end[10:12], "little") if end.startswith(b"PK\5\6") else -1


def read_arrays(
    path: str | Path, format: str, names: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read the settings and the arrays of a file that `write_arrays` wrote with the same `format`.

    Args:
        names: Arrays that must be there.

    Raises:
        UserError: The file is missing, damaged or of another kind.
    """
    content = read_bytes(path)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            if len(file.files) != _entries(content):
                raise ValueError("an entry is lost")
            arrays = {name: file[name] for name in file.files}
        found = str(arrays.pop("format"))
        settings = json.loads(str(arrays.pop("settings")))
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("a zip of something else")
    except Exception:  # there is no end to what zipfile and NumPy raise where bytes are wrong
        raise UserError(f"{path} is damaged (cut short or changed): run dvc repro to make it anew") from None
    if found != format:
        raise UserError(f"{path} is of the format {found!r}, this code reads {format!r}: run dvc repro to make it anew")
    missing = [name for name in names if name not in arrays]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}: run dvc repro to make it anew")
    return settings, arrays


def section(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names have this prefix, by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def recorded(lock: str | Path = "dvc.lock") -> dict[str, dict[str, Any]]:
    """Return what DVC has recorded of each stage; nothing if it has not run.

    Raises:
        UserError: The lock file is damaged.
    """
    import yaml

    if not Path(lock).exists():
        return {}
    try:
        stages = yaml.safe_load(read_text(lock))["stages"]
        for stage in stages.values():
            if not all(isinstance(out["path"], str) for out in stage.get("outs", [])):
                raise TypeError
    except (yaml.YAMLError, UserError, AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{lock} is damaged: take it from git again, or remove it, and run dvc repro") from None
    return stages


def check_recorded(lock: str | Path = "dvc.lock") -> None:
    """Check that the files here are those that DVC has recorded.

    Text has no checksum of its own, so a digit that changed on a disk would be read like any other.

    Raises:
        UserError: A file differs; the first one is named.
    """
    for stage in recorded(lock).values():
        for out in stage.get("outs", []):
            path = Path(out["path"])
            if path.is_file() and hashlib.md5(read_bytes(path), usedforsecurity=False).hexdigest() != out.get("md5"):
                raise UserError(f"{path} is not as {lock} records it (changed, or damaged): run dvc repro")
