"""Tasks solved on paper: machines of units that are 0 or 1, each a sum of inputs and of units before, with a threshold.

These are the neurons of McCulloch & Pitts (1943); how they make a finite automaton, section 3.5 of Minsky (1967),
"Computation: finite and infinite machines", shows. `by_hand` gives cells the weights that compute them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from memory_trials.stream_settings import CopyingMemory, Induction, SelectiveCopying, StreamSettings
from memory_trials.tasks.endless import a_n_b_n, cycle_navigation
from memory_trials.tasks.endless.portions import settings_of


@dataclass
class Unit:
    """A unit of a machine: it is 1 where `bias` and the weights of what is 1 sum up to 1, and 0 where they do to 0.

    x: weights of present symbols. before: of the symbols one step ago. units: of units one step ago, by their numbers.
    first: the bias at the first step, if another. gate: the unit changes only where this is 1; None: at every step.
    counts: it adds the sum of its inputs to what it was, and is 1 from 1 on.
    """

    x: dict[int, float] = field(default_factory=dict)
    before: dict[int, float] = field(default_factory=dict)
    units: dict[int, float] = field(default_factory=dict)
    bias: float = 0.0
    first: float | None = None
    gate: Unit | None = None
    counts: bool = False


class Machine(NamedTuple):
    """units: of it. outputs: sums of units at the same step, of which the largest is the answer."""

    units: list[Unit]
    outputs: list[Unit]


def places(settings: StreamSettings) -> Machine:
    """Cycle navigation as a finite automaton: a unit for each place that a move begins at, and move."""
    moves = cycle_navigation.MOVES
    pairs = [(place, move) for place in range(cycle_navigation.PLACES) for move in range(len(moves))]
    to = [(place + moves[move]) % cycle_navigation.PLACES for place, move in pairs]
    there = [{number: 1.0 for number, end in enumerate(to) if end == place} for place in range(cycle_navigation.PLACES)]
    units = [
        Unit(x={move: 1.0}, units=there[place], bias=-1.0, first=0.0 if place == 0 else -1.0) for place, move in pairs
    ]
    return Machine(units, [Unit(units=leading) for leading in there])


def _register(symbols: int, tokens: int, gate: Unit) -> Machine:
    """Return a register that moves on where the gate is 1: the last `tokens` + 1 symbols, each in binary."""
    bits = (symbols - 1).bit_length()
    units = [Unit(x={s: 1.0 for s in range(symbols) if s >> bit & 1}, gate=gate) for bit in range(bits)]
    units += [Unit(units={number: 1.0}, gate=gate) for number in range(tokens * bits)]
    last = range(tokens * bits, (tokens + 1) * bits)
    signs = [{number: 1.0 if s >> bit & 1 else -1.0 for bit, number in enumerate(last)} for s in range(symbols)]
    return Machine(units, [Unit(units=of_symbol, bias=-sum(of_symbol.values()) / 2) for of_symbol in signs])


def selective_register(settings: StreamSettings) -> Machine:
    """Selective copying: a register that moves on at each token and marker, and rests at blanks."""
    copying = settings_of(settings, SelectiveCopying)
    marker = copying.symbols + 1
    return _register(copying.symbols, copying.tokens, Unit(x={s: 1.0 for s in (*range(copying.symbols), marker)}))


def cued_register(settings: StreamSettings) -> Machine:
    """Copying memory: a register that rests at blanks until the cue has come, which a unit remembers."""
    copying = settings_of(settings, CopyingMemory)
    symbols, tokens = copying.symbols, copying.tokens
    blank, cue, seen = symbols, symbols + 1, (tokens + 1) * (symbols - 1).bit_length()
    moves_on = Unit(x={**{s: 2.0 for s in range(symbols)}, blank: 1.0}, units={seen: 1.0}, bias=-1.0)
    machine = _register(symbols, tokens, moves_on)
    return Machine([*machine.units, Unit(x={cue: 1.0}, units={seen: 1.0})], machine.outputs)


def latches(settings: StreamSettings) -> Machine:
    """Induction: a unit for each symbol says that it comes right after the special one, another that it did once."""
    symbols = settings_of(settings, Induction).symbols
    after = [Unit(x={s: 1.0}, before={symbols: 1.0}, bias=-1.0) for s in range(symbols)]
    once = [Unit(units={s: 1.0, symbols + s: 1.0}) for s in range(symbols)]
    return Machine([*after, *once], [Unit(units={symbols + s: 1.0}) for s in range(symbols)])


def counter(settings: StreamSettings) -> Machine:
    """a^n b^n: a unit counts a up and b down, the others tell the present symbol."""
    count = Unit(x={a_n_b_n.A: 1.0, a_n_b_n.B: -1.0}, units={0: 1.0}, counts=True)
    present = [Unit(x={symbol: 1.0}) for symbol in (a_n_b_n.S, a_n_b_n.A, a_n_b_n.B)]
    next_a, next_b, end = {0: 2.0, 1: 1.0, 2: 1.0, 3: -1.0}, {0: 2.0, 2: 1.0}, {3: 1.0}
    return Machine([count, *present], [Unit(units=weights) for weights in (next_a, next_b, end)])
