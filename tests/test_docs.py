"""The docs: links lead somewhere, what they name exists, and reference pages are what the code makes of them."""

import re
from pathlib import PurePosixPath

import pytest
import yaml

from memory_trials import cli
from tests.conftest import ROOT
from website import commands, links, reference


@pytest.mark.parametrize("page", links.pages(), ids=lambda page: page.name)
def test_links_and_anchors_lead_somewhere(page):
    assert links.broken(page) == []


@pytest.mark.parametrize("page", links.pages(), ids=lambda page: page.name)
def test_commands_options_and_settings_that_are_named_exist(page):
    assert commands.unknown(page) == []


def test_twenty_questions_of_a_newcomer_are_answered_two_clicks_from_the_readme():
    """The page of questions is one click away, and each answer links to the passage that explains it."""
    assert ("docs/faq.md", "") in [
        links.resolve(PurePosixPath("README.md"), target) for target in targets_of("README.md")
    ]
    _, *asked = (ROOT / "docs/faq.md").read_text(encoding="utf-8").split("\n**")
    assert len(asked) >= 20
    for question in asked:
        assert any("#" in target for _, target in links.targets(question)), question


def targets_of(page: str) -> list[str]:
    return [target for _, target in links.targets((ROOT / page).read_text(encoding="utf-8"))]


def test_the_workflow_runs_commands_that_exist():
    """A word wrong there shows only where CI runs."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/pipeline.yml").read_text())["jobs"]
    lines = [line for job in jobs.values() for step in job["steps"] for line in step.get("run", "").splitlines()]
    named = [match for line in lines for match in re.findall(r"\bmake ([a-z. /-]+?)(?= [A-Z]+=|[;\n|]|$)", line)]
    assert {"lint", "test", "verify", "report", "site"} <= {word for words in named for word in words.split()}
    assert {word for words in named for word in words.split()} <= commands.make_targets()
    ours = {match for line in lines for match in re.findall(r"memory[-_]trials ([a-z]+)", line)}
    assert "init" in ours and ours <= set(cli.commands.commands)


def test_reference_pages_are_up_to_date():
    assert reference.outdated() == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("`make nothing`", "the Makefile has no target nothing"),
        ("```\nmemory-trials repor\n```", "memory-trials has no command repor"),
        ("```\nmemory-trials predict --step 3 3  # comment\n```", "memory-trials predict has no option --step"),
        ("`memory-trials --colour repro`", "memory-trials has no option --colour"),
        ("`dvc exp run --temp -S model.unit=3`", "there is no setting model.unit"),
        ("`memory-trials repro -S training.windows=3`", "there is no setting training.windows"),
    ],
)
def test_what_does_not_exist_is_found(text, words, monkeypatch, tmp_path):
    (tmp_path / "page.md").write_text(text)
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (found,) = commands.unknown(tmp_path / "page.md")
    assert found.startswith("page.md:") and words in found


@pytest.mark.parametrize(
    "text",
    [
        "`make repro`", "`make study NAME=cells`", "`memory-trials`", "`memory-trials predict -- -1`",
        "`dvc exp run --temp -S model.cell_options.use_bias=false`", "`make sure` of it is no command, nor is make believe",
        "```\nMLFLOW_TRACKING_URI=http://a memory-trials track\n```",
    ],
)  # fmt: skip
def test_what_exists_is_not_reported(text, monkeypatch, tmp_path):
    (tmp_path / "page.md").write_text(text.replace("`make sure`", "make sure"))
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    assert commands.unknown(tmp_path / "page.md") == []


def test_broken_links_are_found(monkeypatch, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("# One & two\n\n[x](b.md) [y](#one--two) [z](#three) `[code](c.md)`\n")
    monkeypatch.setattr(links, "ROOT", tmp_path)
    found = links.broken(tmp_path / "docs/a.md")
    assert [sentence.partition(":")[0] for sentence in found] == ["docs/a.md"] * 2
    assert "leads to docs/b.md, which does not exist" in found[0] and "#three" in found[1]


def test_anchors_are_those_of_github():
    text = "# A `b` (c), d's\n## Same\n## Same\n```\n# code\n```\n## [link](x.md) é\n"
    assert links.anchors(text) == {"a-b-c-ds", "same", "same-1", "link-é"}


def test_links_are_replaced_outside_of_code_only():
    text = "[a](x.md) `[b](x.md)` ![c](y.png) [d](z.md)"
    change = {"x.md": "1.md", "y.png": "2.png", "z.md": None}
    assert links.replace_targets(text, change.__getitem__) == "[a](1.md) `[b](x.md)` ![c](2.png) d"


def test_paths_are_resolved_from_the_page():
    page = PurePosixPath("docs/a.md")
    assert links.resolve(page, "../README.md#x") == ("README.md", "x")
    assert links.resolve(page, "#y") == ("docs/a.md", "y")
    assert links.resolve(page, "../../issues") == ("../issues", "")
