"""One event for each request: who did what, what came out, and what it cost; for a bulk request one more for each
resource that it changed. Never a value of an attribute.

A path, a filter, a member and a name of an attribute may hold names and addresses of people. So the operation is told
by known words alone, resources by ids of ours, which are random, and attributes only as the schemas name them. A line
has the fields that have something to say, and a bounded number of names and ids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scim.events import log_event
from scim.http import FEED, MANAGE, ROOT, Request, Response
from scim.ids import is_id
from scim.trace import Deed, Trace

if TYPE_CHECKING:
    from scim.schema.registry import Registry

MOST_NAMES = 20
"""Attributes that a line names; of more it says how many there are."""
_WORDS = {
    word.lower(): word
    for word in ("Bulk", "Me", "Schemas", "ResourceTypes", "ServiceProviderConfig", ".search", "openapi.json")
}
_TOKENS = "oauth2"
"""The first path segment of the token endpoint."""
_ASKED = {"why", "status", "history", "metrics.csv"}
"""What is asked of a tenant at /manage."""
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_AGENT = re.compile(r"[\w ./;:,()+-]{1,80}", re.ASCII)
"""A user agent that is logged: Entra's, and those of usual libraries."""


def log_request(
    request: Request,
    response: Response,
    trace: Trace,
    *,
    milliseconds: float,
    registry: Registry | None,
    count: int = 1,
) -> None:
    """Log the event `request`, or `token` at the token endpoint. `registry` knows the resource types; None if the
    service could not start. `count`: how many refused requests like this one the line stands for."""
    fields = _caller(trace)
    error = response.body if isinstance(response.body, dict) and response.status >= 400 else {}
    is_token = request.root == _TOKENS
    if request.root not in (ROOT, _TOKENS) and trace.admitted:
        fields["operator"] = True
    if not is_token:
        fields |= {
            "operation": _operation(request, registry),
            "resource": _resource(request, response),
            "status": response.status,
            "scimType": error.get("scimType"),
            **_told(trace.deed, response.status, registry),
        }
        if trace.operations is not None:
            fields |= {"operations": trace.operations, "failed": trace.failed}
    else:
        fields |= {"grant": trace.grant, "status": response.status, "error": error.get("error")}
    agent = request.headers.get("user-agent", "")
    said = {"claimed": trace.claimed, "reason": trace.reason, "address": trace.address}
    fields |= {name: value for name, value in said.items() if value is not None}
    if _AGENT.fullmatch(agent):
        fields["agent"] = agent
    fields |= {"trips": trace.trips, "ms": round(milliseconds, 1)}
    if count > 1:
        fields["count"] = count
    log_event("token" if is_token else "request", fields)


def log_change(
    trace: Trace, deed: Deed, request: Request, id: str | None, status: int, registry: Registry | None
) -> None:
    """Log the event `change`: what one operation of a bulk request did to the resource of that id."""
    fields = _caller(trace) | {"operation": _operation(request, registry), "resource": id, "status": status}
    log_event("change", fields | _told(deed, status, registry))


def _caller(trace: Trace) -> dict[str, object]:
    return {
        "request": trace.request,
        "tenant": trace.tenant,
        "connection": trace.connection,
        "credential": trace.credential,
    }


def _told(deed: Deed, status: int, registry: Registry | None) -> dict[str, object]:
    """Return what was changed, or may have been if the status is a 5xx, and which rule was broken."""
    fields: dict[str, object] = {}
    if deed.rule is not None:
        path = registry.find_path(deed.attribute) if registry else None
        fields |= {"attribute": path, "rule": deed.rule} if path else {"rule": deed.rule}
    if 400 <= status < 500:
        return fields
    if deed.changed:
        fields["changed"] = _shortened(deed.changed)
    counts = {
        "added": deed.added,
        "removed": deed.removed,
        "addedIds": list(deed.added_ids),
        "removedIds": list(deed.removed_ids),
        "disabled": deed.disabled,
        "deleted": deed.deleted,
    }
    return fields | {name: value for name, value in counts.items() if value}


def _shortened(names: Sequence[str]) -> list[str]:
    more = len(names) - MOST_NAMES
    return [*names] if more <= 0 else [*names[:MOST_NAMES], f"and {more} more"]


def _operation(request: Request, registry: Registry | None) -> str:
    """Return what was asked, such as `PATCH Users/{id}`, `GET Users?filter` or `POST Bulk`; `?` if it is none of
    ours."""
    method = request.method if request.method in _METHODS else "?"
    segments = request.segments
    if request.root == FEED:
        return f"{method} feed" + ("/{tenant}" if segments else "")
    if request.root == MANAGE:
        asked = segments[1].lower() if len(segments) == 2 else "?"
        return f"{method} {MANAGE}/{asked if asked in _ASKED else '?'}"
    path = [_word(segment, registry) for segment in segments[:1]]
    path += [".search" if segment == ".search" else "{id}" for segment in segments[1:2]]
    filtered = "?filter" if method == "GET" and len(segments) == 1 and "filter" in request.query else ""
    return f"{method} {'/'.join(path) or '/'}{filtered}"


def _word(segment: str, registry: Registry | None) -> str:
    """Return a path's first segment, if it is a word of ours."""
    resource_type = registry.by_endpoint(segment) if registry else None
    return resource_type.document.endpoint.strip("/") if resource_type else _WORDS.get(segment.lower(), "?")


def _resource(request: Request, response: Response) -> str | None:
    """Return the id of the one resource that the request was about, if it is one of ours or was just made."""
    segments = request.segments
    if len(segments) == 2 and is_id(segments[1]):
        return segments[1]
    if response.status == 201 and isinstance(response.body, dict) and isinstance(made := response.body.get("id"), str):
        return made
    return None
