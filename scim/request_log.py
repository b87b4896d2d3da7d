"""One event for each request: who did what, what came out, and what it cost. Never a value of an attribute.

A path and a filter may hold names and addresses of people, so the operation is told by known words alone, and the
resource by its id, which is random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scim.events import event
from scim.http import ROOT, Request, Response
from scim.trace import Trace

if TYPE_CHECKING:
    from scim.schema.registry import Registry

_WORDS = {
    word.lower(): word
    for word in ("Bulk", "Me", "Schemas", "ResourceTypes", "ServiceProviderConfig", ".search", "openapi.json")
}
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def log_request(
    request: Request,
    response: Response,
    trace: Trace,
    *,
    request_id: str,
    milliseconds: float,
    registry: Registry | None,
) -> None:
    """Log the event `request`, or `token` at the token endpoint. `registry` knows the resource types; None where the
    service could not start."""
    fields: dict[str, object] = {"request": request_id, "tenant": trace.tenant, "connection": trace.connection}
    error = response.body if isinstance(response.body, dict) and response.status >= 400 else {}
    if request.root == ROOT:
        fields |= {
            "operation": _operation(request, registry),
            "resource": _resource(request, response),
            "status": response.status,
            "scimType": error.get("scimType"),
        }
    else:
        fields |= {"grant": trace.grant, "status": response.status, "error": error.get("error")}
    fields |= {"trips": trace.trips, "ms": round(milliseconds, 1)}
    event("request" if request.root == ROOT else "token", fields)


def _operation(request: Request, registry: Registry | None) -> str:
    """Such as `PATCH Users/{id}`, `GET Users?filter` or `POST Bulk`; `?` for what is none."""
    method = request.method if request.method in _METHODS else "?"
    segments = request.segments
    path = [_word(segment, registry) for segment in segments[:1]]
    path += [".search" if segment == ".search" else "{id}" for segment in segments[1:2]]
    filtered = "?filter" if method == "GET" and len(segments) == 1 and "filter" in request.query else ""
    return f"{method} {'/'.join(path) or '/'}{filtered}"


def _word(segment: str, registry: Registry | None) -> str:
    """A path's first segment, if it is a word of ours."""
    resource_type = registry.by_endpoint(segment) if registry else None
    return resource_type.document.endpoint.strip("/") if resource_type else _WORDS.get(segment.lower(), "?")


def _resource(request: Request, response: Response) -> str | None:
    """The id of the one resource that the request was about, if it is one of ours or was just made."""
    from scim.store.rows import is_id

    segments = request.segments
    if len(segments) == 2 and is_id(segments[1]):
        return segments[1]
    if response.status == 201 and isinstance(response.body, dict) and isinstance(made := response.body.get("id"), str):
        return made
    return None
