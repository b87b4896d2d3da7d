"""The parameters of a search (RFC 7644 §3.4.2, RFC 9865 §2), from a URL or from the body of a .search."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from scim.errors import INVALID_COUNT, INVALID_SYNTAX, INVALID_VALUE, ScimError
from scim.http import Request
from scim.settings import Settings
from scim.text import make_printable

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_LISTS = {"attributes", "excludedattributes"}
_NUMBERS = {"startindex", "count"}
_OURS = ("filter", "startIndex", "count", "cursor", "sortBy", "sortOrder", "attributes", "excludedAttributes")
_MEANT = {
    "filter": ("search", "q", "query", "where"),
    "startIndex": ("skip", "offset", "start", "page"),
    "count": ("top", "limit", "pagesize", "perpage", "itemsperpage", "maxresults"),
    "sortBy": ("orderby", "sort", "order"),
    "attributes": ("select", "fields"),
}
"""What other APIs, OData above all, call our parameters."""
_APART = re.compile(r"[$_.\-\[\]\s]")


@dataclass(frozen=True, slots=True)
class Query:
    """A search."""

    parameters: Mapping[str, str]
    """The parameters as sent, by lower-case name."""
    filter: str | None
    sort_by: str | None
    descending: bool
    start: int
    """The place of the first resource, counted from 1."""
    count: int
    """How many resources a page has at most."""
    cursor: str | None
    """None if the client pages by index; "" for a first page."""

    def build_identity(self, *more: str) -> str:
        """Return what makes two searches pages of one walk: all but where they stand, and how large their pages are."""
        parts = (*more, self.filter or "", self.sort_by or "", str(self.descending))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def parse_query(parameters: Mapping[str, str], settings: Settings) -> Query:
    """Return the search that parameters (by lower-case name) ask for. An index page out of range is brought into range,
    as §3.4.2.4 says; raises 400 invalidValue for what is no number, and invalidCount for a cursor's count beyond the
    largest page."""
    _refuse_near_misses(parameters)
    cursor = parameters.get("cursor")
    count = max(_parse_integer(parameters, "count", settings.page_size), 0)
    if cursor is not None and count > settings.max_page_size:
        raise ScimError(INVALID_COUNT, f"count is {count}; a page has at most {settings.max_page_size} resources.")
    order = parameters.get("sortorder", "").strip().lower() or "ascending"
    if order not in ("ascending", "descending"):
        raise ScimError(INVALID_VALUE, f"sortOrder must be ascending or descending, not {order[:40]!r}.")
    return Query(
        parameters=parameters,
        filter=parameters.get("filter"),
        sort_by=parameters.get("sortby", "").strip() or None,
        descending=order == "descending",
        start=max(_parse_integer(parameters, "startIndex", 1), 1),
        count=min(count, settings.max_page_size),
        cursor=cursor,
    )


def _refuse_near_misses(parameters: Mapping[str, str]) -> None:
    """Raise 400 invalidValue for a parameter that is nearly one of ours: without it a search would find everybody. Any
    other name is another program's and ignored."""
    ours = {name.lower() for name in _OURS}
    for name in parameters:
        if name not in ours and (meant := _find_meant(name)):
            shown = make_printable(name)[:80]
            raise ScimError(INVALID_VALUE, f"{shown!r} is no parameter of a search; it is called {meant} here.")


def _find_meant(name: str) -> str | None:
    """Return the parameter of ours that a name stands for; None if it is a name of its own."""
    name = name.rpartition("?")[2]  # a tenant URL with a question mark and a path put behind it
    plain = _APART.sub("", name)
    for ours in _OURS:
        lower = ours.lower()
        if plain in (lower, *_MEANT.get(ours, ())) or _is_slip(plain, lower):
            return ours
    return None


def _is_slip(name: str, ours: str) -> bool:
    """Return whether a name is one of ours with a letter more, less, changed or swapped with the next."""
    if abs(len(name) - len(ours)) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(name, ours, strict=False)) if a != b), min(len(name), len(ours)))
    rest, wanted = name[at:], ours[at:]
    swapped = rest[1:2] + rest[:1] + rest[2:]
    return rest[1:] == wanted or rest == wanted[1:] or rest[1:] == wanted[1:] or swapped == wanted


def parse_url(request: Request) -> dict[str, str]:
    """Return the parameters of a URL. Raises 400 invalidValue for one of ours that comes twice with two values."""
    if ambiguous := request.ambiguous:
        for name in _OURS:
            if name.lower() in ambiguous:
                raise _make_twice(name)
    return request.query


def _make_twice(name: str) -> ScimError:
    return ScimError(INVALID_VALUE, f"{name} comes twice, with two values; send it once.")


def parse_body(body: object) -> dict[str, str]:
    """Return the parameters in a SearchRequest (§3.4.3) in the form of those of a URL. Raises 400."""
    if not isinstance(body, dict):
        raise ScimError(INVALID_SYNTAX, "The body must be a JSON object: a SearchRequest.")
    parameters: dict[str, str] = {}
    for name, value in body.items():
        lower = name.lower()
        if lower == "schemas" or value is None:
            continue
        if lower in parameters:
            raise _make_twice(name[:80])
        if lower in _LISTS and isinstance(value, list) and all(isinstance(item, str) for item in value):
            parameters[lower] = ",".join(value)
        elif isinstance(value, str) or (lower in _NUMBERS and isinstance(value, int) and not isinstance(value, bool)):
            parameters[lower] = str(value)
        else:
            raise ScimError(INVALID_VALUE, f"{name[:80]} has a value of the wrong type for a SearchRequest.")
    return parameters


def _parse_integer(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name.lower(), "").strip()
    if not text:
        return default
    if not _INTEGER.fullmatch(text):
        raise ScimError(INVALID_VALUE, f"{name} must be an integer, not {text[:40]!r}.")
    return int(text)
