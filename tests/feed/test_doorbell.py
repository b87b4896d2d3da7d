"""The doorbell: it rings when there is news, seldom, and again if a ring failed."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient

from dev import azurite
from dev.azurite import find_node, free_port
from scim.feed.sequencer import Sequencer
from scim.feed.sinks.doorbell import Doorbell, Queue
from scim.store.store import Store
from tests.core import REGISTRY, USER_TYPE
from tests.store.memory import MemoryTable, create

TENANT = "contoso"
_MAIN = azurite._MAIN.parents[1] / "queue/main.js"


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


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    """The connection string of a real queue service."""
    port = free_port()
    command = [find_node(), str(_MAIN), "--inMemoryPersistence", "--queueHost", "127.0.0.1", "--queuePort", str(port)]
    command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    while "successfully listens" not in (line := process.stdout.readline()):
        assert line, "Azurite's queue service did not start"
    account = azurite._ACCOUNT
    yield f"AccountName={account};AccountKey={azurite._KEY};QueueEndpoint=http://127.0.0.1:{port}/{account};"
    process.kill()
    process.wait()
    process.stdout.close()


async def test_a_message_in_a_real_queue(storage: str) -> None:
    """As the queue trigger of Azure Functions takes it: base64. The queue is the deployment's: it is not made here."""
    bell = Queue("scim-feed", connection_string=storage)
    with pytest.raises(ResourceNotFoundError):
        await bell.send("{}")
    with QueueClient.from_connection_string(storage, "scim-feed") as queue:
        queue.create_queue()
        await bell.send('{"tenant": "contoso", "seq": 1}')
        [message] = queue.receive_messages()
        assert json.loads(base64.b64decode(message.content)) == {"tenant": "contoso", "seq": 1}
    await bell.close()


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
