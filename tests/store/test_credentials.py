"""What the table keeps of credentials: uses, and assertions that may come once; on Azurite and in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from azure.core.exceptions import ServiceResponseError

from dev.azurite import Azurite
from scim.security.usage import Used
from scim.store import keys, shared_keys
from scim.store.credentials import Credentials
from scim.store.shared_keys import SHARED
from scim.store.store import Store
from scim.store.table import Table, TableUnavailable, Uncertain, Write
from scim.store.table.azure import AzureTable
from tests.conftest import TABLE
from tests.core import cases
from tests.store.memory import Faulty
from tests.support import Request, Wire

START = datetime(2026, 3, 1, 12, 30, 15, 123456, UTC)
_numbers = count()


@pytest.fixture
def faulty(table: Table) -> Faulty:
    return Faulty(table)


@pytest.fixture
def credentials(faulty: Faulty) -> Credentials:
    return Credentials(faulty)


@pytest.fixture
def name() -> str:
    """A connection that nobody has used."""
    return f"noted-{next(_numbers)}"


def later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


async def test_uses_are_read_as_they_were_written(credentials: Credentials, name: str) -> None:
    assert await credentials.read_uses(name) == []
    first = Used("aaaaaaaa", START, START + timedelta(days=1), f"{START.isoformat()} 30")
    second = Used("bbbbbbbb", START, START)
    for used in (first, second):
        await credentials.write_use(name, used)
    assert await credentials.read_uses(name) == [first, second]


async def test_use_is_written_over(credentials: Credentials, name: str) -> None:
    await credentials.write_use(name, Used("aaaaaaaa", START, START, "mark"))
    newer = Used("aaaaaaaa", START, START + timedelta(days=1))
    await credentials.write_use(name, newer)
    assert await credentials.read_uses(name) == [newer]


async def test_connections_with_one_beginning_are_kept_apart(credentials: Credentials, name: str) -> None:
    names = [name, f"{name}-a", f"{name}a", f"a{name}"]
    for number, each in enumerate(names):
        await credentials.write_use(each, Used(f"{number:08}", START, START))
    assert [[used.credential for used in await credentials.read_uses(each)] for each in names] == [
        [f"{number:08}"] for number in range(len(names))
    ]


async def test_assertion_is_seen_once(credentials: Credentials, name: str) -> None:
    expires = later()
    assert [await credentials.take_assertion(name, "a-1", expires) for _ in range(3)] == [True, False, False]
    assert await credentials.take_assertion(name, "a-2", expires)
    assert await credentials.take_assertion(f"{name}-b", "a-1", expires)


IDS = {
    "nothing": "",
    "characters that no key may have": "a/b\\c#d?e\n\t\x7f",
    "long": "x" * 100_000,
    "other letters": "schlüssel-鍵",
    "half of a pair": "\ud800",
    "zero": "\x00",
}


@pytest.mark.parametrize("assertion", cases(IDS))
async def test_any_text_is_an_id(credentials: Credentials, name: str, assertion: str) -> None:
    expires = later()
    assert [await credentials.take_assertion(name, assertion, expires) for _ in range(2)] == [True, False]


async def test_one_of_many_at_once_is_the_first(credentials: Credentials, name: str) -> None:
    expires = later()
    seen = await asyncio.gather(*(credentials.take_assertion(name, "a-1", expires) for _ in range(20)))
    assert sorted(seen) == [False] * 19 + [True]


async def lose_first(number: int, writes: Sequence[Write]) -> None:
    if number == 1:
        raise Uncertain("the answer was lost")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_first_sight_is_the_first_though_its_answer_was_lost(
    credentials: Credentials, faulty: Faulty, name: str, when: str
) -> None:
    expires = later()
    faulty.disturb(**{when: lose_first})  # type: ignore[arg-type]
    assert await credentials.take_assertion(name, "a-1", expires)
    assert faulty.number == 2
    assert not await credentials.take_assertion(name, "a-1", expires)


async def test_first_sight_on_a_wire_that_loses_an_answer(azurite: Azurite, name: str) -> None:
    """Here it is the SDK that sends again, unseen."""
    wire = Wire()
    table = AzureTable.with_key(azurite.connection_string, TABLE, [wire])
    lost = [ServiceResponseError("reset")]

    def lose(request: Request) -> Exception | None:
        return lost.pop() if lost and request.http_request.method == "POST" else None

    wire.after = lose
    expires = later()
    assert [await Credentials(table).take_assertion(name, "a-1", expires) for _ in range(2)] == [True, False]
    assert lost == []
    await table.close()


async def down(number: int, writes: Sequence[Write]) -> None:
    raise TableUnavailable("down")


async def test_sight_is_not_taken_on_trust_while_the_table_is_down(
    credentials: Credentials, faulty: Faulty, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scim.store.transactions.TRIP_SECONDS", 0.3)
    faulty.disturb(before=down)
    with pytest.raises(TableUnavailable):
        await credentials.take_assertion(name, "a-1", later())
    with pytest.raises(TableUnavailable):
        await credentials.write_use(name, Used("aaaaaaaa", START, START))


async def kept(table: Table) -> list[str]:
    pages = table.pages(SHARED, *keys.key_range("j "))
    return [row.key async for page in pages for row in page]


async def test_housekeeping_forgets_only_what_has_expired(table: Table, name: str) -> None:
    now = datetime.now(UTC)
    credentials = Store(table).credentials
    await credentials.write_use(name, Used("aaaaaaaa", START, START))
    before = set(await kept(table))
    ends = [timedelta(days=-400), timedelta(days=-1), timedelta(minutes=-11), timedelta(minutes=-9), timedelta(hours=1)]
    for number, end in enumerate(ends):
        assert await credentials.take_assertion(name, f"a-{number}", now + end)
    made = sorted(set(await kept(table)) - before)
    await Store(table).housekeeping.run()
    assert [key for key in await kept(table) if key in made] == made[3:]
    for number, end in enumerate(ends):
        assert await credentials.take_assertion(name, f"a-{number}", now + end) == (number < 3)
    assert [used.credential for used in await credentials.read_uses(name)] == ["aaaaaaaa"]
    await credentials.remove_expired()  # others look at this partition too


async def test_tidying_twice_at_once(table: Table, name: str) -> None:
    credentials = Credentials(table)
    for number in range(20):
        await credentials.take_assertion(name, f"a-{number}", datetime.now(UTC) - timedelta(days=1))
    await asyncio.gather(*(credentials.remove_expired() for _ in range(3)))
    assert await credentials.take_assertion(name, "a-0", datetime.now(UTC) - timedelta(days=1))
    await credentials.remove_expired()


async def test_rows_hold_no_assertion(table: Table, name: str) -> None:
    await Credentials(table).take_assertion(name, "secret-jti", later())
    found = [row async for page in table.pages(SHARED, "", "\uffff") for row in page]
    assert not any("secret-jti" in f"{row.key} {row.values}" for row in found)


@pytest.mark.parametrize("at", [None, 5, "then", "2026-01-01T00:00:00"])
async def test_a_mark_whose_time_is_broken_still_holds(
    credentials: Credentials, faulty: Faulty, name: str, at: object
) -> None:
    key, values = shared_keys.revoked_key(name, "a" * 64), {"value": f"sha256:{'a' * 64}"}
    await faulty.commit(SHARED, [Write("insert", key, values | ({"at": at} if at else {}))])
    (revoked,) = await credentials.read_revoked(name)
    assert (revoked.value, revoked.at.tzinfo) == (f"sha256:{'a' * 64}", UTC)
    assert (await credentials.read_all_revoked())[name] == [revoked]
    await faulty.commit(SHARED, [Write("delete", key)])
