"""Requests that are within every single limit and dear in their product, and what has to be there for them.

A request is (method, path, body), the body JSON data or bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from tests.support import PATCH, Client

CUSTOM = "urn:example:custom:2.0:User"
ACCENTS = "a" + "\u0316\u0301" * 60_000
"""A letter with accents that have to be sorted: normalizing them takes the square of their number."""


ZZ = 'value co "zz"'
DISPLAY = 'display co "zz"'


class There(NamedTuple):
    """What the requests are about: ids of users and groups."""

    user: str
    """A user with 1,000 phone numbers."""
    long: str
    """A user with a title of ACCENTS, and 4,000 values under a URN that nobody declared."""
    group: str
    """A group with 3,000 members."""


Request = tuple[str, str, object]


async def prepare(client: Client, crowd: int = 60) -> There:
    """Make it, with so many more users who have 1,000 numbers each."""
    numbers = [{"type": f"t{n}", "value": str(n)} for n in range(1_000)]
    posts = [
        {"method": "POST", "path": "/Users", "data": {"userName": f"crowd-{n}", "phoneNumbers": numbers}}
        for n in range(crowd)
    ]
    made = (await client.post("/Bulk", {"Operations": posts})).json["Operations"]
    assert {one["status"] for one in made} == {"201"}
    long = await client.new_user("long", title=ACCENTS, **{CUSTOM: {f"n{n}": n for n in range(4_000)}})
    members = [{"value": f"u-{n:024}", "display": f"Member {n}"} for n in range(3_000)]
    group = (await client.post("/Groups", {"displayName": "many", "members": members})).json["id"]
    return There(made[0]["location"].rpartition("/")[2], long["id"], group)


def patch(path: str, operations: list[object]) -> Request:
    return "PATCH", path, {"schemas": [PATCH], "Operations": operations}


def search(path: str, **parameters: object) -> Request:
    return "POST", f"{path}/.search", {"count": 1, **parameters}


def terms(term: str, number: int) -> str:
    return " or ".join([term] * number)


def bulk(operations: list[object]) -> Request:
    return "POST", "/Bulk", {"Operations": operations}


def on_numbers(there: There, path: str, number: int = 1_000) -> Request:
    """So many operations on the user with 1,000 numbers; %s in the path is the operation's own."""
    operations: list[object] = [
        {"op": "replace", "path": path.replace("%s", str(n)), "value": f"x{n}"} for n in range(number)
    ]
    return patch(f"/Users/{there.user}", operations)


def adding(there: There) -> Request:
    operations: list[object] = [
        {"op": "add", "value": {"phoneNumbers": [{"type": f"x{j}", "value": f"{i}"} for j in range(20)]}}
        for i in range(1_000)
    ]
    return patch(f"/Users/{there.user}", operations)


def operations_in_bulk(there: There) -> Request:
    inner = [{"op": "replace", "path": "phoneNumbers[value pr].display", "value": f"{n}"} for n in range(60)]
    one = {"method": "PATCH", "path": f"/Users/{there.user}", "data": {"Operations": inner}}
    return bulk([one] * 200)


def undeclared_list(there: There) -> Request:
    values = [{"op": "add", "path": f"{CUSTOM}:list", "value": [f"{n}-{i}" for i in range(50)]} for n in range(1_000)]
    return patch(f"/Users/{there.long}", list(values))


def undeclared_names(there: There) -> Request:
    values = [{"op": "replace", "path": f"{CUSTOM}:N{n}", "value": f"{n}"} for n in range(1_000)]
    return patch(f"/Users/{there.long}", list(values))


def undeclared_wholes(there: There) -> Request:
    return patch(f"/Users/{there.long}", [{"op": "add", "path": CUSTOM, "value": {f"m{n}": n}} for n in range(1_000)])


def references(unknown: int = 0) -> Request:
    data = {"displayName": "x", "x": [f"bulkId:{n}" for n in range(unknown or 250)]}
    return bulk(
        [{"method": "POST", "path": "/Groups", "bulkId": str(n), "data": data} for n in range(1 if unknown else 1_000)]
    )


def plain(body: object) -> bytes:
    """A body without escapes, so that more fits into it."""
    return json.dumps(body, ensure_ascii=False).encode()


def raw(path: str, body: bytes) -> Request:
    return "POST", path, body


def nested(there: There, op: str = "add") -> Request:
    """Lists in a list that nobody declared, which each operation compares with its own."""
    first = {"op": "add", "path": f"{CUSTOM}:list", "value": [[n] * 100 for n in range(900)]}
    others = [{"op": op, "path": f"{CUSTOM}:list", "value": [[-n] * 100]} for n in range(900)]
    return patch(f"/Users/{there.long}", [first, *others])


DEAR: dict[str, Callable[[There], Request]] = {
    "PATCH: operations x values x terms": lambda there: on_numbers(
        there, f"phoneNumbers[{terms(ZZ, 40)} or value pr].display"
    ),
    "PATCH: operations x values": lambda there: on_numbers(there, 'phoneNumbers[not (type eq "zz%s")].display'),
    "PATCH: one operation, values x terms": lambda there: on_numbers(
        there, f"phoneNumbers[{terms(ZZ, 220)}].display", 1
    ),
    "PATCH: operations x new values": adding,
    "PATCH: every number, again and again": lambda there: on_numbers(there, "phoneNumbers.display"),
    "PATCH: operations x a list that nobody declared": undeclared_list,
    "PATCH: operations x lists in a list that nobody declared": nested,
    "PATCH: removals x lists in a list that nobody declared": lambda there: nested(there, "remove"),
    "PATCH: operations x names that nobody declared": undeclared_names,
    "PATCH: operations x a container that nobody declared": undeclared_wholes,
    "PATCH: many long paths": lambda there: on_numbers(there, "title" + " " * 400 + "%s" + "(" * 400),
    "PATCH: long paths of a group": lambda there: patch(
        f"/Groups/{there.group}",
        [{"op": "remove", "path": f"members[{terms(f'value eq {n}', 200)}]"} for n in range(1_000)],
    ),
    "PATCH: a value of many names": lambda there: patch(
        f"/Users/{there.user}", [{"op": "add", "value": {f"n{n}": 1 for n in range(60_000)}}]
    ),
    "PATCH: roles as JSON text": lambda there: patch(
        f"/Users/{there.user}",
        [{"op": "add", "path": "roles", "value": [{"value": '{"' + "x" * 900}]} for _ in range(1_000)],
    ),
    "PATCH: operations x members x terms": lambda there: patch(
        f"/Groups/{there.group}",
        [{"op": "remove", "path": f"members[{terms(DISPLAY, 60)}]"} for _ in range(1_000)],
    ),
    "Bulk: operations x operations x values": operations_in_bulk,
    "Bulk: operations x references": lambda _: references(),
    "Bulk: references to nobody": lambda _: references(200_000),
    "Bulk: a version of quotes": lambda there: bulk(
        [{"method": "DELETE", "path": f"/Users/{there.user}", "version": '"' * 4_000_000}]
    ),
    "Bulk: a path of slashes": lambda _: bulk([{"method": "DELETE", "path": "/a" * 2_000_000}]),
    "Bulk: a path of slashes in each": lambda _: bulk([{"method": "DELETE", "path": "/a" * 1_000}] * 1_000),
    "filter: resources x values x terms": lambda _: search("/Users", filter=f"phoneNumbers[{terms(ZZ, 220)}]"),
    "filter: resources x terms": lambda _: search("/Users", filter=terms('title co "zz"', 215)),
    "filter: terms x a long text": lambda _: search("/Users", filter=terms('title co "é"', 240)),
    "filter: types x terms": lambda _: search("", filter=terms('id co "zz"', 215)),
    "filter: terms that are looked up": lambda _: search(
        "/Users", filter=" or ".join(f'userName sw "{c}"' for c in ["c"] * 200)
    ),
    "filter: terms about groups": lambda _: search(
        "/Users", filter="title pr and (" + " or ".join(f'groups eq "g-{n}"' for n in range(180)) + ")"
    ),
    "filter: brackets": lambda _: search("/Users", filter="(" * 4_096),
    "filter: a long urn": lambda _: search("/Users", filter="urn:" + "a:" * 2_000 + "! eq 1"),
    "search: attributes": lambda _: search("/Users", attributes=[f"a{n}" for n in range(100_000)]),
    "search: attributes of what nobody declared": lambda _: search(
        "/Users", count=100, attributes=[f"{CUSTOM}:n{n}" for n in range(20_000)]
    ),
    "search: all, in order": lambda _: search("/Users", count=1_000, sortBy="title"),
    "body: objects behind a backslash": lambda _: raw("/Groups", b'{"a":"\\\\","x":[' + b"{}," * 2_700_000 + b"{}]}"),
    "body: objects": lambda _: raw("/Groups", b'{"x":[' + b"{}," * 2_700_000 + b"{}]}"),
    "body: numbers": lambda _: raw("/Groups", b'{"x":[' + b"1," * 4_000_000 + b"1]}"),
    "body: names that come twice": lambda _: raw("/Groups", b'{"x":[' + b'{"a":1,"a":2},' * 140_000 + b'{"a":1}]}'),
    "body: texts that begin with a colon": lambda _: raw("/Groups", json.dumps({"x": [":a"] * 290_000}).encode()),
    "body: texts of commas": lambda _: raw("/Groups", json.dumps({"x": [",,,,,,,,,,"] * 280_000}).encode()),
    "body: brackets": lambda _: raw("/Groups", b"[" * 8_000_000),
    "body: quotes": lambda _: raw("/Groups", b'"' * 8_000_000),
    "body: escapes": lambda _: raw("/Groups", b'{"a":"' + b"\\u0041" * 1_300_000 + b'\\u0000"}'),
    "body: digits": lambda _: raw("/Groups", b'{"a":' + b"9" * 8_000_000 + b"}"),
    "body: numbers of many digits": lambda _: raw("/Groups", b'{"a":[' + b",".join([b"9" * 4_000] * 1_990) + b"]}"),
    "body: lists behind a NUL": lambda _: raw("/Groups", b'{"\\u0000":1,"x":[' + b"[]," * 2_700_000 + b"1]}"),
    "body: names with NUL": lambda _: raw("/Groups", b'{"a":[' + b'{"\\u0000":1},' * 90_000 + b"1]}"),
    "body: spaces behind quotes": lambda _: raw("/Groups", b'{"a":[' + (b'"' + b" " * 1_000 + b'",') * 8_000 + b"1]}"),
    "POST: names": lambda _: ("POST", "/Users", {"userName": "x", **{f"n{n}": 1 for n in range(70_000)}}),
    "POST: names that nobody declared": lambda _: (
        "POST",
        "/Users",
        {"userName": "x", **{f"urn:a:b:c:n{n}": 1 for n in range(40_000)}},
    ),
    "POST: values": lambda _: ("POST", "/Users", {"userName": "x", "emails": [{"value": "a@b"}] * 50_000}),
    "POST: names of one value": lambda _: (
        "POST",
        "/Users",
        {"userName": "x", "emails": [{f"n{n}": 1 for n in range(70_000)}]},
    ),
    "POST: accents in what is unique": lambda _: raw("/Users", plain({"userName": ACCENTS * 3})),
    "POST: accents in what is looked up": lambda _: raw(
        "/Users", plain({"userName": "x", "emails": [{"value": ACCENTS}, {"value": ACCENTS + "x"}]})
    ),
    "POST: members": lambda _: (
        "POST",
        "/Groups",
        {"displayName": "x", "members": [{"value": f"u-{n:024}"} for n in range(140_000)]},
    ),
    "POST: members of the schema": lambda _: (
        "POST",
        "/Groups",
        {
            "urn:ietf:params:scim:schemas:core:2.0:Group": {
                "displayName": "x",
                "members": [{"value": f"u-{n:024}"} for n in range(140_000)],
            }
        },
    ),
    "PATCH: members": lambda there: patch(
        f"/Groups/{there.group}",
        [{"op": "add", "path": "members", "value": [{"value": f"u-{n:024}"} for n in range(140_000)]}],
    ),
    "PUT: members": lambda there: (
        "PUT",
        f"/Groups/{there.group}",
        {"displayName": "many", "members": [{"value": f"u-{n:024}"} for n in range(140_000)]},
    ),
    "GET: everything": lambda _: ("GET", "/?count=1000", None),
}
