"""The bodies that Entra sends, in both of its PATCH dialects.

`legacy` is what every application gets; `flag` is what the tenant URL parameter aadOptscim062020 switches on. On-demand
provisioning ignores the flag, so a target must understand both at any time.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any, Literal

from dev.rehearse.mapping import CORE, ENTERPRISE, GROUP, MANAGER, Attributes, Roles, filtered

Dialect = Literal["legacy", "flag"]
Body = dict[str, Any]

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_ADSCIM_GROUP = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
_ROLE_TYPE = "WindowsAzureActiveDirectoryRole"


def create_user(attributes: Attributes) -> Body:
    """The body of POST /Users."""
    body: Body = {"schemas": [CORE, ENTERPRISE]}
    for path, value in attributes.items():
        parts = filtered(path)
        if isinstance(value, Roles):
            body["roles"] = _roles(value)
        elif parts:
            _element(body.setdefault(parts.attribute, []), parts.type)[parts.sub] = value
        elif path.startswith(f"{ENTERPRISE}:"):
            body.setdefault(ENTERPRISE, {})[path.removeprefix(f"{ENTERPRISE}:")] = value
        elif "." in path:
            name, _, sub = path.partition(".")
            body.setdefault(name, {})[sub] = value
        else:
            body[path] = value
    body.setdefault("roles", [])
    body["meta"] = {"resourceType": "User"}
    return body


def create_group(name: str, external_id: str, *, plain: bool = False) -> Body:
    """The body of POST /Groups: without members, which follow by PATCH. `plain` leaves out Entra's own schema URN."""
    return {
        "schemas": [GROUP] if plain else [GROUP, _ADSCIM_GROUP],
        "externalId": external_id,
        "displayName": name,
        "meta": {"resourceType": "Group"},
    }


def patch(*operations: Body) -> Body:
    return {"schemas": [PATCH], "Operations": list(operations)}


def update(dialect: Dialect, before: Attributes, changes: Attributes) -> Body:
    """The body of a PATCH that writes these changes of a user or group: Add what was not there, Replace what was."""
    write = _write_legacy if dialect == "legacy" else _write_flag
    return patch(*write(before, changes))


def _write_legacy(before: Attributes, changes: Attributes) -> Iterable[Body]:
    for path, value in changes.items():
        op = "Replace" if path in before else "Add"
        if isinstance(value, Roles):
            yield from _legacy_roles(value)
        else:
            yield {"op": op, "path": path, "value": str(value) if isinstance(value, bool) else value}


def _write_flag(before: Attributes, changes: Attributes) -> Iterable[Body]:
    if list(changes) == ["active"]:
        yield {"op": "replace", "path": "active", "value": changes["active"]}
        return
    pathless: dict[str, Body] = {}
    for path, value in changes.items():
        op = "replace" if path in before else "add"
        if isinstance(value, Roles) and value.expression == "single":
            yield {"op": op, "path": 'roles[primary eq "True"].value', "value": value.values[0]}
        elif isinstance(value, Roles):
            yield {
                "op": "replace" if value.expression == "assertive" else "add",
                "path": "roles",
                "value": _roles(value),
            }
        elif filtered(path):
            yield {"op": op, "path": path, "value": value}
        else:
            pathless.setdefault(op, {})[path] = value
    for op, values in pathless.items():
        yield {"op": op, "value": values}


def manager(dialect: Dialect, value: str | None, *, had: bool) -> Body:
    """The body that sets, changes or (None) removes a manager. Entra's own form of the removal is not public."""
    if value is None:
        return patch({"op": "Remove" if dialect == "legacy" else "remove", "path": MANAGER})
    op = "Replace" if had else "Add"
    return patch({"op": op if dialect == "legacy" else op.lower(), "path": MANAGER, "value": value})


def add_members(dialect: Dialect, ids: Iterable[str]) -> Body:
    return patch(
        {"op": "Add" if dialect == "legacy" else "add", "path": "members", "value": [_member(id) for id in ids]}
    )


def remove_members(dialect: Dialect, ids: Iterable[str]) -> Body:
    if dialect == "legacy":
        return patch({"op": "Remove", "path": "members", "value": [_member(id) for id in ids]})
    return patch(*({"op": "remove", "path": f'members[value eq "{id}"]'} for id in ids))


def _member(id: str) -> Body:
    return {"$ref": None, "value": id}


def _element(elements: list[Body], kind: str) -> Body:
    for element in elements:
        if element["type"] == kind:
            return element
    elements.append({"primary": kind == "work", "type": kind})
    return elements[-1]


def _roles(roles: Roles) -> list[Body]:
    """Roles as a POST has them, and the flag's PATCH."""
    name = {"complex": "displayName", "assertive": "display"}.get(roles.expression)
    named = {value: {name: value} if name else {} for value in roles.values}
    single = roles.expression == "single"
    return [{"primary": single, "type": _ROLE_TYPE, **named[value], "value": value} for value in roles.values]


def _legacy_roles(roles: Roles) -> Iterable[Body]:
    """Roles in a legacy PATCH: JSON inside of a string, and only ever added, but for the assertive expression."""
    if roles.expression == "assertive":
        yield {"op": "Replace", "path": "roles", "value": _roles(roles)}
        return
    texts = [
        json.dumps({"id": str(uuid.uuid5(uuid.NAMESPACE_DNS, value)), "value": value, "displayName": value})
        for value in roles.values
    ]
    yield {"op": "Add", "path": "roles", "value": [{"value": text} for text in texts]}
