"""What a policy says of a request before anything is written: values for new users, and what the vendor protects."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from scim.errors import INVALID_VALUE, MUTABILITY, ScimError
from scim.policy.document import Policy
from scim.schema.registry import ResourceType
from scim.schema.validation import Document

_PROTECTED = (
    "{name} {shown!r} is protected by the vendor of this application: it cannot be {what} by provisioning. Take it out "
    "of the scope of provisioning, or ask the vendor."
)
_DOMAIN = (
    "{path} {value!r} is of the domain {domain}, which this application does not take: it takes {allowed}. Give the "
    "user another address, or ask the vendor to allow the domain."
)


def fill_defaults(policy: Policy, resource_type: ResourceType, document: Document) -> Document:
    """Return a new user's document with the policy's values for what it leaves out. What the client sent stays."""
    if resource_type.name != "User":
        return document
    filled = copy.deepcopy(policy.defaults)
    for name, value in document.items():
        if isinstance(value, dict) and isinstance(filled.get(name), dict) and ":" in name:
            value = {**filled[name], **value}
        filled[name] = value
    return filled


def list_filled(policy: Policy, document: Document) -> list[str]:
    """Return the names of the attributes that have the policy's value for new users."""
    names = []
    for name, value in policy.defaults.items():
        if ":" in name and isinstance(value, dict):
            names += [f"{name}:{one}" for one, item in value.items() if document.get(name, {}).get(one) == item]
        elif document.get(name) == value:
            names.append(name)
    return names


def require_domains(
    policy: Policy, resource_type: ResourceType, document: Document, before: Document | None = None
) -> None:
    """Raise 400 invalidValue for a user whose userName or e-mail address is of a domain that the policy does not allow.
    What was there before is let be, and a change that leaves the user disabled is never refused: nobody stays in
    because of an address."""
    if not policy.domains or resource_type.name != "User":
        return
    if before is not None and document.get("active") is False:
        return
    known = {(path, value.casefold()) for path, value in _addresses(before)} if before else set()
    for path, value in _addresses(document):
        domain = value.rpartition("@")[2].strip().lower()
        if "@" in value and domain not in policy.domains and (path, value.casefold()) not in known:
            allowed = ", ".join(policy.domains[:10])
            detail = _DOMAIN.format(path=path, value=value[:100], domain=domain[:100], allowed=allowed)
            raise ScimError(INVALID_VALUE, detail, attribute=path, rule="domain")


def _addresses(document: Document) -> Iterator[tuple[str, str]]:
    if isinstance(name := document.get("userName"), str):
        yield "userName", name
    for email in document.get("emails", ()):
        if isinstance(value := email.get("value"), str):
            yield "emails.value", value


def require_unprotected(
    policy: Policy, resource_type: ResourceType, id: str, before: Document, after: Document | None
) -> None:
    """Raise 400 mutability if a protected user or group would be disabled, renamed or deleted (`after` is None), or
    lose the externalId by which it is protected."""
    if resource_type.name == "User":
        names, identity, word = policy.protected.users, "userName", "User"
    elif resource_type.name == "Group":
        names, identity, word = policy.protected.groups, "displayName", "Group"
    else:
        return
    if not names or not _is_named(names, (id, before.get(identity), before.get("externalId"))):
        return
    what = None
    if after is None:
        what = "deleted"
    elif after.get("active") is False and before.get("active") is not False:
        what = "disabled"
    elif after.get(identity) != before.get(identity):
        what = "renamed"
    elif after.get("externalId") != before.get("externalId") and _is_named(names, [before.get("externalId")]):
        what = "given another externalId"  # by which it is protected
    if what:
        shown = str(before.get(identity, id))[:100]
        attribute = {"disabled": "active", "renamed": identity, "deleted": None}.get(what, "externalId")
        detail = _PROTECTED.format(name=word, shown=shown, what=what)
        raise ScimError(MUTABILITY, detail, attribute=attribute, rule="protected")


def is_protected(policy: Policy, kind: str, id: str, document: Document) -> bool:
    """Whether a user or group is one that the policy protects."""
    if kind == "User":
        return _is_named(policy.protected.users, (id, document.get("userName"), document.get("externalId")))
    return _is_named(policy.protected.groups, (id, document.get("displayName"), document.get("externalId")))


def _is_named(names: Iterable[str], values: Iterable[Any]) -> bool:
    folded = {value.casefold() for value in values if isinstance(value, str)}
    return any(name.casefold() in folded for name in names)
