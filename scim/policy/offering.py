"""What a user may be given, if the service says it: the catalogs of roles and entitlements (docs/agents.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scim.schema.registry import Registry

if TYPE_CHECKING:
    from scim.policy.document import Policy

_CATALOGS = {"roles": "Role", "entitlements": "Entitlement"}
"""By attribute of a user, the resource type that says which values there are."""


def find_unknown(policy: Policy | None, registry: Registry, document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the values of a user's roles and entitlements that nobody offers, by attribute; none where there is no
    catalog. They are told, and never refused: what else came in the same request must be done."""
    catalogs = {each.resource_type.name: each.values for each in registry.catalogs}
    unknown = {}
    for attribute, name in _CATALOGS.items():
        if name not in catalogs:
            continue
        offered = _fold(policy.offers[name] if policy is not None and name in policy.offers else catalogs[name])
        given = [each["value"] for each in document.get(attribute, ()) if isinstance(each, dict) and "value" in each]
        if found := [str(value) for value in given if str(value).casefold() not in offered]:
            unknown[attribute] = found
    return unknown


def _fold(values: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return what a client may send for one of them: its id, or its value if it has one."""
    return {str(each[name]).casefold() for each in values for name in ("id", "value") if name in each}
