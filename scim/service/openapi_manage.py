"""What an operator may ask at /manage, for the OpenAPI document that operators get."""

from __future__ import annotations

from typing import Any

from scim.http import MANAGE

Json = dict[str, Any]

_STRING: Json = {"type": "string"}
_TEXTS: Json = {"type": "array", "items": _STRING}
_THINGS: Json = {"type": "array", "items": {"type": "object"}}
_VERDICTS = (
    *("refused", "there", "disabled", "deleted", "member", "not-a-member", "waiting", "held", "several", "connection"),
    "nobody-calls",
    "never-tried",
)
_ANSWER: Json = {
    "type": "object",
    "required": ["tenant", "asked", "verdict", "text"],
    "properties": {
        **dict.fromkeys(("tenant", "asked", "text", "remedy", "id"), _STRING),
        "verdict": {"type": "string", "enum": list(_VERDICTS)},
        "failures": _THINGS,
        "connections": _THINGS,
        "others": _TEXTS,
    },
}
_HISTORY: Json = {
    "type": "object",
    "required": ["tenant", "asked", "id", "changes"],
    "properties": {
        "tenant": _STRING,
        "asked": _STRING,
        "id": {"type": ["string", "null"]},
        "changes": _THINGS,
        "others": _TEXTS,
    },
}
_STATUS: Json = {
    "type": "object",
    "required": ["tenant", "time", "failingSubjects", "connections", "advice"],
    "properties": {
        "tenant": _STRING,
        "time": _STRING,
        "failingSubjects": {"type": "integer", "minimum": 0},
        "causes": _THINGS,
        "size": {"type": ["object", "null"]},
        "massChange": {"type": ["string", "null"]},
        "hold": {"type": ["object", "null"]},
        "connections": _THINGS,
        "advice": _TEXTS,
    },
}
_USER = ("user", _STRING, "A userName, e-mail address, externalId, displayName or id, or the beginning of one.")
_GROUP = ("group", _STRING, "The same of a group; for why, beside user: why the user is not a member of it.")
_EXPECT = ("expect", {"type": "integer", "minimum": 1}, "How many users and groups are assigned in Entra.")
_ASKED: dict[str, tuple[str, Json, tuple[tuple[str, Json, str], ...]]] = {
    "why": ("Why a user or group is not there, or a user not in a group, and what to do.", _ANSWER, (_USER, _GROUP)),
    "history": ("What happened to a user or group within 30 days.", _HISTORY, (_USER, _GROUP)),
    "status": ("How the connections of the tenant do, and what to do.", _STATUS, (_EXPECT,)),
    "metrics.csv": ("What each connection did by the minute, within 30 days.", _STRING, ()),
}


def build_manage_paths(origin: str, tenant: str) -> dict[str, Json]:
    """Return the paths; each has a server of its own, since they do not stand below a tenant's SCIM."""
    variables = {"tenant": {"default": tenant, "description": "The tenant that is asked about."}}
    servers = [{"url": f"{origin}/{MANAGE}/{{tenant}}", "variables": variables}]
    paths: dict[str, Json] = {}
    for name, (text, schema, parameters) in _ASKED.items():
        media = "text/csv" if name.endswith(".csv") else "application/json"
        paths[f"/{name}"] = {
            "get": {
                "operationId": f"manage.{name.partition('.')[0]}",
                "description": f"{text} The connection needs the right manage.",
                "servers": servers,
                "parameters": [
                    {"name": each, "in": "query", "schema": of, "description": what} for each, of, what in parameters
                ],
                "responses": {
                    "200": {"description": "The answer.", "content": {media: {"schema": schema}}},
                    **{str(status): {"$ref": f"#/components/responses/{status}"} for status in _REFUSED},
                },
            }
        }
    return paths


_REFUSED = (400, 401, 403, 404, 429, 500, 503)
