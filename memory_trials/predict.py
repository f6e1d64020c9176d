"""Ask the trained memory what comes next, without TensorFlow, in half a second.

    python -m memory_trials.predict 3 0 1 2                 (make predict SEQ="3 0 1 2")
    python -m memory_trials.predict 3 0 1 2 --steps 10      (make predict SEQ="3 0 1 2" STEPS=10)

Symbols are separated by spaces or commas, or given as a JSON array where they hold some themselves. The answer is a
line for each symbol that the memory says, with its probability, and a last line that tells which trial speaks.
"""

import argparse

from memory_trials import memory
from memory_trials.errors import UserError, exit_on_user_error

FILE = f"data/tutorial/{memory.MEMORY}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UserError(message)


def main() -> None:
    parser = _Parser("predict", description="What the trained memory says next.")
    parser.add_argument("sequence", nargs="*", help="the symbols to begin with, as one argument or several")
    parser.add_argument("--steps", type=int, default=1, help="how many symbols it shall say, fed with its own")
    parser.add_argument("--model", default=FILE, help=f"a file written by the evaluate stage (default: {FILE})")
    given = parser.parse_args()
    asked = memory.read(given.model)
    for symbol, probability in memory.ask(asked, memory.words(" ".join(given.sequence)), given.steps):
        print(f"{symbol}  (probability {probability:.4f})")
    print(f"says {asked}")


if __name__ == "__main__":
    exit_on_user_error(main)
