"""Check the docs: links and anchors, commands, options and settings that they name, and pages made from the code.

python -m website.check
"""

import sys

from website import commands, links, reference


def main() -> None:
    mistakes = [mistake for page in links.pages() for mistake in (*links.broken(page), *commands.unknown(page))]
    mistakes += reference.outdated()
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    sys.exit(bool(mistakes))


if __name__ == "__main__":
    main()
