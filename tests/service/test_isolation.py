"""Tenants share a deployment and nothing else: whatever one sends, it learns and changes nothing of another.

Three tenants use the same names, and each other's ids, versions, cursors and places in lists. Of every answer is asked
whether it holds anything that only another tenant can have told: an id that the asking tenant neither made nor sent, or
a word that the other keeps in its resources. Of every request, whether a row of another tenant changed.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from dev.credentials import SEALS, new_key
from dev.host import Answer
from scim.app import Application
from scim.http import Request
from scim.security.connections import Operator
from scim.service import cursors
from scim.settings import Settings
from scim.store.resources import Resources
from scim.store.table import PAGE_ROWS, Refused, Row, Table, Write
from tests.core import ENTERPRISE, USER
from tests.store.memory import MemoryTable
from tests.support import PATCH, Client, Response

pytestmark = pytest.mark.long

TENANTS = ("contoso", "fabrikam", "litware")
VENDORS: dict[str, list[str]] = {"every": ["*"], "some": ["contoso", "fabrikam"]}
"""The operator's own applications, and the tenants that they reach."""
SECRETS = {tenant: f"{tenant}-keeps-this" for tenant in TENANTS}
"""A word in each resource of a tenant, which no other ever sends."""
_ID = re.compile(r"\b[ug]-[a-z2-7]{24}\b")

WHO = st.sampled_from(TENANTS)
NAMES = st.sampled_from(["ada", "bob", "eve"])
PICKS = st.integers(0, 11)
"""Which of what is there; it wraps around."""
PATHS = st.sampled_from(["/Users", "/Groups"])
APPLICATIONS = st.sampled_from([*VENDORS])


@dataclass
class Tenant:
    """What a tenant made and sent. `alive` are its resources' paths by id, `seen` the ids that it may be shown."""

    client: Client
    alive: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    managers: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def ids(self, path: str) -> list[str]:
        return [id for id, where in self.alive.items() if where == path]


class Doors:
    """Stands where a Host would, before one application of all tenants."""

    def __init__(self, table: Table) -> None:
        self.tokens = {tenant: new_key(tenant) for tenant in TENANTS}
        connections: dict[str, Any] = {name: {"tenant": name, "keys": [key]} for name, key in self.tokens.items()}
        self.tokens |= {name: new_key(name) for name in VENDORS}
        for name, tenants in VENDORS.items():
            operator = {"tenants": tenants, "rights": ["feed", "read", "manage"]}
            connections[name] = {"operator": operator, "keys": [self.tokens[name]]}
        configured = {
            "SCIM_TABLE_CONNECTION_STRING": "none",
            "SCIM_CONNECTIONS": json.dumps(connections),
            "SCIM_SEALS": SEALS,
            "SCIM_USAGE_MINUTES": "0",
            "SCIM_INSIGHT_SECONDS": "0",
            "SCIM_FEED_SECONDS": "0",
            "SCIM_TENANT_RESOURCES": "0",
            "SCIM_TENANT_MEMBERS": "0",
            "SCIM_TENANT_MEGABYTES": "0",
            "SCIM_TENANT_RATE": "0",
        }
        self.application = Application(Settings.from_environment(configured), table=table)

    async def request(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        lower = {name.lower(): value for name, value in headers.items()}
        response = await self.application.handle(Request(method, url, lower, body))
        return Answer(response.status, response.headers, response.encoded())  # type: ignore[arg-type]


class Isolation(RuleBasedStateMachine):
    """Everything that may go wrong between tenants, in any order."""

    new_table: Callable[[], MemoryTable] = MemoryTable

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.table = self.new_table()
        doors = self.doors = Doors(self.table)
        self.tenants = {
            name: Tenant(Client(doors, name, doors.tokens[name]))  # type: ignore[arg-type]
            for name in TENANTS
        }

    def teardown(self) -> None:
        self.runner.close()

    # What is asked of every request.

    def ask(
        self, who: str, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Send a request, and hold its answer and what it did against the other tenants."""
        tenant = self.tenants[who]
        tenant.seen |= set(_ID.findall(f"{path} {json.dumps(body)}"))
        before = {other: self.rows(other) for other in TENANTS if other != who}
        response = self.runner.run(tenant.client.request(method, path, body, headers))
        for other, rows in before.items():
            assert self.rows(other) == rows, f"{method} {path} of {who} changed what {other} has"
        if method == "POST" and response.status == 201:
            tenant.seen.add(response.json["id"])
        if path == "/Bulk":
            tenant.seen |= {_ID.findall(one["location"])[0] for one in response.json["Operations"] if made(one)}
        said = response.body.decode() + json.dumps(response.headers)
        assert set(_ID.findall(said)) <= tenant.seen, f"{method} {path}: {who} is shown an id that it cannot know"
        for other, secret in SECRETS.items():
            assert other == who or secret not in said, f"{method} {path}: {who} reads what {other} keeps"
        assert response.status < 500, response.body
        return response

    def rows(self, tenant: str) -> list[Row]:
        return self.table.rows(tenant)

    def foreign(self, who: str, path: str, pick: int) -> str | None:
        """The id of another tenant's resource."""
        ids = [id for name in TENANTS if name != who for id in self.tenants[name].ids(path)]
        return ids[pick % len(ids)] if ids else None

    def own(self, who: str, path: str, pick: int) -> str | None:
        ids = self.tenants[who].ids(path)
        return ids[pick % len(ids)] if ids else None

    def made(self, who: str, path: str, response: Response) -> None:
        tenant, resource = self.tenants[who], response.json
        tenant.alive[resource["id"]] = path
        tenant.versions[resource["id"]] = response.headers["etag"]
        tenant.members[resource["id"]] = {one["value"] for one in resource.get("members", [])}

    # What tenants do.

    @initialize()
    def everybody_has_something(self) -> None:
        for who in TENANTS:
            self.create_user(who, "ada", False, 0)
            self.create_user(who, "bob", True, 0)
            self.create_group(who, "ada", False, 0)

    @rule(who=WHO, name=NAMES, managed=st.booleans(), pick=PICKS)
    def create_user(self, who: str, name: str, managed: bool, pick: int) -> None:
        """The same userName, externalId and address as everybody's; a name is taken by a tenant's own user alone."""
        manager = self.foreign(who, "/Users", pick) if managed else None
        body = {
            "schemas": [USER],
            "userName": f"{name}@shared.example",
            "externalId": name,
            "displayName": name,
            "emails": [{"value": f"{name}@shared.example", "type": "work"}],
            "title": SECRETS[who],
        }
        if manager:
            body[ENTERPRISE] = {"manager": {"value": manager}}
        taken = self.total(who, "/Users", f'userName eq "{name}@shared.example"')
        response = self.ask(who, "POST", "/Users", body)
        assert response.status == (409 if taken else 201), response.body
        if response.status == 201:
            self.made(who, "/Users", response)
            if manager:
                self.tenants[who].managers[response.json["id"]] = manager

    @rule(who=WHO, name=NAMES, strange=st.booleans(), pick=PICKS)
    def create_group(self, who: str, name: str, strange: bool, pick: int) -> None:
        members = [self.foreign(who, "/Users", pick) if strange else self.own(who, "/Users", pick)]
        body = {"displayName": name, "externalId": SECRETS[who], "members": [{"value": one} for one in members if one]}
        taken = self.total(who, "/Groups", f'displayName eq "{name}"')
        response = self.ask(who, "POST", "/Groups", body)
        assert response.status == (409 if taken else 201), response.body
        if response.status == 201:
            self.made(who, "/Groups", response)

    @rule(who=WHO, path=PATHS, pick=PICKS, method=st.sampled_from(["GET", "PATCH", "PUT", "DELETE"]))
    def reach_for_a_foreign_resource(self, who: str, path: str, pick: int, method: str) -> None:
        id = self.foreign(who, path, pick)
        if id is None:
            return
        body: Any = None
        if method == "PATCH":
            body = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "displayName", "value": "taken over"}]}
        elif method == "PUT":
            body = {"schemas": [USER], "userName": "taken over", "displayName": "taken over"}
        assert self.ask(who, method, f"{path}/{id}", body).status == 404

    @rule(who=WHO, pick=PICKS, add=st.booleans())
    def change_members_of_a_foreign_group(self, who: str, pick: int, add: bool) -> None:
        """The one PATCH that reads nothing first."""
        group, member = self.foreign(who, "/Groups", pick), self.own(who, "/Users", pick)
        operation = {"op": "add" if add else "remove", "path": "members", "value": [{"value": member or "somebody"}]}
        if group is not None:
            body = {"schemas": [PATCH], "Operations": [operation]}
            assert self.ask(who, "PATCH", f"/Groups/{group}", body).status == 404

    @rule(who=WHO, pick=PICKS, path=PATHS, add=st.booleans())
    def hold_a_foreign_member(self, who: str, pick: int, path: str, add: bool) -> None:
        """An id that is nobody's here may be a member; whose it is elsewhere is not known and does not matter."""
        group, member = self.own(who, "/Groups", pick), self.foreign(who, path, pick)
        if group is None or member is None:
            return
        operation = {"op": "add" if add else "remove", "path": "members", "value": [{"value": member}]}
        body = {"schemas": [PATCH], "Operations": [operation]}
        assert self.ask(who, "PATCH", f"/Groups/{group}", body).status == 204
        members = self.tenants[who].members[group]
        members.add(member) if add else members.discard(member)
        shown = self.ask(who, "GET", f"/Groups/{group}")
        assert {one["value"] for one in shown.json.get("members", [])} == members
        self.tenants[who].versions[group] = shown.headers["etag"]

    @rule(who=WHO, pick=PICKS)
    def have_a_foreign_manager(self, who: str, pick: int) -> None:
        user, manager = self.own(who, "/Users", pick), self.foreign(who, "/Users", pick)
        if user is None or manager is None:
            return
        operation = {"op": "replace", "path": f"{ENTERPRISE}:manager", "value": manager}
        response = self.ask(who, "PATCH", f"/Users/{user}", {"schemas": [PATCH], "Operations": [operation]})
        assert response.status == 200, response.body
        self.tenants[who].managers[user] = manager
        self.tenants[who].versions[user] = response.headers["etag"]

    @rule(who=WHO, path=PATHS, pick=PICKS, method=st.sampled_from(["GET", "DELETE"]))
    def read_and_delete_own(self, who: str, path: str, pick: int, method: str) -> None:
        tenant, id = self.tenants[who], self.own(who, path, pick)
        if id is None:
            return
        response = self.ask(who, method, f"{path}/{id}")
        assert response.status == (200 if method == "GET" else 204)
        if method == "DELETE":
            del tenant.alive[id]
            tenant.managers.pop(id, None)
            tenant.members.pop(id, None)
            for members in tenant.members.values():
                members.discard(id)

    # Searches.

    @rule(who=WHO, pick=PICKS)
    def search_for_foreign_ids(self, who: str, pick: int) -> None:
        tenant = self.tenants[who]
        user, group = self.foreign(who, "/Users", pick), self.foreign(who, "/Groups", pick)
        own = self.own(who, "/Users", pick) or "u-nobody"
        for id in filter(None, (user, group)):
            assert self.total(who, tenant_path(id), f'id eq "{id}"') == 0
            assert self.total(who, tenant_path(id), f'id eq "{id}" or id eq "{own}"') == (
                tenant_path(own) == tenant_path(id) and own in tenant.alive
            )
            holding = sum(id in members for group, members in tenant.members.items() if group in tenant.alive)
            assert self.total(who, "/Groups", f'members eq "{id}"') == holding
            managed = sum(manager == id for manager in tenant.managers.values())
            assert self.total(who, "/Users", f'manager eq "{id}"') == managed
            assert self.total(who, "/Users", f'groups.value eq "{id}"') == 0

    @rule(who=WHO, other=WHO, path=PATHS)
    def search_for_a_foreign_word(self, who: str, other: str, path: str) -> None:
        attribute = "title" if path == "/Users" else "externalId"
        for operator in ("eq", "sw", "co"):
            found = self.total(who, path, f'{attribute} {operator} "{SECRETS[other]}"')
            assert found == (len(self.tenants[who].ids(path)) if other == who else 0)

    @rule(who=WHO, path=PATHS, sort=st.sampled_from(["", "&sortBy=displayName", "&sortBy=meta.created"]))
    def walk_by_index(self, who: str, path: str, sort: str) -> None:
        """Everybody leaves a bookmark at the same place of the same query."""
        own = set(self.tenants[who].ids(path))
        found: set[str] = set()
        for start in range(1, len(own) + 2):
            page = self.ask(who, "GET", f"{path}?startIndex={start}&count=1{sort}").json
            if start == 1:  # behind it, a bookmark of an earlier walk of one's own may tell an earlier number
                assert page["totalResults"] == len(own)
            found |= {resource["id"] for resource in page.get("Resources", [])}
        assert found == own

    @rule(who=WHO, start=st.integers(1, 4))
    def read_the_middle_of_a_list(self, who: str, start: int) -> None:
        """A bookmark of the same number may be there, left by others."""
        page = self.ask(who, "GET", f"/Users?startIndex={start}&count=1").json
        assert {resource["id"] for resource in page.get("Resources", [])} <= set(self.tenants[who].ids("/Users"))

    @rule(who=WHO, path=PATHS)
    def go_on_with_somebody_elses_walk(self, who: str, path: str) -> None:
        page = self.ask(who, "GET", f"{path}?cursor=&count=1").json
        if "nextCursor" not in page:
            return
        following = f"{path}?count=1&cursor={page['nextCursor']}"
        for each in TENANTS:
            response = self.ask(each, "GET", following)
            assert response.status == (200 if each == who else 400), f"{each} goes on where {who} is"
            assert each == who or response.json["scimType"] == "invalidCursor"

    @rule(who=WHO)
    def search_everything(self, who: str) -> None:
        everything = self.ask(who, "POST", "/.search", {"count": 100}).json
        assert {resource["id"] for resource in everything["Resources"]} == set(self.tenants[who].alive)
        assert everything["totalResults"] == len(self.tenants[who].alive)

    # Conditions and bulk.

    @rule(who=WHO, path=PATHS, pick=PICKS, header=st.sampled_from(["If-Match", "If-None-Match"]))
    def condition_on_a_foreign_version(self, who: str, path: str, pick: int, header: str) -> None:
        own, foreign = self.own(who, path, pick), self.foreign(who, path, pick)
        if own is None or foreign is None:
            return
        (version,) = [t.versions[foreign] for t in self.tenants.values() if foreign in t.alive]
        operation = {"op": "replace", "path": "nickName" if path == "/Users" else "externalId", "value": SECRETS[who]}
        body = {"schemas": [PATCH], "Operations": [operation]}
        response = self.ask(who, "PATCH", f"{path}/{own}", body, {header: version})
        assert response.status == (412 if header == "If-Match" else 200 if path == "/Users" else 204), response.body
        if response.status < 300:
            self.tenants[who].versions[own] = response.headers["etag"]
        assert self.ask(who, "PATCH", f"{path}/{foreign}", body, {header: version}).status == 404

    @rule(who=WHO, name=NAMES, pick=PICKS)
    def bulk(self, who: str, name: str, pick: int) -> None:
        """The same bulkIds as everybody's, among foreign ids."""
        user, group = self.foreign(who, "/Users", pick), self.foreign(who, "/Groups", pick)
        if user is None or group is None:
            return
        taken = self.total(who, "/Groups", f'displayName eq "{name}"')
        team = {"displayName": name, "externalId": SECRETS[who], "members": [{"value": user}]}
        member = [{"op": "add", "path": "members", "value": [{"value": "bulkId:team"}]}]
        operations = [
            {"method": "POST", "path": "/Groups", "bulkId": "team", "data": team},
            {"method": "PATCH", "path": f"/Groups/{group}", "data": {"Operations": member}},
            {"method": "PUT", "path": f"/Users/{user}", "data": {"userName": "taken over"}},
            {"method": "DELETE", "path": f"/Users/{user}"},
            {"method": "DELETE", "path": f"/Groups/{group}"},
            {"method": "PATCH", "path": "/Groups/bulkId:others", "data": {"Operations": member}},
        ]
        results = self.ask(who, "POST", "/Bulk", {"Operations": operations}).json["Operations"]
        statuses = [result["status"] for result in results]
        expected = ["409", "409", *["404"] * 3, "409"] if taken else ["201", *["404"] * 4, "400"]
        assert statuses == expected, results
        if not taken:
            id = results[0]["location"].rpartition("/")[2]
            tenant = self.tenants[who]
            tenant.alive[id], tenant.versions[id], tenant.members[id] = "/Groups", results[0]["version"], {user}

    # What the operator's own applications do.

    def read(self, vendor: str, of: str, path: str) -> Any:
        """An operator's connection asks for something of a tenant: it changes nothing, and what it is told is what that
        tenant may be told, or nothing."""
        before = {name: self.rows(name) for name in TENANTS}
        sent = {"Authorization": f"Bearer {self.doors.tokens[vendor]}"}
        answer = self.runner.run(self.doors.request("GET", f"http://scim.test/tenants/{of}/scim{path}", sent, b""))
        assert {name: self.rows(name) for name in TENANTS} == before
        assert answer.status == 403 or {"*", of} & {*VENDORS[vendor]}, f"{vendor} is let into {of}"
        said = answer.body.decode() + json.dumps(dict(answer.headers))
        known = self.tenants[of].seen if answer.status != 403 else set()
        assert set(_ID.findall(said)) <= known | set(_ID.findall(path)), (
            f"{path} of {of}: {vendor} is shown others' ids"
        )
        for other, secret in SECRETS.items():
            assert other == of or secret not in said, f"{path} of {of}: {vendor} reads what {other} keeps"
        return answer.status, json.loads(answer.body)

    @rule(vendor=APPLICATIONS, of=WHO, path=PATHS)
    def read_a_tenant(self, vendor: str, of: str, path: str) -> None:
        status, body = self.read(vendor, of, f"{path}?count=100")
        if status == 200:
            assert {one["id"] for one in body["Resources"]} == {*self.tenants[of].ids(path)}
            assert all(one["meta"]["location"].split("/")[4] == of for one in body["Resources"])

    @rule(vendor=APPLICATIONS, of=WHO, path=PATHS, pick=PICKS)
    def read_a_resource_of_another_tenant(self, vendor: str, of: str, path: str, pick: int) -> None:
        id = self.foreign(of, path, pick)
        if id is not None:
            assert self.read(vendor, of, f"{path}/{id}")[0] in (403, 404)

    @rule(vendor=APPLICATIONS, of=WHO, path=PATHS)
    def go_on_with_the_walk_elsewhere(self, vendor: str, of: str, path: str) -> None:
        status, page = self.read(vendor, of, f"{path}?cursor=&count=1")
        if status != 200 or "nextCursor" not in page:
            return
        following = f"{path}?count=1&cursor={page['nextCursor']}"
        for each in VENDORS:
            for tenant in TENANTS:
                status = self.read(each, tenant, following)[0]
                assert status == 200 if (each, tenant) == (vendor, of) else status in (400, 403)
        for who in TENANTS:
            assert self.ask(who, "GET", following).status == 400

    @rule(who=WHO, of=WHO, path=PATHS)
    def knock_at_an_operators_door(self, who: str, of: str, path: str) -> None:
        """Not even for what is its own."""
        sent = {"Authorization": f"Bearer {self.tenants[who].client.token}"}
        url = f"http://scim.test/tenants/{of}/scim{path}"
        assert self.runner.run(self.doors.request("GET", url, sent, b"")).status == 404

    def total(self, who: str, path: str, filter: str) -> int:
        total: int = self.ask(who, "GET", f"{path}?filter={quote(filter)}").json["totalResults"]
        return total


def tenant_path(id: str) -> str:
    return "/Users" if id.startswith("u-") else "/Groups"


def made(result: dict[str, Any]) -> bool:
    return bool(result["method"] == "POST" and result["status"] == "201")


CORE = settings.get_profile("core")
ISOLATION = settings(
    CORE,
    max_examples=40,
    stateful_step_count=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shorten what is found takes minutes
)


def test_nothing_crosses_between_tenants() -> None:
    run_state_machine_as_test(Isolation, settings=ISOLATION)  # type: ignore[no-untyped-call]


# The machine sees what it is for: each of these lets one thing across.


class Reads(MemoryTable):
    """A row that a tenant does not have is read from the others."""

    async def read(self, partition: str, key: str) -> Row | None:
        for each in (partition, *TENANTS) if partition in TENANTS and key.startswith("r ") else (partition,):
            if (row := await super().read(each, key)) is not None:
                return row
        return None


class Lists(MemoryTable):
    """A range of memberships goes on into the other tenants."""

    async def pages(
        self, partition: str, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
    ) -> AsyncIterator[list[Row]]:
        for each in TENANTS if start.startswith("g ") else (partition,):
            async for page in super().pages(each, start, end, size=size, keys_only=keys_only):
                yield page


class Bookmarks(MemoryTable):
    """Places in lists are everybody's."""

    async def read(self, partition: str, key: str) -> Row | None:
        return await super().read("litware" if key.startswith("b ") else partition, key)

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        return await super().commit("litware" if writes[0].key.startswith("b ") else partition, writes)


class Deletes(MemoryTable):
    """What one tenant deletes goes from the others, too."""

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        etags = await super().commit(partition, writes)
        for write in writes:
            for other in TENANTS if write.kind == "delete" and write.key.startswith("x ") else ():
                if any(row.key == write.key for row in self.rows(other)):
                    await super().commit(other, [write])
        return etags


class Names(MemoryTable):
    """A name is taken by whoever had it first, in any tenant."""

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        for index, write in enumerate(writes):
            if write.kind == "insert" and write.key.startswith("x "):
                for other in TENANTS:
                    if other != partition and any(row.key == write.key for row in self.rows(other)):
                        raise Refused(409, index)
        return await super().commit(partition, writes)


SEEN = settings(
    CORE, max_examples=60, stateful_step_count=30, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False
)


@pytest.mark.parametrize("leak", [Reads, Lists, Bookmarks, Deletes, Names])
def test_a_table_that_leaks_is_seen(leak: type[MemoryTable]) -> None:
    machine = type("Leaking", (Isolation,), {"new_table": leak})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=SEEN)  # type: ignore[no-untyped-call]


def test_a_cursor_that_is_good_for_everybody_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursors, "_bind", lambda tenant, query: b"")
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Isolation, settings=SEEN)  # type: ignore[no-untyped-call]


def test_an_operator_that_is_let_into_another_tenant_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Operator, "reaches", lambda self, tenant: True)
    with pytest.raises(AssertionError, match="is let into"):
        run_state_machine_as_test(Isolation, settings=SEEN)  # type: ignore[no-untyped-call]


def test_an_error_that_names_somebody_else_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal of a taken name says who has it; here it says who has it elsewhere."""
    owner = f"u-{'a' * 24}"

    async def find_unique_id(*_: object) -> str:
        return owner

    monkeypatch.setattr(Resources, "find_unique_id", find_unique_id)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Isolation, settings=SEEN)  # type: ignore[no-untyped-call]
