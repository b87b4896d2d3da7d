"""What the tools send: users as Entra's default mappings write them, groups, and PATCHes of both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"

Body = dict[str, Any]


def user(number: int) -> Body:
    """Return a user with the attributes of Entra's default mappings, about 1 KB."""
    name = f"User.{number:07}@contoso.example"
    return {
        "schemas": [USER, ENTERPRISE],
        "externalId": f"0a1b2c3d-{number:07}",
        "userName": name,
        "active": True,
        "displayName": f"Zoë User {number:07}",
        "title": "Retail Manager",
        "preferredLanguage": "en-US",
        "name": {"givenName": "Zoë", "familyName": f"User {number:07}", "formatted": f"Zoë User {number:07}"},
        "emails": [{"type": "work", "value": name, "primary": True}],
        "phoneNumbers": [
            {"type": "work", "value": "+1 425 555 0100"},
            {"type": "mobile", "value": "+1 425 555 0101"},
            {"type": "fax", "value": "+1 425 555 0102"},
        ],
        "addresses": [
            {
                "type": "work",
                "formatted": "One Bellevue Way, Bellevue WA 98004",
                "streetAddress": "One Bellevue Way",
                "locality": "Bellevue",
                "region": "WA",
                "postalCode": "98004",
                "country": "United States",
            }
        ],
        ENTERPRISE: {"employeeNumber": f"{number:07}", "department": "Retail"},
    }


def group(name: str, members: Iterable[str]) -> Body:
    return {"schemas": [GROUP], "displayName": name, "members": values(members)}


def values(items: Iterable[str]) -> list[Body]:
    """Return texts as elements of a multi-valued attribute."""
    return [{"value": item} for item in items]


def phones(numbers: Iterable[str]) -> list[Body]:
    return [{"value": number, "type": "other"} for number in numbers]


def patch(*operations: Body) -> Body:
    return {"schemas": [PATCH], "Operations": list(operations)}


def replace(path: str, value: object) -> Body:
    return {"op": "Replace", "path": path, "value": value}


def add_members(*members: str) -> Body:
    return {"op": "Add", "path": "members", "value": values(members)}


def remove_members(*members: str) -> Body:
    return {"op": "Remove", "path": "members", "value": values(members)}


def bulk(operations: Sequence[Body]) -> Body:
    return {"schemas": [BULK], "Operations": list(operations)}


def new_users(first: int, number: int) -> Body:
    """Return a bulk request that makes users of these numbers."""
    posts = [
        {"method": "POST", "path": "/Users", "bulkId": str(one), "data": user(one)}
        for one in range(first, first + number)
    ]
    return bulk(posts)


def encoded(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def stranger(number: int) -> str:
    """Return the id of a user that has the form of ours, and is not there."""
    digits = "abcdefghijklmnopqrstuvwxyz234567"
    tail = ""
    for _ in range(8):
        number, digit = divmod(number, len(digits))
        tail = digits[digit] + tail
    return f"u-{'a' * 16}{tail}"
