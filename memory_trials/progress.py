"""Progress: a bar on a terminal, elsewhere a line every few seconds, with the time that is left."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

NO_RESULT_DEPENDS_ON_THIS = "it shows how far work is"

Item = TypeVar("Item")
SECONDS = 5.0  # between two lines


def counted(items: Iterable[Item], total: int, what: str, seconds_between_lines: float = SECONDS) -> Iterator[Item]:
    """Yield the items, and show on stderr how many of them are done.

    Args:
        items: What is worked on.
        total: Their number.
        what: What is done, such as "arms evaluated".
        seconds_between_lines: Where there is no terminal.
    """
    started = printed = time.monotonic()
    form = "{desc}: {bar}| {n} of {total} [{elapsed}, {remaining} left]"
    with tqdm(total=total, desc=what, bar_format=form, disable=not sys.stderr.isatty(), leave=False) as bar:
        for done, item in enumerate(items, 1):
            yield item
            bar.update()
            now = time.monotonic()
            if bar.disable and done < total and now - printed >= seconds_between_lines:
                printed = now
                print(
                    f"{what}: {done} of {total}, {(now - started) * (total - done) / done:.0f} s left",
                    file=sys.stderr,
                    flush=True,
                )


class Tally:
    """Shows how many items are done. It is called with the number of further ones.

    Args:
        what: What is done.
        total: The number of items; or
        seconds: the time in which as many as possible are done.
        seconds_between_lines: Where there is no terminal.
    """

    def __init__(
        self, what: str, total: int = 0, seconds: float = 0, seconds_between_lines: float = SECONDS
    ):  # total or seconds
        self.what, self.total, self.seconds = what, total, seconds
        self.done, self.interval = 0, seconds_between_lines
        self.started = self.printed = time.monotonic()
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
        if self.bar.disable and left and now - self.printed >= self.interval:
            self.printed = now
            print(f"{said}, {left:.0f} s left", file=sys.stderr, flush=True)

    def __exit__(self, *_) -> None:
        self.bar.close()


class Progress:
    """Shows how far training is. It is called with the epochs, summed over trials, and the trials that newly learned.

    Trials from the cache (kept) took no time, so the time that is left does not depend on them.

    Args:
        trials: Their number.
        epochs: Of each trial.
        seconds_between_lines: Where there is no bar.
        kind: tqdm's class of bars.
        shown: Whether there is a bar; by default on a terminal.
    """

    def __init__(
        self, trials: int, epochs: int, seconds_between_lines: float = SECONDS, kind: type[tqdm] = tqdm,
        shown: bool | None = None,
    ):  # fmt: skip
        self.trials, self.epochs = trials, epochs
        self.done = self.kept = self.learned = 0
        self.interval = seconds_between_lines
        self.started = self.printed = time.monotonic()
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
                self.started = self.printed = now
        self.bar.set_postfix_str(f"{self.learned} learned so far", refresh=False)
        self.bar.update(trial_epochs / self.trials)
        self.bar.initial = self.kept / self.trials  # its rate is of what comes after
        self.done += trial_epochs
        if self.bar.disable and not kept and now - self.printed >= self.interval:
            self.printed = now
            left = (now - self.started) * (self.trials * self.epochs - self.done) / max(1, self.done - self.kept)
            print(
                f"{self.trials} trials, epoch {self.done / self.trials:.0f} of {self.epochs}, "
                f"{self.learned} learned so far, {left:.0f} s left",
                flush=True,
            )

    def __exit__(self, *_) -> None:
        self.bar.close()
