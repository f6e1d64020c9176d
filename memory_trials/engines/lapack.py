"""Which programs must not run side by side: those in which XLA calls LAPACK or an FFT.

Handed to XLA's threads, two of them wait for each other for ever (jaxlib 0.10, two cores, `solve_triangular` in a scan;
compare jax-ml/jax#25861). So in a process only one of them runs at a time.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any

NO_RESULT_DEPENDS_ON_THIS = "it says when programs run, not what they compute"
_lock = threading.RLock()


def turn(called: bool) -> contextlib.AbstractContextManager:
    """Return what a program holds while it runs; called: whether it calls LAPACK."""
    return _lock if called else contextlib.nullcontext()


def is_called(function: Callable, *given: Any) -> bool:
    """Return whether a function calls LAPACK, given arrays or their shapes."""
    import jax

    from memory_trials.models.step_checks import primitives

    return bool(primitives(jax.make_jaxpr(function)(*given).jaxpr) & _names())


@functools.cache
def _names() -> set[str]:
    import jax

    return {"fft"} | {each.name for name, each in vars(jax.lax.linalg).items() if name.endswith("_p")}
