"""Commands, options and settings that the docs name: do they exist?"""

import itertools
import re
import shlex
from pathlib import Path
from typing import Any, get_args

from memory_trials.cli import commands
from memory_trials.settings import Section, Settings
from website.links import CODE, FENCE, ROOT

TARGET = re.compile(r"^([.a-z][\w/.-]*(?: [a-z][\w-]*)*):(?!=)", re.MULTILINE)
ENDS = re.compile(r"\s#\s|[|;&>]|\.\.\.")


def named(text: str) -> list[tuple[int, str]]:
    """Return the line number and content of each piece of code: lines of fenced blocks, and inline code."""
    found = []
    for block in FENCE.finditer(text):
        first = text.count("\n", 0, block.start()) + 1
        found += [(first + number, line) for number, line in enumerate(block[0].splitlines()) if number]
    rest = FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    return found + [
        (rest.count("\n", 0, m.start()) + 1, " ".join(m[0].strip("`").split())) for m in CODE.finditer(rest)
    ]


def unknown(page: Path) -> list[str]:
    """Return a sentence for each command, option or setting that a page names and that does not exist."""
    name = page.relative_to(ROOT).as_posix()
    found = []
    for line, code in named(page.read_text(encoding="utf-8")):
        for command in re.split(r" && |\| ", code):
            if mistake := _mistake(command.strip()):
                found.append(f"{name}:{line}: {mistake}")
    return found


def _mistake(command: str) -> str:
    command = ENDS.split(command)[0].strip()
    command = re.sub(r"^\$ |^(?:[A-Z_]+=\S+ )+", "", command)
    command = re.sub(r"^(uv run |(\.venv/bin/)?python -m )(?=memory[-_]trials)", "", command)
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    if len(words) > 1 and words[0] == "make":
        targets = make_targets()
        wrong = [word for word in words[1:] if "=" not in word and not word.startswith("-") and word not in targets]
        return f"`{command}`: the Makefile has no target {wrong[0]}" if wrong else ""
    if len(words) > 1 and words[0] in ("memory-trials", "memory_trials"):
        return _mistake_of_ours(command, words[1:]) or _wrong_settings(command, words)
    if words[:3] == ["dvc", "exp", "run"]:
        return _wrong_settings(command, words)
    return ""


def _mistake_of_ours(command: str, words: list[str]) -> str:
    options = {option for parameter in commands.params for option in parameter.opts} | {"--help", "-h"}
    while words and words[0].startswith("-"):
        if words[0] not in options:
            return f"`{command}`: memory-trials has no option {words[0]}"
        words = words[1:]
    if not words or not re.fullmatch(r"[a-z_-]+", words[0]):
        return ""
    if words[0] not in commands.commands:
        return f"`{command}`: memory-trials has no command {words[0]}"
    known = {option for parameter in commands.commands[words[0]].params for option in parameter.opts}
    for word in words[1:]:
        option = word.partition("=")[0]
        if option == "--":
            break
        if re.match(r"--?[a-zA-Z]", option) and option not in known | {"--help", "-h"}:
            return f"`{command}`: memory-trials {words[0]} has no option {option}"
    return ""


def _wrong_settings(command: str, words: list[str]) -> str:
    for flag, word in itertools.pairwise(words):
        key = word.partition("=")[0].lstrip("+~")
        if flag in ("-S", "--set", "--set-param") and re.fullmatch(r"[a-z_.]+", key) and not setting(key):
            return f"`{command}`: there is no setting {key}"
    return ""


def setting(key: str) -> bool:
    """Return whether a dotted path names a setting; below one of free form, such as cell_options, every path does."""
    section: Any = Settings
    for name in key.split("."):
        if section is None:
            return True
        if name not in section.model_fields:
            return False
        section = next(iter(sections(section.model_fields[name].annotation)), None)
    return True


def sections(annotation: Any) -> list[type[Section]]:
    """Return the sections that a field can hold."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for option in get_args(annotation) for found in sections(option)]


def make_targets() -> set[str]:
    """Return the targets of the Makefile."""
    lines = (ROOT / "Makefile").read_text(encoding="utf-8")
    return {name for match in TARGET.finditer(lines) for name in match[1].split()}
