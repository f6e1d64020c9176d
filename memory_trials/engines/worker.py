"""The process in which JAX trains: started when it is first needed, and kept, so that programs stay compiled.

Keras has one backend in a process, XLA reads its flags once, and a notebook may have changed what JAX does. So whatever
this process has imported, cells of the user's are traced and trained in one of their own, with Keras on JAX. Requests
are (function, arguments), answered side by side, since threads train shards side by side. A cell that no file holds,
such as a notebook's, is sent by cloudpickle.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from memory_trials.engines import compiler
from memory_trials.errors import UserError

# One thread computes one shard: operations are neither split over cores nor handed from thread to thread.
XLA_FLAGS = "--xla_cpu_multi_thread_eigen=false"
# In the environment: JAX may use a GPU. Without it, it leaves one alone, since that rounds differently.
GPU = "MEMORY_TRIALS_GPU"


class _Process:
    """A worker, its requests that are not answered yet, and a thread that reads answers."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(dict.fromkeys([root, *_path()]))
        environment = os.environ | {"MEMORY_TRIALS_BACKEND": "jax", "KERAS_BACKEND": "jax", "PYTHONPATH": path}
        environment |= {"XLA_FLAGS": f"{XLA_FLAGS} {os.environ.get('MEMORY_TRIALS_XLA_FLAGS', '')}"}
        environment["JAX_PLATFORMS"] = "" if environment.get(GPU) else "cpu"  # "": whatever there is
        for name in [name for name in environment if name.startswith("JAX_ENABLE") or name == "JAX_DEBUG_NANS"]:
            del environment[name]  # results do not depend on what the caller's JAX is told
        command = [sys.executable, "-c", "from memory_trials.engines import worker; worker.serve()"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._writing, self._numbers = threading.Lock(), itertools.count()
        self._waiting: dict[int, Future] = {}
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def call(self, function: str, arguments: tuple) -> Any:
        future: Future = Future()
        with self._writing:
            number = next(self._numbers)
            self._waiting[number] = future
            with contextlib.suppress(BrokenPipeError):  # then the reader finds its end, and says so
                _send(self._process.stdin, (number, function, arguments, _path()))  # type: ignore[arg-type]
        failure, result = future.result()
        if failure == "user":
            raise UserError(result)
        if failure:
            raise RuntimeError(f"in the process that trains with JAX:\n{result}")
        return result

    def _read(self) -> None:
        with contextlib.suppress(EOFError, pickle.UnpicklingError):
            while True:
                number, failure, result = _receive(self._process.stdout)  # type: ignore[arg-type]
                self._waiting.pop(number).set_result((failure, result))
        ended = f"the process that trains with JAX ended with exit code {self._process.wait()}"
        for future in list(self._waiting.values()):
            future.set_result(("user", f"{ended}: it may have run out of memory; try fewer trials in compute.shard"))

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def _path() -> list[str]:
    """Where Python looks for modules, whatever folder is the current one."""
    return [os.path.abspath(folder) for folder in sys.path]


_current: _Process | None = None
_starting = threading.Lock()


def call(function: str, *arguments: Any) -> Any:
    """Return what a function returns in the worker.

    Args:
        function: its module and name, such as memory_trials.engines.own:predict.
        arguments: which pickle or cloudpickle can send.

    Raises:
        UserError: it raised one there, or the worker ended.
    """
    return started().call(function, arguments)


def started() -> _Process:
    """Return the worker, which is started if there is none."""
    global _current
    with _starting:
        if _current is None or not _current.alive:
            _current = _Process()
            atexit.register(_current.end)
        return _current


def use_gpu(wanted: bool) -> bool:
    """Compute on a GPU from now on, or on CPUs alone, as at first; a worker that does otherwise is ended.

    Returns:
        Whether there is one, and it is used.
    """
    if wanted != bool(os.environ.get(GPU)):
        end()
        os.environ[GPU] = "1" if wanted else ""
    if wanted and call(f"{__name__}:_platform") == "cpu":
        use_gpu(False)
    return bool(os.environ.get(GPU))


def running() -> bool:
    """Return whether there is a worker."""
    return _current is not None and _current.alive


def end() -> None:
    """End the worker, if there is one; the next call starts another."""
    if _current is not None:
        _current.end()


def _send(stream: IO[bytes], message: Any) -> None:
    try:
        content = pickle.dumps(message, protocol=5)
    except (pickle.PicklingError, AttributeError, TypeError):
        import cloudpickle

        content = cloudpickle.dumps(message)
    stream.write(len(content).to_bytes(8, "little") + content)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    size = stream.read(8)
    if len(size) < 8:
        raise EOFError
    return pickle.loads(stream.read(int.from_bytes(size, "little")))


def serve() -> None:
    """Answer requests until the parent ends. What cells print goes to the standard error stream."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _keep_compiled()
    warnings.filterwarnings("ignore", message="Explicitly requested dtype")  # which is refused in a sentence
    writing = threading.Lock()

    def answer(number: int, name: str, arguments: tuple, path: list[str]) -> None:
        if added := [folder for folder in path if folder not in sys.path]:  # since this process was started
            sys.path.extend(added)
            importlib.invalidate_caches()
        failure, result = _answered(name, arguments)
        with writing:
            _send(answers, (number, failure, result))

    pool = ThreadPoolExecutor(64)
    with contextlib.suppress(EOFError):
        while True:
            pool.submit(answer, *_receive(requests))
    os._exit(0)  # whatever is still computed, nobody waits for


def _answered(name: str, arguments: tuple) -> tuple[str, Any]:
    try:
        module, _, function = name.partition(":")
        found: Callable = getattr(importlib.import_module(module), function)
        return "", found(*arguments)
    except UserError as error:
        return "user", str(error)
    except BaseException:
        return "other", traceback.format_exc()


def _platform() -> str:
    import jax

    return jax.default_backend()


def _keep_compiled() -> None:
    """Keep compiled programs in a folder of the user's, for this kind of processor."""
    import jax

    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    processor = hashlib.sha256(compiler.processor().encode()).hexdigest()[:8]
    jax.config.update("jax_compilation_cache_dir", str(base / "memory-trials" / f"jax-{processor}"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_compilation_cache_max_size", 200_000_000)
