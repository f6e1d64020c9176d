"""How far something is, and how long it still takes: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

NO_RESULT_DEPENDS_ON_THIS = "it shows how far work is"

Item = TypeVar("Item")
SECONDS = 5.0  # between two lines


def counted(items: Iterable[Item], total: int, what: str, seconds_between_lines: float = SECONDS) -> Iterator[Item]:
    """The same items, `total` in number; says on stderr how many of them are through, as in "arms evaluated"."""
    started = told = time.monotonic()
    form = "{desc}: {bar}| {n} of {total} [{elapsed}, {remaining} left]"
    with tqdm(total=total, desc=what, bar_format=form, disable=not sys.stderr.isatty(), leave=False) as bar:
        for done, item in enumerate(items, 1):
            yield item
            bar.update()
            now = time.monotonic()
            if bar.disable and done < total and now - told >= seconds_between_lines:
                told = now
                print(
                    f"{what}: {done} of {total}, {(now - started) * (total - done) / done:.0f} s left",
                    file=sys.stderr,
                    flush=True,
                )


class Tally:
    """Called with how many more items are through: says how many there are of `total`, or, where as many are to be
    done as fit into so many `seconds`, how much of that time is left."""

    def __init__(
        self, what: str, total: int = 0, seconds: float = 0, seconds_between_lines: float = SECONDS
    ):  # total or seconds
        self.what, self.total, self.seconds = what, total, seconds
        self.done, self.interval = 0, seconds_between_lines
        self.started = self.told = time.monotonic()
        form = "{desc}{bar}| [{elapsed}, {remaining} left]"
        self.bar = tqdm(total=total or seconds, bar_format=form, disable=not sys.stderr.isatty(), leave=False)

    def __enter__(self) -> "Tally":
        return self

    def __call__(self, items: int) -> None:
        self.done += items
        now = time.monotonic()
        spent = now - self.started
        of = f" of {self.total:,}" if self.total else ""
        left = spent * (self.total - self.done) / max(1, self.done) if self.total else max(0.0, self.seconds - spent)
        said = f"{self.what}: {self.done:,}{of}"
        self.bar.set_description_str(f"{said} ", refresh=False)
        self.bar.update((self.done if self.total else min(spent, self.seconds)) - self.bar.n)
        if self.bar.disable and left and now - self.told >= self.interval:
            self.told = now
            print(f"{said}, {left:.0f} s left", file=sys.stderr, flush=True)

    def __exit__(self, *_) -> None:
        self.bar.close()


class Progress:
    """Called with (epochs trained, summed over trials; trials that have newly learned; whether they come from a store).

    Those of a store took no time, so they say nothing about the time that is left. kind: of tqdm's bars; shown: by
    default on a terminal, where there are no lines.
    """

    def __init__(
        self, trials: int, epochs: int, seconds_between_lines: float = SECONDS, kind: type[tqdm] = tqdm,
        shown: bool | None = None,
    ):  # fmt: skip
        self.trials, self.epochs = trials, epochs
        self.done = self.kept = self.learned = 0
        self.interval = seconds_between_lines
        self.started = self.told = time.monotonic()
        hidden = not (sys.stderr.isatty() if shown is None else shown)
        bar = "{l_bar}{bar}| {n:.0f}/{total:.0f} epochs{postfix} [{elapsed}, {remaining} left]"
        self.bar = kind(total=epochs, desc=f"{trials} trials", bar_format=bar, disable=hidden, leave=False)

    def __enter__(self) -> "Progress":
        return self

    def __call__(self, trial_epochs: int, newly_learned: int, kept: bool = False) -> None:
        self.learned += newly_learned
        now = time.monotonic()
        if kept:
            self.kept += trial_epochs
            if self.done + trial_epochs == self.kept:  # training begins
                self.started = self.told = now
        self.bar.set_postfix_str(f"{self.learned} learned so far", refresh=False)
        self.bar.update(trial_epochs / self.trials)
        self.bar.initial = self.kept / self.trials  # its rate is of what comes after
        self.done += trial_epochs
        if self.bar.disable and not kept and now - self.told >= self.interval:
            self.told = now
            left = (now - self.started) * (self.trials * self.epochs - self.done) / max(1, self.done - self.kept)
            print(
                f"{self.trials} trials, epoch {self.done / self.trials:.0f} of {self.epochs}, "
                f"{self.learned} learned so far, {left:.0f} s left",
                flush=True,
            )

    def __exit__(self, *_) -> None:
        self.bar.close()
