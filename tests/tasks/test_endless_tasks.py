"""The eight tasks of the probe: their targets computed again from the inputs alone, their counts, their distributions.

Where a distribution is tested, right code would fail for one in 10^9 of all seeds.
"""

import hashlib
import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from memory_trials.engines import streaming
from memory_trials.errors import UserError
from memory_trials.numerics.draws import distinct, words
from memory_trials.settings import ModelSettings, Settings, TrainingSettings
from memory_trials.stream_settings import stream_settings
from memory_trials.tasks.interface import Criterion, Shape
from memory_trials.tasks.streams import Stream
from memory_trials.training.job import TrainingJob, engine_of

RARE = 1e-9
SHAPES = {  # of the defaults: inputs, outputs, steps, and whether there is a mask
    "associative_recall": (33, 16, 32, True),
    "parity": (2, 2, 20, False),
    "cycle_navigation": (3, 5, 20, False),
    "selective_copying": (10, 8, 32 + 4, True),
    "copying_memory": (10, 8, 50 + 2 * 5, True),
    "induction": (17, 16, 32, True),
    "flip_flop": (5, 2, 64, True),
    "a_n_b_n": (3, 3, 2 * 12 + 1, False),
}
DIGESTS = {  # of 20 sequences for each purpose of two trials, drawn by the defaults
    "associative_recall": "dd7e8abb3c5d9fe9",
    "parity": "b63e5582cc9efc1e",
    "cycle_navigation": "606cf93f341ecbdf",
    "selective_copying": "0ca4be7cb4787f6c",
    "copying_memory": "e5911d431187c338",
    "induction": "33d044c9e29ce74e",
    "flip_flop": "0c06857ec3c411e4",
    "a_n_b_n": "99c094a500c0e3bf",
}


def one_by_one(stream: Stream, count: int, purpose: str = "train", seed: int = 5):
    """Each sequence of one trial as lists: inputs, targets (None where nothing is scored), and what may follow."""
    drawn = stream.draw(np.array([seed]), purpose, 0, count)
    ends = np.cumsum(drawn.lengths[0])
    assert drawn.x.shape == drawn.y.shape == (1, ends[-1])
    for end, length in zip(ends, drawn.lengths[0]):
        steps = slice(end - length, end)
        x, y = drawn.x[0, steps].tolist(), drawn.y[0, steps].tolist()
        if drawn.mask is not None:
            assert not any(target for target, scored in zip(y, drawn.mask[0, steps]) if not scored)
            y = [target if scored else None for target, scored in zip(y, drawn.mask[0, steps])]
        yield x, y, None if drawn.possible is None else drawn.possible[0, steps].tolist()


# -- the targets again, from the inputs alone


def recalled(x, of):
    values, answers = {}, []
    for place, symbol in enumerate(x):
        if place < 2 * of.pairs:
            answers.append(None)
            if place % 2:
                assert of.symbols <= symbol < 2 * of.symbols and x[place - 1] not in values
                values[x[place - 1]] = symbol - of.symbols
        else:
            answers.append(None if symbol == 2 * of.symbols else values.pop(symbol))
    assert not values  # each was asked for once
    return answers


def parities(x, of):
    return [sum(x[: place + 1]) % 2 for place in range(len(x))]


def navigated(x, of):
    place, places = 0, []
    for move in x:
        place = {0: place - 1, 1: place, 2: place + 1}[move]
        place = {-1: 4, 5: 0}.get(place, place)
        places.append(place)
    return places


def copied(x, of):
    """Of both tasks of copying: the tokens again, at the end."""
    tokens = [symbol for symbol in x if symbol < of.symbols]
    assert len(tokens) == of.tokens
    if of.task == "selective_copying":
        assert x[of.length :] == [of.symbols + 1] * of.tokens and of.symbols + 1 not in x[: of.length]
    else:
        blanks = [of.symbols] * (of.length - 1)
        assert x == [*tokens, *blanks, of.symbols + 1, *[of.symbols] * of.tokens]
    return [None] * (len(x) - of.tokens) + tokens


def induced(x, of):
    special = of.symbols
    assert x.count(special) == 2 and x[-1] == special
    return [None] * (len(x) - 1) + [x[x.index(special) + 1]]


def read(x, of):
    assert x[0] == 2 and x[-2] == 4
    memory, answers = None, []
    for instruction, bit in zip(x[::2], x[1::2]):
        assert instruction in (2, 3, 4) and bit in (0, 1)
        if instruction == 2:
            memory = bit
        if instruction == 4:
            assert bit == memory
        answers += [memory if instruction == 4 else None, None]
    return answers


def counted(x, of):
    text = "".join("Sab"[symbol] for symbol in x)
    n = text.count("a")
    assert text == "S" + "a" * n + "b" * n and 1 <= n <= of.length
    return [0] * n + [1] * n + [2]


REFERENCES = {
    "associative_recall": recalled, "parity": parities, "cycle_navigation": navigated, "selective_copying": copied,
    "copying_memory": copied, "induction": induced, "flip_flop": read, "a_n_b_n": counted,
}  # fmt: skip


@st.composite
def settings_of_a_task(pick):
    task = pick(st.sampled_from(sorted(REFERENCES)))
    some = lambda lowest, highest: pick(st.integers(lowest, highest))
    if task == "associative_recall":
        pairs = some(1, 6)
        return {"task": task, "pairs": pairs, "symbols": some(max(2, pairs), 9), "length": some(3 * pairs, 40)}
    if task in ("selective_copying", "copying_memory"):
        tokens = some(1, 6)
        return {"task": task, "tokens": tokens, "symbols": some(2, 9), "length": some(tokens, 40)}
    if task == "induction":
        return {"task": task, "symbols": some(2, 9), "length": some(3, 40)}
    if task == "flip_flop":
        return {"task": task, "length": 2 * some(2, 40), "ignore": pick(st.sampled_from([0.0, 0.1, 0.8, 0.98, 1.0]))}
    return {"task": task, "length": some(2, 40)}


@hypothesis_settings(max_examples=80, deadline=None)
@given(settings_of_a_task(), st.integers(0, 2**32 - 1), st.sampled_from(["train", "check", "test"]))
def test_the_targets_follow_from_the_inputs(given, seed, purpose):
    stream = Stream(stream_settings(**given))
    for x, y, possible in one_by_one(stream, 12, purpose, seed):
        assert y == REFERENCES[given["task"]](x, stream.settings)
        if stream.settings.task != "a_n_b_n":
            assert possible is None and len(x) == stream.shape.longest
            continue
        may_follow = [["a"] if s == 0 else ["a", "b"] if s == 1 else ["b"] for s in x[:-1]] + [["T"]]
        if len(x) == 3:
            assert may_follow == [["a"], ["a", "b"], ["T"]]
        assert possible == [sum(1 << "abT".index(symbol) for symbol in symbols) for symbols in may_follow]


@pytest.mark.parametrize("task", SHAPES)
def test_shapes_and_criteria_of_the_defaults(task):
    stream = Stream(stream_settings(task=task))
    inputs, outputs, longest, masked = SHAPES[task]
    predicts = task not in ("parity", "a_n_b_n")
    equally_long = task != "a_n_b_n"
    assert stream.shape == Shape(
        inputs, outputs, False, False, True, longest, masked, predicts=predicts, equally_long=equally_long
    )
    assert stream.criteria == {"learned": Criterion("check", 100, 1.0, wrong=1, judged="most_active")}
    assert (
        f"without memory, {100 * stream.rule.guessing(stream.settings):g} % of them can be right" in stream.described()
    )


@pytest.mark.parametrize("task", SHAPES)
def test_longer_sequences_are_the_same_settings_with_another_length(task):
    of = stream_settings(task=task)
    longer = stream_settings(**of.model_dump(exclude_none=True) | {"length": 10 * of.length})
    one, other = Stream(of).shape, Stream(longer).shape
    assert (one.inputs, one.outputs, one.masked) == (other.inputs, other.outputs, other.masked)
    assert other.longest - one.longest == (2 if task == "a_n_b_n" else 1) * 9 * of.length


@pytest.mark.parametrize("task", SHAPES)
def test_portions_and_other_trials_change_nothing(task):
    stream = Stream(stream_settings(task=task))
    draw = lambda seeds, first, count: stream.draw(np.array(seeds), "check", first, count)
    whole, beside = draw([7], 0, 10), draw([3, 7, 2**32 - 1], 0, 10)
    for name, array in vars(whole).items():
        if array is None:
            assert getattr(beside, name) is None
            continue
        parts = [getattr(draw([7], first, count), name)[0] for first, count in ((0, 4), (4, 6))]
        assert np.array_equal(np.concatenate(parts), array[0])
        assert np.array_equal(getattr(beside, name)[1, : array.shape[1]], array[0])
    assert beside.x[0].tobytes() != beside.x[1].tobytes() != beside.x[2].tobytes()


@pytest.mark.parametrize("task", SHAPES)
def test_long_sequences_are_made_in_small_portions_and_are_the_same(task, monkeypatch):
    stream = Stream(stream_settings(task=task))
    whole = stream.draw(np.array([7]), "train", 0, 20)
    sizes, make = [], stream.rule._make
    monkeypatch.setattr(stream.rule, "_make", lambda *given: sizes.append(len(given[1].numbers)) or make(*given))
    monkeypatch.setattr("memory_trials.tasks.endless.portions.CHUNK", 5 * stream.shape.longest)
    parts = stream.draw(np.array([7]), "train", 0, 20)
    assert sum(sizes) == 20 and max(sizes) <= 5
    assert all(np.array_equal(array, getattr(parts, name)) for name, array in vars(whole).items() if array is not None)


@pytest.mark.parametrize("task", SHAPES)
def test_the_first_sequences_never_change(task):
    stream, digest = Stream(stream_settings(task=task)), hashlib.sha256()
    for purpose in ("train", "check", "test"):
        for array in vars(stream.draw(np.array([0, 2**32 - 1]), purpose, 100, 20)).values():
            if array is not None:
                digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    assert digest.hexdigest()[:16] == DIGESTS[task]


# -- distributions


def uniform(values, lowest, highest) -> bool:
    """Whole numbers from lowest to highest, all as likely, and no others."""
    counts = Counter(np.asarray(values).ravel().tolist())
    assert min(counts) >= lowest and max(counts) <= highest
    return stats.chisquare([counts[n] for n in range(lowest, highest + 1)]).pvalue > RARE


def inputs(task, count=3000, **given):
    return np.array([x for x, _, _ in one_by_one(Stream(stream_settings(task=task, **given)), count)])


def test_different_integers_are_drawn_in_every_order_as_often():
    found = [tuple(row) for row in distinct(words(1, "any", 0, 6000, 3), 4).tolist()]
    orders = list(itertools.permutations(range(4), 3))
    assert uniform([orders.index(row) for row in found], 0, len(orders) - 1)
    assert sorted(distinct(words(1, "any", 0, 1, 9), 9)[0].tolist()) == list(range(9))


def test_keys_values_and_places_of_queries_are_uniform():
    x = inputs("associative_recall", length=20, pairs=3, symbols=5)
    assert uniform(x[:, 0:6:2], 0, 4) and uniform(x[:, 1:6:2], 5, 9)
    places = [[row[6:].tolist().index(key) for key in row[0:6:2]] for row in x]
    assert all(uniform(of_key, 0, 13) for of_key in zip(*places))
    assert uniform([sorted(of_row).index(of_row[0]) for of_row in places], 0, 2)  # in every order
    equal = sum(row[1] == row[3] for row in x)  # the values are independent
    assert stats.binomtest(int(equal), len(x), 1 / 5).pvalue > RARE


@pytest.mark.parametrize(("task", "symbols"), [("parity", 2), ("cycle_navigation", 3)])
def test_bits_and_moves_are_uniform_and_independent(task, symbols):
    x = inputs(task)
    assert uniform(x, 0, symbols - 1) and uniform(symbols * x[:, :-1:2] + x[:, 1::2], 0, symbols**2 - 1)


def test_tokens_are_uniform_and_so_are_their_places():
    x = inputs("selective_copying", length=12, tokens=3, symbols=4)
    places = [tuple(np.flatnonzero(row < 4).tolist()) for row in x]
    all_places = list(itertools.combinations(range(12), 3))
    assert uniform([all_places.index(of_row) for of_row in places], 0, len(all_places) - 1)
    assert uniform(x[x < 4], 0, 3)
    assert uniform(inputs("copying_memory")[:, :5], 0, 7)


def test_the_special_symbol_stands_everywhere_before_another_as_often():
    x = inputs("induction", length=9, symbols=4)
    place = (x == 4).argmax(axis=1)
    assert uniform(place, 0, 6) and uniform(x[np.arange(len(x)), place + 1], 0, 3) and uniform(x[x < 4], 0, 3)


@pytest.mark.parametrize("ignore", [0.1, 0.8, 0.98])
def test_instructions_come_as_often_as_their_probabilities(ignore):
    x = inputs("flip_flop", ignore=ignore)
    between = x[:, 2:-2:2]
    counts = np.bincount(between.ravel(), minlength=5)[2:]  # write, ignore, read
    shares = np.array([(1 - ignore) / 2, ignore, (1 - ignore) / 2])
    assert stats.chisquare(counts, shares * counts.sum()).pvalue > RARE
    bits = x[:, 1::2][x[:, 0::2] != 4]
    assert uniform(bits, 0, 1) and uniform(x[:, -1], 0, 1)


def test_n_is_uniform():
    lengths = [len(x) for x, _, _ in one_by_one(Stream(stream_settings(task="a_n_b_n")), 3000)]
    assert uniform([(length - 1) // 2 for length in lengths], 1, 12)


# -- what guessing scores

SMALL = {  # so small that a guess is right now and then
    "associative_recall": {"length": 9, "pairs": 2, "symbols": 3},
    "parity": {"length": 4},
    "cycle_navigation": {"length": 4},
    "selective_copying": {"length": 6, "tokens": 2, "symbols": 3},
    "copying_memory": {"length": 3, "tokens": 2, "symbols": 3},
    "induction": {"length": 6, "symbols": 4},
    "flip_flop": {"length": 12, "ignore": 0.3},
    "a_n_b_n": {"length": 5},
}


@pytest.mark.parametrize("task", SMALL)
def test_no_answer_by_the_present_symbol_is_right_more_often_than_guessing_and_chance_say(task):
    """All ways to answer each symbol are tried on 4,000 sequences: the best one's shares are within 0.03."""
    stream = Stream(stream_settings(task=task, **SMALL[task]))
    guessing, chance = stream.rule.guessing(stream.settings), stream.rule.chance(stream.settings)
    outputs = stream.shape.outputs
    asked, right = [], []  # of each scored step: the symbol, and which rankings of outputs are right
    rankings = list(itertools.permutations(range(outputs))) if task == "a_n_b_n" else [(n,) for n in range(outputs)]
    lengths = []
    for x, y, possible in one_by_one(stream, 4000):
        lengths.append(sum(target is not None for target in y))
        for place, target in enumerate(y):
            if target is None:
                continue
            good = {target} if possible is None else {n for n in range(outputs) if possible[place] >> n & 1}
            asked.append(x[place])
            right.append([set(ranking[: len(good)]) == good for ranking in rankings])
    symbols, number = np.unique(asked, return_inverse=True)
    right, begins = np.array(right), np.cumsum(lengths) - lengths
    steps = max(
        (right[np.arange(len(right)), np.array(answers)[number]]
         for answers in itertools.product(range(len(rankings)), repeat=len(symbols))),
        key=lambda of_steps: np.minimum.reduceat(of_steps, begins).mean(),
    )  # fmt: skip
    assert np.minimum.reduceat(steps, begins).mean() == pytest.approx(guessing, abs=0.03)
    of_symbols = [right[number == symbol].sum(axis=0).max() for symbol in range(len(symbols))]
    assert sum(of_symbols) / len(right) == pytest.approx(chance, abs=0.03)


def test_guessing_and_chance_of_small_cases_are_those_of_all_sequences():
    """Every sequence is written out, with its probability."""
    rule = lambda task, **given: (Stream(stream_settings(task=task, **given)), stream_settings(task=task, **given))
    for task, reference, symbols, outputs in (("parity", parities, 2, 2), ("cycle_navigation", navigated, 3, 5)):
        for length in (2, 3, 5):
            stream, of = rule(task, length=length)
            whole = [(x, reference(x, of)) for x in itertools.product(range(symbols), repeat=length)]
            share = lambda answers, judged, whole=whole: Fraction(
                sum(judged(answers[symbol] == target for symbol, target in zip(x, y)) for x, y in whole), len(whole)
            )
            all_answers = list(itertools.product(range(outputs), repeat=symbols))
            assert stream.rule.guessing(of) == pytest.approx(float(max(share(a, all) for a in all_answers)))
            assert stream.rule.chance(of) == pytest.approx(float(max(share(a, sum) for a in all_answers)) / length)
    stream, of = rule("flip_flop", length=8, ignore=0.2)
    expected = 0.0
    for middle in itertools.product("wir", repeat=2):
        instructions, runs, unread = ["w", *middle, "r"], 0, False
        for instruction in instructions:
            runs += instruction == "r" and unread
            unread = instruction == "w" or (unread and instruction != "r")
        expected += np.prod([{"w": 0.4, "i": 0.2, "r": 0.4}[instruction] for instruction in middle]) / 2**runs
    assert stream.rule.guessing(of) == pytest.approx(expected)


# -- what is refused


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"task": "associative_recall", "length": 11}, "length is 11: 4 pairs and their keys again take at least 12 steps"),
        ({"task": "associative_recall", "pairs": 17, "length": 60}, "pairs is 17: each has a key of its own, of which symbols gives 16"),
        ({"task": "selective_copying", "length": 3}, "length is 3: 4 tokens take at least 4 steps"),
        ({"task": "flip_flop", "length": 63}, "stream.length is 63: must be a multiple of 2"),
        ({"task": "flip_flop", "ignore": 1.5}, "stream.ignore is 1.5: must be less than or equal to 1"),
        ({"task": "induction", "length": 2}, "stream.length is 2: must be greater than or equal to 3"),
        ({"task": "a_n_b_n", "length": 1}, "stream.length is 1: must be greater than or equal to 2"),
        ({"task": "parity", "length": 20.5}, "stream.length is 20.5: must be a valid integer"),
        ({"task": "parity", "symbols": 3}, "symbols is no setting of the task parity, which takes length"),
        ({"task": "copying_memory", "pairs": 3}, "unknown key stream.pairs; allowed here are task, length, tokens, symbols"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(given, sentence):
    with pytest.raises(UserError) as refused:
        stream_settings(**given)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("task", SHAPES)
def test_the_engine_in_c_trains_where_all_steps_are_scored_and_jax_elsewhere(task):
    sections = {"problem": {"stream": {"task": task}}, "training": {"update": "sequence"}}
    settings = Settings(**sections, model={"cell": "gru"})
    job = TrainingJob(settings.model, settings.training, 10, Stream(settings.problem.stream))
    assert engine_of(job) == ("jax" if SHAPES[task][3] else "streaming")
    if SHAPES[task][3]:
        with pytest.raises(
            UserError, match="memory_cell does not support .* a task that scores only some of the steps"
        ):
            Settings(**sections, model={"cell": "memory_cell"})


@pytest.mark.parametrize("task", ["parity", "a_n_b_n"])
def test_a_cell_that_predicts_its_next_input_is_refused_where_targets_are_other_symbols(task):
    model = ModelSettings(cell="chunker", units=4)
    with pytest.raises(UserError, match="predicts its next input"):
        streaming._check(model, TrainingSettings(optimizer="sgd"), Stream(stream_settings(task=task)).shape)
