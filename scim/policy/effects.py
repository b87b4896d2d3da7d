"""What a policy says of one user's document: by the document alone, whoever else there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scim.policy.document import Grant, Policy
from scim.policy.draft import Event
from scim.policy.guard import list_filled
from scim.policy.offering import find_unknown
from scim.schema.registry import Declared, Registry

_LICENSE = ("license", "licence")


class Effects:
    """Reads documents as a policy does."""

    def __init__(self, policy: Policy, registry: Registry) -> None:
        self._policy = policy
        self._registry = registry

    def describe(self, data: Mapping[str, Any], *, is_new: bool, is_held: bool) -> Event:
        """Return what the policy says of a user's document: what follows from roles and values, and what is a
        default."""
        effects: Event = {"held": True} if is_held else {}
        if is_new and (filled := list_filled(self._policy, dict(data))):
            effects["defaults"] = filled
        roles = [str(role.get("value", "")) for role in data.get("roles", ()) if isinstance(role, dict)]
        never = {name.lower() for name in self._policy.never}
        if refused := [role for role in roles if role.lower() in never]:
            effects["refused"] = refused
        if unknown := find_unknown(self._policy, self._registry, data):
            effects["unknown"] = unknown
        values, fallbacks = self._map_values(data)
        if values:
            effects["values"] = values
        if fallbacks:
            effects["fallbacks"] = fallbacks
        grants = join_grants(grant.given() for grant in self.grants_for(roles))
        return ({"effects": effects} if effects else {}) | ({"grants": grants} if grants else {})

    def _map_values(self, data: Mapping[str, Any]) -> tuple[Event, list[str]]:
        values, fallbacks = {}, []
        for each in self._policy.values:
            found = self._read_value(each.source, data)
            folded = {name.casefold(): to for name, to in each.map.items()}
            if found is not None and (to := folded.get(found.casefold())) is not None:
                values[each.to] = to
            elif each.otherwise is not None:
                values[each.to] = each.otherwise
                fallbacks.append(each.to)
        return values, fallbacks

    def _read_value(self, name: str, data: Mapping[str, Any]) -> str | None:
        users = self._registry.by_endpoint("users")
        target = users.resolve(name) if users else None
        if target is None:
            return None
        container = data if target.urn is None else data.get(target.urn, {})
        value = container.get(target.name)
        for element in value if isinstance(value, list) else [value]:
            if isinstance(target, Declared) and target.sub is not None:
                element = element.get(target.sub.name) if isinstance(element, dict) else None
            if element is not None:
                return str(element)
        return None

    def grants_for(self, roles: Iterable[str]) -> list[Grant]:
        """Return what app roles give. A role that the policy never gives, gives nothing."""
        never = {name.lower() for name in self._policy.never}
        having = {role.lower() for role in roles} - never
        return [grant for grant in self._policy.grants if grant.role is not None and grant.role.lower() in having]

    def list_licences(self, data: Mapping[str, Any]) -> list[str]:
        """Return the licences that a document says: entitlements of the type license, and what app roles give."""
        own = [
            str(each["value"])
            for each in data.get("entitlements", ())
            if isinstance(each, dict) and "value" in each and str(each.get("type", "license")).lower() in _LICENSE
        ]
        roles = [str(role.get("value", "")) for role in data.get("roles", ()) if isinstance(role, dict)]
        return list(dict.fromkeys([*own, *(one for grant in self.grants_for(roles) for one in grant.licenses)]))


def join_grants(grants: Iterable[Mapping[str, Any]]) -> Event:
    """Return what several grants give together."""
    joined: Event = {}
    for grant in grants:
        for name, part in grant.items():
            if isinstance(part, dict):
                joined[name] = {**joined.get(name, {}), **part}
            else:
                joined[name] = list(dict.fromkeys([*joined.get(name, []), *part]))
    return joined
