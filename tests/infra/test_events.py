"""What the queries know of the log is what the app logs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from dev.bicep.queries import FIELDS
from dev.credentials import new_key
from dev.host import Host
from scim.app import Application
from scim.counters import Minute
from scim.feed.sequencer import Sequencer
from scim.feed.sinks.client import Refusal
from scim.feed.sinks.document import SinkDocument, create_secret, find_sinks, write_sinks
from scim.feed.sinks.state import State, write_state
from scim.feed.sinks.webhooks import Webhooks
from scim.insight.counts import build_minute, read_minutes
from scim.insight.keeping import Keeping
from scim.mass_changes import MassChanges
from scim.security.connections import Connection
from scim.security.usage import Usage, Used
from scim.store.quotas import Quota
from scim.store.store import Store
from scim.trace import Deed, Trace
from tests.core import REGISTRY, USER_TYPE, cases
from tests.store.memory import MemoryTable, create
from tests.support import Client


class NoLog:
    """A log of uses that knows nothing and keeps nothing."""

    async def read_uses(self, connection: str) -> list[Used]:
        return []

    async def write_use(self, connection: str, used: Used) -> None:
        await asyncio.sleep(0)


async def request(host: Host, client: Client, application: Application) -> None:
    await client.get("/Users")


async def token(host: Host, client: Client, application: Application) -> None:
    await host.request("POST", "http://scim.test/oauth2/token", {"Host": "scim.test"}, b"")


async def housekeeping(host: Host, client: Client, application: Application) -> None:
    await application.housekeep()


async def change(host: Host, client: Client, application: Application) -> None:
    await client.post("/Bulk", {"Operations": [{"method": "POST", "path": "/Users", "data": {"userName": "x"}}]})


async def revoked_credential(host: Host, client: Client, application: Application) -> None:
    Usage(NoLog(), 60).tell_revoked(
        Connection.model_validate({"name": "a", "tenant": "a", "keys": [new_key("a")]}), "0a"
    )


async def mass_change(host: Host, client: Client, application: Application) -> None:
    changes = MassChanges(limit=2)
    for trace in (Trace("r", tenant="a", deed=Deed(disabled=1)), Trace("r", tenant="a", deed=Deed(deleted=1))):
        changes.count(trace, 200)


async def quota(host: Host, client: Client, application: Application) -> None:
    table = MemoryTable()
    table.load("a", {"r u-a": {"id": "u-a", "doc0": "{}"}})
    await Store(table, quota=Quota(resources=1)).quotas.measure("a")


async def cycle_overdue(host: Host, client: Client, application: Application) -> None:
    table, at = MemoryTable(), int(datetime.now(UTC).timestamp() // 60)
    for ago in (220, 180, 140):
        await table.commit("a", [build_minute(Minute("a", "a", at - ago), {"requests": 1}, "p")])
    await Keeping(table).keep("a")
    assert await read_minutes(table, "a", datetime.now(UTC) - timedelta(days=1))


async def credential_expiring(host: Host, client: Client, application: Application) -> None:
    usage, ends = Usage(NoLog(), 60), datetime.now(UTC) + timedelta(days=6)
    usage.note(Connection.model_validate({"name": "a", "tenant": "a", "keys": [new_key("a")]}), "0a1b2c3d", ends)
    await usage.close()


async def sink(host: Host, client: Client, application: Application) -> None:
    """A webhook that nothing answers."""
    await bring(State())


async def sink_recovered(host: Host, client: Client, application: Application) -> None:
    """The same, and it had failed before."""
    await bring(State(tries=1, since="2026-01-01T00:00:00Z"), taken=True)


async def bring(state: State, *, taken: bool = False) -> None:
    class Client:
        async def send(self, *_: object) -> None:
            if not taken:
                raise Refusal("crm.example answered 410", status=410)

        async def close(self) -> None:
            """Nothing is open."""

    table = MemoryTable()
    await create(Store(table), "a", USER_TYPE, {"userName": "ada"})
    await Sequencer(table, REGISTRY).run("a")
    await write_state(table, "a", "crm", state)
    webhook = SinkDocument(name="crm", url="https://crm.example/", secrets=(create_secret(),))
    driver = Webhooks(table, find_sinks(None, write_sinks({"crm": webhook}), 5), Client())  # type: ignore[arg-type]
    driver.follow("a")
    await driver.finish(10)
    await driver.close()


OPTIONAL = {
    "changed", "added", "removed", "addedIds", "removedIds", "disabled", "deleted", "attribute", "rule", "reason",
    "claimed", "address", "agent", "operations", "failed", "operator",
}  # fmt: skip
"""Fields that a line has only if it has something to say; tests/test_accounts.py sees each of them, and
tests/service/test_operator_reads.py the operator's."""
Cause = Callable[[Host, Client, Application], Awaitable[None]]
CAUSES: dict[str, Cause] = {
    "request": request,
    "token": token,
    "change": change,
    "housekeeping": housekeeping,
    "revoked_credential": revoked_credential,
    "mass_change": mass_change,
    "quota": quota,
    "sink": sink,
    "sink_recovered": sink_recovered,
    "cycle_overdue": cycle_overdue,
    "credential_expiring": credential_expiring,
}


@pytest.mark.parametrize("cause", cases(CAUSES))
async def test_fields_of_an_event(
    host: Host, client: Client, application: Application, caplog: pytest.LogCaptureFixture, cause: Cause
) -> None:
    caplog.set_level(logging.INFO, "scim")
    await cause(host, client, application)
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.getMessage().startswith("{")]
    told = [set(line) for line in lines if line["event"] == cause.__name__]  # an app of the session may log one, too
    assert told
    for names in told:
        assert names <= FIELDS[cause.__name__] and names | OPTIONAL >= FIELDS[cause.__name__]


def test_every_event_is_caused() -> None:
    assert set(CAUSES) == set(FIELDS)
