"""Two instances of the app that change one group, one of them on a wire that a test can disturb."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from scim.store import keys
from scim.store.store import Store
from scim.store.table import Uncertain, Write
from tests.store.memory import Door, Faulty, MemoryTable
from tests.support import Client, Response

TENANT = "tenant"
Act = Callable[[Client, str], Awaitable[Response]]


def ids(first: int, end: int) -> list[str]:
    return [f"member {n:04}" for n in range(first, end)]


def values(members: Sequence[str]) -> list[dict[str, str]]:
    return [{"value": id} for id in members]


def put(members: Sequence[str], name: str = "all") -> Act:
    body = {"displayName": name, "members": values(members)}
    return lambda client, group: client.put(f"/Groups/{group}", body)


def patch(op: str, members: Sequence[str] | None) -> Act:
    operation: dict[str, Any] = {"op": op, "path": "members"}
    if members is not None:
        operation["value"] = values(members)
    return lambda client, group: client.patch(f"/Groups/{group}", operation)


async def delete(client: Client, group: str) -> Response:
    return await client.delete(f"/Groups/{group}")


class Meeting:
    """A group that two instances of the app change at once."""

    def __init__(self) -> None:
        self.table = MemoryTable()
        self.wire = Faulty(self.table)
        self.first, self.second = Door(self.wire).client, Door(self.table).client
        self.group = ""

    async def make(self, members: Sequence[str] = ()) -> str:
        response = await self.second.post("/Groups", {"displayName": "all", "members": values(members)})
        self.group = response.json["id"]
        return self.group

    async def held(self) -> set[str]:
        await Store(self.table).housekeeping.run(everything=True)
        return {member.value async for _, member in Store(self.table).of(TENANT).members.read_members(self.group)}

    def run_into(self, at: int, act: Act) -> list[Response]:
        """Have the second instance act just before that transaction of the first that changes members, from 1."""
        answers: list[Response] = []
        seen = [0]

        async def before(_: int, writes: Sequence[Write]) -> None:
            seen[0] += any(write.key.startswith("m ") for write in writes)
            if seen[0] == at and not answers:
                seen[0] = -1000
                answers.append(await act(self.second, self.group))

        self.wire.disturb(before=before)
        return answers

    def follow(self, at: int, act: Act | None, *, lose: bool) -> list[Response]:
        """Have the second instance act just after that transaction of the first in the tenant, from 1, whose answer is
        lost then or not. `group` becomes the one that the transaction is about. What it was answered; nothing if there
        was no such transaction."""
        answers: list[Response] = []
        seen = [0]

        async def after(_: int, writes: Sequence[Write]) -> None:
            about = [keys.parse_id(write.key) for write in writes if write.key.startswith(("r g-", "c g-"))]
            seen[0] += any(write.key.startswith(("r ", "c ", "m ", "w ")) for write in writes)
            if seen[0] == at:
                seen[0] = 1000
                self.group = next(iter(about), self.group)
                if act is not None:
                    answers.append(await act(self.second, self.group))
                if lose:
                    raise Uncertain("lost")

        self.wire.disturb(after=after)
        return answers


async def lost(meeting: Meeting, of: str, act: Callable[[], Awaitable[Response]], others: Sequence[Act]) -> Response:
    """Lose the answer of the first transaction with a row of that kind; `others` follow before it is sent again."""
    done: list[bool] = []

    async def after(_: int, writes: Sequence[Write]) -> None:
        if not done and any(write.key.startswith(of) for write in writes):
            done.append(True)
            found = await meeting.second.get('/Groups?filter=displayName eq "all"&excludedAttributes=members')
            for other in others:
                group = found.json["Resources"][0]["id"] if found.json["Resources"] else meeting.group
                assert (await other(meeting.second, group)).status in (200, 204)
            raise Uncertain("lost")

    meeting.wire.disturb(after=after)
    return await act()


class Dead(BaseException):
    """The process ends here."""


def dies_at(number: int) -> Callable[[int, Sequence[Write]], Awaitable[None]]:
    async def before(at: int, writes: Sequence[Write]) -> None:
        if at >= number:
            raise Dead

    return before
