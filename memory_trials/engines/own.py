"""Cells that JAX computes, the user's and those of the library that are written in it, from where they are asked for:
each function runs in the worker.

In the worker, a cell's model and its programs are kept, by all that they depend on.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import pickle
import sys
import threading
import weakref
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memory_trials import meaning
from memory_trials.cells import registry
from memory_trials.cells.interface import Jax
from memory_trials.engines import lapack, worker
from memory_trials.engines.interface import Errors
from memory_trials.errors import UserError
from memory_trials.models import forward, initializers, user_code
from memory_trials.models.weights import weight_shapes
from memory_trials.sections import validated
from memory_trials.settings import ModelSettings, TrainingSettings
from memory_trials.tasks.encoding import UpdateTable
from memory_trials.tasks.interface import Sequences, Shape

if TYPE_CHECKING:
    from jaxtyping import Float32, Int, Shaped


class Request(NamedTuple):
    """Which cell, and for which task. options: as JSON. pickled: the cell, where no file holds it."""

    cell: str
    units: int
    options: str
    softmax: bool
    pickled: bytes
    inputs: int
    symbols: int


def request(model: ModelSettings, inputs: int, symbols: int) -> Request:
    options, held = json.dumps(model.cell_options), pickled(model.cell)
    return Request(model.cell, model.units, options, model.output == "softmax", held, inputs, symbols)


def read_anew() -> None:
    """See to it that files of the user's count as they are now, after they were edited in the course of a notebook."""
    if worker.running() and worker.call("memory_trials.models.user_code:edited"):
        worker.end()
        _file_calls_tensorflow.cache_clear()


def pickled(name: str) -> bytes:
    """A cell by value, where its module is no file that a worker can import; else nothing."""
    kind = _in_no_file(name)
    return b"" if kind is None else by_value(kind)


def by_value(thing: Any) -> bytes:
    """Return a class, a function or an object with its code."""
    import cloudpickle

    return cloudpickle.dumps(thing)


def _in_no_file(name: str) -> Any:
    """What such a dotted path leads to, in a module that is not imported from a file."""
    module_name, _, attribute = name.rpartition(".")
    module = sys.modules.get(module_name)
    if module is None or (getattr(module, "__file__", None) and module_name != "__main__"):
        return None
    return getattr(module, attribute, None)


def written_in_jax(cell: str) -> Jax | None:
    """Return the form in JAX of a cell of the library that has no other."""
    found = registry.find(cell)
    return found.jax if found else None


def calls_tensorflow(cell: str) -> bool:
    """Whether the code of a cell imports TensorFlow, which JAX cannot trace: its module, and the user's that that one
    imports."""
    kind = _in_no_file(cell)
    if kind is not None:
        functions = [each for each in vars(kind).values() if hasattr(each, "__globals__")]
        used = [each.__globals__.get(name) for each in functions for name in each.__code__.co_names]
        return any(_is_tensorflow(getattr(value, "__name__", "") or "") for value in used)
    return _file_calls_tensorflow(cell)


@functools.cache  # what is edited while this process runs is not what it runs
def _file_calls_tensorflow(cell: str) -> bool:
    seen, waiting = set(), [cell.rpartition(".")[0]]
    while waiting:
        name = waiting.pop()
        path = None if name in seen else _users_file(name)
        seen.add(name)
        if path is not None:
            imported = meaning.imports_of(path)
            if any(map(_is_tensorflow, imported)):
                return True
            waiting += imported
    return False


def _users_file(name: str) -> Path | None:
    """The file of a module of the user's, found without importing what the name has before its last point."""
    package, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):  # whoever imports it finds that too
        return None
    if spec is None:
        return None
    folders = [Path(folder, *rest) for folder in spec.submodule_search_locations or ()]
    paths = [path for folder in folders for path in (folder / "__init__.py", folder.parent / f"{folder.name}.py")]
    if not rest and spec.has_location:
        paths = [Path(str(spec.origin))]
    return next((path for path in paths if path.is_file() and user_code.is_users(str(path))), None)


def _is_tensorflow(module: str) -> bool:
    return module.partition(".")[0].startswith("tensorflow")


def initial_weights(
    model: ModelSettings, inputs: int, symbols: int, seeds: Int[np.ndarray, " T"]
) -> list[Float32[np.ndarray, "T ..."]]:
    """Each seed's weights, as Keras on TensorFlow draws them where the cell is Keras's."""
    weights = worker.call(f"{__name__}:_initial_weights", request(model, inputs, symbols), seeds)
    initializers.set_forget_bias(model, weights, seeds)
    return weights


def predict(
    model: ModelSettings, weights: dict[str, np.ndarray], x: Int[np.ndarray, "K L F"], inputs: int, symbols: int
) -> Float32[np.ndarray, "T K L symbols"]:
    """Activations of T trials for K sequences, each from the initial state; weights by name."""
    return worker.call(f"{__name__}:_predict", request(model, inputs, symbols), weights, x)


def of_keras(model: ModelSettings) -> bool:
    """Whether the cell is one of Keras's, rather than of another library, or of none."""
    return worker.call(f"{__name__}:_of_keras", request(model, 1, 1))


def weight_names(model: ModelSettings, inputs: int, symbols: int) -> list[str]:
    """The names of all weights in their order, after all that is wrong with the cell was looked for."""
    return worker.call(f"{__name__}:_weight_names", request(model, inputs, symbols))


class Sizes(NamedTuple):
    """Of a model. cell, total: weights of its cell, and those of the output layer too. state: numbers that the cell
    carries from step to step."""

    cell: int
    total: int
    state: int


def sizes(model: ModelSettings, inputs: int, symbols: int) -> Sizes:
    """Return the sizes of a model with any cell, for input vectors of this length and so many outputs.

    Raises:
        UserError: the cell cannot be made.
    """
    cell = registry.find(model.cell)
    if cell and (cell.layout or forward.supports(model)):
        shapes = weight_shapes(model, inputs, symbols)
        state = cell.layout.state_size(model.units, model.options) if cell.layout else cell.states * model.units
    elif calls_tensorflow(model.cell):
        from memory_trials.models import keras_model

        made = keras_model.make_model(model, inputs, symbols)
        shapes = {name: tuple(variable.shape) for name, variable in zip(made.names, made.variables)}
        state = sum(each.size for each in made.initial)
    else:
        shapes, state = shapes_in_jax(model, inputs, symbols)
    counts = {name: prod(shape) for name, shape in shapes.items()}
    total = sum(counts.values())
    return Sizes(total - sum(n for name, n in counts.items() if name.startswith("output/")), total, state)


def shapes_in_jax(model: ModelSettings, inputs: int, symbols: int) -> tuple[dict[str, tuple[int, ...]], int]:
    """Return the shapes of all weights of a model that JAX computes, by name, and how many numbers its state has."""
    return worker.call(f"{__name__}:_shapes", request(model, inputs, symbols))


@dataclass
class State:
    """A shard's arrays, which travel to the worker and back."""

    held: dict[str, np.ndarray]

    def arrays(self) -> dict[str, Shaped[np.ndarray, "T ..."]]:
        return dict(self.held)


_registered: weakref.WeakKeyDictionary[Any, dict[bytes, tuple]] = weakref.WeakKeyDictionary()  # in which worker


class _Remote:
    """A program in the worker: what it is made of, and what all of them can do."""

    def __init__(self, model: ModelSettings, settings: TrainingSettings, interval: int, task: UpdateTable | Shape):
        told = settings.model_copy(update={"trials": 1, "first_seed": 0})  # of which a program knows nothing
        self._made_of = pickle.dumps((request(model, *_sizes(task)), told, interval, task))
        self._register()

    def _register(self) -> None:
        self._process = worker.started()
        of_process = _registered.setdefault(self._process, {})
        made_of = hashlib.sha256(self._made_of).digest()
        if made_of not in of_process:
            of_process[made_of] = self._process.call(f"{__name__}:_program", (self._made_of,))
        self.names, self.capacity, self._number = of_process[made_of]

    def resume(self, arrays: dict[str, Shaped[np.ndarray, "T ..."]]) -> State:
        return State(dict(arrays))

    def weights(self, state: State) -> list[Float32[np.ndarray, "T ..."]]:
        return [state.held[str(index)] for index in range(len(self.names))]

    def _call(self, method: str, *arguments: Any) -> Any:
        if not self._process.alive:
            self._register()
        return self._process.call(f"{__name__}:_of_program", (self._number, method, arguments))


def _sizes(task: UpdateTable | Shape) -> tuple[int, int]:
    return task.inputs, task.outputs if isinstance(task, Shape) else task.symbols


class Program(_Remote):
    """`jax_engine.Program` in the worker: see `interface.TableProgram`."""

    def __init__(self, model: ModelSettings, settings: TrainingSettings, table: UpdateTable, interval: int):
        self.table = table
        super().__init__(model, settings, interval, table)

    def start(self, weights: list[Float32[np.ndarray, "T ..."]]) -> State:
        """Return a state of weights alone, to which the first run adds what else there is."""
        return State({str(index): array for index, array in enumerate(weights)})

    def run(
        self, state: State, checks: Int[np.ndarray, " C"], order: Int[np.ndarray, "T E U"] | None
    ) -> tuple[Float32[np.ndarray, "T E"], dict[str, Shaped[np.ndarray, "T C"]]]:
        state.held, (losses, found) = self._call("run", state.held, checks, order)
        return losses, found


class StreamProgram(_Remote):
    """`jax_streams.Program` in the worker: see `interface.StreamProgram`."""

    def __init__(self, model: ModelSettings, settings: TrainingSettings, shape: Shape):
        self.shape = shape
        super().__init__(model, settings, 0, shape)

    def start(self, weights: list[Float32[np.ndarray, "T ..."]]) -> State:
        return State(self._call("start", weights))

    def train(self, state: State, sequences: Sequences, dormant: bool = False) -> Errors:
        if dormant:
            raise UserError("cell_options.added: later is for the cells of 1997: a cell of your own is always there")
        state.held, errors = self._call("train", state.held, sequences)
        return errors

    def test(self, state: State, sequences: Sequences, last_step_only: bool = False) -> Errors:
        return self._call("test", state.held, sequences, last_step_only)[1]

    def answer(
        self, state: State, sequences: Sequences, tolerance: float | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return `jax_streams.Answers`: of each sequence, its scored steps, those that are right, and bits."""
        return self._call("answer", state.held, sequences, tolerance)[1]


# In the worker


_making = threading.RLock()  # layers are made after seeding the whole process: one at a time


def _model(asked: Request) -> Any:  # of `jax_engine`, which is imported in the worker alone
    """Return the model, after all that is wrong with a cell of the user's was looked for."""
    with _making:
        return _checked_model(asked)


@functools.lru_cache(maxsize=64)
def _checked_model(asked: Request) -> Any:
    return make_model(asked, check=True)


def make_model(asked: Request, check: bool) -> Any:
    """Make the model that is asked for. check: whether to try a cell of the user's, which takes tenths of a second.

    Raises:
        UserError: the cell cannot be made, or is not what trials can share.
    """
    from memory_trials.engines import jax_engine
    from memory_trials.models import adapters

    of_the_library = written_in_jax(asked.cell) is not None
    # as_user_error imports Keras
    with contextlib.nullcontext() if of_the_library else user_code.as_user_error(asked.cell):
        kind = kind_of(asked)
        user_code.edited()  # of which files are noted as they are now
        cell = adapters.adapted(kind, asked.units, json.loads(asked.options), asked.inputs)
        model = jax_engine.make_model(cell, asked.inputs, asked.symbols, asked.softmax)
        if check and not of_the_library:
            with lapack.turn(True):  # which it may call
                adapters.check(cell, asked.inputs)
        return model


@functools.lru_cache(maxsize=64)
def _calls_lapack(asked: Request) -> bool:
    """Whether a step of the cell, or a sequence at once, calls LAPACK."""
    import jax

    from memory_trials.engines import jax_engine

    cell, empty = _model(asked).cell, jax.ShapeDtypeStruct
    params, state = jax_engine.shapes(cell, asked.inputs)
    key = jax.random.key(0) if cell.random else None
    step = lambda *given: cell.step(*given, key)
    found = lapack.is_called(step, params, state, empty((1, asked.inputs), np.float32))
    if cell.call_sequence is not None:
        found |= lapack.is_called(cell.call_sequence, params, empty((1, 2, asked.inputs), np.float32))
    return found


def kind_of(asked: Request) -> Any:
    """Return the class or object that is asked for; `user_code.Refusal` where it cannot be had."""
    if form := written_in_jax(asked.cell):
        return form.functions(asked.units, validated(form.options, json.loads(asked.options), "cell_options"))
    from memory_trials.models import layers  # which imports Keras

    if asked.pickled:
        with user_code.during("sent to the process that trains"):
            return pickle.loads(asked.pickled)
    return layers.imported(asked.cell) if "." in asked.cell else layers.built_in(asked.cell)


def _of_keras(asked: Request) -> bool:
    kind = kind_of(asked)
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(kind, type) and issubclass(kind, keras.layers.Layer)


def _weight_names(asked: Request) -> list[str]:
    return list(_model(asked).names)


def _shapes(asked: Request) -> tuple[dict[str, tuple[int, ...]], int]:
    import jax

    from memory_trials.engines import jax_engine

    with _making:
        model = make_model(asked, check=False)
    params, state = jax_engine.shapes(model.cell, asked.inputs)
    shapes = [*(leaf.shape for leaf in jax.tree.leaves(params)), (model.width, asked.symbols), (asked.symbols,)]
    return dict(zip(model.names, shapes)), sum(leaf.size for leaf in jax.tree.leaves(state))


def _initial_weights(asked: Request, seeds: np.ndarray) -> list[np.ndarray]:
    import jax

    model = _model(asked)
    cell = model.cell
    with _making, lapack.turn(True):  # which an orthogonal matrix calls
        if cell.draw is not None:
            weights = cell.draw(seeds.tolist())
        else:
            keys = jax.vmap(jax.random.key)(np.asarray(seeds, np.uint32))
            drawn = jax.jit(jax.vmap(lambda key: cell.init(key, asked.inputs)))(keys)
            weights = [np.asarray(array) for array in jax.tree.leaves(drawn)]
    received = np.array([initializers.integers(int(seed), cell.drawn_before + 1)[-1] for seed in seeds])
    weights.append(initializers.draw("glorot_uniform", (model.width, asked.symbols), received))
    weights.append(np.zeros((len(seeds), asked.symbols), np.float32))
    return weights


def _predict(asked: Request, weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    from memory_trials.engines import jax_engine

    model = _model(asked)
    with lapack.turn(_calls_lapack(asked)):
        return jax_engine.predict(model, [weights[name] for name in model.names], x)


_programs: dict[int, Any] = {}
_turns: dict[int, contextlib.AbstractContextManager] = {}


@functools.lru_cache(maxsize=16)
def _program(made_of: bytes) -> tuple[list[str], int, int]:
    from memory_trials.engines import jax_engine, jax_streams

    asked, training, interval, task = pickle.loads(made_of)
    if isinstance(task, Shape):
        program: Any = jax_streams.Program(_model(asked), training, task)
    else:
        program = jax_engine.Program(_model(asked), training, task, interval)
    number = len(_programs)
    _programs[number], _turns[number] = program, lapack.turn(_calls_lapack(asked))
    return program.names, getattr(program, "capacity", 0), number


def _of_program(number: int, method: str, arguments: tuple) -> Any:
    program = _programs[number]
    with _turns[number]:
        if method == "start":
            return program.start(*arguments).arrays()
        arrays, *others = arguments
        state = program.resume(arrays) if "steps" in arrays else program.start(list(arrays.values()))
        result = getattr(program, method)(state, *others)
        return state.arrays() if method in ("train", "run") else {}, result
