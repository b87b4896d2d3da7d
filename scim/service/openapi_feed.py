"""What an operator may read at /feed, for the OpenAPI document that operators get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]

EVENT = "feed.event"
_EVENTS = Path(__file__).parents[1] / "feed" / "event.schema.json"
_STRING: Json = {"type": "string"}
_CURSOR = (
    "after",
    _STRING,
    "The `next` of the page before, as it came; `now` for what comes from now on; nothing for all that is kept.",
)
_TENANT_BEFORE = ("after", _STRING, "The `next` of the page before.")
_PAGE: Json = {
    "type": "object",
    "required": ["events", "next", "more"],
    "properties": {
        "events": {"type": "array", "items": {"$ref": f"#/components/schemas/{EVENT}"}},
        "next": {"type": "string", "description": "The cursor to go on from."},
        "more": {"type": "boolean", "description": "Whether there are events behind it already."},
    },
}
_TENANTS: Json = {
    "type": "object",
    "required": ["tenants", "next"],
    "properties": {
        "tenants": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tenant", "seq"],
                "properties": {"tenant": _STRING, "seq": {"type": "integer", "minimum": 0}},
            },
        },
        "next": {"type": ["string", "null"], "description": "To go on from; null behind the last tenant."},
    },
}
_OBJECTS: Json = {"type": "array", "items": {"type": "object"}}
_STANDINGS: Json = {
    "type": "object",
    "required": ["tenant", "users", "seats", "next"],
    "properties": {
        "tenant": _STRING,
        "users": _OBJECTS,
        "seats": _OBJECTS,
        "grants": {"type": "object", "description": "By the id of a group; on the first page alone."},
        "held": {
            "type": "array",
            "items": _STRING,
            "description": "Agents that are held, as agent.held says; on the first page alone.",
        },
        "next": {"type": ["string", "null"], "description": "To go on from; null behind the last user."},
    },
}
_REFUSED = (400, 401, 403, 404, 410, 429, 500, 503)


def build_feed_paths(origin: str) -> dict[str, Json]:
    """Return the paths; each has a server of its own, since they do not stand below a tenant's SCIM."""
    tenant = {"name": "tenant", "in": "path", "required": True, "schema": _STRING, "description": "The tenant's id."}
    return {
        "/feed": _build_path(
            origin,
            "feed.tenants",
            "The tenants that have a feed, and the number of their newest event.",
            _TENANTS,
            [_build_parameter(*_TENANT_BEFORE), _build_parameter("max", _most(100), "Tenants on a page.")],
        ),
        "/feed/{tenant}": _build_path(
            origin,
            "feed.events",
            "The events of a tenant behind a cursor, in order.",
            _PAGE,
            [tenant, _build_parameter(*_CURSOR), _build_parameter("max", _most(1000), "Events on a page.")],
        ),
        "/feed/{tenant}/seats": _build_path(
            origin,
            "feed.seats",
            "What the policy makes of who is there (docs/policies.md), to begin anew with.",
            _STANDINGS,
            [tenant, _build_parameter("after", _STRING, "The `next` of the page before.")],
        ),
    }


def read_event_schema() -> Json:
    """Return the JSON Schema of an event."""
    schema: Json = json.loads(_EVENTS.read_bytes())
    schema.pop("$schema")
    return schema


def _build_path(origin: str, operation: str, text: str, schema: Json, parameters: list[Json]) -> Json:
    return {
        "get": {
            "operationId": operation,
            "description": f"{text} The connection needs the right feed.",
            "servers": [{"url": origin}],
            "parameters": parameters,
            "responses": {
                "200": {"description": "The answer.", "content": {"application/json": {"schema": schema}}},
                **{str(status): {"$ref": f"#/components/responses/{status}"} for status in _REFUSED},
            },
        }
    }


def _build_parameter(name: str, schema: Json, text: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _most(number: int) -> Json:
    return {"type": "integer", "minimum": 1, "maximum": number}
