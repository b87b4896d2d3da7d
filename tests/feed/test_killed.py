"""Whatever is killed, the log tells what happened: each change once, in order, without a gap.

Every operation is cut behind each of its transactions in turn, and the sequencer before and behind.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count

import pytest

from scim.feed.sequencer import Sequencer
from scim.store.store import Store
from scim.store.table import TableUnavailable, Uncertain
from tests.core import REGISTRY, cases
from tests.feed.reader import check_log
from tests.store.memory import Faulty, MemoryTable
from tests.store.test_pending import OPERATIONS, TENANT, Killed, Operation, impatient, set_up

__all__ = ["impatient"]


def cut(wire: Faulty, number: int, when: str, error: BaseException) -> None:
    """Have a transaction end with an error, which has happened then or not."""

    async def at(found: int, _: object) -> None:
        if found == number:
            raise error

    wire.disturb(**{when: at})


@pytest.mark.parametrize("error", [Killed, Uncertain], ids=["killed", "lost"])
@pytest.mark.parametrize("operation", cases(OPERATIONS))
async def test_operation_cut_behind_every_transaction(operation: Operation, error: type[BaseException]) -> None:
    for number in count(1):
        setup = await set_up(operation)
        cut(setup.wire, number, "after", error())
        with suppress(Killed):
            await operation.run(setup.process, setup.id)
        ended = setup.wire.number < number
        await Sequencer(setup.table, REGISTRY).run(TENANT)  # in the middle: nothing that it tells is wrong later
        await Store(setup.table).housekeeping.run(everything=True)
        await check_log(setup.table, TENANT)
        if ended:
            return


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [Killed, Uncertain], ids=["killed", "lost"])
async def test_sequencer_cut_at_every_transaction(when: str, error: type[BaseException]) -> None:
    for number in count(1):
        table = MemoryTable(empty_pages=True)
        for name in ("create a large group", "delete a user", "change many members"):
            operation = OPERATIONS[name]
            await operation.run(Store(table), await operation.prepare(Store(table)))
            for row in table.rows(TENANT):
                if row.key.startswith("r g-"):
                    await OPERATIONS["delete a group"].run(Store(table), row.values["id"])
        wire = Faulty(table)
        cut(wire, number, when, error())
        with suppress(Killed, TableUnavailable):
            await Sequencer(wire, REGISTRY).run(TENANT)
        ended = wire.number < number
        await Store(table).housekeeping.run(everything=True)
        events = await check_log(table, TENANT)
        assert [event["type"] for event in events].count("group.created") == 44
        if ended:
            return
