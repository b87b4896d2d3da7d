"""The documentation as a site: every page is in it, and its links lead where they do on GitHub."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_hook", ROOT / ".github/site_hook.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_on_the_site_and_in_the_readme(hook: ModuleType) -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    listed = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert {*listed} == pages | {*hook.PAGES.values(), "decisions/README.md"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Documentation")[2]
    assert {*re.findall(r"\(docs/([\w-]+\.md)\)", readme)} == pages


def test_every_decision_is_listed() -> None:
    """On the page of all, and on the map."""
    decisions = {path.name for path in (ROOT / "docs/decisions").glob("*.md")} - {"README.md"}
    contents = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    assert {*re.findall(r"\(([\w-]+\.md)\)", contents)} == decisions
    architecture = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert {*re.findall(r"\(decisions/([\w-]+\.md)\)", architecture)} - {"README.md"} == decisions


PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "docs/decisions/README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_begins_with_whom_it_is_for(path: Path) -> None:
    """And with what they can do after it."""
    beginning = " ".join(" ".join(path.read_text(encoding="utf-8").split("\n\n")[1:3]).split())
    assert beginning.startswith("For ")
    assert re.search(r"\b[Aa]fter(wards| it| this page| a page)\b", beginning)


OLD_NAMES = (
    "Admin Credentials",
    "Show advanced options",
    "Edit attribute list",
    "Notification Email",
    "Source Object Scope",
)
"""What pages of Entra's portal were called before 2026."""


def test_entras_pages_have_one_name() -> None:
    """The old ones stand in one table, for whoever has them in mind."""
    sources = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "scim").rglob("*.py")]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sources}
    page = texts.pop("docs/entra.md")
    before, heading, rest = page.partition("## Every field of Entra's pages")
    table, _, after = rest.partition("\n## ")
    assert heading and all(name in table for name in OLD_NAMES)
    assert [name for name in OLD_NAMES if any(name in text for text in (before, after, *texts.values()))] == []


LINKS = {
    "page to page": ("docs/feed.md", "feed.md", "[x](entra.md#errors)", "[x](entra.md#errors)"),
    "page to README": ("docs/feed.md", "feed.md", "[x](../README.md#limits)", "[x](index.md#limits)"),
    "README to page": ("README.md", "index.md", "[x](docs/feed.md)", "[x](feed.md)"),
    "decision to README": ("docs/decisions/bulk.md", "decisions/bulk.md", "[x](../../README.md)", "[x](../index.md)"),
    "page beside docs": ("CONTRIBUTING.md", "project/CONTRIBUTING.md", "[x](docs/feed.md)", "[x](../feed.md)"),
    "code": ("docs/feed.md", "feed.md", "[x](../function_app.py)", "[x](https://git.test/function_app.py)"),
    "elsewhere": ("docs/feed.md", "feed.md", "[x](https://a.test/b)", "[x](https://a.test/b)"),
    "this page": ("docs/feed.md", "feed.md", "[x](#errors)", "[x](#errors)"),
    "nowhere": ("docs/feed.md", "feed.md", "[x](../nowhere.py)", "[x](../nowhere.py)"),
}


@pytest.mark.parametrize(("source", "site", "text", "moved"), LINKS.values(), ids=LINKS)
def test_links_lead_where_they_did(hook: ModuleType, source: str, site: str, text: str, moved: str) -> None:
    assert hook.move_links(text, source, site, "https://git.test") == moved


def test_without_a_repository_links_to_code_are_text(hook: ModuleType) -> None:
    assert hook.move_links("see [x](../function_app.py).", "docs/feed.md", "feed.md", None) == "see x."


def test_blocks_in_a_list_stay_in_it(hook: ModuleType) -> None:
    text = "1. one\n   goes on\n\n   ```text\n   a\n     b\n   ```\n2. two\n\nend\n\n    code\n"
    moved = "1. one\n    goes on\n\n    ```text\n    a\n      b\n    ```\n\n2. two\n\nend\n\n    code\n"
    assert hook.indent_lists(text) == moved
    assert hook.indent_lists("* one\n  more\n* two") == "* one\n    more\n* two"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_tables_begin_with_their_head(path: Path) -> None:
    """An empty line inside a table makes the rest of it text."""
    before, fenced, rows = "", False, []
    for line in path.read_text(encoding="utf-8").splitlines():
        fenced ^= line.lstrip().startswith("```")
        if not fenced and line.lstrip().startswith("|"):
            rows = [*rows, line] if before else [line]
            assert len(rows) != 2 or re.match(r" *\|[ :-]+\|", line), rows[0]
        before = line if line.lstrip().startswith("|") else ""
