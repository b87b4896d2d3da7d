"""What a policy makes of an identity provider's writes: defaults, grants, seats, holds, relinking, protection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from scim.insight.status import read_status
from scim.policy.document import PolicyError, parse_policy
from scim.security.connections import Connection
from scim.service.replaying import replay_policy
from scim.service.steering import try_policy
from scim.store.table import Table
from tests.core import REGISTRY
from tests.policy.tenant import Event, Tenant
from tests.test_request_log import lines

VOICE = {"entitlements": [{"type": "license", "value": "Voice"}]}


def of(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


# The document ---------------------------------------------------------------------------------------------------------

WRONG: list[tuple[Any, str]] = [
    ([], "A policy is a JSON object"),
    ({"seat": {}}, "seat: is not known here"),
    ({"seats": {"licenses": {"Voice": -1}}}, "seats.licenses.Voice: must be 0 or more"),
    ({"seats": {"total": "many"}}, "seats.total: must be a whole number"),
    ({"defaults": {"shoeSize": 42}}, "defaults.shoeSize: is no attribute of a user"),
    ({"defaults": {"userName": "x"}}, "defaults.userName: cannot be the same for every user"),
    ({"defaults": {"active": "maybe"}}, "defaults: active must be true or false"),
    ({"grants": [{"roles": ["x"]}]}, "is for a group or for a role"),
    ({"grants": [{"group": {}, "roles": ["x"]}]}, "exactly one of id, displayName and externalId"),
    ({"grants": [{"role": "x"}]}, "gives nothing"),
    ({"grants": [{"role": "x", "roles": ["Owner"]}], "never": ["owner"]}, "grants.0.roles gives 'Owner'"),
    ({"values": [{"from": "shoe", "to": "x", "map": {}}]}, "values.0.from: shoe is no attribute of a user"),
    ({"values": [{"from": "emails", "to": "x", "map": {}}]}, "values.0.from: emails is not a single value"),
    ({"massChange": {"hold": "maybe"}}, "massChange.hold: must be 'off', 'on' or 'all'"),
    ({"domains": ["contoso"]}, "domains.0: must be a domain such as contoso.com"),
    ({"protected": {"users": [""]}}, "protected.users.0: must not be empty"),
    ({"never": ["x" * 300]}, "never.0: is too long: at most 250"),
    ({"defaults": {"title": "x" * 40_000}}, "30000 bytes at most"),
]


@pytest.mark.parametrize(("data", "text"), WRONG, ids=[text for _, text in WRONG])
def test_a_wrong_policy_says_what_is_wrong(data: Any, text: str) -> None:
    with pytest.raises(PolicyError) as raised:
        parse_policy(data, REGISTRY)
    assert text in str(raised.value)


# Defaults, grants, values ---------------------------------------------------------------------------------------------


async def test_defaults_fill_what_a_new_user_leaves_out() -> None:
    tenant = Tenant()
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    await tenant.set(defaults={**VOICE, "userType": "Member", f"{enterprise}:division": "EMEA"})
    ada = await tenant.create("ada", userType="Guest", **{enterprise: {"department": "R&D"}})
    shown = (await tenant.client.get(f"/Users/{ada}")).json
    assert shown["entitlements"] == VOICE["entitlements"] and shown["userType"] == "Guest"
    assert shown[enterprise] == {"department": "R&D", "division": "EMEA"}
    (event,) = await tenant.events()
    assert event["effects"] == {"defaults": ["entitlements", f"{enterprise}:division"]}
    await tenant.patch(f"/Users/{ada}", {"op": "remove", "path": "entitlements"})  # what the client says stays
    assert "entitlements" not in (await tenant.client.get(f"/Users/{ada}")).json
    users = [{"method": "POST", "path": "/Users", "bulkId": str(n), "data": {"userName": f"b{n}"}} for n in range(3)]
    bulk = await tenant.client.post("/Bulk", {"Operations": users})
    for one in bulk.json["Operations"]:
        id = one["location"].rpartition("/")[2]
        assert (await tenant.client.get(f"/Users/{id}")).json["userType"] == "Member"


async def test_groups_and_roles_grant() -> None:
    tenant = Tenant()
    there = await tenant.create_group("Old")
    await tenant.set(
        grants=[
            {"group": {"displayName": "sales"}, "licenses": ["Sales"], "roles": ["agent"]},
            {"group": {"displayName": "Old"}, "attributes": {"queue": 7}},
            {"role": "Boss", "roles": ["supervisor"]},
        ],
        never=["owner"],
    )
    ada = await tenant.create("ada", roles=[{"value": "boss"}, {"value": "Owner"}])
    group = await tenant.create_group("Sales", ada)
    await tenant.patch(f"/Groups/{group}", {"op": "replace", "path": "displayName", "value": "Vertrieb"})
    bob = await tenant.create("bob")
    await tenant.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": bob}]})
    await tenant.patch(f"/Groups/{there}", {"op": "add", "path": "members", "value": [{"value": bob}]})
    other = await tenant.create_group("Other", ada)
    events = await tenant.events()
    created = {event["resource"].get("userName"): event for event in of(events, "user.created")}
    assert created["ada"]["grants"] == {"roles": ["supervisor"]}
    assert created["ada"]["effects"] == {"refused": ["Owner"]}
    assert "grants" not in created["bob"]
    members = {(e["resource"]["id"], tuple(e["added"])): e.get("grants") for e in of(events, "group.members")}
    gives = {"licenses": ["Sales"], "roles": ["agent"]}
    assert members[group, (ada,)] == members[group, (bob,)] == gives
    assert members[there, (bob,)] == {"attributes": {"queue": 7}}
    assert members[other, (ada,)] is None
    await tenant.set(grants=[{"group": {"id": group}, "roles": ["lead"]}])  # told anew to who is a member
    told = {(e["resource"]["id"], tuple(sorted(e["added"]))): e["grants"] for e in await tenant.events()}
    assert told == {(group, tuple(sorted([ada, bob]))): {"roles": ["lead"]}, (there, (bob,)): {}}
    await tenant.delete(f"/Groups/{group}")
    await tenant.create_group("sales", ada)
    assert [e.get("grants") for e in of(await tenant.events(), "group.members")] == [None]


async def test_values_are_mapped_with_a_fallback_that_is_told() -> None:
    tenant = Tenant()
    department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"
    await tenant.set(values=[{"from": department, "to": "office", "map": {"Sales": "Berlin"}, "else": "Headquarters"}])
    urn = department.rpartition(":")[0]
    for name, given in (("ada", "SALES"), ("bob", "Kitchen"), ("eve", None)):
        await tenant.create(name, **({urn: {"department": given}} if given else {}))
    effects = [event["effects"] for event in await tenant.events()]
    back = {"values": {"office": "Headquarters"}, "fallbacks": ["office"]}
    assert effects == [{"values": {"office": "Berlin"}}, back, back]


# Seats ----------------------------------------------------------------------------------------------------------------


async def test_seats_are_given_in_the_order_of_the_log() -> None:
    tenant = Tenant()
    await tenant.set(defaults=VOICE, seats={"licenses": {"Voice": 2}})
    ids = {name: await tenant.create(name) for name in ("ada", "bob", "eve", "joe")}
    assert await tenant.told() == [
        "user.created ada",
        "seat.assigned ada Voice",
        "user.created bob",
        "seat.assigned bob Voice",
        "user.created eve",
        "seat.waiting eve Voice",
        "user.created joe",
        "seat.waiting joe Voice",
    ]
    assert await tenant.used() == {"Voice": (2, 2)}
    await tenant.enable(ids["ada"], active=False)
    assert await tenant.told() == ["user.deactivated ada", "seat.freed ada Voice", "seat.assigned eve Voice"]
    await tenant.enable(ids["ada"])  # by the same path as everybody
    assert await tenant.told() == ["user.activated ada", "seat.waiting ada Voice"]
    await tenant.delete(f"/Users/{ids['joe']}")  # who waits gives up the place
    assert await tenant.told() == ["user.deleted joe"]
    await tenant.patch(f"/Users/{ids['bob']}", {"op": "remove", "path": "entitlements"})
    assert await tenant.told() == ["user.updated bob", "seat.freed bob Voice", "seat.assigned ada Voice"]
    await tenant.set(defaults=VOICE, seats={"licenses": {"Voice": 1}})  # nobody loses one
    assert await tenant.told() == [] and await tenant.used() == {"Voice": (2, 0)}
    await tenant.create("zoe")
    await tenant.delete(f"/Users/{ids['eve']}")
    assert await tenant.told() == [
        "user.created zoe",
        "seat.waiting zoe Voice",
        "user.deleted eve",
        "seat.freed eve Voice",
    ]
    await tenant.set(defaults=VOICE, seats={"licenses": {"Voice": 5}})
    assert await tenant.told() == ["seat.assigned zoe Voice"]
    assert await tenant.used() == {"Voice": (2, 0)} and await tenant.problems() == []


async def test_a_limit_for_all_and_one_that_comes_later() -> None:
    tenant = Tenant()
    for number in range(25):
        await tenant.create(f"u{number}", active=number != 3, **VOICE)
    await tenant.told()
    await tenant.set(seats={"total": 10, "licenses": {"Voice": 30}})  # who is there has a seat, however many they are
    told = await tenant.told()
    assert told.count("seat.assigned u0") == 1 and len(told) == 48
    assert await tenant.used() == {"": (24, 0), "Voice": (24, 0)}
    await tenant.create("late")
    assert await tenant.told() == ["user.created late", "seat.waiting late"]
    await tenant.set(seats={})
    assert await tenant.used() == {}
    await tenant.set(seats={"total": 26})
    assert await tenant.used() == {"": (25, 0)} and await tenant.problems() == []


async def test_a_group_gives_seats() -> None:
    tenant = Tenant()
    users = [await tenant.create(f"u{number}") for number in range(30)]
    group = await tenant.create_group("Sales", *users[:25])
    grants = [{"group": {"displayName": "Sales"}, "licenses": ["Sales"]}]
    await tenant.set(grants=grants, seats={"licenses": {"Sales": 24}})
    assert await tenant.used() == {"Sales": (24, 1)}
    rest = [{"value": id} for id in users[25:]]
    await tenant.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": rest})
    await tenant.sequence()
    assert await tenant.used() == {"Sales": (24, 6)}
    await tenant.patch(f"/Groups/{group}", {"op": "remove", "path": f'members[value eq "{users[0]}"]'})
    await tenant.sequence()
    assert await tenant.used() == {"Sales": (24, 5)}
    await tenant.delete(f"/Groups/{group}")
    await tenant.sequence()
    assert await tenant.problems() == []


class Killing:
    """A table under a sequencer that is killed at some of its transactions, before or after they are done."""

    def __init__(self, table: Table, dice: Random, share: float) -> None:
        self._table, self._dice, self._share = table, dice, share

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def commit(self, partition: str, writes: Any) -> list[str]:
        cut = self._dice.random()
        if cut < self._share / 2:
            raise Killed
        etags = await self._table.commit(partition, writes)
        if cut < self._share:
            raise Killed
        return etags


class Killed(Exception):
    pass


@pytest.mark.parametrize("seed", range(3))
async def test_the_limit_is_exact_whatever_is_killed(seed: int) -> None:
    """300 creations, 60 disabled on the way, three sequencers that are killed: 200 have a seat, 40 wait."""
    from scim.feed.sequencer import Sequencer

    tenant, dice = Tenant(), Random(seed)
    await tenant.set(defaults=VOICE, seats={"licenses": {"Voice": 200}}, massChange={"atLeast": 1000})
    done = asyncio.Event()
    kills = 0

    async def sequence() -> None:
        nonlocal kills
        while not done.is_set():
            try:
                await Sequencer(Killing(tenant.table, dice, 0.6), REGISTRY).run(tenant.name)  # type: ignore[arg-type]
            except Killed:
                kills += 1
            await asyncio.sleep(0)

    workers = [asyncio.create_task(sequence()) for _ in range(3)]
    ids: list[str] = []
    for at in range(0, 300, 20):
        ids += await asyncio.gather(*(tenant.create(f"u{number}") for number in range(at, at + 20)))
    await asyncio.gather(*(tenant.enable(id, active=False) for id in dice.sample(ids, 60)))
    done.set()
    await asyncio.gather(*workers)
    while await tenant.sequence():
        pass
    assert kills and await tenant.used() == {"Voice": (200, 40)}
    assert await tenant.problems() == []
    seats: dict[str, str] = {}
    after: str | None = None
    from scim.feed.log import Log

    more = True
    while more:
        page = await Log(tenant.table).read(tenant.name, after)
        for event in page.events:
            if event["type"].startswith("seat."):
                seats[event["resource"]["id"]] = event["type"]
        after, more = page.next, page.more
    assert sum(kind == "seat.assigned" for kind in seats.values()) == 200


# Mass changes ---------------------------------------------------------------------------------------------------------


async def lose(tenant: Tenant, ids: list[str]) -> None:
    for id in ids:
        await tenant.enable(id, active=False)


async def test_a_mass_change_is_told(caplog: pytest.LogCaptureFixture) -> None:
    tenant = Tenant()
    ids = [await tenant.create(f"u{number}") for number in range(40)]
    await tenant.sequence()
    await lose(tenant, ids[:24])
    await tenant.delete(f"/Users/{ids[24]}")
    assert not of(await tenant.events(), "mass.change")
    await lose(tenant, ids[25:30])
    events = await tenant.events()
    (event,) = of(events, "mass.change")
    last = of(events, "user.deactivated")[0]
    assert (event["number"], event["deleted"], event["threshold"]) == (26, 1, 25)
    named = {name: last[name] for name in ("connection", "credential", "request")}
    assert {name: event[name] for name in named} == named
    numbers = {"disabled": 25, "deleted": 1, "limit": 25}
    assert lines(caplog, "mass_change") == [{"event": "mass_change", "tenant": tenant.name, **named, **numbers}]
    assert (await tenant.state())["hold"] is None


async def test_status_says_that_many_went_and_what_is_held() -> None:
    tenant = Tenant()

    async def look_up(names: Iterable[str]) -> list[Connection]:
        return []

    async def advice() -> str:
        return " ".join((await read_status(tenant.table, tenant.name, look_up)).advice())

    await tenant.set(massChange={"hold": "on", "atLeast": 1, "percent": 1})
    ids = [await tenant.create(f"u{number}") for number in range(4)]
    await lose(tenant, ids[:1])
    await tenant.sequence()
    assert "Many users" not in await advice() and "held back" not in await advice()
    await lose(tenant, ids)
    await tenant.sequence()
    assert "Many users were disabled or deleted within an hour on 20" in await advice()
    assert "3 changes are held back" in await advice() and f"policy release {tenant.name}" in await advice()
    await tenant.release()
    assert "held back" not in await advice()


async def test_a_hold_keeps_what_is_past_the_threshold() -> None:
    tenant = Tenant()
    await tenant.set(massChange={"hold": "on", "percent": 10, "atLeast": 5})
    ids = [await tenant.create(f"u{number}") for number in range(100)]
    await tenant.events()
    await lose(tenant, ids[:15])
    told = await tenant.told()
    assert told.count("hold.started") == 1 and sum(one.startswith("user.deactivated") for one in told) == 10
    assert (await tenant.state())["hold"]["held"] == 5
    await tenant.delete(f"/Users/{ids[14]}")  # behind what is held of it
    await tenant.patch(f"/Users/{ids[13]}", {"op": "replace", "path": "title", "value": "Dr"})
    await tenant.patch(f"/Users/{ids[20]}", {"op": "replace", "path": "title", "value": "Dr"})
    await tenant.enable(ids[12])  # cancels
    await tenant.patch(
        f"/Users/{ids[11]}",
        {"op": "replace", "path": "active", "value": True},
        {"op": "replace", "path": "title", "value": "Prof"},
    )
    events = await tenant.events()
    assert [(e["type"], e["resource"]["userName"], e.get("changed")) for e in events] == [
        ("user.updated", "u20", ["title"]),
        ("user.updated", "u11", ["title"]),
    ]
    assert (await tenant.state())["hold"]["held"] == 5 and await tenant.problems() == []
    assert await tenant.release() == 5
    assert await tenant.told() == [
        "user.deactivated u10",
        "user.deactivated u13",
        "user.deactivated u14",
        "user.deleted u14",
        "user.updated u13",
        "hold.ended",
    ]
    assert await tenant.release() is None and (await tenant.state())["hold"] is None
    assert await tenant.problems() == []


async def test_no_hold_delays_once_the_policy_has_none() -> None:
    tenant = Tenant()
    for kind, then, held in (("on", "off", 2), ("all", "on", 3), ("on", "all", 0)):
        await tenant.set(massChange={"hold": kind, "atLeast": 1, "percent": 1})
        ids = [await tenant.create(f"{kind}-{then}-{number}") for number in range(3)]
        await tenant.sequence()
        await lose(tenant, ids)
        before = [one for one in await tenant.told() if "deactivated" in one]
        await tenant.set(massChange={"hold": then, "atLeast": 1000})
        after = [one for one in await tenant.told() if "deactivated" in one]
        assert (len(before) + len(after), len(after)) == (3 if held else 1, held)
    await tenant.release()
    assert await tenant.problems() == []


async def test_who_was_deleted_and_held_comes_back_under_the_same_name() -> None:
    """Nobody sees the name twice: what is held of the old one is told before the new one."""
    tenant = Tenant()
    await tenant.set(massChange={"hold": "on", "atLeast": 1, "percent": 1})
    ids = [await tenant.create(f"u{number}", externalId=f"x{number}") for number in range(6)]
    await tenant.events()
    await lose(tenant, ids[:3])
    await tenant.delete(f"/Users/{ids[2]}")
    await tenant.delete(f"/Users/{ids[3]}")
    await tenant.patch(f"/Users/{ids[1]}", {"op": "replace", "path": "userName", "value": "other"})
    await tenant.create("U2", externalId="x2")
    await tenant.patch(f"/Users/{ids[4]}", {"op": "replace", "path": "userName", "value": "u1"})
    events = await tenant.events()
    assert [(e["type"], e["resource"].get("userName"), e.get("replaces")) for e in events] == [
        ("user.deactivated", "u0", None),
        ("mass.change", None, None),
        ("hold.started", None, None),
        ("user.deactivated", "u2", None),
        ("user.deleted", "u2", None),
        ("user.created", "U2", ids[2]),
        ("user.deactivated", "u1", None),
        ("user.updated", "other", None),
        ("user.updated", "u1", None),
    ]
    assert (await tenant.state())["hold"]["held"] == 1 and await tenant.problems() == []
    assert await tenant.release() == 1
    assert await tenant.told() == ["user.deleted u3", "hold.ended"] and await tenant.problems() == []


async def test_a_hold_of_all_shows_nothing_until_it_is_released() -> None:
    tenant = Tenant()
    await tenant.set(massChange={"hold": "all"})
    ids = [await tenant.create(f"u{number}") for number in range(3)]
    await tenant.create_group("g", *ids)
    assert await tenant.told() == ["hold.started"]
    await tenant.release()
    told = await tenant.told()
    assert told[:3] == ["user.created u0", "user.created u1", "user.created u2"] and told[-1] == "hold.ended"
    await tenant.create("later")
    assert await tenant.told() == ["user.created later"]


async def test_a_hold_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = Tenant()
    await tenant.set(massChange={"hold": "all", "holdHours": 1})
    await tenant.create("ada")
    assert await tenant.told() == ["hold.started"]
    from scim.policy.deciding import Decider

    monkeypatch.setattr(Decider, "is_releasing", lambda self, now: self.state.hold is not None)
    assert await tenant.told() == ["user.created ada", "hold.ended"]


# Relinking, protection ------------------------------------------------------------------------------------------------


async def test_who_comes_back_takes_the_place_of_the_old_one() -> None:
    tenant = Tenant()
    old = {name: await tenant.create(name, externalId=f"x-{name}") for name in ("ada", "bob")}
    for id in old.values():
        await tenant.delete(f"/Users/{id}")
    await tenant.create("ADA")
    await tenant.create("robert", externalId="x-bob")
    await tenant.create("eve", externalId="x-eve")
    events = await tenant.events()
    for event in of(events, "user.deleted"):
        assert event["purgeAfter"] > event["time"] and event["data"]["userName"]
    assert [e.get("replaces") for e in of(events, "user.created")][2:] == [old["ada"], old["bob"], None]
    await tenant.set(relink={"hours": 0})
    eve = (await tenant.client.get("/Users?filter=userName+eq+%22eve%22")).json["Resources"][0]["id"]
    await tenant.delete(f"/Users/{eve}")
    await tenant.create("eve")
    assert "replaces" not in of(await tenant.events(), "user.created")[0]
    assert await tenant.problems() == []


async def test_protected_accounts_and_groups() -> None:
    tenant = Tenant()
    breakglass = await tenant.create("break@contoso.com", externalId="bg")
    group = await tenant.create_group("Owners")
    await tenant.set(protected={"users": ["BREAK@contoso.com"], "groups": ["owners"]})
    refused: list[tuple[str, Event]] = [
        (f"/Users/{breakglass}", {"op": "Replace", "path": "active", "value": "False"}),
        (f"/Users/{breakglass}", {"op": "replace", "value": {"active": False}}),
        (f"/Users/{breakglass}", {"op": "replace", "path": "userName", "value": "x"}),
        (f"/Groups/{group}", {"op": "replace", "path": "displayName", "value": "x"}),
    ]
    for path, operation in refused:
        error = await tenant.patch(path, operation, status=400)
        assert error["scimType"] == "mutability" and "is protected by the vendor" in error["detail"]
    for path in (f"/Users/{breakglass}", f"/Groups/{group}"):
        assert (await tenant.client.delete(path)).status == 400
    put = await tenant.client.put(f"/Users/{breakglass}", {"userName": "break@contoso.com", "active": False})
    assert put.status == 400
    bulk = {"Operations": [{"method": "DELETE", "path": f"/Users/{breakglass}"}]}
    assert (await tenant.client.post("/Bulk", bulk)).json["Operations"][0]["status"] == "400"
    await tenant.set(protected={"users": ["bg"]})  # what it is protected by cannot be taken away first
    error = await tenant.patch(f"/Users/{breakglass}", {"op": "remove", "path": "externalId"}, status=400)
    assert (error["scimType"], "another externalId" in error["detail"]) == ("mutability", True)
    await tenant.patch(f"/Users/{breakglass}", {"op": "replace", "path": "title", "value": "Emergency"})
    await tenant.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": breakglass}]})


async def test_domains() -> None:
    tenant = Tenant()
    old = await tenant.create("old@other.example", emails=[{"value": "old@other.example"}])
    await tenant.set(domains=["contoso.com", "@Fabrikam.com"])
    detail = await tenant.create("ada@evil.example", status=400)
    assert "evil.example" in detail and "contoso.com, fabrikam.com" in detail
    assert "emails.value" in await tenant.create("a@contoso.com", status=400, emails=[{"value": "x@evil.example"}])
    await tenant.create("ada@CONTOSO.com", emails=[{"value": "x@fabrikam.com"}])
    await tenant.create("no-address")
    put = {"userName": "OLD@other.example", "emails": [{"value": "Old@Other.example"}], "active": False}
    assert (await tenant.client.put(f"/Users/{old}", put)).status == 200
    await tenant.delete(f"/Users/{old}")
    leaver = await tenant.create("leaver@contoso.com")
    renamed = {"op": "replace", "path": "userName", "value": "leaver@evil.example"}
    assert (await tenant.client.patch(f"/Users/{leaver}", renamed)).status == 400
    disabled = {"op": "replace", "path": "active", "value": "False"}
    assert (await tenant.client.patch(f"/Users/{leaver}", renamed, disabled)).json["active"] is False


async def test_a_policy_is_tried_without_writing() -> None:
    tenant = Tenant()
    policy = {"defaults": VOICE, "seats": {"licenses": {"Voice": 0}}}
    made = await try_policy(tenant.table, REGISTRY, tenant.name, policy, {"userName": "ada"})
    assert made["document"]["entitlements"] == VOICE["entitlements"]
    assert [event["type"] for event in made["events"]] == ["user.created", "seat.waiting"]
    assert tenant.table.rows(tenant.name) == []


async def test_the_last_days_are_replayed_without_writing() -> None:
    tenant = Tenant()
    ids = [await tenant.create(f"u{number}@contoso.com") for number in range(6)]
    await tenant.create("x@evil.example")
    for id in ids[:2]:
        await tenant.enable(id, active=False)
    await tenant.sequence()
    before = tenant.table.rows(tenant.name)
    policy = {
        "defaults": VOICE,
        "domains": ["contoso.com"],
        "seats": {"licenses": {"Voice": 3}},
        "massChange": {"atLeast": 1, "percent": 1, "hold": "on"},
    }
    made = await replay_policy(tenant.table, REGISTRY, tenant.name, policy)
    assert made["seats"] == [{"license": "Voice", "limit": 3, "used": 3}]
    told = made["told"]
    assert (told["events"], told["refused by domain"], told["seat.assigned"], told["seat.waiting"]) == (9, 1, 4, 3)
    assert (told["mass.change"], told["hold.started"], told["held"], told["seat.freed"]) == (1, 1, 1, 1)
    assert tenant.table.rows(tenant.name) == before
