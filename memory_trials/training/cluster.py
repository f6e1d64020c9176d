"""Shards of trials on a Ray cluster, with the same results as in threads: each shard is a task.

A task sends back how far it is, every checkpoint of its shard, and at last the trained shard. This process keeps the
checkpoints, so where a worker or a whole node is lost, its shard goes on elsewhere from its last checkpoint. Only this
machine reads and writes files. Importing this module imports Ray, which need not be installed: only `compute.backend:
ray` does so.
"""

import hashlib
import logging
import os
import secrets
import shlex
import shutil
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing calls home
if not os.environ.get("RAY_ADDRESS"):
    # Ray reads these when it is imported. It then listens on 127.0.0.1 only, and accepts only those who have the token;
    # otherwise it would write a token of its own into the user's home.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

import ray
from ray.exceptions import AuthenticationError, RayError, RayTaskError

from memory_trials import machine
from memory_trials.cells import registry
from memory_trials.engines import compiler, worker
from memory_trials.engines.compiler import Library
from memory_trials.errors import UserError
from memory_trials.settings import ComputeSettings
from memory_trials.training import cache, devices, shards
from memory_trials.training.cache import TrialBatch
from memory_trials.training.job import TrainingJob, library, make_program
from memory_trials.training.shards import Progress

NO_RESULT_DEPENDS_ON_THIS = "it divides work, and no trial depends on its shard or machine"
ROOT = Path(__file__).resolve().parents[2]
SENT = [name for name in ("memory_trials", "my_cells") if (ROOT / name).is_dir()]  # workers run the code that is here
LOSSES = 5  # of a shard one after another, without a checkpoint between them
PROGRAMS = 4  # that a worker has at hand; a compiled one takes memory
HEARD = 100  # messages a second from all workers together, but for checkpoints and ends

_connecting = threading.Lock()
_programs: dict[str, Any] = {}


class SentJob(NamedTuple):
    """What all tasks of an arm share. content: on its way to every node once. interval: seconds between reports."""

    name: str
    content: list[ray.ObjectRef]
    task: Any
    compute: ComputeSettings
    interval: float


def slots(compute: ComputeSettings) -> int:
    """Return how many shards the cluster can train at the same time now.

    Raises:
        UserError: It can train none.
    """
    _connect(compute)
    count = sum(_fitting(node["Resources"], compute) for node in ray.nodes() if node["Alive"])
    if not count:
        raise UserError(
            f"no node of the Ray cluster has what compute says a shard takes ({compute.cpus_per_shard} CPUs, "
            f"{compute.gpus_per_shard:g} GPUs); what is trained so far is kept, so run this again later"
        )
    return count


def send(job: TrainingJob, engine: str, size: int, compute: ComputeSettings) -> SentJob:
    """Give the cluster what `job.make_program` takes; an engine in C's library goes along for processors like ours."""
    workers = slots(compute)
    compiled = library(engine)
    sent = (compiled.build(), compiled.content()) if compiled else None
    content = ((job, engine, size), _surroundings(engine, job), sent)
    task = ray.remote(
        num_returns="streaming", max_retries=0, num_cpus=compute.cpus_per_shard, num_gpus=compute.gpus_per_shard
    )(_train)
    return SentJob(uuid.uuid4().hex, [ray.put(content)], task, compute, max(1.0, workers / HEARD))


def run_shard(job: SentJob, batch: TrialBatch, keep: Callable[[TrialBatch], None], report: Progress) -> TrialBatch:
    """Train a shard somewhere on the cluster, as `shards.run_shard` does here.

    A shard whose worker or node is lost continues from its last checkpoint. `report` is called every few seconds, so
    that it can end the training. An error in the task is raised unchanged.

    Raises:
        UserError: The shard was lost `LOSSES` times.
    """
    report(*shards.so_far(batch), True)
    losses = 0
    while True:
        epochs = newly_learned = 0  # since the checkpoint
        stream = job.task.remote(job.name, job.content, batch, cache.SECONDS, job.interval)
        try:
            while True:
                chunk = _next(stream, report, job.interval)
                report(chunk.epochs, chunk.newly_learned, False)
                epochs, newly_learned = epochs + chunk.epochs, newly_learned + chunk.newly_learned
                if chunk.batch is not None:
                    if chunk.over:
                        return chunk.batch
                    batch, losses, epochs, newly_learned = chunk.batch, 0, 0, 0
                    keep(batch)
        except RayError as error:
            cause = getattr(error, "cause", None) if isinstance(error, RayTaskError) else error
            if isinstance(cause, UserError):
                raise cause from None
            if not isinstance(cause, RayError):
                raise cause or error from error
            losses, said = losses + 1, str(cause).partition("\n")[0]
            if losses == LOSSES:
                raise UserError(
                    f"a shard was lost on the Ray cluster {LOSSES} times one after another: {said}; "
                    "what is trained so far is kept, so run this again when the cluster is well"
                ) from None
            report(-epochs, -newly_learned, False)
            slots(job.compute)
            went = f"{len(batch['seeds'])} trials go on elsewhere after epoch {batch['done'].min()}"
            print(f"note: lost on the Ray cluster ({said}); {went}", flush=True)
            time.sleep(0.1 * 2**losses)
        except BaseException:
            ray.cancel(stream, force=True)
            raise


def _connect(compute: ComputeSettings) -> None:
    """To the cluster that RAY_ADDRESS names, or to one that is started on this machine."""
    address = os.environ.get("RAY_ADDRESS")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    here = {"num_cpus": compute.threads or machine.cores(), "include_dashboard": False}
    environment: dict[str, dict[str, str] | str] = {
        # shards may share a GPU; without GPUs for shards, none must be found
        "env_vars": {worker.GPU: "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        if compute.gpus_per_shard
        else {worker.GPU: "", "CUDA_VISIBLE_DEVICES": ""},
    }
    if not address:  # Ray starts its workers by a shell, and quotes all but this
        environment["py_executable"] = shlex.quote(sys.executable)
    with _connecting:
        if ray.is_initialized():
            return
        try:
            if address:
                _look_for(address)
            with tempfile.TemporaryDirectory() as sent:
                for name in SENT:
                    shutil.copytree(ROOT / name, Path(sent, name), ignore=shutil.ignore_patterns("__pycache__"))
                environment["working_dir"] = sent  # not py_modules: workers find what lies in their own folder first
                ray.init(address or "local", runtime_env=environment, **quiet, **({} if address else here))
        except AuthenticationError:
            raise UserError(
                f"the Ray cluster at {address} asks for its token: copy the head's ~/.ray/auth_token to this machine"
            ) from None
        except (OSError, RuntimeError, ValueError, RayError) as error:  # ConnectionError is an OSError
            said = " ".join(str(error).split())[:300]
            where = f"cannot be reached, RAY_ADDRESS being {address}" if address else "cannot be started here"
            raise UserError(f"Ray {where}: {said}") from None


def _look_for(address: str) -> None:
    """Ray itself would search for minutes."""
    host, _, port = address.rpartition(":")
    if address.startswith("ray://") or not port.isdigit():
        raise ValueError("it must be host:port of the cluster's head, and this machine one of the cluster")
    socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _fitting(resources: dict[str, float], compute: ComputeSettings) -> int:
    """How many shards fit onto a node."""
    fit = resources.get("CPU", 0) / compute.cpus_per_shard
    if compute.gpus_per_shard:
        fit = min(fit, resources.get("GPU", 0) / compute.gpus_per_shard)
    return int(fit + 1e-9)


def _next(stream: "ray.ObjectRefGenerator", report: Progress, seconds: float) -> shards.ChunkProgress:
    """Return the next report of a task, copied into this process, since a node may be lost with what is on it."""
    while not ray.wait([stream], timeout=seconds)[0]:
        report(0, 0, False)
    chunk = ray.get(next(stream))
    return chunk._replace(batch=chunk.batch and _copied(chunk.batch))


def _copied(batch: TrialBatch) -> TrialBatch:
    """Copy arrays out of Ray's object store, where they are read-only and use memory."""
    return {name: np.array(array) for name, array in batch.items()}


def _surroundings(engine: str, job: TrainingJob) -> dict[str, str]:
    """Return what bits depend on besides the job: the code, its versions and, except for C, the processor."""
    named = lambda content: hashlib.sha256(content).hexdigest()[:16]
    processor = {} if library(engine) else {"processor": named(compiler.processor().encode())}
    return {**processor, "code": named(cache.code(engine, job.model.cell, job.stream)), **cache.versions(engine)}


def _train(name: str, content: list, batch: TrialBatch, seconds: float, interval: float):
    """Yield the chunks of a task; those between checkpoints are summed up over `interval` seconds."""
    job, program = _program(name, content)
    epochs = newly_learned = 0
    reported = time.monotonic()
    for chunk in shards.chunks(shards.resumed(job, program, _copied(batch)), seconds):
        if chunk.kept:
            continue  # who sent it knows
        epochs, newly_learned = epochs + chunk.epochs, newly_learned + chunk.newly_learned
        now = time.monotonic()
        if chunk.batch is not None or now - reported >= interval:
            yield chunk._replace(epochs=epochs, newly_learned=newly_learned)
            epochs, newly_learned, reported = 0, 0, now


def _program(name: str, content: list):
    """Return an arm's job and program, which each worker makes once.

    Raises:
        UserError: This worker would train other bits.
    """
    if name not in _programs:
        (job, engine, size), there, sent = ray.get(content[0])
        here = _surroundings(engine, job)
        for what in there:
            if here[what] != there[what]:
                raise UserError(_difference(what, there[what], here[what], job.model.cell))
        devices.uses_gpu(engine, bool(os.environ.get(worker.GPU)))
        if compiled := library(engine):
            _install(compiled, *sent)
        while len(_programs) >= PROGRAMS:
            del _programs[next(iter(_programs))]
        _programs[name] = job, make_program(job, engine, size)
    return _programs[name]


def _install(of_engine: Library, build: str, compiled: bytes | None) -> None:
    """An engine's library: as it was sent, or on another processor compiled there."""
    if build == of_engine.build() and compiled:
        of_engine.install(compiled)
    elif not of_engine.available():
        raise UserError(
            f"the Ray node {ray.util.get_node_ip_address()} has no C compiler, and another processor than the machine "
            "that training was started on, whose library it cannot use: install gcc or clang there"
        )


def _difference(what: str, there: str, here: str, cell: str) -> str:
    node = f"the Ray node {ray.util.get_node_ip_address()}"
    if what == "processor":
        return (
            f"{node} has another processor than the machine that training was started on, for which XLA would compile "
            "other bits: leave it out of the cluster, or start training on a machine like it"
        )
    if what == "code":
        module = "memory_trials" if registry.find(cell) else cell
        return f"{node} has another version of the code of {module}: what lies in my_cells/ is sent along"
    return f"{node} has {what} {here}, not {there}: install requirements.txt and requirements-ray.txt there"
