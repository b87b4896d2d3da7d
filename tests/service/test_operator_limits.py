"""An operator's connection has a rate and a budget of its own: it keeps no customer waiting, and none keeps it."""

from __future__ import annotations

import json

import pytest

from dev.credentials import SEALS, new_key
from scim import budget
from scim.app import Application
from scim.http import Request, Response
from scim.settings import Settings
from tests.service.test_bounds import with_users
from tests.store.memory import MemoryTable

TENANT = "tenant"
KEYS = {name: new_key(name) for name in (TENANT, "reader", "other")}
DEAR = "/Users?filter=" + "+or+".join(f"title+co+%22{number}%22" for number in range(200))


class Doors:
    """One application whose accounts may have two requests, less what they cost, and no more: time stands still."""

    def __init__(self, table: MemoryTable, rate: int = 1) -> None:
        operator = {"tenants": "*", "rights": ["read"]}
        connections = {
            name: {"keys": [key], **({"tenant": name} if name == TENANT else {"operator": operator})}
            for name, key in KEYS.items()
        }
        configured = {
            "SCIM_TABLE_CONNECTION_STRING": "none",
            "SCIM_CONNECTIONS": json.dumps(connections),
            "SCIM_SEALS": SEALS,
            "SCIM_USAGE_MINUTES": "0",
            "SCIM_INSIGHT_SECONDS": "0",
            "SCIM_FEED_SECONDS": "0",
            "SCIM_TENANT_RATE": str(rate),
        }
        self.application = Application(Settings.from_environment(configured), table=table)
        self.application._built().limits._clock = lambda: 0.0  # time stands still

    async def ask(self, who: str, path: str) -> Response:
        base = "/scim" if who == TENANT else f"/tenants/{TENANT}/scim"
        headers = {"authorization": f"Bearer {KEYS[who]}"}
        return await self.application.handle(Request("GET", f"https://x.test{base}{path}", headers))


@pytest.mark.parametrize("hasty", [TENANT, "reader"])
async def test_a_rate_of_its_own(hasty: str) -> None:
    doors = Doors(with_users(3))
    answers = [await doors.ask(hasty, "/Users") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 429, 429]
    assert answers[-1].headers["Retry-After"] and "You send more than 1 requests a second" in str(answers[-1].body)
    for other in {*KEYS} - {hasty}:
        assert (await doors.ask(other, "/Users")).status == 200


@pytest.mark.parametrize("hasty", [TENANT, "reader"])
async def test_dear_requests_are_paid_for_by_who_sends_them(hasty: str) -> None:
    doors = Doors(with_users(200))
    assert (await doors.ask(hasty, DEAR)).status == 200
    assert (await doors.ask(hasty, "/Users")).status == 429
    for other in {*KEYS} - {hasty}:
        assert (await doors.ask(other, "/Users")).status == 200


async def test_whose_turn_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dear requests take turns by account, so an operator's connection that reads a tenant does not take its turns."""
    accounts: list[str] = []
    granted = budget.grant

    def noting(each: budget.Budget) -> object:
        accounts.append(each.tenant)
        return granted(each)

    monkeypatch.setattr(budget, "grant", noting)
    doors = Doors(with_users(1))
    for who in KEYS:
        await doors.ask(who, "/Users")
    assert accounts == [TENANT, "operator reader", "operator other"]
