"""Webhooks: everything arrives, in order, whatever the receiver does and whoever is killed."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from scim.feed.log import Log
from scim.feed.sequencer import Sequencer
from scim.feed.sinks import webhooks as module
from scim.feed.sinks.client import WebhookClient
from scim.feed.sinks.document import SinkDocument, create_secret
from scim.feed.sinks.messages import build_message
from scim.feed.sinks.state import State, list_states, read_state, write_state
from scim.feed.sinks.webhooks import SCHEDULE, Webhooks
from scim.store.store import Store
from scim.store.table import Table
from tests.core import REGISTRY, USER_TYPE, cases
from tests.feed.receiver import Receiver, receiving
from tests.store.memory import Faulty, MemoryTable, create

TENANT = "contoso"


class ToLoopback(AbstractResolver):
    """Finds every name on this machine: what checks addresses has tests of its own."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is open."""


class Sinks:
    """Sinks that a test changes."""

    def __init__(self, *sinks: SinkDocument) -> None:
        self.sinks = {sink.name: sink for sink in sinks}

    async def get(self, name: str, accept: object = bool) -> dict[str, SinkDocument]:
        return self.sinks


class Place:
    """A tenant's log, a receiver, and processes that bring the one to the other by a clock that is turned by hand."""

    def __init__(self, receiver: Receiver) -> None:
        self.table = MemoryTable()
        self.receiver = receiver
        self.sink = SinkDocument(name="crm", url=receiver.url, secrets=(create_secret(),))
        self.sinks = Sinks(self.sink)
        receiver.secrets = list(self.sink.secrets)
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self._open: list[Webhooks] = []
        self._made = 0

    def process(self, table: Table | None = None) -> Webhooks:
        client = WebhookClient(ca_file=self.receiver.ca_file, resolver=ToLoopback())
        made = Webhooks(table or self.table, self.sinks, client, now=lambda: self.now)
        self._open.append(made)
        return made

    async def change(self, number: int, **more: Any) -> None:
        for _ in range(number):
            self._made += 1
            await create(Store(self.table), TENANT, USER_TYPE, {"userName": f"user {self._made}", **more})
        await Sequencer(self.table, REGISTRY).run(TENANT)

    async def run(self, process: Webhooks | None = None, seconds: float = 20.0) -> State:
        """Let a process do what it does now; how far the sink has come then."""
        process = process or self.process()
        process.follow(TENANT)
        await process.finish(seconds)
        return await self.state()

    async def state(self) -> State:
        return await read_state(self.table, TENANT, "crm")

    async def close(self) -> None:
        for process in self._open:
            await process.close()


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setattr(module, "_SOON", 0.0)  # each run does one try
    monkeypatch.setattr(module, "_SILENT", 0.0)
    async with receiving(str(tmp_path / "ca.pem")) as receiver:
        made = Place(receiver)
        yield made
        await made.close()


async def test_events_arrive_in_order_and_signed(place: Place) -> None:
    await place.change(230)
    state = await place.run()
    page = await Log(place.table).read(TENANT)
    assert place.receiver.taken == page.events
    assert [len(numbers) for _, numbers in place.receiver.messages] == [100, 100, 30]
    assert (state.after, state.owner, state.tries) == (page.next, "", 0)
    assert all("." not in id for id, _ in place.receiver.messages)
    await place.change(1)
    place.receiver.messages.clear()
    await place.run()
    assert [numbers for _, numbers in place.receiver.messages] == [[231]]
    await place.run()
    assert len(place.receiver.messages) == 1


async def test_a_message_has_at_most_64_kilobytes(place: Place) -> None:
    await place.change(9, nickName="n" * 10_000)
    await place.run()
    assert place.receiver.numbers == list(range(1, 10))
    assert max(place.receiver.sizes) <= 64_000
    assert [len(numbers) for _, numbers in place.receiver.messages] == [6, 3]


def test_an_event_that_has_no_room_goes_without_its_document() -> None:
    event = {"id": "contoso_7f3a91c2_5", "seq": 5, "time": "2030-01-01T00:00:00Z", "changed": ["nickName"]}
    event |= {"previous": {"nickName": "p" * 15_000}, "data": {"nickName": "n" * 59_000}}
    message = build_message(TENANT, [event, event], 100)
    sent = json.loads(message.body)["data"]["events"]
    assert (message.number, len(message.body) < 64_000) == (2, True)
    assert sent[0] == {name: value for name, value in event.items() if name != "data"}


async def test_while_secrets_are_rotated_both_are_good(place: Place) -> None:
    old, new = place.sink.secrets[0], create_secret()
    place.sinks.sinks["crm"] = place.sink.model_copy(update={"secrets": (new, old)})
    place.receiver.secrets = [old, new]
    await place.change(1)
    await place.run()
    assert place.receiver.numbers == [1]


FAILURES: dict[str, tuple[int, dict[str, str], list[int], float]] = {
    "a fault, halved at once": (500, {}, [100, 50, 25, 12, 6, 3, 1], 5),
    "not understood": (400, {}, [100, 50, 25, 12, 6, 3, 1], 5),
    "busy": (503, {}, [100], 5),
    "too many": (429, {"Retry-After": "120"}, [100], 120),
    "a date": (503, {"Retry-After": "Tue, 01 Jan 2999 00:00:00 GMT"}, [100], 86_400),
    "a fault that tells when": (500, {"Retry-After": "60"}, [100], 60),
    "elsewhere": (307, {"Location": "/elsewhere"}, [100, 50, 25, 12, 6, 3, 1], 5),
}


@pytest.mark.parametrize(("status", "headers", "sizes", "wait"), cases(FAILURES))
async def test_refused(place: Place, status: int, headers: dict[str, str], sizes: list[int], wait: float) -> None:
    await place.change(150)
    place.receiver.answer = lambda events: (status, headers)
    state = await place.run()
    assert [len(numbers) for _, numbers in place.receiver.messages] == sizes
    assert place.receiver.elsewhere == 0
    assert (state.tries, state.owner, state.after) == (1, "", "")
    assert str(status) in state.error
    due = (datetime.fromisoformat(state.due) - place.now).total_seconds()
    assert wait <= due <= 1.1 * wait + 1
    place.receiver.answer = lambda events: (204, {})
    await place.run()
    assert len(place.receiver.messages) == len(sizes)  # it is not its time
    place.now += timedelta(seconds=due)
    state = await place.run()
    assert place.receiver.numbers == list(range(1, 151))
    assert (state.tries, state.error, state.since) == (0, "", "")


async def test_the_times_between_tries(place: Place) -> None:
    await place.change(1)
    place.receiver.answer = lambda events: (500, {})
    for number, seconds in enumerate([*SCHEDULE, SCHEDULE[-1], SCHEDULE[-1]], 1):
        state = await place.run()
        assert state.tries == number
        due = datetime.fromisoformat(state.due)
        assert seconds <= (due - place.now).total_seconds() <= 1.1 * seconds + 1
        place.now = due


async def test_only_the_event_that_is_refused_waits(place: Place) -> None:
    await place.change(20)
    place.receiver.answer = lambda events: (500 if any(event["seq"] == 13 for event in events) else 200, {})
    state = await place.run()
    assert place.receiver.numbers == list(range(1, 13))
    assert (state.after.rpartition("_")[2], state.most, state.tries) == ("12", 1, 1)
    skipped = replace(state, after=state.after.rpartition("_")[0] + "_13", due="", tries=0)
    await write_state(place.table, TENANT, "crm", skipped)
    state = await place.run()
    assert place.receiver.numbers == [*range(1, 13), *range(14, 21)]


async def test_410_stops(place: Place) -> None:
    await place.change(3)
    place.receiver.answer = lambda events: (410, {})
    state = await place.run()
    assert state.stopped
    place.now += timedelta(days=20)
    place.receiver.answer = lambda events: (200, {})
    await place.run()
    assert len(place.receiver.messages) == 1
    await write_state(place.table, TENANT, "crm", replace(state, stopped=False))
    await place.run()
    assert place.receiver.numbers == [1, 2, 3]


async def test_what_the_log_has_no_more_stops_it(place: Place) -> None:
    await place.change(2)
    await write_state(place.table, TENANT, "crm", State(after="00000000_1"))
    state = await place.run()
    assert state.stopped and "list the tenant by SCIM" in state.error
    assert place.receiver.messages == []


async def test_a_receiver_that_gives_no_answer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scim.feed.sinks.client.SECONDS", 0.1)
    await place.change(10)
    place.receiver.delay = 1
    state = await place.run()
    assert (state.tries, state.most) == (1, 5)
    assert "did not answer" in state.error
    place.receiver.delay = 0
    place.now = datetime.fromisoformat(state.due)
    await place.run()
    assert place.receiver.numbers == list(range(1, 11))


async def test_nothing_listens(place: Place) -> None:
    await place.change(1)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"https://hooks.example:{unused.getsockname()[1]}/hook"
        place.sinks.sinks["crm"] = place.sink.model_copy(update={"url": url})
        state = await place.run()
    assert (state.tries, state.error) == (1, "hooks.example cannot be reached")


async def test_a_certificate_for_another_name(place: Place) -> None:
    await place.change(1)
    url = place.sink.url.replace("hooks.example", "other.example")
    place.sinks.sinks["crm"] = place.sink.model_copy(update={"url": url})
    state = await place.run()
    assert "certificate" in state.error and place.receiver.messages == []


async def test_a_sink_of_other_tenants(place: Place) -> None:
    await place.change(1)
    place.sinks.sinks["crm"] = place.sink.model_copy(update={"tenants": ("fabrikam",)})
    assert await place.run() == State()
    assert place.receiver.messages == []


async def test_one_message_at_a_time_whatever_drives(place: Place) -> None:
    await place.change(250)
    place.receiver.delay = 0.02
    processes = [place.process() for _ in range(4)]
    for process in processes * 3:
        process.follow(TENANT)
    for process in processes:
        await process.finish(20)
    await place.run()
    assert place.receiver.most_at_once == 1
    assert place.receiver.numbers == list(range(1, 251))


async def test_who_was_killed_is_followed(place: Place) -> None:
    """However far it came: killed before, in and after a message, and while it wrote how far it is."""
    await place.change(320)
    for kill in range(1, 9):
        faulty = Faulty(place.table)

        async def die(number: int, writes: object, kill: int = kill) -> None:
            if number == (kill + 1) // 2:
                await asyncio.sleep(3600)

        faulty.disturb(**{"before" if kill % 2 else "after": die})
        process = place.process(faulty)
        await place.run(process, 0.2)
        await process.close()
        place.now += timedelta(seconds=61)
    state = await place.run()
    assert [*dict.fromkeys(place.receiver.numbers)] == list(range(1, 321))
    assert state.after.endswith("_320")


async def test_the_operator_takes_it_over(place: Place) -> None:
    await place.change(120)
    base = (await Log(place.table).read(TENANT, "now")).next.partition("_")[0]

    async def replay() -> None:
        state = await place.state()
        await write_state(place.table, TENANT, "crm", replace(state, after=f"{base}_110", owner=""))

    def answer(events: list[dict[str, Any]]) -> tuple[int, dict[str, str]]:
        if events[0]["seq"] == 1:
            asyncio.get_running_loop().create_task(replay())
        return 200, {}

    place.receiver.answer = answer
    place.receiver.delay = 0.02
    await place.run()
    await asyncio.sleep(0.05)
    await place.run()
    assert place.receiver.numbers[-10:] == list(range(111, 121))


async def test_lines_in_the_log(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    await place.change(1, nickName="Adele")
    place.receiver.answer = lambda events: (500, {})
    with caplog.at_level("INFO", "scim"):
        state = await place.run()
        place.now = datetime.fromisoformat(state.due)
        place.receiver.answer = lambda events: (200, {})
        await place.run()
    lines = [record.getMessage() for record in caplog.records]
    assert any('"event":"sink"' in line and '"state":"failing"' in line and '"status":500' in line for line in lines)
    assert any('"event":"sink_recovered"' in line for line in lines)
    assert not any("/hook" in line or "user 1" in line or "whsec" in line for line in lines)


async def test_states_are_listed(place: Place) -> None:
    await place.change(1)
    await place.run()
    assert [name async for name, _ in list_states(place.table, TENANT)] == ["crm"]
