"""The doorbell: it rings when there is news, seldom, and again if a ring failed."""

from __future__ import annotations

import json
from typing import Any

from scim.feed.sequencer import Sequencer
from scim.feed.sinks.doorbell import Doorbell, Queue
from scim.store.store import Store
from tests.core import REGISTRY, USER_TYPE
from tests.store.memory import MemoryTable, create

TENANT = "contoso"


class Kept(Queue):
    """A queue that keeps what it is sent, or is away."""

    def __init__(self) -> None:
        super().__init__("scim-feed")
        self.sent: list[Any] = []
        self.away = False

    async def send(self, text: str) -> None:
        if self.away:
            raise OSError("nobody there")
        self.sent.append(json.loads(text))


async def change(table: MemoryTable, name: str) -> None:
    await create(Store(table), TENANT, USER_TYPE, {"userName": name})
    await Sequencer(table, REGISTRY).run(TENANT)


async def follow(bell: Doorbell) -> None:
    bell.follow(TENANT)
    await bell.finish(10)


async def test_it_rings_once_for_what_is_new() -> None:
    table, queue = MemoryTable(), Kept()
    first, second = Doorbell(table, queue, every=0), Doorbell(table, queue, every=0)
    await follow(first)
    assert queue.sent == []
    for name in ("ada", "bob"):
        await change(table, name)
    for bell in (first, first, second):
        await follow(bell)
    assert queue.sent == [{"tenant": TENANT, "seq": 2}]
    await change(table, "cid")
    await follow(second)
    await follow(first)
    assert queue.sent[1:] == [{"tenant": TENANT, "seq": 3}]


async def test_what_was_not_rung_rings_later() -> None:
    table, queue = MemoryTable(), Kept()
    bell = Doorbell(table, queue, every=0)
    await change(table, "ada")
    queue.away = True
    await follow(bell)
    queue.away = False
    await follow(Doorbell(table, queue, every=0))
    assert queue.sent == [{"tenant": TENANT, "seq": 1}]
