"""A client judges what it is answered by what it knows: every wrong answer is a finding, and no right one is."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from dev.chaos import client as client_module
from dev.chaos import intents
from dev.chaos.bulk import create_together
from dev.chaos.client import Client
from dev.chaos.intents import Intent
from dev.chaos.model import MEMBERS, State, Thing, group_view, user_view
from dev.chaos.requests import Log, Outcome

STATE: dict[str, Any] = {
    "userName": "ada@x",
    "externalId": "ada",
    "displayName": "Ada",
    "title": None,
    "active": True,
    "marks": [],
}
RESOURCE = {"id": "u-1", "userName": "ada@x", "externalId": "ada", "displayName": "Ada", "active": True}
MARKED = {**RESOURCE, "phoneNumbers": [{"value": "one"}]}
LOST, AWAY, DONE = Outcome(), Outcome(503), Outcome(200, {}, "v2")
CREATE, MARK, DELETE = intents.create("/Users", STATE), intents.add_mark("one"), intents.delete()


def found(*resources: dict[str, Any]) -> Outcome:
    return Outcome(200, {"Resources": list(resources), "totalResults": len(resources)})


def made(id: str = "u-1") -> Outcome:
    return Outcome(201, {"id": id}, "v1")


class Scripted:
    """A sender whose answers a test has written; `asked` lists the requests."""

    def __init__(self, *answers: Outcome) -> None:
        self.tenant = "t"
        self.log = Log()
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self._answers = list(answers)

    async def ready(self) -> None:
        await asyncio.sleep(0)

    async def send(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Outcome:
        self.asked.append((method, path, headers or {}))
        return self._answers.pop(0)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gives up, and nobody waits."""
    monkeypatch.setattr(client_module, "_GIVE_UP", 0.0)
    monkeypatch.setattr(client_module, "_PAUSE", (0.0, 0.0))


def standing(*answers: Outcome) -> tuple[Client, Scripted]:
    sender = Scripted(*answers)
    return Client(sender, Random(1), {}), sender  # type: ignore[arg-type]


def thing(*candidates: State, version: str | None = "v1") -> Thing:
    held = list(candidates or [STATE])
    return Thing("t", "/Users", "ada", user_view, held, id=None if held == [None] else "u-1", version=version)


@pytest.mark.parametrize(
    ("intent", "before", "answers", "found_kinds"),
    [
        pytest.param(CREATE, None, [made()], [], id="created"),
        pytest.param(CREATE, None, [LOST, found(), made()], [], id="created by the second try"),
        pytest.param(CREATE, None, [LOST, found(RESOURCE)], [], id="created by the first, as the look shows"),
        pytest.param(CREATE, None, [AWAY, found(), Outcome(409)], ["false conflict"], id="not there, but taken"),
        pytest.param(CREATE, None, [Outcome(409)], ["false conflict"], id="a conflict with itself"),
        pytest.param(CREATE, None, [LOST, found(RESOURCE, MARKED)], ["applied twice"], id="created twice"),
        pytest.param(MARK, STATE, [DONE], [], id="changed"),
        pytest.param(MARK, STATE, [AWAY, found(MARKED), DONE], [], id="changed by both tries"),
        pytest.param(MARK, STATE, [Outcome(404)], ["acknowledged write lost"], id="gone"),
        pytest.param(MARK, STATE, [AWAY, found()], ["acknowledged write lost"], id="gone, as the look shows"),
        pytest.param(MARK, STATE, [Outcome(412), found(RESOURCE), DONE], ["false conflict"], id="412 without reason"),
        pytest.param(DELETE, STATE, [Outcome(204)], [], id="deleted"),
        pytest.param(DELETE, STATE, [LOST, found()], [], id="deleted, as the look shows"),
        pytest.param(DELETE, STATE, [LOST, found(RESOURCE), Outcome(404)], ["acknowledged write lost"], id="shown"),
    ],
)
async def test_what_a_client_concludes(
    intent: Intent, before: State, answers: list[Outcome], found_kinds: list[str]
) -> None:
    client, sender = standing(*answers)
    one = thing(before)
    await client.perform(one, intent, conditional=intent is MARK)
    assert [finding.kind for finding in sender.log.findings] == found_kinds
    assert len(sender.asked) == len(answers)


async def test_a_condition_is_not_sent_again_after_an_unknown_outcome() -> None:
    """The first try may have changed the version, so a 412 would say nothing."""
    client, sender = standing(AWAY, found(RESOURCE), DONE)
    await client.perform(thing(), MARK, conditional=True)
    assert [headers for method, _, headers in sender.asked if method == "PATCH"] == [{"If-Match": "v1"}, {}]


async def test_a_version_that_nobody_made_was_a_second_write() -> None:
    client, sender = standing(Outcome(200, RESOURCE, "v1"), Outcome(200, RESOURCE, "v2"))
    one = thing()
    await client.verify(one)
    assert sender.log.findings == []
    await client.verify(one)
    assert [finding.kind for finding in sender.log.findings] == ["applied twice"]


@pytest.mark.parametrize(("status", "kinds"), [(412, []), (503, []), (200, ["condition ignored"])])
async def test_a_stale_condition_must_be_refused(status: int, kinds: list[str]) -> None:
    client, sender = standing(Outcome(status))
    await client.stale(thing())
    assert [finding.kind for finding in sender.log.findings] == kinds


@pytest.mark.parametrize(("status", "kinds"), [(409, []), (503, []), (201, ["applied twice"])])
async def test_a_second_post_must_be_refused(status: int, kinds: list[str]) -> None:
    client, sender = standing(Outcome(status, {"id": "u-2"}))
    await client.duplicate(thing(), CREATE)
    assert [finding.kind for finding in sender.log.findings] == kinds


async def test_a_client_that_gives_up_leaves_both_outcomes_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_GIVE_UP", 1.0)
    client, sender = standing(AWAY)
    one = thing()
    await client.perform(one, MARK)
    assert (one.left, one.candidates) == (True, [STATE, {**STATE, "marks": ["one"]}])
    assert sender.log.findings == []


def result(name: str, status: int, id: str = "") -> dict[str, Any]:
    path = "/Groups" if name == "team" else "/Users"
    return {"bulkId": name, "status": str(status), "location": f"http://x/scim{path}/{id}"}


def answer(*results: dict[str, Any]) -> Outcome:
    return Outcome(200, {"Operations": list(results)})


TEAM = {"id": "g-1", "displayName": "Team", "externalId": "team"}


@pytest.mark.parametrize(
    ("answers", "kinds"),
    [
        pytest.param([answer(result("ada", 201, "u-1"), result("team", 201, "g-1"))], [], id="made"),
        pytest.param([LOST, found(RESOURCE), found(TEAM)], [], id="made, and the answer lost"),
        pytest.param([LOST, found(), made(), made("g-1")], [], id="lost, and made one by one"),
        pytest.param(
            [answer(result("ada", 503), result("team", 409)), found(RESOURCE), made("g-1")],
            [],
            id="refused with its user",
        ),
        pytest.param(
            [answer(result("ada", 201, "u-1"), result("team", 409)), made("g-1")],
            ["false conflict"],
            id="refused alone",
        ),
    ],
)
async def test_a_bulk_request(answers: list[Outcome], kinds: list[str]) -> None:
    client, sender = standing(*answers)
    state = {"displayName": "Team", "externalId": "team", MEMBERS: []}
    user, team = thing(None), Thing("t", "/Groups", "team", group_view)
    await create_together(client, [(user, STATE)], (team, state))
    assert [finding.kind for finding in sender.log.findings] == kinds
    assert len(sender.asked) == len(answers)
    assert team.candidates == [{**state, MEMBERS: ["u-1"]}]
