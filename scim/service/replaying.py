"""What a policy would have made of the changes of the last 30 days, as the change feed has them. Nothing is written.

It begins with nobody: who was there before the feed reaches takes no seat here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from scim.errors import ScimError
from scim.feed.log import Log
from scim.policy.deciding import Decider
from scim.policy.document import Policy, parse_policy
from scim.policy.draft import Draft, Event
from scim.policy.guard import fill_defaults, require_domains
from scim.policy.state import TOTAL, State
from scim.schema.registry import Registry
from scim.store.table import Partition, Row, Table

_DECIDED = ("seat", "mass", "hold")
_MADE_BY_POLICY = ("effects", "grants", "purgeAfter", "replaces")


class _NoRows:
    """A table in which nothing is."""

    async def read(self, partition: str, key: str) -> Row | None:
        return None

    async def pages(self, *_: object, **__: object) -> AsyncIterator[list[Row]]:
        return
        yield []


async def replay_policy(table: Table, registry: Registry, tenant: str, data: object) -> dict[str, Any]:
    """Return how many events a policy would have been told of, what of it, and how seats would stand. Raises
    PolicyError, TableUnavailable."""
    policy = parse_policy(data, registry)
    partition = Partition(_NoRows(), tenant)  # type: ignore[arg-type]
    state = State(users=0)
    decider = Decider(partition, policy, "tried", state, registry)
    async for _ in decider.catch_up("2000-01-01T00:00:00.000Z"):
        pass
    told: Counter[str] = Counter()
    async for event in _read_events(Log(table), tenant):
        told["events"] += 1
        await _replay(decider, policy, registry, event, told)
        decider.rows.accept()
    used, limits = decider.state.used, decider.state.limits
    seats = [
        {**({"license": one} if one != TOTAL else {}), "limit": limit, "used": used.get(one, 0)}
        for one, limit in limits.items()
    ]
    return {"told": dict(sorted(told.items())), "seats": seats}


async def _read_events(log: Log, tenant: str) -> AsyncIterator[Event]:
    after: str | None = None
    while True:
        page = await log.read(tenant, after)
        for event in page.events:
            if event["type"].partition(".")[0] not in _DECIDED:
                yield event
        if not page.more:
            return
        after = page.next


async def _replay(decider: Decider, policy: Policy, registry: Registry, event: Event, told: Counter[str]) -> None:
    event = {name: value for name, value in event.items() if name not in _MADE_BY_POLICY}
    kind, _, what = event["type"].partition(".")
    users = registry.by_endpoint("users")
    if kind == "user" and what == "created" and "data" in event and users is not None:
        document = {name: value for name, value in event["data"].items() if name not in ("schemas", "id")}
        try:
            require_domains(policy, users, document)
        except ScimError:
            told["refused by domain"] += 1
            return
        event["data"] = fill_defaults(policy, users, document)
    id = event["resource"]["id"]
    change = {"op": what, "id": id, "changed": event.get("changed", []), "previous": event.get("previous", {})}
    taken = await decider.hold([id], [change], {}, event["time"])
    told.update(each.event["type"] for each in taken.told)
    if taken.changes is None:
        told["held"] += 1
        return
    for part in decider.split(Draft(event, ()), decider.find_size(id)):
        for made in await decider.decide(part):
            if made.event["type"].partition(".")[0] in _DECIDED:
                told[made.event["type"]] += 1
            told.update(f"with {name}" for name in _MADE_BY_POLICY if name in made.event)
