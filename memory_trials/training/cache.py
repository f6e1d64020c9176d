"""Trained trials and unfinished checkpoints, kept on disk: what was trained once is not trained again.

A folder of files outside DVC's outputs, each written whole or not at all, checksummed, and named by a key: the hash of
all that a trial's result depends on, but for its seed. So nothing in it can be out of date, a killed run goes on where
its last checkpoint ended, and of an arm with more trials than before only the new ones are trained. A damaged file
counts as missing, and if the folder cannot be written to, a note says so: nothing here makes training fail.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import filelock
import numpy as np

from memory_trials import files, meaning
from memory_trials.cells import registry
from memory_trials.errors import UserError
from memory_trials.stream_settings import TAKES
from memory_trials.tasks import streams

NO_RESULT_DEPENDS_ON_THIS = "it keeps what was trained, under a key of all that it depends on"

FOLDER = ".shards"
SECONDS = 20.0  # what is not on disk yet is written at most so often, so a kill costs little more than this
TRIALS_PER_FILE = 1000  # trials that share a file, about
TRIALS, CHECKPOINT = "trials", "checkpoint"
LOCK = ".lock"
BLOCK = 4096  # bytes: a file takes whole blocks of a disk
# Where the code begins that can change a trial's bits, by engine, and what is left out: a table is in the key itself.
ROOTS = {
    "native": (
        "memory_trials.engines.native", "memory_trials.models.initializers", "memory_trials.training.table_shards",
    ),
    "xla": (
        "memory_trials.engines.xla", "memory_trials.models.keras_model", "memory_trials.models.initializers",
        "memory_trials.training.table_shards",
    ),
    "streaming": (
        "memory_trials.engines.streaming", "memory_trials.tasks.streams", "memory_trials.training.stream_shards",
    ),
    "jax": (
        "memory_trials.engines.own", "memory_trials.engines.jax_engine", "memory_trials.engines.jax_streams",
        "memory_trials.models.keras_cells", "memory_trials.training.table_shards", "memory_trials.tasks.streams",
        "memory_trials.training.stream_shards",
    ),
}  # fmt: skip
IN_THE_KEY = ("memory_trials.tasks.encoding",)
VERSIONS = {"native": ("numpy",), "streaming": ("numpy",), "xla": ("numpy", "keras", "tensorflow")}
VERSIONS["jax"] = ("numpy", "keras", "jax", "jaxlib")

LEFT_OUT = {
    "memory_trials",
    "keras",
    "tensorflow",
    "numpy",
    "jax",
    "jaxlib",
}  # which count anyway, by ROOTS and VERSIONS

TrialBatch = dict[str, np.ndarray]  # some trials: `seeds` [n] and further arrays, each [n, ...]


def _read_code() -> dict[str, bytes]:
    """Of each engine, of each cell, and of each endless task."""
    roots = ROOTS | {name: (registry.module_of(name),) for name in registry.all_cells()}
    roots |= {f"task {name}": (streams.module_of(name),) for name in TAKES}
    return {name: json.dumps(meaning.digests(of, IN_THE_KEY)).encode() for name, of in roots.items()}


_CODE = _read_code()  # at once: what is edited while this process runs is not what it runs


def key(what: dict, arrays: Mapping[str, np.ndarray | int], engine: str, cell: str, task: str = "") -> str:
    """Return a name for a result by what it depends on: settings, arrays, code, libraries, and a cell of the user's.

    Of a cell of the user's, all modules of its package count, and all that they import.
    """
    digest = hashlib.sha256(json.dumps([what, versions(engine)], sort_keys=True, default=repr).encode())
    digest.update(code(engine, cell, task))
    for name, value in sorted(arrays.items()):
        array = np.asarray(value)
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()[:32]


def versions(engine: str) -> dict[str, str]:
    """Return the versions of the libraries that training by this engine uses."""
    return {name: installed_version(name) for name in VERSIONS[engine]}


def code(engine: str, cell: str, task: str = "") -> bytes:
    """Return what identifies the code of training by this engine, of a cell of the user's, and of an endless task.

    The code of a task of the user's is in the identity of the task instead.
    """
    of_cell = _CODE[cell] if registry.find(cell) else _package(cell.partition(".")[0])
    return _CODE[engine] + of_cell + _CODE.get(f"task {task}", b"")


@functools.cache  # once, for the same reason
def _package(name: str) -> bytes:
    """The code of a cell's package, of what it imports in turn, and the versions of libraries among that."""
    files_of, libraries = _imported(name)
    digests = [hashlib.sha256(path.name.encode() + path.read_bytes()).digest() for path in files_of]
    return b"".join(digests) + json.dumps(libraries).encode() * bool(libraries)


def imported_by(cell: str) -> list[Path]:
    """Return the files of a cell of the user's and those that it imports, except installed libraries."""
    return _imported(cell.partition(".")[0])[0]


def libraries_of(cell: str) -> list[str]:
    """Return the installed libraries that a cell of the user's imports, besides this project's own: name, version."""
    return [] if registry.find(cell) else _imported(cell.partition(".")[0])[1]


@functools.cache
def _imported(name: str) -> tuple[list[Path], list[str]]:
    """The files of a package and of all that they import, transitively; installed libraries by their versions.

    Imports are read, not run: those of a name that is put together while the code runs are not found.
    """
    found: dict[Path, None] = {}
    libraries: set[str] = set()
    seen, waiting = {*sys.stdlib_module_names, *LEFT_OUT}, [name]
    while waiting:
        if (package := waiting.pop()) in seen:
            continue
        seen.add(package)
        paths = _files(package)
        if any({"site-packages", "dist-packages"} & {*path.parts} for path in paths):
            known = _distributions().get(package, [])
            libraries.update(f"{library} {installed_version(library)}" for library in known)
        else:
            found.update(dict.fromkeys(paths))
            waiting += sorted({name.partition(".")[0] for path in paths for name in meaning.imports_of(path)})
    return list(found), sorted(libraries)


installed_version = functools.cache(importlib.metadata.version)  # which reads a file
_distributions = functools.cache(importlib.metadata.packages_distributions)


def _files(name: str) -> list[Path]:
    """Of a module or package, by its first name; of one that is installed none."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    # without a place of its own it is a module of Python's own, or a folder without any
    paths = [Path(spec.origin)] if spec.has_location and spec.origin else []
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))] or paths


def take_trials(batch: TrialBatch, which: np.ndarray | slice) -> TrialBatch:
    """Return some trials of a batch, by their indices, a mask or a slice."""
    return {name: array[which] for name, array in batch.items()}


def joined(batches: list[TrialBatch]) -> TrialBatch:
    """Return the trials of all batches, in the order of their seeds."""
    order = np.argsort(np.concatenate([batch["seeds"] for batch in batches]))
    return {
        name: np.ascontiguousarray(np.concatenate([batch[name] for batch in batches])[order]) for name in batches[0]
    }


def without(seeds: np.ndarray, batches: list[TrialBatch]) -> np.ndarray:
    """Return the seeds that are in none of the batches."""
    return np.setdiff1d(seeds, np.concatenate([batch["seeds"] for batch in batches])) if batches else seeds


class TrialCache:
    """A folder of shards, at most `megabytes` large (0: nothing is kept), which drops the least recently used ones.

    Several threads and processes may use it at the same time. They write one after another, since each must know how
    much space is left; reading needs no lock, because a file is there whole or not at all.
    """

    def __init__(self, folder: Path, megabytes: int):
        self.folder, self.limit = folder, megabytes * 1_000_000
        self.writes = self.limit > 0

    def read(self, kind: str, key: str) -> Iterator[tuple[Path, TrialBatch]]:
        """Yield the files of this kind and key; remove files whose content does not match their name."""
        try:
            names = sorted(os.listdir(self.folder)) if self.limit else []
        except OSError:
            return
        for name in names:
            if name.startswith(f"{key}.") and name.endswith(f".{kind}.npz"):
                path = self.folder / name
                try:
                    settings, batch = files.read_arrays(path, _format(kind), ["seeds"])
                    if settings != {"key": key} or {len(array) for array in batch.values()} != {len(batch["seeds"])}:
                        raise UserError("it is of another kind")
                except (UserError, OSError, TypeError):
                    if path.exists():  # else another process has just removed it
                        print(f"note: {self.folder.name}/{name} is damaged; what it held is trained anew", flush=True)
                        _remove(path)
                else:
                    yield path, batch

    def write(self, kind: str, key: str, batch: TrialBatch) -> None:
        """Keep a batch. If it cannot be written, print a note, and keep no further ones."""
        if not self.writes:
            return
        size = sum(array.nbytes + 1024 for array in batch.values()) + BLOCK  # with the zip's own words, at most
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.folder / LOCK, timeout=10):  # each writer must know how much space is left
                if not self._make_space(_on_disk(size)):
                    raise UserError(f"{size // 10**6 + 1} MB do not fit into compute.cache_megabytes")
                files.write_arrays(self.path(kind, key, batch["seeds"]), _format(kind), batch, {"key": key})
        except (UserError, OSError) as error:  # a lock that cannot be had is an OSError, too
            self.writes = False
            print(f"note: what is trained from here on is not kept in {self.folder.name}/: {error}", flush=True)

    def path(self, kind: str, key: str, seeds: np.ndarray) -> Path:
        return self.folder / f"{key}.{hashlib.sha256(seeds.astype('<i8').tobytes()).hexdigest()[:16]}.{kind}.npz"

    def _make_space(self, size: int) -> bool:
        """Remove old files for one of this size; return False if it is larger than the cache."""
        if size > self.limit:
            return False
        entries = []
        for entry in os.scandir(self.folder):
            if entry.name.startswith("."):
                if entry.name != LOCK:
                    _remove(entry)  # a killed process was writing it: nobody does now
                continue
            with contextlib.suppress(FileNotFoundError):  # others remove what they are done with
                found = os.stat(entry)
                entries.append((found.st_mtime_ns, _on_disk(found.st_size), entry.path))
        free = self.limit - size - sum(size for _, size, _ in entries)
        for _, freed, path in sorted(entries):
            if free >= 0:
                break
            _remove(path)
            free += freed
        return free >= 0


class Entry:
    """What a store keeps under one key. What is finished is gathered, so that short shards cost one file together."""

    def __init__(self, store: TrialCache, key: str):
        self.store, self.key = store, key
        self._finished: list[TrialBatch] = []
        self._lock, self._written = threading.Lock(), time.monotonic()

    def finished(self, seeds: np.ndarray) -> list[TrialBatch]:
        """Return what is kept of these trials; no trial is in two batches."""
        return _of(self.store.read(TRIALS, self.key), seeds)

    def begun(self, seeds: np.ndarray) -> list[TrialBatch]:
        """Return the checkpoints of these trials, the latest one of each."""
        return _of(sorted(self.store.read(CHECKPOINT, self.key), key=lambda file: -file[1]["done"].mean()), seeds)

    def keep_checkpoint(self, batch: TrialBatch) -> None:
        self.store.write(CHECKPOINT, self.key, batch)
        self.flush(if_due=True)

    def keep(self, batch: TrialBatch) -> None:
        with self._lock:
            self._finished.append(batch)
        self.flush(if_due=True)

    def flush(self, if_due: bool = False) -> None:
        """Write what is finished, and remove its checkpoints. Due: where it has waited, or become much."""
        with self._lock:
            trials = sum(len(batch["seeds"]) for batch in self._finished)
            if not trials or (if_due and trials < TRIALS_PER_FILE and time.monotonic() - self._written < SECONDS):
                return
            batches, self._finished, self._written = self._finished, [], time.monotonic()
        self.store.write(TRIALS, self.key, joined(batches))
        self._forget(self.store.path(CHECKPOINT, self.key, batch["seeds"]) for batch in batches)

    def forget_checkpoints(self, seeds: np.ndarray) -> None:
        """Remove the checkpoints of which all trials are among these, which are finished."""
        checkpoints = self.store.read(CHECKPOINT, self.key)
        self._forget(path for path, batch in checkpoints if np.isin(batch["seeds"], seeds).all())

    def _forget(self, paths: Iterable[Path]) -> None:
        if self.store.writes:  # else they are all that there is
            for path in paths:
                _remove(path)


def _of(stored: Iterable[tuple[Path, TrialBatch]], seeds: np.ndarray) -> list[TrialBatch]:
    """Of each file the trials that are wanted and in no earlier one."""
    found: list[TrialBatch] = []
    for path, batch in stored:
        wanted = np.isin(batch["seeds"], seeds)
        if wanted.any():
            with contextlib.suppress(OSError):
                os.utime(path)  # it was used now
            found.append(take_trials(batch, wanted))
            seeds = without(seeds, found)
        if not len(seeds):
            break
    return found


def _format(kind: str) -> str:
    return f"memory-trials {kind} 2"


def _on_disk(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _remove(path) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
