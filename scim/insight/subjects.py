"""Whom a refused request was about: read again from the request, behind its response.

What is recorded is a refusal (4xx) of a caller who is known: of a write, or of a match that could not be made. Not a
404 of a read, which says nothing of anybody, nor a 429 and a 5xx, which pass by themselves and are counted alone. A
body that cannot be read, or is too large to be read once more, has no subject; then the operation stands for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from scim.errors import Reason
from scim.http import Request, Response
from scim.insight.failures import CONNECTION, MOST_CHARACTERS, REQUEST, Failure
from scim.schema.registry import Registry, ResourceType
from scim.schema.values import fold_text
from scim.trace import Trace

_MOST_BYTES = 2**20
"""A body of more is not read again."""
_MOST_OPERATIONS = 100
"""Failed operations of one bulk request that are recorded."""
_PASSING = {401, 403, 404, 429}
"""Statuses that say nothing about the subject of a read."""
_REFUSED: frozenset[Reason] = frozenset({"expired", "revoked", "paused", "read-only", "wrong-kind", "mistrusted"})
"""Reasons that concern a connection as a whole."""
_VALUE = re.compile(r'([\w.:-]{1,100})\s+(?:eq|sw|co)\s+"([^"]{1,250})"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Operation:
    """One request, or one operation of a bulk request, and how it ended."""

    method: str
    segments: Sequence[str]
    body: Any
    status: int
    error: Mapping[str, Any]
    filter: str = ""


def find_failures(request: Request, response: Response, trace: Trace, registry: Registry, at: str) -> Iterator[Failure]:
    """The failures of one request of a known connection, which ended at that time."""
    if trace.connection is None or trace.tenant is None:
        return
    if trace.reason is not None:
        if trace.reason in _REFUSED:
            error = response.body if isinstance(response.body, dict) else {}
            detail = str(error.get("detail") or error.get("error_description") or "")
            yield Failure(
                CONNECTION,
                trace.connection,
                at,
                _operation_name(request.method, request.segments, registry),
                response.status,
                detail,
                trace.request,
                trace.connection,
                trace.credential,
                reason=trace.reason,
            )
        return
    for operation in _operations(request, response, trace):
        if _is_refusal(operation):
            yield _failure(operation, trace, registry, at, alone=trace.operations is None)


def _operations(request: Request, response: Response, trace: Trace) -> Iterator[_Operation]:
    body = _parsed(request.body)
    if trace.operations is not None and response.status < 400:
        yield from _bulk_operations(body, response.body)
        return
    error = response.body if isinstance(response.body, dict) else {}
    asked = request.query.get("filter", "") if request.method == "GET" else ""
    if request.segments[-1:] == [".search"] and isinstance(body, dict):
        asked = next((str(value) for name, value in body.items() if name.lower() == "filter"), "")
    yield _Operation(request.method, request.segments, body, response.status, error, asked)


def _bulk_operations(body: Any, answer: Any) -> Iterator[_Operation]:
    """The failed operations of a bulk request. Those that were not run have no result."""
    sent = _member(body, "operations")
    results = answer.get("Operations", []) if isinstance(answer, dict) else []
    sent = [one for one in sent if isinstance(one, dict)] if isinstance(sent, list) else []
    by_bulk_id = {_member(one, "bulkid"): one for one in sent}
    number = 0
    for at, result in enumerate(results):
        status = int(result["status"])
        if status < 400:
            continue
        number += 1
        if number > _MOST_OPERATIONS:
            return
        one = by_bulk_id.get(result["bulkId"]) if "bulkId" in result else sent[at] if at < len(sent) else None
        path = str(_member(one or {}, "path") or "").partition("?")[0]
        segments = [part for part in path.split("/") if part]
        data = _member(one or {}, "data")
        error = result.get("response") if isinstance(result.get("response"), dict) else {}
        yield _Operation(result["method"], segments, data, status, error)


def _is_refusal(operation: _Operation) -> bool:
    if not 400 <= operation.status < 500 or operation.status == 429:
        return False
    reads = operation.method in ("GET", "HEAD") or operation.segments[-1:] == [".search"]
    return not (reads and operation.status in _PASSING)


def _failure(operation: _Operation, trace: Trace, registry: Registry, at: str, *, alone: bool) -> Failure:
    resource_type = registry.by_endpoint(operation.segments[0]) if operation.segments else None
    name = _operation_name(operation.method, operation.segments, registry)
    kind, subject, named = REQUEST, name, {}
    if resource_type is not None:
        named = _named(operation, resource_type)
        if found := _subject(named, resource_type):
            kind, subject = resource_type.name, found
    return Failure(
        kind,
        subject,
        at,
        name,
        operation.status,
        str(operation.error.get("detail", "")),
        trace.request,
        trace.connection or "",
        trace.credential,
        operation.error.get("scimType"),
        registry.find_path(trace.deed.attribute) if alone and registry else None,
        trace.deed.rule if alone else None,
        named=named,
    )


def _named(operation: _Operation, resource_type: ResourceType) -> dict[str, str]:
    """What an operation says of its subject."""
    found: dict[str, Any] = {}
    if len(operation.segments) > 1 and not operation.segments[1].startswith("."):
        found["id"] = operation.segments[1]
    if operation.filter and (match := _VALUE.search(operation.filter)):
        path = match[1].rpartition(":")[2].lower()
        names = {"username": "userName", "externalid": "externalId", "displayname": "displayName", "id": "id"}
        if known_by := resource_type.known_by:
            names[known_by.lower()] = known_by
        found[names.get(path, "email" if path.startswith("emails") else "userName")] = match[2]
    body = operation.body
    if operation.method in ("POST", "PUT") and isinstance(body, dict):
        for name in dict.fromkeys(("userName", "externalId", "displayName", *filter(None, [resource_type.known_by]))):
            found[name] = _member(body, name.lower())
        emails = _member(body, "emails")
        first = emails[0] if isinstance(emails, list) and emails else emails
        found["email"] = _member(first, "value") if isinstance(first, dict) else first
    if operation.method == "PATCH":
        found |= _patched(body)
    texts = {name: value for name, value in found.items() if isinstance(value, str) and value.strip()}
    return {name: _clean(value) for name, value in texts.items()}


def _patched(body: Any) -> dict[str, Any]:
    """The names that a PATCH sets."""
    found: dict[str, Any] = {}
    names = {"username": "userName", "externalid": "externalId", "displayname": "displayName"}
    operations = _member(body, "operations")
    for one in operations[:100] if isinstance(operations, list) else ():
        value, path = _member(one, "value"), _member(one, "path")
        if isinstance(path, str) and path.lower() in names:
            found[names[path.lower()]] = value
        elif path is None and isinstance(value, dict):
            found |= {names[name.lower()]: each for name, each in value.items() if name.lower() in names}
    return found


def _subject(named: Mapping[str, str], resource_type: ResourceType) -> str | None:
    """What the row of a subject is found by: the id if there is one, else the name that people know it by."""
    if "id" in named:
        return named["id"]
    order = (*filter(None, [resource_type.known_by]), "displayName")
    name = next((named[each] for each in (*order, "externalId", "email") if each in named), None)
    return fold_name(name) if name is not None else None


def fold_name(name: str) -> str:
    """A name as failures are found by, whatever its case."""
    return fold_text(name.strip(), case_exact=False)


def _operation_name(method: str, segments: Sequence[str], registry: Registry) -> str:
    resource_type = registry.by_endpoint(segments[0]) if segments else None
    word = resource_type.document.endpoint.strip("/") if resource_type else "Bulk" if _is_bulk(segments) else "?"
    return f"{method} {word}"


def _is_bulk(segments: Sequence[str]) -> bool:
    return [segment.lower() for segment in segments] == ["bulk"]


def _parsed(body: bytes) -> Any:
    if not body or len(body) > _MOST_BYTES:
        return None
    try:
        return orjson.loads(body)
    except ValueError:
        return None


def _member(value: Any, name: str) -> Any:
    """A member of an object, by its lower-case name."""
    if not isinstance(value, dict):
        return None
    return next((each for key, each in value.items() if key.lower() == name), None)


def _clean(text: str) -> str:
    """A text that can be kept: no half of a character, and not too long."""
    return text[:MOST_CHARACTERS].encode("utf-8", "replace").decode()
