"""A tenant with a policy: requests through the app on a table in memory, and the events that its feed tells."""

from __future__ import annotations

from typing import Any

from scim.feed.log import Log
from scim.feed.sequencer import Sequencer
from scim.operate.check import list_problems
from scim.service.steering import release, set_policy, show_policy
from tests.core import REGISTRY
from tests.store.memory import Door, MemoryTable
from tests.support import USER

Event = dict[str, Any]


class Tenant:
    """The vendor's and the identity provider's side of one tenant."""

    def __init__(self, table: Any = None) -> None:
        self.table = table or MemoryTable()
        self.door = Door(self.table)
        self.client = self.door.client
        self.name = self.client.tenant
        self.seen = 0

    async def set(self, **policy: Any) -> None:
        """Set the policy, for the app too."""
        await set_policy(self.table, REGISTRY, self.name, policy, "tests")
        self.door.application._built().policies._read = None

    async def create(self, name: str, *, status: int = 201, **more: Any) -> str:
        answer = await self.client.post("/Users", {"schemas": [USER], "userName": name, **more})
        assert answer.status == status, answer.body
        return str(answer.json.get("id", answer.json.get("detail")))

    async def create_group(self, name: str, *members: str) -> str:
        body = {"displayName": name, "members": [{"value": member} for member in members]}
        answer = await self.client.post("/Groups", body)
        assert answer.status == 201, answer.body
        return str(answer.json["id"])

    async def patch(self, path: str, *operations: Event, status: int | None = None) -> Any:
        answer = await self.client.patch(path, *operations)
        assert answer.status == (status or (204 if path.startswith("/Groups") else 200)), answer.body
        return answer.json

    async def enable(self, user: str, *, active: bool = True) -> None:
        await self.patch(f"/Users/{user}", {"op": "replace", "path": "active", "value": active})

    async def delete(self, path: str) -> None:
        assert (await self.client.delete(path)).status == 204

    async def events(self) -> list[Event]:
        """The events since the last call."""
        await self.sequence()
        events = [one for one in (await Log(self.table).read(self.name)).events if one["seq"] > self.seen]
        self.seen += len(events)
        assert [one["seq"] for one in events] == list(range(self.seen - len(events) + 1, self.seen + 1))
        return events

    async def sequence(self) -> int:
        return await Sequencer(self.table, REGISTRY).run(self.name, expected=True)

    async def told(self) -> list[str]:
        """The events since the last call, in short: what happened, to whom, and of which licence."""
        events, names = await self.events(), await self.names()
        return [
            " ".join(filter(None, (e["type"], names.get(e["resource"]["id"], ""), e.get("license", ""))))
            for e in events
        ]

    async def names(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for event in (await Log(self.table).read(self.name)).events:
            resource = event["resource"]
            if name := resource.get("userName") or resource.get("displayName"):
                found[resource["id"]] = name
        return found

    async def state(self) -> dict[str, Any]:
        return (await show_policy(self.table, self.name))[1]

    async def used(self) -> dict[str, tuple[int, int]]:
        """By licence, how many seats are taken, and how many wait."""
        return {one.get("license", ""): (one["used"], one["waiting"]) for one in (await self.state())["seats"]}

    async def release(self) -> int | None:
        return await release(self.table, REGISTRY, self.name)

    async def problems(self) -> list[str]:
        return await list_problems(self.table, self.name, REGISTRY)
