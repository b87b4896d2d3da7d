"""One fault at a time, at every kind of trip to the table: it is done once, or said to be unavailable, and never else.

The runs of test_run.py meet the same faults in any order; here each is met by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest

from dev.azurite import Azurite
from dev.chaos.faults import STATUSES, WEIGHTS, Fault, Faults
from dev.chaos.proxy import Proxy
from scim.store.table import Partition, Row, TableUnavailable, Write
from scim.store.table.azure import AzureTable
from scim.store.transactions import Proof, commit_surely

pytestmark = pytest.mark.long

TABLE = "faults"
_tenants = count(1)

FAULTS = [
    fault
    for kind in WEIGHTS
    for fault in (
        [Fault(kind, status=status) for status in STATUSES]
        if kind.startswith("refused")
        else [Fault(kind, seconds=0.1)]
    )
    if not kind.startswith("hung")
]
IDS = [f"{fault.kind} {fault.status or ''}".strip() for fault in FAULTS]


class Injected(Faults):
    """The same fault for each of the first so many requests."""

    def __init__(self, fault: Fault, times: int) -> None:
        super().__init__("", 0.0)
        self._fault, self._times = fault, times

    def next(self, *, contested: bool = False) -> Fault:
        self.number += 1
        return self._fault if self.number <= self._times else Fault()


@pytest.fixture(scope="module")
def server(azurite: Azurite) -> Azurite:
    azurite.create_table(TABLE)
    return azurite


@asynccontextmanager
async def behind(server: Azurite) -> AsyncIterator[tuple[AzureTable, Proxy]]:
    """A table that reaches the table through a proxy."""
    proxy = Proxy(server.port)
    await proxy.start()
    connection = server.connection_string.replace(f":{server.port}/", f":{proxy.port}/")
    made = AzureTable.with_key(connection, TABLE)
    try:
        yield made, proxy
    finally:
        await made.close()
        await proxy.stop()


def new(number: int) -> list[Write]:
    """A transaction that is refused when it is done a second time."""
    return [Write("insert", f"r {n}", {"write": "this", "n": n}) for n in range(number)]


async def read(table: AzureTable, tenant: str) -> None:
    assert await table.read(tenant, "r before") is not None


async def page(table: AzureTable, tenant: str) -> None:
    assert [row.key async for rows in table.pages(tenant, "r b", "r c") for row in rows] == ["r before"]


async def write_one(table: AzureTable, tenant: str) -> None:
    assert all(await commit_surely(Partition(table, tenant), new(1), Proof("r 0", "this")))


async def write_many(table: AzureTable, tenant: str) -> None:
    assert all(await commit_surely(Partition(table, tenant), new(5), Proof("r 0", "this")))


Trip = Callable[[AzureTable, str], Awaitable[None]]
TRIPS: list[Trip] = [read, page, write_one, write_many]
WRITTEN: dict[Trip, int] = {read: 0, page: 0, write_one: 1, write_many: 5}


async def held(table: AzureTable, tenant: str) -> list[Row]:
    return [row async for rows in table.pages(tenant, "r 0", "r 9") for row in rows]


@pytest.mark.parametrize("trip", TRIPS)
@pytest.mark.parametrize("fault", FAULTS, ids=IDS)
async def test_one_fault_is_got_over(server: Azurite, trip: Trip, fault: Fault) -> None:
    tenant = f"tenant-{next(_tenants)}"
    async with behind(server) as (table, proxy):
        await table.commit(tenant, [Write("insert", "r before")])
        proxy.faults = Injected(fault, 1)
        await trip(table, tenant)
        assert proxy.faults.number >= 1
        proxy.faults = None
        assert len(await held(table, tenant)) == WRITTEN[trip]


@pytest.mark.parametrize("trip", TRIPS)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.kind != "slow"], ids=IDS[1:])
async def test_a_fault_that_does_not_end_is_unavailable(
    server: Azurite, trip: Trip, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("scim.store.table.azure.TRIP_SECONDS", "scim.store.transactions.TRIP_SECONDS"):
        monkeypatch.setattr(name, 0.3)
    tenant = f"tenant-{next(_tenants)}"
    async with behind(server) as (table, proxy):
        await table.commit(tenant, [Write("insert", "r before")])
        proxy.faults = Injected(fault, 1000)
        with pytest.raises(TableUnavailable):
            await trip(table, tenant)
        proxy.faults = None
        assert len(await held(table, tenant)) == (0 if fault.kind.endswith("before") else WRITTEN[trip])
