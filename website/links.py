"""Links and anchors of Markdown, as GitHub reads them."""

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def pages() -> list[Path]:
    """Return the Markdown files that people read: of the project's folder and of docs/."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def without_code(text: str) -> str:
    """Blank out fenced and inline code, so that every other character keeps its line."""
    blank = lambda match: re.sub(r"[^\n]", " ", match[0])
    return CODE.sub(blank, FENCE.sub(blank, text))


def targets(text: str) -> list[tuple[int, str]]:
    """Return the line number and target of each link and picture."""
    plain = without_code(text)
    return [(plain.count("\n", 0, match.start()) + 1, match[2]) for match in LINK.finditer(plain)]


def replace_targets(text: str, change: Callable[[str], str | None]) -> str:
    """Return the text with each link's target changed; where that is None, the link becomes plain text."""
    plain, parts, end = without_code(text), [], 0
    for match in LINK.finditer(plain):
        new = change(match[2])
        label = text[match.start(1) : match.end(1)]
        parts += [text[end : match.start()], label.lstrip("!")[1:-1] if new is None else f"{label}({new})"]
        end = match.end()
    return "".join([*parts, text[end:]])


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to headings, and those of `<a id=...>`."""
    found: dict[str, int] = {}
    for match in HEADING.finditer(FENCE.sub("", text)):
        heading = LINK.sub(lambda link: link[1][1:-1], match[1])
        slug = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    numbered = {slug if n == 0 else f"{slug}-{n}" for slug, times in found.items() for n in range(times + 1)}
    return numbered | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def is_outside(target: str) -> bool:
    return bool(re.match(r"[a-z][a-z0-9+.-]*:", target))


def resolve(page: PurePosixPath, target: str) -> tuple[str, str]:
    """Return the path, relative to the project's folder, and the anchor that a link in a page leads to.

    The path begins with `../` where the link leaves the project.
    """
    path, _, anchor = target.partition("#")
    if not path:
        return page.as_posix(), anchor
    parts: list[str] = []
    for part in (page.parent / path).parts:
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts), anchor


def broken(page: Path) -> list[str]:
    """Return a sentence for each link of a page that leads nowhere."""
    name = page.relative_to(ROOT).as_posix()
    found = []
    for line, target in targets(page.read_text(encoding="utf-8")):
        path, anchor = resolve(PurePosixPath(name), target)
        if is_outside(target) or path.startswith("../"):  # another site, or a page of GitHub's
            continue
        if not (ROOT / path).exists():
            found.append(f"{name}:{line}: the link {target} leads to {path}, which does not exist")
        elif anchor and path.endswith(".md") and anchor not in anchors((ROOT / path).read_text(encoding="utf-8")):
            found.append(f"{name}:{line}: the link {target} leads to a heading that {path} does not have")
    return found
