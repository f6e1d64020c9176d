"""The embedded Reber grammar of Hochreiter & Schmidhuber (1997), section 5.1: predict a string's next symbol."""

from __future__ import annotations

from memory_trials.stream_settings import StreamSettings
from memory_trials.tasks import grammar
from memory_trials.tasks.interface import Criterion, Drawn, Purpose, Shape


def shape(stream: StreamSettings) -> Shape:
    symbols = len(grammar.SYMBOLS)
    return Shape(symbols, symbols, False, False, True, grammar.LONGEST)


def criteria(stream: StreamSettings) -> dict[str, Criterion]:
    both = 2 * grammar.SET_SIZE
    return {"success": Criterion("check", both, tolerance=1.0, judged="most_active")}


def guessing(stream: StreamSettings) -> float:
    return 0.5  # T or P before the end


def chance(stream: StreamSettings) -> None:
    """What may follow a symbol depends on more than the symbol, and how often on the 256 strings of a trial."""
    return None


def draw(stream: StreamSettings, seed: int, purpose: Purpose, first: int, count: int) -> Drawn:
    """As `Rule.draw` says. Of the purpose check there are the two sets alone, whatever is the first."""
    different = bool(stream.different)
    if purpose == "train":
        return Drawn(*grammar.training(seed, first, count, different))
    if purpose == "test":
        return Drawn(*grammar.unseen(seed, first, count, different))
    if count != 2 * grammar.SET_SIZE:
        raise ValueError(f"both sets hold {2 * grammar.SET_SIZE} strings, not {count}")
    return Drawn(*grammar.sets(seed, different)[0])
