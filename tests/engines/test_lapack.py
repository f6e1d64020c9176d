"""Programs in which XLA calls LAPACK have the process to themselves: side by side two of them hang."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from memory_trials.engines import lapack, own, worker
from memory_trials.settings import ModelSettings


def test_it_is_seen_in_whatever_a_function_calls():
    import jax
    import jax.numpy as jnp

    square, line = np.eye(2, dtype=np.float32), np.ones(2, np.float32)
    solved = lambda a, b: jax.lax.scan(lambda b, _: (jnp.linalg.solve(a, b), None), b, length=2)[0]
    assert lapack.is_called(solved, square, line)
    assert lapack.is_called(jax.jit(lambda a, b: jnp.linalg.qr(a)[0] @ b), square, line)
    assert lapack.is_called(lambda a: jnp.abs(jnp.fft.rfft(a)), square)
    assert not lapack.is_called(lambda a, b: jnp.tanh(a @ b), square, line)


@pytest.mark.parametrize(("cell", "called"), [("delta_net", True), ("min_gru", False), ("gru", False)])
def test_cells_are_asked_for_it(cell, called):
    asked = own.request(ModelSettings(cell=cell, units=2), inputs=3, symbols=2)
    assert worker.call("memory_trials.engines.own:_calls_lapack", asked) is called


@pytest.mark.parametrize("called", [True, False])
def test_such_programs_run_one_at_a_time_and_others_side_by_side(monkeypatch, called):
    meeting, together = threading.Barrier(2), []

    class Program:
        def resume(self, arrays):
            return self

        def test(self, state):
            try:
                meeting.wait(0.5 if called else 60)
                together.append(True)
            except threading.BrokenBarrierError:
                together.append(False)

    monkeypatch.setattr(own, "_programs", {0: Program(), 1: Program()})
    monkeypatch.setattr(own, "_turns", {number: lapack.turn(called) for number in (0, 1)})
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda number: own._of_program(number, "test", ({"steps": 0},)), (0, 1)))
    assert together == [not called] * 2
