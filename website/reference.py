"""Reference pages that follow from the code: docs/commands.md from the command, docs/settings.md from the settings,
docs/tasks.md and its picture from the endless tasks, docs/cells.md from the built-in cells.

python -m website.reference     # writes them (`make reference`)
"""

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from memory_trials.cells import registry
from memory_trials.cli import commands
from memory_trials.report import drawing, task_figures
from memory_trials.settings import Section, Settings
from memory_trials.stream_settings import TAKES, stream_settings
from memory_trials.tasks.streams import Stream, module_of
from website.commands import sections
from website.links import ROOT

NOTE = "<!-- Made from the code by `make reference`: do not edit. -->\n\n"


def pages() -> dict[Path, str]:
    """Return the content of each page that is made from the code."""
    return {
        ROOT / "docs/commands.md": commands_page(),
        ROOT / "docs/settings.md": settings_page(),
        ROOT / "docs/tasks.md": tasks_page(),
        ROOT / "docs/cells.md": cells_page(),
    }


def pictures() -> dict[Path, bytes]:
    """Return the content of each picture that is made from the code."""
    return {ROOT / "docs/tasks.png": drawing.png(drawing.svg(task_figures.picture()))}


def outdated() -> list[str]:
    """Return a sentence for each page or picture that is not what the code makes of it."""
    made = {path: text.encode() for path, text in pages().items()} | pictures()
    return [
        f"{path.relative_to(ROOT)} is out of date: run make reference"
        for path, content in made.items()
        if not path.exists() or path.read_bytes() != content
    ]


def commands_page() -> str:
    """Return the reference of all commands as Markdown."""
    lines = ["# Commands", "", *wrapped(
        "`memory-trials COMMAND` runs in the folder that holds params.yaml, with the environment on the path "
        "(`source .venv/bin/activate`); `make` sets up the environment first. `memory-trials COMMAND --help` prints "
        "what is here.", ""
    ), ""]  # fmt: skip
    lines += ["| command | what it does |", "|---|---|"]
    lines += [f"| [{name}](#{name}) | {summary(command)} |" for name, command in commands.commands.items()]
    lines += ["", "Options before the command:", "", *options(commands)]
    for name, command in commands.commands.items():
        context = click.Context(command, info_name=f"memory-trials {name}")
        lines += ["", f"## {name}", "", "```", command.get_usage(context).removeprefix("Usage: "), "```", ""]
        lines += [*body(command), "", *options(command)]
    return NOTE + "\n".join(lines).rstrip() + "\n"


def summary(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "").partition("\n")[0]


def body(command: click.Command) -> Iterator[str]:
    """Yield the lines of a command's help, its examples as code."""
    first = True
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if not first:
            yield ""
        first = False
        if paragraph.startswith("\b"):
            yield from ["```", *(line for line in paragraph.splitlines()[1:]), "```"]
        else:
            yield from wrapped(" ".join(paragraph.split()), "")


def options(command: click.Command) -> Iterator[str]:
    """Yield a line for each option of a command."""
    context = click.Context(command)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context)):
            names, text = (" ".join(part.split()) for part in record)
            text = re.sub(r"\[(.*?)\]", r"(\1)", text)
            yield from wrapped(f"- `{names}`: {text}" if text else f"- `{names}`", "  ")


def settings_page() -> str:
    """Return the reference of all settings as Markdown: what each means, its default, and what is allowed."""
    comments, about = comments_of((ROOT / "params.yaml").read_text(encoding="utf-8"))
    lines = ["# Settings", "", *wrapped(
        "Every setting of [params.yaml](../params.yaml), with its default and the values that it allows. An unknown "
        "name or a value that is not allowed is refused before anything is overwritten.", ""
    )]  # fmt: skip
    for name, field in Settings.model_fields.items():
        lines += ["", f"## {name}", ""]
        if name in about:
            lines += [*wrapped(about[name], ""), ""]
        for section in sections(field.annotation):
            lines += rows(section, name, comments)
    return NOTE + "\n".join(lines) + "\n"


def tasks_page() -> str:
    """Return the list of all endless tasks as Markdown, from their modules and settings."""
    lines = ["# Tasks", "", *wrapped(
        "Endless tasks: every sequence is new, and each trial has streams of its own to train on, to check and to "
        "test. Use one in params.yaml and in studies as `problem.stream: {task: parity}`, or from Python as "
        "`measure(\"gru\", \"parity\", length=20)`. [Settings](settings.md#problem) lists what each takes, "
        "[the paper](paper.md#the-tasks) describes the tasks of 1997, and "
        "[CONTRIBUTING.md](../CONTRIBUTING.md#add-a-task) how to add one.", "",
    ), ""]  # fmt: skip
    seen = "the input symbols over time, and the targets where a step is scored"
    lines += [f"![An example of each task: {seen}](tasks.png)", ""]
    lines += wrapped(
        "*Steps right* and *sequences right* are the shares of the scored steps, and of sequences whose scored steps "
        "are all right, that the best guess from the present symbol alone gets right: for the default settings, by the "
        "task's first criterion.", "",
    )  # fmt: skip
    lines += ["", *wrapped(
        "A trial has learned a task of 1997 when it meets the paper's criterion, and one of the others, from "
        "associative_recall on, when at most 1 of 100 unseen sequences has a wrong answer, which is this project's "
        "choice. An answer is right where the target, or each symbol that may follow, is more active than all other "
        "outputs.", "",
    ), ""]  # fmt: skip
    columns = ("task", "longest", "inputs", "outputs", "scored", "steps right", "sequences right")
    lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for task in TAKES:
        stream = Stream(stream_settings(task=task))
        shape, rule = stream.shape, stream.rule
        scored = "some steps" if shape.masked else "every step" if shape.every_step else "the last step"
        lines.append(
            f"| [{task}](#{task}) | {shape.longest} | {shape.inputs} | {shape.outputs} | {scored} | "
            f"{share(rule.chance(stream.settings))} | {share(rule.guessing(stream.settings))} |"
        )
    for task in TAKES:
        lines += ["", f"## {task}", "", *docstring_of(module_of(task))]
    return NOTE + "\n".join(lines) + "\n"


def cells_page() -> str:
    """Return the list of all built-in cells as Markdown, from their modules and options."""
    lines = ["# Cells", "", *wrapped(
        "The built-in cells, as `model.cell` names them, their options (`model.cell_options`), their sources, and what "
        "was chosen where sources differ. [PROBE.md](../PROBE.md) shows what they learn, and "
        "[your cell](your_cell.md) how to bring one of your own.", "",
    ), "", "| cell | options, and their defaults |", "|---|---|"]  # fmt: skip
    for name, cell in registry.all_cells().items():
        fields = cell.own_form.options.model_fields if cell.own_form else {}
        takes = ", ".join(
            f"`{key}: {shown(field.get_default(call_default_factory=True))}`" for key, field in fields.items()
        )
        lines.append(f"| [{name}](#{name}) | {takes or ('' if cell.own_form else 'arguments of Keras')} |")
    for name in registry.all_cells():
        lines += ["", f"## {name}", "", *docstring_of(registry.module_of(name))]
    return NOTE + "\n".join(lines) + "\n"


def docstring_of(module: str) -> Iterator[str]:
    """Yield the lines of a module's docstring as Markdown."""
    for number, paragraph in enumerate(inspect.cleandoc(importlib.import_module(module).__doc__ or "").split("\n\n")):
        yield from [*([""] if number else []), *wrapped(" ".join(paragraph.split()), "")]


def share(value: float | None) -> str:
    """Return a probability in words."""
    if value is None:
        return "not known"
    return f"{100 * value:.3g} %" if value >= 0.001 else f"1 in {1 / value:,.0f}"


def rows(section: type[Section], path: str, comments: dict[str, str]) -> Iterator[str]:
    """Yield a list item for each field of a section, and for those of the sections in it."""
    schema = section.model_json_schema()
    for name in section.allowed():
        field = schema["properties"][name]
        has_default = name not in schema.get("required", ()) and not isinstance(field.get("default"), dict)
        default = f"; default `{shown(field['default'])}`" if has_default else ""
        text = comments.get(f"{path}.{name}", "")
        values = allowed(field, schema)
        yield from wrapped(f"- **`{path}.{name}`** ({values}{default})" + (f": {text}" if text else ""), "  ")
        within = sections(section.model_fields[name].annotation)
        if len(within) > 1:  # one for each kind, which its first field names
            yield from (line for kind in within for line in kind_row(kind))
            continue
        for inner in within:
            described = all(name in text for name in inner.model_fields)  # in the comment above
            if inner.__doc__ and inner.__doc__ != Section.__doc__ and not described:
                yield from wrapped(" ".join(inspect.cleandoc(inner.__doc__).split()), "  ", "  ")
            yield from (f"  {line}" for line in rows(inner, f"{path}.{name}", {}))


def kind_row(section: type[Section]) -> list[str]:
    """Return one list item for a section that is one of several kinds: its name, and the settings that it takes."""
    schema = section.model_json_schema()
    kind, *own = section.allowed()
    items = [
        f"`{name}` ({allowed(field, schema)}; default `{shown(field.get('default'))}`)"
        for name in own
        for field in [schema["properties"][name]]
    ]
    about = "" if not section.__doc__ or section.__doc__ == Section.__doc__ else f" {' '.join(section.__doc__.split())}"
    named = f"  - **`{kind}: {schema['properties'][kind]['const']}`** takes {', '.join(items) or 'no settings'}."
    return wrapped(named + about, "    ")


def allowed(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return in words which values a field of a JSON schema allows."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(allowed(option, schema) for option in field["anyOf"]))
    if {"$ref", "allOf", "oneOf"} & field.keys():
        return "the settings below"
    if "enum" in field:
        return ", ".join(f"`{shown(value)}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {plural(allowed(field['items'], schema))}"
    kind = {"integer": "integer", "number": "number", "string": "text", "boolean": "`true` or `false`",
            "null": "`null`", "object": "a mapping"}.get(field.get("type", ""), "any value")  # fmt: skip
    bounds = [
        f"{words} {field[key]:,}"
        for key, words in (
            ("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"), ("exclusiveMaximum", "below"),
            ("multipleOf", "in steps of"),
        )
        if key in field
    ]  # fmt: skip
    return " ".join([kind, *bounds])


def plural(words: str) -> str:
    return re.sub(r"\b(integer|number|text|list)\b", r"\1s", words)


def shown(value: Any) -> str:
    """Return a value as YAML writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value).replace("\t", "\\t").replace(" ", "space") if isinstance(value, str) else str(value)


def comments_of(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the comment above each setting of a YAML file, and that above each section, by their dotted paths."""
    found: dict[str, str] = {}
    waiting: list[str] = []
    path: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            waiting.append(stripped.lstrip("# "))
        elif match := re.match(r"( *)(\w+):", line):
            path = [*path[: len(match[1]) // 2], match[2]]
            if waiting:
                found[".".join(path)] = " ".join(waiting)
            waiting = []
        elif not stripped:
            waiting = []
    return {k: v for k, v in found.items() if "." in k}, {k: v for k, v in found.items() if "." not in k}


def wrapped(text: str, following: str, first: str = "") -> list[str]:
    """Return the lines of a paragraph or list item, 120 characters long at most."""
    return textwrap.wrap(
        text, 120, initial_indent=first, subsequent_indent=following, break_long_words=False, break_on_hyphens=False
    )


def main() -> None:
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    for path, content in pictures().items():
        path.write_bytes(content)


if __name__ == "__main__":
    main()
