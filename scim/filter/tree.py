"""Filters and paths as trees. `str()` of a tree is a filter that parses to the same tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """A comparison value as written. What a bare `5`, `true` or `jyoung` is depends on the attribute beside it."""

    text: str
    quoted: bool = True

    @property
    def is_null(self) -> bool:
        return not self.quoted and self.text.lower() == "null"

    def __str__(self) -> str:
        # Control characters stand as they are: their escapes have a second reading (parse.py).
        return '"' + self.text.replace("\\", "\\\\").replace('"', '\\"') + '"' if self.quoted else self.text


@dataclass(frozen=True, slots=True)
class Present:
    path: str

    def __str__(self) -> str:
        return f"{self.path} pr"


@dataclass(frozen=True, slots=True)
class Compare:
    """`operator` is one of eq ne co sw ew gt ge lt le, in lower case."""

    path: str
    operator: str
    value: Literal

    def __str__(self) -> str:
        return f"{self.path} {self.operator} {self.value}"


@dataclass(frozen=True, slots=True)
class Not:
    term: Filter

    def __str__(self) -> str:
        return f"not ({self.term})"


@dataclass(frozen=True, slots=True)
class And:
    """Two or more terms."""

    terms: tuple[Filter, ...]

    def __str__(self) -> str:
        return " and ".join(f"({t})" if isinstance(t, And | Or) else str(t) for t in self.terms)


@dataclass(frozen=True, slots=True)
class Or:
    """Two or more terms."""

    terms: tuple[Filter, ...]

    def __str__(self) -> str:
        return " or ".join(f"({t})" if isinstance(t, Or) else str(t) for t in self.terms)


@dataclass(frozen=True, slots=True)
class ValuePath:
    """`emails[type eq "work"]`: some one element satisfies the whole filter; its names are sub-attributes."""

    path: str
    filter: Filter

    def __str__(self) -> str:
        return f"{self.path}[{self.filter}]"


Filter = Present | Compare | Not | And | Or | ValuePath


@dataclass(frozen=True, slots=True)
class Path:
    """A PATCH path: `attribute`, `attribute[filter]` or `attribute[filter].sub`.

    `attribute` keeps a dotted sub-attribute and a URN as written: only a schema knows where they end."""

    attribute: str
    filter: Filter | None = None
    sub: str | None = None

    def __str__(self) -> str:
        brackets = f"[{self.filter}]" if self.filter else ""
        return f"{self.attribute}{brackets}" + (f".{self.sub}" if self.sub else "")


def list_names(tree: Filter) -> Iterator[str]:
    """Return the attributes that a filter names, as written; inside a value path only the path itself."""
    match tree:
        case And(terms) | Or(terms):
            for term in terms:
                yield from list_names(term)
        case Not(term):
            yield from list_names(term)
        case Present(path) | Compare(path) | ValuePath(path):
            yield path
