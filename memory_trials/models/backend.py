"""TensorFlow and Keras, imported once and in one way. Nothing else imports them.

Importing them is most of what a stage waits for, so what Keras would import merely because it happens to
be installed (scikit-learn and Matplotlib, for wrappers and galleries unused here) is hidden meanwhile:
4.0 s instead of 5.7 s, measured on two cores.
"""

import contextlib
import os
import sys

from memory_trials.errors import UserError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # the same sums whatever the processor's extensions
os.environ["KERAS_BACKEND"] = "tensorflow"

# Shards run side by side, one in each thread, so XLA shall neither split one operation over the cores nor hand
# the operations of one shard back and forth between threads: the whole training loop becomes one function
# (its "small while loop" pass, without the bound on size), run by the one thread that has it.
# Measured on two cores, milliseconds a trial of the tutorial: 7.2 before, 3.2 after.
# Such a function cannot call YNN, the library that XLA would leave large products of matrices to: "Fusion kind not
# implemented on CPU", from a few hundred steps in one window on. So it leaves none to it.
_XLA_FLAGS = (
    "--xla_cpu_multi_thread_eigen=false --xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000000 "
    "--xla_cpu_experimental_ynn_fusion_type="
)
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
    import tensorflow as tf

tf.get_logger().setLevel("ERROR")  # it warns of tracing anew, which each new arm rightly does
CORES = len(os.sched_getaffinity(0))
with contextlib.suppress(RuntimeError):  # a program that has used TensorFlow before keeps the threads that it has
    tf.config.threading.set_intra_op_parallelism_threads(CORES)
    tf.config.threading.set_inter_op_parallelism_threads(CORES)
if keras.config.backend() != "tensorflow":
    raise UserError(
        f"Keras was imported with the backend {keras.config.backend()}, and cells are trained by TensorFlow: "
        "set KERAS_BACKEND=tensorflow, or import memory_trials.models.backend first"
    )

__all__ = ["CORES", "keras", "tf"]
