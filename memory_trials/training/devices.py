"""Whether trials are trained on a GPU, which rounds differently: it counts in the key under which they are kept."""

from __future__ import annotations

from memory_trials.engines import worker
from memory_trials.errors import UserError

NO_RESULT_DEPENDS_ON_THIS = "it says where trials are trained, which their key holds"
ENGINES = {"jax": "JAX", "xla": "TensorFlow"}  # that can use one


def check(engine: str, gpus: float) -> None:
    """Refuse a share of a GPU for trials that are trained in C."""
    if gpus and engine not in ENGINES:
        raise UserError(
            f"compute.gpus_per_shard is {gpus:g}, and this cell is trained in C, on CPUs: set it to 0, or "
            "training.engine to jax"
        )


def uses_gpu(engine: str, wanted: bool) -> bool:
    """Return whether an engine uses a GPU on this machine, after JAX was told to, or not to.

    TensorFlow runs in this process, on whatever it was told to use.

    Raises:
        UserError: one is wanted, and there is none.
    """
    if engine not in ENGINES:
        return False
    if engine == "jax":
        found = worker.use_gpu(wanted)
    else:
        from memory_trials.models.backend import tf  # which takes seconds to import

        found = bool(tf.config.get_visible_devices("GPU"))
    if wanted and not found:
        raise UserError(
            f"compute.gpus_per_shard is above 0, and {ENGINES[engine]} finds no GPU on this machine: set it to 0, or "
            "install what it needs for one"
        )
    return found
