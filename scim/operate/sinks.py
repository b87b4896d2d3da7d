"""What an operator does with webhooks: makes and removes them, rotates secrets, and sets how far each has come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from scim.faults import find_fault
from scim.feed.log import NOW, Gone, Log, cursor
from scim.feed.sequencer import Head
from scim.feed.sinks.document import SinkDocument, create_secret, is_local
from scim.feed.sinks.state import Overtaken, State, read_state, write_state
from scim.operate.connections.secret_store import SINKS, SecretStore
from scim.operate.errors import CommandError
from scim.store import keys
from scim.store.table import Partition, Refused, Table, Write
from scim.store.transactions import commit_surely

START = "start"
"""From the oldest event that the log has."""
_TRIES = 5
Change = Callable[[State], State]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a sink has come with a tenant. `behind` are the events that it has not taken."""

    tenant: str
    state: State
    behind: int

    @property
    def how(self) -> str:
        """In one word."""
        if self.state.stopped:
            return "stopped"
        if self.state.tries:
            return "failing"
        return "behind" if self.behind else "ok"

    def data(self) -> dict[str, Any]:
        """Do the same as JSON data."""
        state = self.state
        return {
            "tenant": self.tenant,
            "state": self.how,
            "behind": self.behind,
            "after": state.after or None,
            "tries": state.tries,
            "due": state.due or None,
            "failingSince": state.since or None,
            "lastTaken": state.taken or None,
            "error": state.error or None,
        }


async def add_sink(kept: SecretStore, name: str, url: str, tenants: Sequence[str] | None) -> SinkDocument:
    """Make a sink with a new secret and return it. Raises CommandError."""
    try:
        sink = SinkDocument(
            name=name, url=url, secrets=(create_secret(),), tenants="*" if tenants is None else tuple(tenants)
        )
    except ValidationError as error:
        path, text = find_fault(error)
        what = {"name": "NAME must be up to 24 lower-case letters, digits and hyphens, such as crm."}
        raise CommandError(what.get(path[0], f"URL {text}.")) from None
    if is_local(url) and not kept.local:
        raise CommandError("URL must begin with https://: a deployment cannot reach what is on your machine.")
    sinks = await kept.read(SINKS)
    if name in sinks:
        raise CommandError(f"There is a sink {name} already: remove it first, or take another name.")
    await kept.write(SINKS, {**sinks, name: sink})
    return sink


async def find_sink(kept: SecretStore, name: str) -> SinkDocument:
    """Return the sink of that name. Raises CommandError."""
    sinks = await kept.read(SINKS)
    if name not in sinks:
        there = ", ".join(sorted(sinks)) or "none"
        raise CommandError(f"There is no sink {name}; there are: {there}.")
    return sinks[name]


async def rotate_secret(kept: SecretStore, name: str, *, finish: bool) -> SinkDocument:
    """Put a new secret beside the one that is there, or take the older one away. Raises CommandError."""
    sink = await find_sink(kept, name)
    if finish and len(sink.secrets) == 1:
        raise CommandError(f"Sink {name} has one secret: there is no older one to take away.")
    if not finish and len(sink.secrets) == 2:
        raise CommandError(
            f"Sink {name} is being rotated: give the receiver the new secret, then run rotate {name} --finish."
        )
    secrets = sink.secrets[:1] if finish else (create_secret(), sink.secrets[0])
    made = sink.model_copy(update={"secrets": secrets})
    sinks = await kept.read(SINKS)
    await kept.write(SINKS, {**sinks, name: made})
    return made


async def remove_sink(kept: SecretStore, table: Table, name: str) -> int:
    """Remove a sink and what says how far it has come; with how many tenants it had begun. It waits until no process
    goes by the sink any more: one that found nothing of how far it has come would begin anew."""
    await find_sink(kept, name)
    sinks = await kept.read(SINKS)
    await kept.write(SINKS, {other: sink for other, sink in sinks.items() if other != name})
    await asyncio.sleep(kept.settles_after.total_seconds())
    number = 0
    async for tenant in Log(table).tenants():
        try:
            await commit_surely(Partition(table, tenant), [Write("delete", keys.sink_key(name))])
            number += 1
        except Refused:  # it has not begun with that tenant
            pass
    return number


async def list_standings(table: Table, sink: SinkDocument, tenant: str | None = None) -> AsyncIterator[Standing]:
    """Return how far a sink has come with each tenant that it reaches and that has a log."""
    async for each in Log(table).tenants():
        if sink.reaches(each) and tenant in (None, each):
            state, head = await read_state(table, each, sink.name), await Head.read(table, each)
            yield Standing(each, state, count_behind(state, head))


def count_behind(state: State, head: Head | None) -> int:
    """Return how many events a sink has not taken."""
    epoch, _, number = state.after.partition("_")
    if head is None:
        return 0
    return head.seq - (int(number) if epoch == head.epoch and number.isdecimal() else 0)


async def set_cursor(table: Table, sink: SinkDocument, tenant: str, start: str) -> State:
    """Have a sink go on from `now`, from `start`, or with the event of that number, at once. Raises CommandError."""
    head = await _need_head(table, sink, tenant)
    if start == START:
        after = ""
    elif start == NOW:
        after = cursor(head.epoch, head.seq)
    elif start.isascii() and start.isdigit() and 1 <= int(start) <= head.seq:
        after = cursor(head.epoch, int(start) - 1)
    else:
        raise CommandError(f"--from takes start, now, or the number of an event: 1 to {head.seq} for {tenant}.")
    try:
        await Log(table).read(tenant, after or None, 1)
    except Gone as gone:
        raise CommandError(f"{gone}: take --from start for the oldest that is kept.") from None
    return await _change(table, sink, tenant, lambda state: replace(_free(state), after=after))


async def resume(table: Table, sink: SinkDocument, tenant: str) -> State:
    """Have a sink that is stopped, or waits, try again at once."""
    return await _change(table, sink, tenant, _free)


async def skip_event(table: Table, sink: SinkDocument, tenant: str, number: int) -> State:
    """Have a sink go on behind the event that it comes to next. Raises CommandError if that is another one."""
    head = await _need_head(table, sink, tenant)
    page = await Log(table).read(tenant, (await read_state(table, tenant, sink.name)).after or None, 1)
    coming = page.events[0]["seq"] if page.events else None
    if coming != number:
        what = f"the next one is {coming}" if coming else "nothing waits"
        raise CommandError(f"Event {number} is not what {sink.name} waits with: {what}. Only the next one is skipped.")
    after = cursor(head.epoch, number)
    return await _change(table, sink, tenant, lambda state: replace(_free(state), after=after))


async def _need_head(table: Table, sink: SinkDocument, tenant: str) -> Head:
    if not sink.reaches(tenant):
        raise CommandError(f"Sink {sink.name} is not for tenant {tenant}.")
    head = await Head.read(table, tenant)
    if head is None:
        raise CommandError(f"Tenant {tenant} has no events: its name is mistyped, or nothing was written yet.")
    return head


def _free(state: State) -> State:
    """Return the state without what keeps it waiting; a process that delivers now has to look at it anew."""
    return replace(state, tries=0, due="", since="", error="", stopped=False, owner="", claimed="")


async def _change(table: Table, sink: SinkDocument, tenant: str, change: Change) -> State:
    for _ in range(_TRIES):
        try:
            return await write_state(table, tenant, sink.name, change(await read_state(table, tenant, sink.name)))
        except Overtaken:
            continue
    raise CommandError(f"Sink {sink.name} keeps being written to: run this again.")
