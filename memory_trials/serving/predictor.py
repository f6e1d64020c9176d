"""The predictor: the best trial, its files, and what it says next.

The best trial is the one of lowest final loss among those that learned; where none learned, of all. It is kept
twice: as memory.npz, which predicts here without TensorFlow, and as model.keras, which Keras itself loads.
"""

import importlib.metadata
import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from memory_trials import files
from memory_trials.cells import registry
from memory_trials.engines import own
from memory_trials.errors import UserError
from memory_trials.models import forward
from memory_trials.settings import EncodingSettings, ModelSettings, Settings, Symbol, load_settings, validated
from memory_trials.tasks.encoding import NOTHING, one_hot
from memory_trials.tasks.problems import Problem
from memory_trials.tasks.symbols import from_text, name
from memory_trials.training.trained import Trained

FORMAT = "memory-trials memory 1"
NO_PREDICTOR = "no predictor: a stream's trials, whose weights stand in trained.npz, predict no symbols"
NOT_OF_KERAS = "no Keras model: the cell is none of Keras's; memory.npz, read by memory-trials predict, has the memory"
MEMORY, KERAS_MODEL = "memory.npz", "model.keras"
LONGEST = 100_000  # symbols, given and said: some seconds


@dataclass(frozen=True)
class Predictor:
    """One trained trial: its weights by name (cell/kernel, ..., output/bias), and all that predicting needs.

    bundled: whether the code of a cell of the user's came with it, as in MLflow's registry.
    """

    alphabet: tuple[Symbol, ...]
    encoding: EncodingSettings
    model: ModelSettings
    weights: dict[str, np.ndarray]
    seed: int
    learned: bool
    loss: float
    bundled: bool = False

    @property
    def inputs(self) -> int:
        """Length of the input vector."""
        shown = self.encoding.history if self.encoding.history_as == "features" else 1
        return len(self.alphabet) * shown

    def __str__(self) -> str:
        verdict = "which learned" if self.learned else "which has not learned, nor has any other"
        return f"the trial of seed {self.seed}, {verdict}; its last loss is {self.loss:.4g}"


def best(learned: np.ndarray, losses: np.ndarray) -> int:
    """Which of T trials: learned [T] bool, with the lowest final loss [T]; of none learned, the lowest of all."""
    return int(np.lexsort((losses, ~learned))[0])  # which sorts by the last key first, and nan behind all


def best_predictor(problem: Problem, settings: Settings, trained: Trained, learned: np.ndarray) -> Predictor:
    """The best trial as a predictor. settings: what the trials were trained with. learned [T] bool: their verdicts."""
    losses = trained.losses[:, -1]
    trial = best(learned, losses)
    return Predictor(
        alphabet=problem.alphabet,
        encoding=settings.encoding,
        model=settings.model,
        weights={name: array[trial] for name, array in trained.weights.items()},
        seed=int(trained.seeds[trial]),
        learned=bool(learned[trial]),
        loss=float(losses[trial]),
    )


def write(folder: Path, predictor: Predictor) -> None:
    """memory.npz and model.keras; the same predictor gives the same bytes."""
    settings = {
        "alphabet": predictor.alphabet,
        "encoding": predictor.encoding.model_dump(),
        "model": predictor.model.model_dump(),
        "seed": predictor.seed,
        "learned": predictor.learned,
        "loss": predictor.loss,
    }
    files.write_arrays(folder / MEMORY, FORMAT, predictor.weights, settings)
    files.write_bytes(folder / KERAS_MODEL, keras_file(predictor))


def write_none(folder: Path) -> None:
    """Of an arm whose trials learn from streams: files that say so."""
    files.write_arrays(folder / MEMORY, NO_PREDICTOR, {}, {})
    files.write_text(folder / KERAS_MODEL, f"{NO_PREDICTOR}\n")


def read(path: str | Path, bundled: bool = False) -> Predictor:
    """Read a memory.npz; `UserError` where the file is missing, damaged or something else."""
    settings, weights = files.read_arrays(path, FORMAT)
    try:
        predictor = Predictor(
            alphabet=tuple(settings["alphabet"]),
            encoding=validated(EncodingSettings, settings["encoding"], str(path)),
            model=validated(ModelSettings, settings["model"], str(path)),
            weights=weights,
            bundled=bundled,
            **{name: settings[name] for name in ("seed", "learned", "loss")},
        )
        if forward.supports(predictor.model):  # whether everything fits together shows when it predicts
            ((_, activations),) = _outputs(predictor, np.full((1, 1, 1), predictor.inputs - 1))
            if activations.shape != (len(predictor.alphabet),):
                raise ValueError
    except (KeyError, TypeError, ValueError, IndexError):
        raise UserError(f"{path} is damaged (its arrays do not fit together): run dvc repro to make it anew") from None
    return predictor


def predict(predictor: Predictor, symbols: Sequence[Symbol | str], steps: int = 1) -> list[tuple[Symbol, float]]:
    """What the trial says after these symbols, `steps` times, each time fed what it said; and how sure it is.

    It starts from the cell's initial state. Symbols are found by their names, numbers also by their values: "3" is 3.
    The probability is the output layer's activation: with softmax those of all symbols sum to 1; with sigmoid, trained
    on binary cross-entropy, each symbol has one of its own. `UserError` where a symbol is unknown, where there is none,
    or where there are too many.
    """
    indices = _indices(predictor.alphabet, symbols)
    history = predictor.encoding.history if predictor.encoding.history_as == "steps" else 1
    if not symbols:
        raise UserError(f"the sequence is empty: give at least one symbol, such as {name(predictor.alphabet[0])}")
    if len(symbols) < history:
        raise UserError(f"the sequence is too short: an input is {history} symbols, so give at least as many")
    if len(symbols) >= LONGEST:
        raise UserError(f"the sequence has {len(symbols)} symbols: allowed are 1 to {LONGEST - 1}")
    whole: Any = steps
    if isinstance(whole, bool) or not isinstance(whole, Integral) or not 1 <= steps <= LONGEST - len(symbols):
        raise UserError(f"steps is {steps}: allowed are 1 to {LONGEST - len(symbols)}")
    follow = _follow_windows if predictor.encoding.history_as == "steps" else _follow
    return [(predictor.alphabet[index], probability) for index, probability in follow(predictor, indices, steps)]


def _indices(alphabet: Sequence[Symbol], symbols: Sequence[Symbol | str]) -> list[int]:
    """Where in the alphabet these symbols are."""
    by_name = {name(symbol): index for index, symbol in enumerate(alphabet)}
    by_value = {symbol: index for index, symbol in enumerate(alphabet) if not isinstance(symbol, str)}
    indices = []
    for symbol in symbols:
        asked = name(symbol)
        number = from_text(asked)
        index = by_name.get(asked, None if isinstance(number, str) else by_value.get(number))
        if index is None:
            known = ", ".join(map(name, alphabet[:20])) + (", ..." if len(alphabet) > 20 else "")
            raise UserError(f"{asked[:60]!r} is no symbol of this predictor; its symbols are {known}")
        indices.append(index)
    return indices


def _follow(predictor: Predictor, indices: list[int], steps: int) -> Iterator[tuple[int, float]]:
    """One run over all symbols. Each is seen with those before it, in further segments of the input vector."""
    given, history, size = len(indices), predictor.encoding.history, len(predictor.alphabet)
    x = np.full((1, given + steps - 1, history), NOTHING)

    def show(t: int, index: int) -> None:
        for back in range(min(history, x.shape[1] - t)):
            x[0, t + back, back] = index + back * size

    for t, index in enumerate(indices):
        show(t, index)
    for t, activations in _outputs(predictor, x):  # reads a step when it gets there, so what is said can be shown to it
        if t >= given - 1:
            said = int(activations.argmax())
            yield said, float(activations[said])
            show(t + 1, said)


def _follow_windows(predictor: Predictor, indices: list[int], steps: int) -> Iterator[tuple[int, float]]:
    """A run of its own over the last symbols for each symbol to say."""
    for _ in range(steps):
        *_, (_, activations) = _outputs(predictor, np.array(indices[-predictor.encoding.history :]).reshape(1, -1, 1))
        said = int(activations.argmax())
        yield said, float(activations[said])
        indices = [*indices, said]


def _outputs(predictor: Predictor, x: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each step's number and the activations [symbols], from the initial state. x [1, L, F]: of `forward.outputs`."""
    if forward.supports(predictor.model):
        stacked = {name: array[np.newaxis] for name, array in predictor.weights.items()}
        return ((t, activations[0, 0]) for t, activations in forward.outputs(predictor.model, stacked, x))
    _check_named(predictor)
    return _jax_outputs(predictor, x) if by_jax(predictor.model) else _keras_outputs(predictor, x)


def by_jax(model: ModelSettings) -> bool:
    """Return whether JAX predicts, and not NumPy, nor Keras on TensorFlow as for cells that call it."""
    return not forward.supports(model) and not own.calls_tensorflow(model.cell)


def _check_named(predictor: Predictor) -> None:
    """Check that code that a file names is run only where params.yaml names it too, or where it came with the file."""
    cell = registry.find(predictor.model.cell)
    written_here = cell is not None and cell.keras is None
    if not (predictor.bundled or written_here) and load_settings().model != predictor.model:
        raise UserError(
            f"this memory is of the cell {predictor.model.cell!r} with code or arguments of its own, "
            "which are used only where the section model of params.yaml says the same"
        )


def _jax_outputs(predictor: Predictor, x: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The same by JAX, all steps at once, and again where a step is shown that was not there before."""
    weights = {name: array[np.newaxis] for name, array in predictor.weights.items()}
    seen = np.full_like(x, NOTHING - 1)
    for t in range(x.shape[1]):
        if not np.array_equal(seen[:, t], x[:, t]):
            seen = x.copy()
            activations = own.predict(predictor.model, weights, seen, predictor.inputs, len(predictor.alphabet))
        yield t, activations[0, 0, t]


def _keras_outputs(predictor: Predictor, x: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The same by Keras on TensorFlow, seconds slower."""
    from memory_trials.models import keras_model
    from memory_trials.models.backend import tf

    model = keras_model.make_model(predictor.model, predictor.inputs, len(predictor.alphabet))
    weights = [tf.constant(predictor.weights[name]) for name in model.names]
    states = [tf.constant(state) for state in model.begin(1)]
    for t in range(x.shape[1]):
        output, states = model.step(weights, tf.constant(one_hot(x[:, t], predictor.inputs)), states)
        yield t, model.readout(weights, output).numpy()[0]


def check_weights(predictor: Predictor) -> None:
    """`UserError` where a cell of the user's, as its code is now, has other weights than these."""
    if forward.supports(predictor.model):
        return  # `read` has run it
    asked = predictor.model, predictor.inputs, len(predictor.alphabet)
    if by_jax(predictor.model):
        drawn = own.initial_weights(*asked, np.zeros(1, np.int64))
        needed = {name: array.shape[1:] for name, array in zip(own.weight_names(*asked), drawn)}
    else:
        from memory_trials.models import keras_model

        model = keras_model.make_model(*asked)
        needed = {name: tuple(variable.shape) for name, variable in zip(model.names, model.variables)}
    found = {name: array.shape for name, array in predictor.weights.items()}
    for weight in {**needed, **found}:
        its, now = found.get(weight, "none"), needed.get(weight, "none")
        if its != now:
            raise UserError(
                f"the weight {weight} has the shape {its} in this memory and {now} in the cell {predictor.model.cell}: "
                "its code has changed"
            )


def keras_file(predictor: Predictor) -> bytes:
    """The .keras file of the model: [batch, steps, inputs] -> the activations [batch, steps, symbols]. Of a cell that
    has no form in Keras it is a line that says so.

    A .keras file is a zip of two JSON texts and the weights as HDF5 (keras.saving). For the built-in cells it is
    written here, which takes a tenth of a second where importing TensorFlow takes five; without times and dates in it.
    """
    model = predictor.model
    cell = registry.find(model.cell)
    if cell is None and (own.calls_tensorflow(model.cell) or own.of_keras(model)):
        return _file_by_keras(predictor)
    if cell is None or cell.keras is None:
        return f"{NOT_OF_KERAS}\n".encode()
    config = {"name": "memory", "units": model.units, "return_sequences": True} | model.cell_options
    if not cell.recurrent:
        del config["return_sequences"]
        config.setdefault("activation", "tanh")
    layer = {"class_name": cell.keras.layer, "config": config}
    return _keras_file(predictor, layer, model.units, _keras_weights(predictor))


def _keras_file(predictor: Predictor, layer: dict[str, Any], width: int, weights: bytes) -> bytes:
    """layer: the recurrent layer, as Keras describes one in JSON. width: of its output."""
    inputs = predictor.inputs
    output = {"name": "output", "units": len(predictor.alphabet), "activation": predictor.model.output}
    layers = [
        {"class_name": "InputLayer", "config": {"name": "symbols", "batch_shape": [None, None, inputs]}},
        {**layer, "build_config": {"input_shape": [None, None, inputs]}},
        {"class_name": "Dense", "config": output, "build_config": {"input_shape": [None, None, width]}},
    ]
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {
            "name": "memory_trial",
            "layers": [{"module": "keras.layers", "registered_name": None, **layer} for layer in layers],
            "build_input_shape": [None, None, inputs],
        },
        "registered_name": None,
        "build_config": {"input_shape": [None, None, inputs]},
    }
    metadata = {"keras_version": importlib.metadata.version("keras")}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in (
            ("metadata.json", json.dumps(metadata).encode()),
            ("config.json", json.dumps(config).encode()),
            ("model.weights.h5", weights),
        ):
            file.writestr(zipfile.ZipInfo(name), content)  # a ZipInfo of 1980, whatever the day
    return buffer.getvalue()


def _keras_weights(predictor: Predictor) -> bytes:
    """Keras's HDF5 of a Sequential model: layers/<class>/vars/<number>, in a cell's case layers/<class>/cell/vars."""
    import h5py

    cell = registry.find(predictor.model.cell)
    recurrent = cell is None or cell.recurrent
    groups = {
        "cell": f"layers/{predictor.model.cell}/cell/vars" if recurrent else "layers/dense/vars",
        "output": "layers/dense/vars" if recurrent else "layers/dense_1/vars",
    }
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for layer, group in groups.items():
            arrays = [array for name, array in predictor.weights.items() if name.startswith(f"{layer}/")]
            for number, array in enumerate(arrays):
                file[f"{group}/{number}"] = array
    return buffer.getvalue()


def _file_by_keras(predictor: Predictor) -> bytes:
    """The same for a cell of the user's: as Keras's RNN layer of this cell, or where Keras cannot load that, of a cell
    of this library's that calls it. What is returned has been loaded by Keras, and predicts what evaluation finds."""
    from memory_trials.models import keras_model
    from memory_trials.models.backend import keras, tf
    from memory_trials.models.layers import Step

    settings = predictor.model
    model = keras_model.make_model(settings, predictor.inputs, len(predictor.alphabet))
    weights = [tf.constant(predictor.weights[variable]) for variable in model.names]
    x = one_hot(np.arange(6).reshape(1, -1, 1) % predictor.inputs, predictor.inputs)
    states, expected = [tf.constant(state) for state in model.begin(1)], []
    for t in range(x.shape[1]):
        output, states = model.step(weights, tf.constant(x[:, t]), states)
        expected.append(model.readout(weights, output).numpy())
    for variable, value in zip(model.variables, weights):
        variable.assign(value)
    given = {"units": settings.units} | settings.cell_options
    step, width = Step(model.cell), model.dense.kernel.shape[0]
    step.output_size = width
    described = {"cell": settings.cell, "units": settings.units, "cell_options": settings.cell_options}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the first way, where the second is taken
        for cell, config in ((model.cell, given), (step, described)):
            kind = type(cell)
            own = {"module": kind.__module__, "class_name": kind.__name__, "config": config,
                   "registered_name": keras.saving.get_registered_name(kind)}  # fmt: skip
            layer = {"class_name": "RNN", "config": {"name": "memory", "return_sequences": True, "cell": own}}
            path, written = Path(folder) / "model.weights.h5", Path(folder) / KERAS_MODEL
            try:
                recurrent = keras.layers.RNN(cell, return_sequences=True)
                keras.Sequential([keras.Input((None, predictor.inputs)), recurrent, model.dense]).save_weights(path)
                written.write_bytes(_keras_file(predictor, layer, width, path.read_bytes()))
                found = keras.saving.load_model(written, custom_objects={kind.__name__: kind})(x).numpy()
            except Exception:  # there is no end to what Keras cannot take
                continue
            if np.allclose(found[0], np.concatenate(expected), atol=1e-5, equal_nan=True):
                return written.read_bytes()
    raise UserError(f"model.cell {settings.cell}: Keras cannot load it from a file, so {KERAS_MODEL} cannot be written")
