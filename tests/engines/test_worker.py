"""The process in which JAX trains: on CPUs, unless a GPU is asked for."""

import os

import pytest

from memory_trials.engines import worker
from memory_trials.errors import UserError


@pytest.fixture
def anew(monkeypatch):
    worker.end()
    yield monkeypatch
    worker.end()


def test_a_gpu_is_left_alone_whatever_the_callers_jax_is_told(anew):
    anew.setenv("JAX_PLATFORMS", "cuda")
    assert worker.call("os:getenv", "JAX_PLATFORMS") == "cpu"
    assert worker.call("memory_trials.engines.worker:_platform") == "cpu"


def test_a_gpu_that_is_not_there_is_told_and_cpus_go_on_computing(anew):
    anew.delenv(worker.GPU, raising=False)
    with pytest.raises(
        UserError, match=r"^compute.gpus_per_shard is above 0, and JAX finds only a CPU here: set it to 0"
    ):
        worker.use_gpu(True)
    assert not os.environ.get(worker.GPU)
    assert worker.call("os:getenv", "JAX_PLATFORMS") == "cpu"


def test_a_worker_that_does_otherwise_is_ended_and_only_then(anew):
    before = worker.call("os:getpid")
    worker.use_gpu(False)
    assert worker.call("os:getpid") == before
    anew.setattr(worker, "_current", worker._current)
    anew.setenv(worker.GPU, "1")
    worker.use_gpu(False)
    assert worker.call("os:getpid") != before
