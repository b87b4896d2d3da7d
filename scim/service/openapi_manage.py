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
        asked = [{"name": each, "in": "query", "schema": of, "description": what} for each, of, what in parameters]
        operation = _build_operation(name.partition(".")[0], text, schema, servers, media)
        paths[f"/{name}"] = {"get": {**operation, "parameters": asked}}
    return paths | _build_policy_paths(servers)


def _build_policy_paths(servers: list[Json]) -> dict[str, Json]:
    """Return the paths of a tenant's policy, whose schema is that of scim/policy/document.py."""
    from scim.policy.document import build_schema

    policy = _inline(build_schema())
    texts = {name: {"type": ["string", "null"]} for name in ("changed", "by")}
    shown = {"type": "object", "properties": {"policy": {"type": "object"}, **texts, "seats": _THINGS}}
    version = {"name": "If-Match", "in": "header", "schema": _STRING, "description": "The policy's version, its ETag."}
    tried = {"type": "object", "required": ["user"], "properties": {"user": {"type": "object"}, "policy": policy}}
    became = {"type": "object", "properties": {"document": {"type": "object"}, "events": _THINGS}}
    done = {"type": "object", "properties": {"released": {"type": "integer"}, "held": {"type": "boolean"}}}
    put = _build_operation("set-policy", "Set the policy.", shown, servers)
    put["responses"]["412"] = {"$ref": "#/components/responses/412"}
    tries = _build_operation("try-policy", "What a policy would make of a new user, unwritten.", became, servers)
    ends = _build_operation("release", "End a hold: what was held goes into the feed.", done, servers)
    return {
        "/policy": {
            "get": _build_operation("policy", "The policy, seats and what is held.", shown, servers),
            "put": {**put, "parameters": [version], "requestBody": _build_body(policy)},
        },
        "/policy-test": {"post": {**tries, "requestBody": _build_body(tried)}},
        "/release": {"post": ends},
    }


def _inline(schema: Json) -> Json:
    """Return a JSON Schema with its definitions in the places that name them."""
    definitions = schema.get("$defs", {})

    def put_in(part: Any) -> Any:
        if isinstance(part, list):
            return [put_in(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return put_in(definitions[part["$ref"].rpartition("/")[2]])
        return {name: put_in(each) for name, each in part.items() if name != "$defs"}

    inlined: Json = put_in(schema)
    return inlined


def _build_body(schema: Json) -> Json:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _build_operation(name: str, text: str, schema: Json, servers: list[Json], media: str = "application/json") -> Json:
    return {
        "operationId": f"manage.{name}",
        "description": f"{text} The connection needs the right manage.",
        "servers": servers,
        "responses": {
            "200": {"description": "The answer.", "content": {media: {"schema": schema}}},
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in _REFUSED},
        },
    }


_REFUSED = (400, 401, 403, 404, 429, 500, 503)
