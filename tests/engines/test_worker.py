"""The process in which JAX trains: on CPUs, unless a GPU is asked for."""

import os

import pytest

from memory_trials.engines import worker


@pytest.fixture
def anew(monkeypatch):
    worker.end()
    yield monkeypatch
    worker.end()


def test_a_gpu_is_left_alone_whatever_the_callers_jax_is_told(anew):
    anew.setenv("JAX_PLATFORMS", "cuda")
    assert worker.call("os:getenv", "JAX_PLATFORMS") == "cpu"
    assert worker.call("memory_trials.engines.worker:_platform") == "cpu"


def test_where_there_is_no_gpu_cpus_go_on_computing(anew):
    anew.delenv(worker.GPU, raising=False)
    assert worker.use_gpu(True) is False
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


def test_where_there_is_one_it_is_used(anew):
    anew.delenv(worker.GPU, raising=False)
    with anew.context() as patch:
        patch.setattr(worker, "call", lambda function: "gpu")
        assert worker.use_gpu(True) is True
    assert worker.call("os:getenv", "JAX_PLATFORMS") == "" and worker.use_gpu(False) is False
    assert worker.call("os:getenv", "JAX_PLATFORMS") == "cpu"
