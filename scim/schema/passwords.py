"""Passwords are never kept. The core schema has no place for one (`password` is accepted and dropped like any attribute
that nobody knows); an extension that nobody declared is kept as sent, so what is called a password is taken out of it.

What a declared schema calls a password is its author's decision, with `returned` and `mutability` to say more.
"""

from __future__ import annotations

from typing import Any

from scim.schema.registry import ResourceType

_NAME = "password"


def drop_passwords(document: dict[str, Any], resource_type: ResourceType) -> None:
    """Take out of undeclared extensions, at any depth, what is named `password`, or has a name that ends with it like
    `userPassword`, in any case."""
    for urn in [name for name in document if ":" in name and name not in resource_type.extension_attributes]:
        if _is_one(urn):
            del document[urn]
            continue
        document[urn] = _remove_passwords(document[urn])
        if document[urn] in ({}, None):
            del document[urn]


def _is_one(name: str) -> bool:
    return name.casefold().strip().endswith(_NAME)


def _remove_passwords(value: Any) -> Any:
    """Return the value without passwords; what becomes empty by that is left out too. Bodies have a greatest depth."""
    if isinstance(value, dict):
        kept = {name: _remove_passwords(item) for name, item in value.items() if not _is_one(name)}
        return {name: item for name, item in kept.items() if item not in ({}, []) or item == value[name]}
    return [_remove_passwords(item) for item in value] if isinstance(value, list) else value
