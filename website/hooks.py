"""What MkDocs does besides: pages from outside docs/, the API reference, the gallery, source files, the report."""

import html
import os
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from memory_trials.report import probe_figures
from website import links
from website.links import ROOT

# where pages from outside docs/ are in the site; their names differ from those in docs/ also where case does not count
OUTSIDE = {
    "README.md": "index.md",
    "RESULTS.md": "all-results.md",
    "PAPER.md": "paper-measured.md",
    "PROBE.md": "probe-measured.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
NAV: dict[str, list[str]] = {
    "": ["index.md"],
    "Tutorial": ["first_steps.md", "tutorial.md"],
    "Results": ["all-results.md", "paper-measured.md", "probe-measured.md", "gallery.md", "results.md"],
    "How to": ["questions.md", "your_cell.md", "probe.md", "ranking.md", "deployment.md", "cluster.md"],
    "Explanation": [
        "architecture.md",
        "engine.md",
        "engine_notes.md",
        "paper.md",
        "reproducibility.md",
        "reliability.md",
    ],
    "Reference": ["faq.md", "cells.md", "tasks.md", "commands.md", "settings.md"],
    "Project": ["contributing.md", "changelog.md"],
}
TITLES = {
    "index.md": "Memory trials", "all-results.md": "All studies", "paper-measured.md": "The paper, measured anew",
    "probe-measured.md": "The probe, measured", "probe.md": "Probe a cell",
    "gallery.md": "Gallery", "results.md": "What the numbers mean", "report.html": "The report, with the microscope",
}  # fmt: skip
REPORT = ROOT / "report.html"
SOURCES: set[str] = set()  # files of the project that pages link to: each becomes a page


def on_config(config: Any) -> Any:
    """Set the navigation: the pages that there are, and those that nobody has placed yet."""
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")} | {"gallery.md"}
    pages |= {page for name, page in OUTSIDE.items() if (ROOT / name).exists()}
    placed = {page for listed in NAV.values() for page in listed}
    nav: list[Any] = []
    for section, listed in NAV.items():
        here: list[Any] = [titled(page) for page in listed if page in pages]
        if section == "Results" and REPORT.exists():
            here.append({TITLES[REPORT.name]: REPORT.name})
        if section == "Reference":
            here.append({"Python": [f"api/{name}.md" for name in packages()]})
        nav += [{section: here}] if section else here
    rest = sorted(pages - placed)
    config["nav"] = nav + ([{"More": rest}] if rest else [])
    return config


def titled(page: str) -> Any:
    return {TITLES[page]: page} if page in TITLES else page


def packages() -> dict[str, list[str]]:
    """Return the modules of each package of the library by its name; `memory_trials` itself has those at its top."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "memory_trials").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] not in ("__init__", "__main__"):
            found.setdefault(parts[1] if len(parts) > 2 else "memory_trials", []).append(".".join(parts))
    return found


def on_files(files: Any, config: Any) -> Any:
    """Add what is not in docs/."""
    from mkdocs.structure.files import File

    def add(uri: str, content: str | bytes) -> None:
        files.append(File.generated(config, uri, content=content))

    for name, page in OUTSIDE.items():
        if (ROOT / name).exists():
            add(page, (ROOT / name).read_text(encoding="utf-8"))
    for package, modules in packages().items():
        init = ROOT / "memory_trials" / ("" if package == "memory_trials" else package) / "__init__.py"
        about = f"::: {'.'.join(init.parent.relative_to(ROOT).parts)}\n    options: {{members: false}}\n"
        body = "\n".join(f"::: {module}\n" for module in modules)
        add(f"api/{package}.md", f"---\ntitle: {package}\n---\n\n# {package}\n\n{about}\n{body}")
    for picture in sorted((ROOT / "experiments/pictures").glob("*.png")):
        add(f"pictures/{picture.name}", picture.read_bytes())
    add("gallery.md", gallery())
    for name in ("site.css", "site.js"):
        add(f"assets/{name}", (ROOT / "website" / name).read_text(encoding="utf-8"))
    if REPORT.exists():
        add(REPORT.name, REPORT.read_bytes())
    texts = [(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in links.pages()]
    for name, text in texts:
        for _, target in links.targets(text):
            path, _ = links.resolve(PurePosixPath(name), target)
            if not links.is_outside(target) and is_source(path):
                SOURCES.add(path)
    for path in sorted(SOURCES):
        suffix = {".yml": "yaml", ".h": "c", "": "text"}.get(Path(path).suffix, Path(path).suffix.lstrip("."))
        body = f"`````{suffix}\n{(ROOT / path).read_text(encoding='utf-8')}\n`````\n"
        add(source_page(path), f"---\nsearch: {{exclude: true}}\n---\n\n# {path}\n\n{body}")
    return files


def is_source(path: str) -> bool:
    return (ROOT / path).is_file() and not path.endswith((".md", ".png")) and (ROOT / path).stat().st_size < 300_000


def source_page(path: str) -> str:
    return f"source/{path.lstrip('.')}.md"


OF_PICTURES = {Path(file).stem: probe_figures.QUESTIONS[name] for name, file in probe_figures.FILES.items()}
OF_PICTURES["paper"] = "The paper's tasks, measured anew"  # those of studies have their question


def gallery() -> str:
    """Return a page with every picture under the question that it answers."""
    lines = ["# Gallery", "", "Each picture answers a question; [all studies](all-results.md) has the numbers.", ""]
    asked = questions()
    for picture in sorted((ROOT / "experiments/pictures").glob("*.png")):
        name = picture.stem
        title = OF_PICTURES.get(name) or asked[name]
        lines += [f"## {title}", "", f"![{html.escape(title)}](pictures/{picture.name})", ""]
    return "\n".join(lines)


def questions() -> dict[str, str]:
    """Return the question of each study by its name."""
    blocks = yaml.safe_load((ROOT / "experiments/studies.yaml").read_text(encoding="utf-8"))
    return {
        name: block["question"]
        for group in blocks.values()
        if isinstance(group, dict)
        for name, block in group.items()
        if isinstance(block, dict) and "question" in block
    }


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let links lead to where things are in the site."""
    uri = page.file.src_uri
    inside = {page: name for name, page in OUTSIDE.items()}
    name = inside.get(uri, f"docs/{uri}")
    if uri.startswith(("api/", "source/")) or uri == "gallery.md":
        return markdown

    def change(target: str) -> str | None:
        if links.is_outside(target):
            return target
        path, anchor = links.resolve(PurePosixPath(name), target)
        place = in_site(path)
        if place is None:
            repository = os.environ.get("GITHUB_REPOSITORY")  # where CI builds the site
            shown = path.removeprefix("../../") if path.startswith("../") else f"blob/main/{path}"
            return f"https://github.com/{repository}/{shown}" if repository else None
        up = "../" * (len(PurePosixPath(uri).parts) - 1)
        return f"{up}{place}" + (f"#{anchor}" if anchor else "")

    return links.replace_targets(markdown, change)


def in_site(path: str) -> str | None:
    """Return where a file of the project is in the site; None where it is not in it."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    if path.startswith("docs/") and (ROOT / path).is_file():
        return path.removeprefix("docs/")
    if path.startswith("experiments/pictures/"):
        return path.removeprefix("experiments/")
    return source_page(path) if path in SOURCES else None
