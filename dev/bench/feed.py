"""Part `feed`: how fast the change feed takes up what was written, and what its row costs a writer.

On a table in memory, whose CPU counts: the sequencer moves a backlog of new users and of changes of members; the floor
is what it must reach, 1,000 events a second of one core. Writers are compared by turns with the feed on and off.
"""

from __future__ import annotations

import time
from itertools import count
from typing import Any

from dev.bench.figures import Figure, Result, compare, least, most
from dev.bench.growth import new_table
from dev.bench.options import Options
from dev.kit import payloads
from scim.feed.sequencer import Sequencer
from scim.ids import new_id
from scim.schema.loading import load
from scim.schema.registry import Registry
from scim.schema.validation import make_canonical
from scim.store.members import Changes, Member
from scim.store.resource_rows import Creation
from scim.store.store import Store
from scim.store.tenant_store import TenantStore

_PART = "feed"
_TENANT = "tenant"
_WANTED = 1_000
_ALLOWED = 1.2
_numbers = count()


async def run(options: Options) -> Result:
    """Write with the feed on and off by turns, and move what was written."""
    turns, number = (1, 20) if options.tiny else (3, 300) if options.quick else (5, 1_000)
    registry = load()
    on, off, rates = list[float](), list[float](), list[float]()
    for _ in range(turns):
        table = new_table()
        on.append(await _write(Store(table, registry).of(_TENANT), registry, number))
        off.append(await _write(Store(new_table(), registry, feed=False).of(_TENANT), registry, number))
        began = time.process_time()
        moved = await Sequencer(table, registry).run(_TENANT)
        rates.append(moved / (time.process_time() - began))
    wanted = [float(_WANTED)] * turns
    figures: list[Figure] = [
        compare(_PART, "sequence a change", rates, wanted, unit="/s CPU", against="what is asked", target=least(1)),
        compare(_PART, "write a change", on, off, unit="µs CPU", against="the feed off", target=most(_ALLOWED)),
    ]
    return Result(figures, f"{turns} turns of {number} new users and {number} changes of a member")


async def _write(store: TenantStore, registry: Registry, number: int) -> float:
    """Make users and add each to a group; the CPU of one of both, in microseconds."""
    user, group = registry.resource_types
    made: Any = await store.resources.create(
        Creation(new_id(group.id_prefix), group, {"displayName": f"group {next(_numbers)}"})
    )
    documents = [make_canonical(payloads.user(next(_numbers)), user) for _ in range(number)]
    began = time.process_time()
    for document in documents:
        id = new_id(user.id_prefix)
        await store.resources.create(Creation(id, user, document))
        await store.members.change(made.id, Changes({id: Member(id)}))
    return (time.process_time() - began) / (2 * number) * 1e6
