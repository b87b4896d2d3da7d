"""The whole target held against the model: attribute by attribute, membership by membership.

What was accepted must be there, whatever the statuses said. The order of values does not matter, and a server may add
attributes of its own; but an element that was not written (a second work e-mail) is a difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from dev.rehearse import expect
from dev.rehearse.client import resource as path_of
from dev.rehearse.directory import DOMAIN
from dev.rehearse.engine import Engine
from dev.rehearse.expect import Refused, Resource
from dev.rehearse.explain import wrong
from dev.rehearse.links import GroupLink, UserLink
from dev.rehearse.lookup import GROUPS, USERS
from dev.rehearse.mapping import ENTERPRISE, MANAGER, Attributes, filtered
from dev.rehearse.paging import Listing, read_all
from dev.rehearse.results import Problem

PAGE = 100
_MISSING = object()


class Difference(NamedTuple):
    """Where a resource is not as it must be. Values are as JSON says them."""

    path: str
    expected: str
    actual: str


def user_differences(link: UserLink, user: Resource) -> list[Difference]:
    """How a user in the target differs from what was written to it."""
    found = []
    for path, value in link.attributes.items():
        if path == "roles":
            continue
        actual = read(user, path)
        if not _same(actual, value) and not (path in link.doubtful and _same(actual, link.doubtful[path])):
            found.append(Difference(path, _say(value), _say(actual)))
    found += _elements(link.attributes | link.doubtful, user)
    found += _roles(link, user)
    manager = read(user, MANAGER)
    id = get(manager, "value") if isinstance(manager, dict) else manager
    id = None if id is _MISSING or id == "" else id
    if id not in (link.manager, *link.doubtful_managers) or not (id is None or isinstance(manager, dict)):
        found.append(Difference(MANAGER, _say({"value": link.manager} if link.manager else None), _say(manager)))
    return found


def group_differences(link: GroupLink, group: Resource, members: set[str] | None, gone: set[str]) -> list[Difference]:
    """How a group differs; `members` None: the target does not tell them. `gone` are ids of deleted users."""
    found = []
    name = read(group, "displayName")
    if name not in {link.name, *link.doubtful_names}:
        found.append(Difference("displayName", _say(link.name), _say(name)))
    if (actual := read(group, "externalId")) != link.external_id:
        found.append(Difference("externalId", _say(link.external_id), _say(actual)))
    if members is not None:
        lost = link.members - members - link.doubtful_members
        extra = members - link.members - link.doubtful_members - gone
        if lost:
            found.append(Difference("members", f"{len(link.members)} members", f"{len(lost)} of them missing"))
        if extra:
            found.append(Difference("members (too many)", f"{len(link.members)} members", f"{len(extra)} more"))
    return found


def read(resource: object, path: str) -> Any:
    """The value at a path; a marker that equals nothing where there is none, a list where there are several."""
    if parts := filtered(path):
        elements = [e for e in _list(get(resource, parts.attribute)) if _fold(get(e, "type")) == parts.type.casefold()]
        values = [value for e in elements if (value := get(e, parts.sub)) is not _MISSING]
        return values[0] if len(values) == 1 else values or _MISSING
    if path.startswith(f"{ENTERPRISE}:"):
        return get(get(resource, ENTERPRISE), path.removeprefix(f"{ENTERPRISE}:"))
    name, _, sub = path.partition(".")
    return get(get(resource, name), sub) if sub else get(resource, name)


def get(value: object, name: str) -> Any:
    """A member of an object, by its name in any case; null is no value."""
    if isinstance(value, dict):
        for key, member in value.items():
            if key.casefold() == name.casefold() and member is not None:
                return member
    return _MISSING


async def verify(engine: Engine) -> None:
    """Read all users and groups of the target and report every difference from the engine's model."""
    stage = engine.stage
    check = stage.check("the target holds what was written to it")
    stage.progress.begin("Comparing the whole target with the model", len(engine.users) + len(engine.groups))
    for path, links in ((USERS, engine.users), (GROUPS, engine.groups)):
        try:
            listing = await read_all(stage.client, path, PAGE, f"list {path[1:].lower()}")
        except Refused as refused:
            check.report(refused.problem, path)
            listing = Listing()
        for link in links.values():
            stage.progress.advance()
            if link.maybe_deleted:
                continue
            try:
                differences = await _compare(engine, path, link, listing)
            except Refused as refused:
                check.report(refused.problem, link.name)
                continue
            for difference in differences:
                check.report(_problem(path, difference), f"{link.name}: {difference.expected} ≠ {difference.actual}")
            if not differences:
                check.passed()
        for id in engine.deleted & listing.resources.keys():
            check.report(_still_there(path), id)
        known = {id for where, id in stage.client.created if where == path}
        for each in _strangers(path, listing, known, engine):
            check.report(_stranger(path), each)


async def _compare(engine: Engine, path: str, link: UserLink | GroupLink, listing: Listing) -> list[Difference]:
    client = engine.stage.client
    resource = listing.resources.get(link.id)
    if resource is None:
        answer = await client.send("read again", "GET", path_of(path, link.id))
        kind = "A user" if path == USERS else "A group"
        if answer.status == 200 and listing.totals:
            raise Refused(_not_listed(path), answer)
        resource = expect.resource(f"{kind} that was written is not in the target", answer, id=link.id)
    if isinstance(link, UserLink):
        return user_differences(link, resource)
    members = await _members(engine, link, resource)
    if members and members & engine.deleted:
        engine.stage.check("who was deleted is in no group").report(_dangling(), link.name)
    return group_differences(link, resource, members, engine.deleted)


async def _members(engine: Engine, link: GroupLink, group: Resource) -> set[str] | None:
    """The ids of a group's members: from the list, from the group itself, or by asking for each one."""
    client = engine.stage.client
    if get(group, "members") is _MISSING and link.members:
        answer = await client.send("read again", "GET", path_of(GROUPS, link.id))
        group = expect.resource("Read a group", answer, id=link.id)
    members = get(group, "members")
    if members is not _MISSING or not link.members:
        return {str(get(member, "value")) for member in _list(members)}
    found = set()
    for id in sorted(link.members):
        filter = f'id eq "{link.id}" and members eq "{id}"'
        answer = await client.find("reference query", GROUPS, filter, extra="attributes=id&")
        if expect.found("Ask whether members has a value", answer):
            found.add(id)
    return found


def _elements(written: Attributes, user: Resource) -> Iterator[Difference]:
    """Elements of a list that Entra writes to which it did not write, such as a second work e-mail."""
    wanted: dict[str, set[str]] = {}
    for path in written:
        if parts := filtered(path):
            wanted.setdefault(parts.attribute, set()).add(parts.type)
    for attribute, types in wanted.items():
        actual = sorted(_fold(get(each, "type")) for each in _list(get(user, attribute)))
        if len(actual) > len(types):
            yield Difference(f"{attribute} (too many)", _say(sorted(types)), _say(actual))


def _roles(link: UserLink, user: Resource) -> Iterator[Difference]:
    actual = {role_value(get(role, "value")) for role in _list(get(user, "roles"))}
    if not link.roles <= actual or (actual - link.roles - link.old_roles and not link.any_roles):
        yield Difference("roles", _say(sorted(link.roles)), _say(sorted(actual)))


def role_value(value: object) -> str:
    """A role's own value, also where the target kept the JSON text that the legacy dialect wraps it in."""
    try:
        inner = json.loads(value) if isinstance(value, str) and value.startswith("{") else None
    except ValueError:
        inner = None
    return str(inner["value"]) if isinstance(inner, dict) and "value" in inner else str(value)


def _same(actual: object, expected: object) -> bool:
    return type(actual) is type(expected) and actual == expected


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _fold(value: object) -> str:
    return value.casefold() if isinstance(value, str) else ""


def _say(value: object) -> str:
    return "nothing" if value is _MISSING or value is None else json.dumps(value, ensure_ascii=False, default=str)


def _strangers(path: str, listing: Listing, known: set[str], engine: Engine) -> Iterable[str]:
    """Resources under this rehearsal's names that it does not know of."""
    attribute = "userName" if path == USERS else "displayName"
    domain = f"-r{engine.stage.options.seed}.{DOMAIN}"
    for id, each in listing.resources.items():
        name = str(each.get(attribute, ""))
        doubtful = (path, name.casefold()) in engine.stage.client.doubtful
        if domain in name and id not in known and not doubtful and id not in engine.deleted:
            yield name


def _problem(path: str, difference: Difference) -> Problem:
    kind = "user" if path == USERS else "group"
    if difference.actual in ('"True"', '"False"', '"true"', '"false"'):
        title = f"A {kind}'s {difference.path} is a string, not a boolean"
    elif difference.path == "members":
        title = "A group has lost members"
    elif difference.path.startswith("members"):
        title = "A group has members that it must not have"
    else:
        title = f"A {kind}'s {difference.path} is not what was written last"
    return wrong(
        "Difference",
        title,
        "The target said that it accepted the change, so Entra takes it for done and does not write it again: "
        "the two differ until somebody notices.",
        "Apply every operation of a request, in order, before answering with success; answer with an error if one "
        "cannot be applied.",
    )


def _dangling() -> Problem:
    problem = wrong(
        "DanglingMember",
        "A group names members that were deleted",
        "Entra does not mind, but whatever reads the group in the application finds accounts that are not there.",
        "Take a deleted user out of its groups.",
    )
    problem.warning = True
    return problem


def _still_there(path: str) -> Problem:
    return wrong(
        "NotDeleted",
        f"What was deleted is still listed at {path}",
        "A deleted account keeps its access, and creating it anew is a conflict.",
        "Leave what was deleted out of every answer.",
    )


def _stranger(path: str) -> Problem:
    return wrong(
        "Duplicate",
        f"{path} holds a resource under a name of this rehearsal that no answer told of",
        "Entra finds more than one resource where it expects one, and stops with DuplicateTargetEntries.",
        "Create one resource for one POST, and refuse names that are taken. If an earlier rehearsal with this seed "
        "left it behind (--keep), choose another --seed.",
    )


def _not_listed(path: str) -> Problem:
    return wrong(
        "NotListed",
        f"A resource that can be read by its id is not on the pages of {path}",
        "Account discovery misses it.",
        "List every resource, with a totalResults that counts all of them.",
    )
