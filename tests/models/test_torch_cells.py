"""Cells of torch: JAX computes what torch does, with the same gradients, or one sentence says why not."""

import jax
import numpy as np
import pytest

from memory_trials.engines import own
from memory_trials.errors import UserError
from memory_trials.models.adapters import adapted

torch = pytest.importorskip("torch")
nn = torch.nn
INPUTS, UNITS = 5, 4


class Plain(nn.Module):
    """Each of the following changes one thing of it."""

    def __init__(self, inputs, units):
        super().__init__()
        self.hidden_size = units
        self.linear = nn.Linear(inputs + units, units)

    def forward(self, x, h):
        return torch.tanh(self.linear(torch.cat([x, h], -1)))


class Learned(nn.Module):
    """An output narrower than the state, a state of three parts, and an initial state of its own."""

    def __init__(self, inputs, units):
        super().__init__()
        self.linear = nn.Linear(inputs, units)

    def initial_state(self, batch):
        units = self.linear.out_features
        return {"a": torch.ones(batch, units), "b": (torch.zeros(batch, units, 2), torch.zeros(batch, 1))}

    def forward(self, x, state):
        a, (b, count) = state["a"], state["b"]
        a = 0.5 * a + self.linear(x)
        b = torch.roll(b, 1, 2) + a[:, :, None]
        return b.mean(1), {"a": a, "b": (b, count + 1)}


@pytest.mark.parametrize("kind", [nn.GRUCell, nn.LSTMCell, nn.RNNCell, Plain, Learned])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_trial_computes_what_torch_does_from_the_same_seed(kind, rows):
    cell = adapted(kind, UNITS, {}, INPUTS)
    params = [array[1] for array in cell.draw([3, 7])]
    torch.manual_seed(7)
    module = kind(INPUTS, UNITS)
    assert list(cell.names) == [f"cell/{name.replace('.', '/')}" for name, _ in module.named_parameters()]
    xs = np.random.default_rng(0).standard_normal((4, rows, INPUTS)).astype(np.float32)
    state, size = cell.initial_state(params, rows), getattr(module, "hidden_size", UNITS)
    theirs = module.initial_state(rows) if kind is Learned else torch.zeros(rows, size)
    theirs = (theirs, theirs) if kind is nn.LSTMCell else theirs
    for x in xs:
        state, y = jax.jit(cell.step)(params, state, x)
        result = module(torch.from_numpy(x), theirs)
        expected, theirs = result if kind is Learned else (jax.tree.leaves(result)[0], result)
        assert np.abs(y - expected.detach().numpy()).max() < 1e-6
        for mine, its in zip(jax.tree.leaves(state), jax.tree.leaves(theirs)):
            assert np.abs(mine - its.detach().numpy()).max() < 1e-6


OPERATIONS = [
    lambda a, b: torch.nn.functional.gelu(a) + torch.nn.functional.gelu(b, approximate="tanh"),
    lambda a, b: torch.nn.functional.softplus(30 * a) * torch.nn.functional.silu(b),
    lambda a, b: torch.nn.functional.elu(a) - torch.nn.functional.leaky_relu(b, 0.1),
    lambda a, b: torch.nn.functional.hardtanh(a, -0.1, 0.2) + torch.nn.functional.hardsigmoid(b),
    lambda a, b: torch.nn.functional.layer_norm(a, (UNITS,)) + torch.nn.functional.normalize(b, dim=-1),
    lambda a, b: torch.log_softmax(a, -1) + torch.logsumexp(b, -1, keepdim=True),
    lambda a, b: a.var(-1, keepdim=True) + b.std(-1, keepdim=True) + a.norm(dim=-1, keepdim=True),
    lambda a, b: torch.where(a > b, a, -b).clamp(-0.2) + torch.maximum(a, b) * torch.minimum(a, b),
    lambda a, b: torch.addcmul(a, b, b, value=0.5) + torch.lerp(a, b, 0.3),
    lambda a, b: torch.stack([a, b], 1).flip(1).sum(1) + torch.outer(a[0], b[0])[0],
    lambda a, b: torch.cumsum(a, -1) + torch.cumprod(1 + b, -1) + a.max(-1, keepdim=True).values,
    lambda a, b: (a.view(-1, 2, 2) @ b.view(-1, 2, 2)).reshape(-1, UNITS) + a[:, [1, 0, 3, 2]],
    lambda a, b: torch.einsum("bi,bj->bij", a, b).tril().sum(-1) + torch.eye(UNITS) @ torch.ones(UNITS),
    lambda a, b: a.unbind(-1)[0][:, None] + b.narrow(-1, 1, 2).repeat(1, 2) + a.split([1, 3], -1)[1].mean(),
    lambda a, b: torch.sqrt(a.abs() + 1) / (1 + b.pow(2)) + torch.exp(-a) * torch.sin(b) - torch.rsqrt(2 + a),
    lambda a, b: torch.arange(UNITS).float() / UNITS * a + torch.full_like(b, 0.5) + (a > 0).float() + b.sign(),
    lambda a, b: a.clone().mul_(2).add_(b, alpha=3).sub_(1).detach() + b.detach() * a.expand_as(a),
]


@pytest.mark.parametrize("operation", range(len(OPERATIONS)))
def test_an_operation_is_translated(operation):
    """`adapted` compares numbers and gradients with torch's."""

    class Cell(Plain):
        def forward(self, x, h):
            a, b = self.linear(torch.cat([x, h], -1)), torch.tanh(h)
            y = OPERATIONS[operation](a, b)
            return y.mean(-1, keepdim=True) + 0 * h if y.shape != h.shape else y

    assert not adapted(Cell, UNITS, {}, INPUTS).random


def test_a_state_is_changed_in_place_as_torch_does():
    class Shifts(Plain):
        def forward(self, x, h):
            h = h.clone()
            h[:, 1:] = 0.5 * h[:, :-1]
            h[:, 0] = self.linear(torch.cat([x, h], -1)).sum(-1)
            return h

    adapted(Shifts, UNITS, {}, INPUTS)


def test_random_numbers_are_drawn_from_the_trials_key_in_training_alone():
    class Noisy(Plain):
        def __init__(self, inputs, units, rate):
            super().__init__(inputs, units)
            self.drop = nn.Dropout(rate)

        def forward(self, x, h):
            h = self.drop(super().forward(x, h))
            return h + 0.1 * torch.randn_like(h) if self.training else h

    cell = adapted(Noisy, 400, {"rate": 0.25}, INPUTS)
    params, x = [array[0] for array in cell.draw([0])], np.eye(1, INPUTS, dtype=np.float32)
    step = lambda key: np.asarray(cell.step(params, cell.initial_state(params, 1), x, key)[1])
    frozen, one, again, other = step(None), step(jax.random.key(1)), step(jax.random.key(1)), step(jax.random.key(2))
    assert cell.random and np.array_equal(one, again) and not np.array_equal(one, other)
    dropped = np.abs(one - frozen / 0.75) > 0.5 * np.abs(frozen / 0.75)
    assert np.abs(frozen).max() <= 1 and 0.1 < dropped.mean() < 0.9


class OneOfTwo(nn.LSTMCell):
    def forward(self, x, state):
        return super().forward(x, state)[0]


class OtherShape(Plain):
    def forward(self, x, h):
        return torch.cat([super().forward(x, h), h], -1)[:, : UNITS + 1]


class NotFinite(Plain):
    def forward(self, x, h):
        return super().forward(x, h) / h.sum(-1, keepdim=True)


class Numpy(Plain):
    def forward(self, x, h):
        return super().forward(x, h) + float(np.random.normal())


class Unseeded(Plain):
    def forward(self, x, h):
        return super().forward(x, h) + torch.rand(1)


class Double(Plain):
    def forward(self, x, h):
        return super().forward(x.double(), h.double()).float()

    def __init__(self, inputs, units):
        super().__init__(inputs, units)
        self.linear = self.linear.double()


class DoubleWithin(Plain):
    def forward(self, x, h):
        return (super().forward(x, h).double() + 1e-12).float()


class BatchSize(Plain):
    def forward(self, x, h):
        return super().forward(x, h) / x.shape[0]


class Counts(Plain):
    calls = 0

    def forward(self, x, h):
        self.calls += 1
        return super().forward(x, h)


class BatchNorm(Plain):
    def __init__(self, inputs, units):
        super().__init__(inputs, units)
        self.norm = nn.BatchNorm1d(units)

    def forward(self, x, h):
        return self.norm(super().forward(x, h))


class Branches(Plain):
    def forward(self, x, h):
        return super().forward(x, h) if h.sum() > 0 else h


class Reads(Plain):
    def forward(self, x, h):
        return super().forward(x, h) * h[0, 0].item()


class NoGradient(Plain):
    def forward(self, x, h):
        with torch.no_grad():
            h = 0.5 * h
        return super().forward(x, h)


class Frozen(Plain):
    def __init__(self, inputs, units):
        super().__init__(inputs, units)
        self.linear.bias.requires_grad_(False)


class ByNumpy(Plain):
    def __init__(self, inputs, units):
        super().__init__(inputs, units)
        self.linear.weight.data += torch.from_numpy(np.random.normal(size=(units, 1)).astype(np.float32))


class Reservoir(Plain):
    def __init__(self, inputs, units):
        super().__init__(inputs, units)
        self.register_buffer("fixed", torch.randn(units, units))

    def forward(self, x, h):
        return super().forward(x, h @ self.fixed)


class Held(Plain):
    def __init__(self, inputs, units):
        super().__init__(inputs, units)
        self.fixed = torch.randn(units, units)

    def forward(self, x, h):
        return super().forward(x, h @ self.fixed)


class Fourier(Plain):
    def forward(self, x, h):
        return torch.fft.irfft(torch.fft.rfft(super().forward(x, h)))


class Typo(Plain):
    def forward(self, x, h):
        return torch.tahn(x)


class OfUnitsAlone(Plain):
    def __init__(self, units):
        super().__init__(5, units)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (OneOfTwo, "forward: it returns one value; it must return the new state, .* or \\(y, state\\)"),
        (OtherShape, "step: its states have the shapes .* and it returns others: .*"),
        (NotFinite, ".*its first step returns numbers that are not finite.*"),
        (Numpy, "forward: it computes something else when it is called again: it draws random numbers.*"),
        (Unseeded, "forward: it draws random numbers also when it is evaluated: .*self.training.*"),
        (Double, "its parameter linear.weight is of type float64, and trials are trained in float32"),
        (DoubleWithin, "forward: it computes with numbers of type float64, and trials are trained in float32"),
        (BatchSize, ".*for a row alone than for a batch.*"),
        (Counts, "forward: it changes self.calls, which is lost once it is compiled: return .* as a state"),
        (BatchNorm, "forward: it uses torch's operation native_batch_norm, which is not translated .*"),
        (Branches, "forward: it decides by a number in a tensor .* use torch.where"),
        (Reads, "forward: it (reads|decides by) a number .*"),
        (NoGradient, "forward: its gradient for .* torch.no_grad .* are not translated, .detach\\(\\) is"),
        (Frozen, "its parameter linear.bias has requires_grad=False, and every weight is trained: use a buffer"),
        (ByNumpy, "the same seed gives it other weights each time: draw them by torch"),
        (Reservoir, "its buffer fixed is another after another seed, which trials cannot share"),
        (Held, "forward: it computes something else when it is made after another seed, .*"),
        (Fourier, "forward: it (uses torch's operation _fft|computes with numbers of type complex64).*"),
        (Typo, "forward: AttributeError: module 'torch' has no attribute 'tahn' .*test_torch_cells.py, line .*"),
        (OfUnitsAlone, "made with units 4 and cell_options {}: TypeError: .*"),
        (nn.LSTM, "torch.nn.LSTM is a layer for whole sequences: give torch.nn.LSTMCell"),
        (nn.Linear, "forward: TypeError: .*"),
    ],
)
def test_what_is_wrong_is_one_sentence(kind, sentence, monkeypatch):
    monkeypatch.setattr(own, "kind_of", lambda asked: kind)
    with pytest.raises(UserError, match=f"^model.cell {kind.__name__}[,:] {sentence}$") as caught:
        own.make_model(own.Request(kind.__name__, UNITS, "{}", False, b"", INPUTS, INPUTS), check=True)
    assert "\n" not in str(caught.value)
