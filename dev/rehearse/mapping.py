"""Entra's attribute mapping: of a person, the SCIM attributes by path, as the default mapping of a custom app has them.

`manager` and `members` are references: they are not among the attributes, but written later by requests of their own.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dev.rehearse.directory import Person, RoleExpression

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
MANAGER = f"{ENTERPRISE}:manager"

_OFFICE = ("formatted", "streetAddress", "locality", "region", "postalCode", "country")
_FILTERED = re.compile(r'(\w+)\[type eq "(\w+)"\]\.(\w+)')


class Roles(NamedTuple):
    """The value of the path `roles`: it is written differently for each expression."""

    values: tuple[str, ...]
    expression: RoleExpression


Attributes = dict[str, "str | bool | Roles"]
"""Values by path, such as `emails[type eq "work"].value`."""


class Filtered(NamedTuple):
    """The parts of a path such as `emails[type eq "work"].value`."""

    attribute: str
    type: str
    sub: str


def attributes(person: Person) -> Attributes:
    """What the target must hold of a person. An empty value is left out: Entra does not send it, nor clear by it."""
    found: Attributes = {
        "userName": person.user_name,
        "externalId": person.key,
        "active": person.enabled,
        "displayName": person.display,
        "title": person.title,
        "preferredLanguage": person.language,
        "name.givenName": person.given,
        "name.familyName": person.family,
        "name.formatted": person.display,
        f"{ENTERPRISE}:employeeNumber": f"{700000 + person.number}",
        f"{ENTERPRISE}:department": person.department,
    }
    for kind, mail in person.mails:
        found[f'emails[type eq "{kind}"].value'] = mail
    for kind, phone in person.phones:
        found[f'phoneNumbers[type eq "{kind}"].value'] = phone
    if person.office:
        for sub, text in zip(_OFFICE, person.office, strict=True):
            found[f'addresses[type eq "work"].{sub}'] = text
    if person.roles:
        found["roles"] = Roles(person.roles, person.expression)
    return found


def filtered(path: str) -> Filtered | None:
    """A path's parts where it selects an element by type; None for another one."""
    match = _FILTERED.fullmatch(path)
    return Filtered(*match.groups()) if match else None


def changed(before: Attributes, after: Attributes) -> Attributes:
    """What Entra would write: new and other values. What is there no more is left as it is (Entra skips nulls)."""
    return {path: value for path, value in after.items() if before.get(path) != value}
