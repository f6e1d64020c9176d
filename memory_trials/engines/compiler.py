"""C, compiled once for this processor, kept beside its source, and loaded by ctypes."""

from __future__ import annotations

import ctypes
import errno
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from memory_trials.errors import UserError

# No bit may depend on the compiler: fused multiply-adds are in the source, and no flag allows another result than
# IEEE 754's. The two of -fno-... say only that nobody reads errno, or flags of the processor, afterwards.
FLAGS = "-O3 -std=c11 -shared -fPIC -ffp-contract=off -fno-math-errno -fno-trapping-math".split()
# for this very processor, where the compiler can
TUNINGS = (["-march=native"], ["-mcpu=native"], [])

CHECKSUM = 32  # bytes


@dataclass(frozen=True)
class Library:
    """What becomes of a source and the headers that it includes from its folder."""

    source: Path
    headers: tuple[str, ...] = ()

    @functools.cache  # noqa: B019 - what is edited while this process runs is not what it runs
    def identity(self) -> str:
        """Return what the library's bits depend on besides its inputs: the source and the way of compiling it."""
        sources = [self.source, *(self.source.with_name(header) for header in self.headers)]
        content = b"".join(path.read_bytes() for path in sources) + repr(FLAGS).encode()
        return f"{self.source.stem}-{hashlib.sha256(content).hexdigest()[:16]}"

    @functools.cache  # noqa: B019 - there are as many libraries as modules that have one
    def build(self) -> str:
        """Return the name of the compiled library, which runs on processors like this one."""
        content = "|".join((self.identity(), repr(TUNINGS), processor()))
        return f"{self.source.stem}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    @property
    def folder(self) -> Path:
        return self.source.parent / "__pycache__"

    def path_in(self, folder: Path) -> Path:
        return folder / f"{self.build()}.so"

    def available(self) -> bool:
        """Return whether it can be used: it is compiled already, or there is a compiler."""
        return compiler() is not None or _whole(self.path_in(self.folder))

    def content(self) -> bytes | None:
        """Return the compiled library, for `install` on a machine with the same `build`; None if it could not be
        kept."""
        self.load()
        path = self.path_in(self.folder)
        return path.read_bytes() if _whole(path) else None

    def install(self, compiled: bytes) -> None:
        """Take a library that a machine with the same `build` has compiled: no compiler is needed."""
        path = self.path_in(self.folder)
        if not _whole(path):
            path.parent.mkdir(exist_ok=True)
            handle, temporary = tempfile.mkstemp(suffix=".so", dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(compiled)
            os.replace(temporary, path)  # another process may be doing the same

    def load(self) -> ctypes.CDLL:
        """Load the library, which is compiled if necessary.

        Raises:
            UserError: It cannot be compiled.
        """
        try:
            return self.load_from(self.folder)
        except (OSError, UserError):  # that folder is full, may not be written to, or nothing in it may be run
            try:
                with tempfile.TemporaryDirectory() as folder:  # once it is loaded, a library's file may go
                    return self.load_from(Path(folder))
            except OSError as error:
                raise UserError(f"{self.source.name}, compiled, cannot be kept or loaded: {error}") from None

    def load_from(self, folder: Path) -> ctypes.CDLL:
        path = self.path_in(folder)
        if not _whole(path):
            folder.mkdir(exist_ok=True)
            self.compile(path)
        return ctypes.CDLL(str(path))

    def compile(self, path: Path) -> None:
        """Compile into another file, which is then renamed, since another process may be doing the same."""
        command_of_compiler = compiler()
        if command_of_compiler is None:
            raise UserError("no C compiler was found (set CC, or install gcc or clang)")
        handle, temporary = tempfile.mkstemp(suffix=".so", dir=path.parent)
        os.close(handle)
        try:
            for tuning in TUNINGS:
                command = [*command_of_compiler, *FLAGS, *tuning, str(self.source), "-o", temporary, "-lm"]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode == 0:
                    with open(temporary, "r+b") as file:
                        checksum = hashlib.sha256(file.read()).digest()
                        file.write(checksum)
                        file.flush()
                        os.fsync(file.fileno())
                    os.chmod(temporary, 0o755)  # mkstemp's are for their owner alone
                    os.replace(temporary, path)
                    return
                if os.strerror(errno.ENOSPC) in done.stderr:
                    break  # another tuning would need as much space
            said = next((line for line in done.stderr.splitlines() if "error" in line), f"exit code {done.returncode}")
            raise UserError(f"{command_of_compiler[0]} cannot compile {self.source.name}: {said.strip()}")
        finally:
            Path(temporary).unlink(missing_ok=True)


def _whole(path: Path) -> bool:
    """Whether the library is there and undamaged: a changed one could say anything, or end the process. Its file ends
    with its checksum, which no loader reads."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-CHECKSUM]).digest() == content[-CHECKSUM:]


def compiler() -> list[str] | None:
    """Return the compiler's command; $CC may contain arguments."""
    for command in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        words = shlex.split(command)
        if words and shutil.which(words[0]):
            return words
    return None


def compiler_version() -> str:
    """Return the first line of the compiler's version."""
    if (command := compiler()) is None:
        return "no C compiler"
    said = subprocess.run([*command, "--version"], capture_output=True, text=True).stdout
    return (said.splitlines() or ["an unknown compiler"])[0]


@functools.cache
def processor() -> str:
    """Return what this processor can do.

    A compiled library makes use of it, and so may not run on another processor. XLA's programs round differently there.
    """
    try:
        return next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):  # not Linux, or not x86
        return f"{platform.machine()} {platform.processor()}"
