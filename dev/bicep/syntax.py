"""Syntax by two grammars that know nothing of each other: what pycep's lets pass, tree-sitter's may not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from pycep import BicepParser

from dev.bicep.source import Finding, Template, line_of, walk


def check(templates: list[Template]) -> Iterator[Finding]:
    """At most one finding of each grammar for a file: what follows a mistake is no news."""
    for template in templates:
        lines = template.text.splitlines()
        stops = {"pycep": _pycep_stops_at(template.text), "tree-sitter": _tree_sitter_stops_at(template)}
        for grammar, line in stops.items():
            if line is not None:
                shown = lines[min(line, len(lines)) - 1].strip()[:60]
                text = f"is no Bicep to {grammar}: {shown} (or before); correct it, or write it more plainly"
                yield Finding(template.name, line, text)


def _tree_sitter_stops_at(template: Template) -> int | None:
    """The first line that tree-sitter does not understand; None where it reads everything."""
    if not template.root.has_error:
        return None
    return min(line_of(node) for node in walk(template.root) if node.is_error or node.is_missing)


@lru_cache(maxsize=256)
def _pycep_stops_at(text: str) -> int | None:
    """The line where pycep gives up; None where it reads everything."""
    try:
        _pycep().parse(text=text)
    except Exception as error:  # its errors have no base class of their own
        line = getattr(error, "line", None)
        return line if isinstance(line, int) and line > 0 else 1
    return None


@lru_cache
def _pycep() -> BicepParser:
    return BicepParser()
