"""What mkdocs must be told so that pages written for GitHub are right on the site, too.

The pages at the top of the repository are part of it; links between pages stay links wherever both end up, and links to
code lead to GitHub (or are plain text where nobody says which repository this is). GitHub lets blocks in a list stand
under its text; mkdocs wants them four columns in.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/CHANGELOG.md",
    "CONTRIBUTING.md": "project/CONTRIBUTING.md",
    "SECURITY.md": "project/SECURITY.md",
}
"""Pages beside docs/, and where they are on the site."""
SOURCES = {site: source for source, site in PAGES.items()}
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)")
_ITEM = re.compile(r"(\* |- |\d+\. )")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages beside docs/."""
    from mkdocs.structure.files import File  # here, so that a test needs no mkdocs

    for source, site in PAGES.items():
        files.append(File.generated(config, site, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the page's text as mkdocs reads it."""
    site = page.file.src_uri
    return indent_lists(move_links(markdown, SOURCES.get(site, f"docs/{site}"), site, find_repository()))


def find_repository() -> str | None:
    """Return the address of the repository's files on GitHub; None outside its workflows."""
    name = os.environ.get("GITHUB_REPOSITORY")
    return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{name}/blob/main" if name else None


def move_links(text: str, source: str, site: str, repository: str | None) -> str:
    """Return the text of a page with its links as they are on the site. `source` is its path in the repository, `site`
    the one on the site."""

    def move(match: re.Match[str]) -> str:
        shown, target, anchor = match[1], match[2], match[3] or ""
        if not target or ":" in target:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        on_site = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if on_site:
            return f"[{shown}]({posixpath.relpath(on_site, posixpath.dirname(site) or '.')}{anchor})"
        if not (ROOT / path).exists():
            return match[0]  # which mkdocs complains of
        return f"[{shown}]({repository}/{path}{anchor})" if repository else shown

    return _LINK.sub(move, text)


def indent_lists(text: str) -> str:
    """Return the text with what belongs to an item of a list four columns in."""
    lines: list[str] = []
    width, fenced, blocks = 0, False, False
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip(" "))
        if not fenced and indent == 0 and line:
            item = _ITEM.match(line)
            if item and blocks and lines[-1]:
                lines.append("")  # else it would go on with the last of the blocks
            width, blocks = len(item[1]) if item else 0, False
        blocks = blocks or (width > 0 and not line)
        inside = width and line.strip() and indent >= width
        if line.lstrip(" ").startswith("```"):
            fenced = not fenced
        lines.append(" " * (4 - width) + line if inside else line)
    return "\n".join(lines)
