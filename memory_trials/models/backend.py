"""Keras with TensorFlow, or with JAX in a worker (`engines.worker`), imported once and in one way. Nothing else imports
them.

Importing them is most of what a stage waits for, so what Keras would import merely because it happens to
be installed (scikit-learn and Matplotlib, for wrappers and galleries unused here) is hidden during the import:
4.0 s instead of 5.7 s, measured on two cores.
"""

import contextlib
import importlib
import os
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from memory_trials import machine
from memory_trials.errors import UserError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # the same sums whatever the processor's extensions
ON_JAX = os.environ.get("MEMORY_TRIALS_BACKEND") == "jax"  # set by `engines.worker` for its own process
os.environ["KERAS_BACKEND"] = "jax" if ON_JAX else "tensorflow"

# Shards run side by side, one in each thread, so XLA must neither split one operation over the cores nor move
# the operations of one shard from thread to thread: the whole training loop becomes one function
# (its "small while loop" pass, without the bound on size), run by the one thread that has it.
# Measured on two cores, milliseconds a trial of the tutorial: 7.2 before, 3.2 after.
# Such a function cannot call YNN, the library that XLA would leave large products of matrices to: "Fusion kind not
# implemented on CPU", from a few hundred steps in one window on. So it leaves none to it.
_XLA_FLAGS = (
    "--xla_cpu_multi_thread_eigen=false --xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000000 "
    "--xla_cpu_experimental_ynn_fusion_type="
)
if not ON_JAX:
    os.environ["XLA_FLAGS"] = f"{_XLA_FLAGS} {os.environ.get('XLA_FLAGS', '')}"


@contextlib.contextmanager
def _quick_and_quiet():
    hidden = [name for name in ("sklearn", "matplotlib.pyplot", "matplotlib") if name not in sys.modules]
    # None makes an import fail, which Keras expects
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # and what is typed of them knows no None
    # TensorFlow's C++ greets with "no GPU here" before it reads any setting; Python's own errors still come through
    stderr = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(silence)
        for name in hidden:
            del sys.modules[name]


with _quick_and_quiet():
    import keras

    tf: Any = None if ON_JAX else importlib.import_module("tensorflow")

CORES = machine.cores()
if not ON_JAX:
    tf.get_logger().setLevel("ERROR")  # it warns of repeated tracing, which each new arm needs
    with contextlib.suppress(RuntimeError):  # a program that has used TensorFlow before keeps the threads that it has
        tf.config.threading.set_intra_op_parallelism_threads(CORES)
        tf.config.threading.set_inter_op_parallelism_threads(CORES)
if keras.config.backend() != os.environ["KERAS_BACKEND"]:
    raise UserError(
        f"Keras was imported with the backend {keras.config.backend()}, and this cell is computed with TensorFlow: "
        "set KERAS_BACKEND=tensorflow, or import memory_trials.models.backend first"
    )


def called(function: Callable, *arguments: Any) -> Any:
    """Return what a function returns; with JAX only shapes and types, without computing it."""
    if not ON_JAX:
        return function(*arguments)
    import jax

    return jax.eval_shape(function, *arguments)


@contextlib.contextmanager
def declaring() -> Iterator[keras.StatelessScope]:
    """Make layers whose weights have shapes, and are never given values; what is assigned to them the scope has. For
    JAX alone."""
    from keras.src.backend.common import global_state

    with keras.StatelessScope(initialize_variables=False) as scope:
        yield scope
    global_state.set_global_attribute("uninitialized_variables", [])  # which Keras would give them later


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Begin as after `keras.utils.set_random_seed`, which would import TensorFlow wherever it is installed."""
    if not ON_JAX:
        keras.utils.set_random_seed(seed)
    else:
        from keras.src.backend.common import global_state
        from keras.src.random import seed_generator
        from keras.src.utils import rng_utils

        global_state.set_global_attribute(rng_utils.GLOBAL_RANDOM_SEED, seed)
        global_state.set_global_attribute(seed_generator.GLOBAL_SEED_GENERATOR, None)
        random.seed(seed)
        np.random.seed(seed)
    yield


__all__ = ["CORES", "ON_JAX", "called", "declaring", "keras", "seeded", "tf"]
