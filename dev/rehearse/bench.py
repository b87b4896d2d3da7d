"""What the test suites of Microsoft do again and again: make a user or group, change it, read it back, compare.

Each of these raises `Refused` where the target does not do what the test's pass rule asks.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from dev.rehearse import dialect as bodies
from dev.rehearse import expect
from dev.rehearse.client import Answer, resource
from dev.rehearse.compare import get, read
from dev.rehearse.dialect import Body
from dev.rehearse.directory import DOMAIN
from dev.rehearse.expect import Refused, Resource
from dev.rehearse.explain import wrong
from dev.rehearse.lookup import GROUPS, USERS
from dev.rehearse.mapping import ENTERPRISE, MANAGER, Attributes
from dev.rehearse.stage import Stage

_OFFICE = ("formatted", "streetAddress", "locality", "region", "postalCode", "country")


class Bench:
    """A place to try single requests at; names and values come from the seed."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.domain = f"{stage.label(name)}.{DOMAIN}"
        self._name = name
        self._rng = random.Random(f"{name} {stage.options.seed}")
        self._made = 0

    def word(self) -> str:
        """A random word, as the validator fills every attribute with, whatever its meaning."""
        return "".join(self._rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=12))

    def new_name(self, kind: str = "user") -> str:
        """A name that nobody has, in mixed case."""
        self._made += 1
        return f"{kind.title()}.{self.word().title()}.{self._made}@{self.domain}"

    def attributes(self) -> Attributes:
        """A user with every attribute of the default mapping."""
        found: Attributes = {
            "userName": self.new_name(),
            "externalId": f"{self.word()}.{self._made}.{self.domain}",
            "active": True,
        }
        return found | self.changes()

    def changes(self) -> Attributes:
        """New values for every attribute that neither identifies a user nor switches it on."""
        single = ["displayName", "title", "preferredLanguage", "nickName", "locale", "userType"]
        single += ["name.givenName", "name.familyName", "name.formatted"]
        single += [f"{ENTERPRISE}:employeeNumber", f"{ENTERPRISE}:department"]
        single += ['emails[type eq "work"].value']
        single += [f'phoneNumbers[type eq "{kind}"].value' for kind in ("work", "mobile", "fax")]
        single += [f'addresses[type eq "work"].{sub}' for sub in _OFFICE]
        return {path: self.word() for path in single}

    async def create_user(self, attributes: Attributes | None = None) -> Resource:
        body = bodies.create_user(attributes or self.attributes())
        answer = await self._send("POST", USERS, body)
        made = expect.resource("Create a user", answer, 201, 200)
        if str(made.get("userName")) != body["userName"]:
            raise _mismatch({"userName": (body["userName"], made.get("userName"))}, answer)
        return made

    async def create_group(self, name: str = "") -> Resource:
        name = name or self.new_name("group")
        answer = await self._send("POST", GROUPS, bodies.create_group(name, f"{name}:external", plain=True))
        made = expect.resource("Create a group", answer, 201, 200)
        if made.get("displayName") != name:
            raise _mismatch({"displayName": (name, made.get("displayName"))}, answer)
        return made

    async def post(self, path: str, body: Body, what: str, *expected: int) -> Answer:
        return expect.status(what, await self._send("POST", path, body), *expected)

    async def patch(self, path: str, id: str, what: str, *operations: Body) -> Answer:
        answer = await self._send("PATCH", resource(path, id), bodies.patch(*operations))
        return expect.status(what, answer, 200, 204)

    async def delete(self, path: str, id: str, *expected: int) -> None:
        what = "Delete a user" if path == USERS else "Delete a group"
        expect.status(what, await self._send("DELETE", resource(path, id)), *(expected or (204, 200)))

    async def read(self, path: str, id: str, query: str = "") -> Resource:
        return expect.resource("Read by id", await self._send("GET", resource(path, id, query)), id=id)

    async def gone(self, path: str, id: str) -> None:
        answer = await self._send("GET", resource(path, id))
        expect.status("Read what was deleted", answer, 404)

    async def find(self, path: str, attribute: str, value: str, *, bare: bool = False) -> list[Resource]:
        extra = "excludedAttributes=members&" if bare else ""
        answer = await self.stage.client.find(self._name, path, f'{attribute} eq "{value}"', extra=extra)
        return expect.found(f"Find by {attribute}", answer)

    async def find_one(self, path: str, attribute: str, value: str, id: str, *, bare: bool = False) -> Resource:
        """The one that has the value; Refused where it is not found, or not alone."""
        found = await self.find(path, attribute, value, bare=bare)
        if [each.get("id") for each in found] != [id]:
            raise Refused(
                wrong(
                    "EntryNotFound",
                    f"Find by {attribute}: {len(found)} resources found, expected the one that has the value",
                    "Entra would create the object a second time, or stop because it cannot tell which one is meant.",
                    "Compare userName and displayName without regard to case, and find exactly those that are equal.",
                )
            )
        return found[0]

    async def find_user(self, user: Resource) -> Resource:
        return await self.find_one(USERS, "userName", str(user["userName"]), str(user["id"]))

    async def get(self, path: str) -> Answer:
        return await self._send("GET", path)

    async def _send(self, method: str, path: str, body: Body | None = None) -> Answer:
        return await self.stage.client.send(self._name, method, path, body)


def equal(found: Resource, expected: Mapping[str, object]) -> None:
    """Refused unless every path has its value."""
    pairs = ((path, value, read(found, path)) for path, value in expected.items())
    differ = {p: (e, a) for p, e, a in pairs if type(a) is not type(e) or a != e}
    if differ:
        raise _mismatch(differ)


def cleared(found: Resource, paths: Mapping[str, object]) -> None:
    """Refused unless every path is absent or empty."""
    left = {path: value for path in paths if isinstance(value := read(found, path), str) and value}
    if left:
        raise _mismatch({path: ("nothing", value) for path, value in left.items()})


def managed_by(user: Resource, id: str | None) -> None:
    """Refused unless the manager is an object with this id, or (None) there is none."""
    manager = read(user, MANAGER)
    value = get(manager, "value") if isinstance(manager, dict) else manager
    if (id is None and isinstance(value, str) and value) or (id is not None and (value != id or manager == id)):
        shown = manager if isinstance(manager, dict | str) else "nothing"
        raise _mismatch({MANAGER: ({"value": id} if id else "nothing", shown)})


def members(group: Resource) -> set[str]:
    found = get(group, "members")
    return {str(get(member, "value")) for member in found} if isinstance(found, list) else set()


def _mismatch(differ: Mapping[str, tuple[object, object]], answer: Answer | None = None) -> Refused:
    some = "; ".join(f"{path}: expected {e!r}, found {_shown(a)}" for path, (e, a) in list(differ.items())[:6])
    return Refused(
        wrong(
            "ValueMismatch",
            f"{len(differ)} values are not what was sent ({', '.join(list(differ)[:6])})",
            f"The test fails. {some}",
            "Store every attribute that the schemas name as it was sent, and return it.",
            answer,
        )
    )


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str | bool | int | list | dict) else "nothing"
