"""The cells that are written in JAX, from their equations, in NumPy and double precision: step by step, one row, one head
after another; and all steps at once, for those that have such a form.

Each function takes weights by name, x [L, inputs], the units and the options, and returns the outputs [L, width].
"""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def parts(x, kernel, *widths):
    """What each of the projections that stand side by side in a kernel makes of x."""
    assert sum(widths) == kernel.shape[1]
    return np.split(x @ kernel, np.cumsum(widths)[:-1], axis=-1)


def heads_of(units, options):
    count = options.heads
    return count, options.key_size or units // count


def by_head(function):
    """A cell whose heads have nothing to do with one another, from a function of one head's q, k, v [L, size]."""

    def cell(weights, x, units, options):
        count, size = heads_of(units, options)
        gates = weights["kernel"].shape[1] - 2 * count * size - units
        q, k, v, rest = parts(x, weights["kernel"], count * size, count * size, units, gates)
        split = lambda array: np.split(array, count, axis=1)
        each = zip(split(q), split(k), split(v))
        found = [function(*of_one, weights, rest, head, options) for head, of_one in enumerate(each)]
        return np.concatenate(found, axis=1)

    return cell


def min_gru(weights, x, units, options, h0=0.0):
    h, ys = np.zeros(units) + h0, []
    for z, a in zip(*parts(x, weights["kernel"], units, units)):
        z = sigmoid(z)
        g = np.array([each + 0.5 if each >= 0 else sigmoid(each) for each in a])
        h = (1 - z) * h + z * g
        ys.append(h)
    return np.array(ys)


def min_gru_at_once(weights, x, units, options, h0=0.0):
    """h_t = A_t (h_0 + sum over s <= t of b_s / A_s), with A_t the product of the (1 - z) so far."""
    z, a = parts(x, weights["kernel"], units, units)
    z = sigmoid(z)
    kept = np.cumprod(1 - z, axis=0)
    return kept * (h0 + np.cumsum(z * np.where(a >= 0, a + 0.5, sigmoid(a)) / kept, axis=0))


def lru_matrices(weights, units):
    eigenvalues = np.exp(-np.exp(weights["nu"]) + 1j * np.exp(weights["theta"]))
    b = weights["input_kernel"][:, :units] + 1j * weights["input_kernel"][:, units:]
    c = weights["output_kernel"][:units] - 1j * weights["output_kernel"][units : 2 * units]
    return eigenvalues, np.exp(weights["gamma"]) * b, c, weights["output_kernel"][2 * units :]


def lru(weights, x, units, options):
    eigenvalues, b, c, d = lru_matrices(weights, units)
    h, ys = np.zeros(units, complex), []
    for row in x:
        h = eigenvalues * h + row @ b
        ys.append((h @ c).real + row @ d)
    return np.array(ys)


def lru_at_once(weights, x, units, options):
    """The convolution of the inputs with the powers of the eigenvalues."""
    eigenvalues, b, c, d = lru_matrices(weights, units)
    powers = eigenvalues ** np.arange(len(x))[:, np.newaxis]
    u = x @ b
    h = np.array([sum(powers[t - s] * u[s] for s in range(t + 1)) for t in range(len(x))])
    return (h @ c).real + x @ d


def s6(weights, x, units, options):
    size = weights["log_decay"].shape[1]
    rank = weights["rate_kernel"].shape[0]
    h, ys = np.zeros((units, size)), []
    for row in x:
        u = row @ weights["input_kernel"]
        low, b, c = parts(u, weights["selection_kernel"], rank, size, size)
        delta = np.log1p(np.exp(low @ weights["rate_kernel"] + weights["rate_bias"]))
        y = np.zeros(units)
        for unit in range(units):
            for n in range(size):
                kept = np.exp(delta[unit] * -np.exp(weights["log_decay"][unit, n]))
                if options.eigenvalues == "signed":
                    kept = 2 * kept - 1
                h[unit, n] = kept * h[unit, n] + delta[unit] * b[n] * u[unit]
                y[unit] += c[n] * h[unit, n]
        ys.append(y + weights["skip"] * u)
    return np.array(ys)


def slstm(weights, x, units, options):
    """Without m: f and i are exponentials as they stand."""
    y, c, n, ys = np.zeros(units), np.zeros(units), np.zeros(units), []
    for row in x:
        gates = row @ weights["kernel"] + y @ weights["recurrent_kernel"] + weights["bias"]
        i, f, z, o = np.split(gates, 4)
        c = sigmoid(f) * c + np.exp(i) * np.tanh(z)
        n = sigmoid(f) * n + np.exp(i)
        y = sigmoid(o) * c / n
        ys.append(y)
    return np.array(ys)


def mlstm(weights, x, units, options):
    """Without m: f and i are exponentials as they stand, and the norm is at least 1."""
    count, size = heads_of(units, options)
    q, k, v, o, i, f = parts(x, weights["kernel"], count * size, count * size, units, units, count, count)
    o, i, f = (each + bias for each, bias in zip((o, i, f), np.split(weights["bias"], (units, units + count))))
    y = np.zeros((len(x), units))
    for head in range(count):
        of_key, of_value = (slice(head * n, (head + 1) * n) for n in (size, units // count))
        memory, n = np.zeros((size, units // count)), np.zeros(size)
        for t in range(len(x)):
            key, keep, write = k[t, of_key] / np.sqrt(size), sigmoid(f[t, head]), np.exp(i[t, head])
            memory = keep * memory + write * np.outer(key, v[t, of_value])
            n = keep * n + write * key
            y[t, of_value] = q[t, of_key] @ memory / max(abs(q[t, of_key] @ n), 1)
    return sigmoid(o) * y


def mlstm_at_once(weights, x, units, options):
    """The paper's appendix: a matrix of scores with decays, made finite by the largest exponent of each row."""
    count, size = heads_of(units, options)
    q, k, v, o, i, f = parts(x, weights["kernel"], count * size, count * size, units, units, count, count)
    o, i, f = (each + bias for each, bias in zip((o, i, f), np.split(weights["bias"], (units, units + count))))
    before = np.tril(np.ones((len(x), len(x)), bool))
    y = np.zeros((len(x), units))
    for head in range(count):
        of_key, of_value = (slice(head * n, (head + 1) * n) for n in (size, units // count))
        forgotten = np.cumsum(-np.log1p(np.exp(-f[:, head])))
        exponents = np.where(before, forgotten[:, None] - forgotten + i[:, head], -np.inf)
        largest = exponents.max(axis=1, keepdims=True)
        scores = q[:, of_key] @ k[:, of_key].T / np.sqrt(size) * np.exp(exponents - largest)
        norm = np.maximum(np.abs(scores.sum(axis=1, keepdims=True)), np.exp(-largest))
        y[:, of_value] = scores / norm @ v[:, of_value]
    return sigmoid(o) * y


def gamma_of(head, options):
    return 1 - 2.0 ** (-5 - head) if options.decay else 1.0


@by_head
def retnet(q, k, v, weights, rest, head, options):
    memory, ys = np.zeros((k.shape[1], v.shape[1])), []
    for of_one in zip(q, k, v):
        memory = gamma_of(head, options) * memory + np.outer(*of_one[1:])
        ys.append(of_one[0] @ memory / np.sqrt(k.shape[1]))
    return np.array(ys)


@by_head
def retnet_at_once(q, k, v, weights, rest, head, options):
    """(Q K^T * D) V, where D is gamma^(t - s), and 0 above the diagonal."""
    t = np.arange(len(q))
    decay = np.where(t[:, None] >= t, gamma_of(head, options) ** (t[:, None] - t).clip(0), 0)
    return q @ k.T / np.sqrt(k.shape[1]) * decay @ v


def of_norm_1(vector):
    return vector / np.sqrt((vector**2).sum(axis=-1, keepdims=True) + 1e-6)


@by_head
def delta_net(q, k, v, weights, rest, head, options):
    memory, ys = np.zeros((k.shape[1], v.shape[1])), []
    for t in range(len(q)):
        key, beta = of_norm_1(k[t]), options.beta_to * sigmoid(rest[t, head])
        memory = memory + beta * np.outer(key, v[t] - memory.T @ key)
        ys.append(memory.T @ of_norm_1(q[t]) / np.sqrt(k.shape[1]))
    return np.array(ys)


@by_head
def delta_net_at_once(q, k, v, weights, rest, head, options):
    """S_t is the sum over s of the product of (I - beta k k^T) after s, times beta k v^T; which a triangular system
    gives: u_t = beta_t (v_t - sum over s < t of (k_t k_s) u_s), the WY form."""
    q, k = of_norm_1(q), of_norm_1(k)
    beta = options.beta_to * sigmoid(rest[:, [head]])
    written = np.linalg.solve(np.eye(len(q)) + np.tril(beta * (k @ k.T), -1), beta * v)
    return np.tril(q @ k.T) @ written / np.sqrt(k.shape[1])


def nbrc(weights, x, units, options, h0=0.0):
    h, ys = np.zeros(units) + h0, []
    for of_a, of_c, of_h in zip(*parts(x, weights["kernel"], units, units, units)):
        bias, recurrent = weights["bias"].reshape(3, units), weights["recurrent_kernel"]
        a = 1 + np.tanh(of_a + bias[0] + h @ recurrent[:, :units])
        c = sigmoid(of_c + bias[1] + h @ recurrent[:, units:])
        h = c * h + (1 - c) * np.tanh(of_h + bias[2] + a * h)
        ys.append(h)
    return np.array(ys)


def slope_of(head, options):
    return 2 ** (-8 * (head + 1) / options.heads) if options.positions == "alibi" else 0.0


@by_head
def attention(q, k, v, weights, rest, head, options):
    ys = []
    for t in range(len(q)):
        seen = range(max(0, t + 1 - options.context), t + 1)
        scores = np.exp([q[t] @ k[s] / np.sqrt(k.shape[1]) - slope_of(head, options) * (t - s) for s in seen])
        ys.append(sum(score * v[s] for score, s in zip(scores / scores.sum(), seen)))
    return np.array(ys)


@by_head
def attention_at_once(q, k, v, weights, rest, head, options):
    """The whole matrix of scores, in which the future and what is too far away have none."""
    away = np.arange(len(q))[:, None] - np.arange(len(q))
    scores = q @ k.T / np.sqrt(k.shape[1]) - slope_of(head, options) * away
    scores = np.exp(np.where((away >= 0) & (away < options.context), scores, -np.inf))
    return scores / scores.sum(axis=1, keepdims=True) @ v
