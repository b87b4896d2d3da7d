"""One contract for every table: the real one on Azurite, and the table in memory that stands in for it.

What the store is built on is held here: transactions that are all or nothing and say which write failed, etags,
ranges in key order. Limits that Azurite does not enforce are held of the table in memory alone; that the app stays
within them all is held by test_members.py and test_resources_within_limits below.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from dev.azurite import Azurite
from scim.store.keys import encode, key_range
from scim.store.table import Refused, Row, Table, TooLarge, Write
from scim.store.table.azure import AzureTable
from tests.core import cases
from tests.store.memory import MemoryTable, Rejected, units

_numbers = count(1)


@pytest.fixture
def partition() -> str:
    """A partition that nobody has used."""
    return f"contract-{next(_numbers)}"


EVERYTHING = ("", "\uffff")


async def contents(table: Table, partition: str, start: str = "", end: str = "\uffff", **options: Any) -> list[Row]:
    return [row async for page in table.pages(partition, start, end, **options) for row in page]


def insert(key: str, **values: Any) -> Write:
    return Write("insert", key, values)


# One write: what it needs, and what it leaves.

STALE = "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""
CURRENT = "current"
"""Stands for the etag that the row has by then."""

PRESENT = {"a": "old", "b": "stays"}
"""What the row `key` holds before, where it is there."""

SUCCEEDS: dict[str, tuple[bool, Write, dict[str, Any] | None]] = {
    "insert": (False, Write("insert", "key", {"a": "new"}), {"a": "new"}),
    "insert without properties": (False, Write("insert", "key"), {}),
    "upsert of a new row": (False, Write("upsert", "key", {"a": "new"}), {"a": "new"}),
    "upsert merges": (True, Write("upsert", "key", {"a": "new"}), {"a": "new", "b": "stays"}),
    "upsert without properties": (True, Write("upsert", "key"), PRESENT),
    "replace with any etag": (True, Write("replace", "key", {"a": "new"}), {"a": "new"}),
    "replace with the etag": (True, Write("replace", "key", {"a": "new"}, CURRENT), {"a": "new"}),
    "merge with any etag": (True, Write("merge", "key", {"a": "new"}), {"a": "new", "b": "stays"}),
    "merge with the etag": (True, Write("merge", "key", {"a": "new"}, CURRENT), {"a": "new", "b": "stays"}),
    "merge of a new property": (True, Write("merge", "key", {"c": "new"}), {**PRESENT, "c": "new"}),
    "merge of nothing": (True, Write("merge", "key"), PRESENT),
    "merge of the same": (True, Write("merge", "key", PRESENT), PRESENT),
    "merge of null removes nothing": (True, Write("merge", "key", {"a": None}), PRESENT),
    "null is not kept": (False, Write("insert", "key", {"a": None, "b": "x"}), {"b": "x"}),
    "delete with any etag": (True, Write("delete", "key"), None),
    "delete with the etag": (True, Write("delete", "key", etag=CURRENT), None),
}

REFUSED: dict[str, tuple[bool, Write, int]] = {
    "insert of a taken key": (True, Write("insert", "key", {"a": "new"}), 409),
    "replace of a missing row": (False, Write("replace", "key", {"a": "new"}), 404),
    "merge of a missing row": (False, Write("merge", "key", {"a": "new"}), 404),
    "delete of a missing row": (False, Write("delete", "key"), 404),
    "replace with a stale etag": (True, Write("replace", "key", {"a": "new"}, STALE), 412),
    "merge with a stale etag": (True, Write("merge", "key", {"a": "new"}, STALE), 412),
    "delete with a stale etag": (True, Write("delete", "key", etag=STALE), 412),
    "replace of a missing row with an etag": (False, Write("replace", "key", {"a": "new"}, STALE), 404),
    "merge of a missing row with an etag": (False, Write("merge", "key", {"a": "new"}, STALE), 404),
    "delete of a missing row with an etag": (False, Write("delete", "key", etag=STALE), 404),
}

POSITIONS: dict[str, tuple[int, int]] = {
    "alone": (0, 0),
    "first of three": (0, 2),
    "between two": (1, 1),
    "last of three": (2, 0),
}
"""How many writes stand before and after."""


def among(write: Write, before: int, after: int) -> list[Write]:
    """The write in a transaction with others that succeed, one of each kind first."""
    others = [
        Write("merge", "other 0", {"x": "new"}),
        Write("delete", "other 1"),
        Write("insert", "other 2", {"x": "new"}),
        Write("upsert", "other 3", {"x": "new"}),
    ]
    return [*others[:before], write, *others[before : before + after]]


async def prepare(table: Table, partition: str, present: bool, write: Write) -> Write:
    """Write what is there before; the write with the etag that it wants."""
    rows = [insert("other 0", x="old"), insert("other 1", x="old")]
    etags = await table.commit(partition, [*rows, *([insert("key", **PRESENT)] if present else [])])
    return write._replace(etag=etags[2]) if write.etag == CURRENT else write


@pytest.mark.parametrize(("before", "after"), cases(POSITIONS))
@pytest.mark.parametrize(("present", "write", "values"), cases(SUCCEEDS))
async def test_write_leaves(
    table: Table,
    partition: str,
    present: bool,
    write: Write,
    values: dict[str, Any] | None,
    before: int,
    after: int,
) -> None:
    write = await prepare(table, partition, present, write)
    old = await table.read(partition, "key")
    etags = await table.commit(partition, among(write, before, after))
    row = await table.read(partition, "key")
    assert len(etags) == before + 1 + after
    if values is None:
        assert (row, etags[before]) == (None, "")
    else:
        assert row == Row("key", values, etags[before])
        assert row.etag and (old is None or row.etag != old.etag)


@pytest.mark.parametrize(("before", "after"), cases(POSITIONS))
@pytest.mark.parametrize(("present", "write", "status"), cases(REFUSED))
async def test_refusal_changes_nothing(
    table: Table, partition: str, present: bool, write: Write, status: int, before: int, after: int
) -> None:
    write = await prepare(table, partition, present, write)
    old = await contents(table, partition)
    with pytest.raises(Refused) as refused:
        await table.commit(partition, among(write, before, after))
    assert (refused.value.status, refused.value.index) == (status, before)
    assert await contents(table, partition) == old


async def test_first_of_several_failing_writes_is_named(table: Table, partition: str) -> None:
    await table.commit(partition, [insert("taken")])
    with pytest.raises(Refused) as refused:
        await table.commit(partition, [insert("new"), Write("delete", "missing"), insert("taken")])
    assert (refused.value.status, refused.value.index) == (404, 1)


# Etags.


async def test_etags_of_a_transaction_are_those_later_read(table: Table, partition: str) -> None:
    await table.commit(partition, [insert("gone"), insert("merged")])
    writes = [insert("a"), Write("delete", "gone"), Write("merge", "merged", {"x": 1}), Write("upsert", "b")]
    etags = await table.commit(partition, writes)
    found = {row.key: row.etag for row in await contents(table, partition)}
    assert found == {"a": etags[0], "merged": etags[2], "b": etags[3]}
    assert etags[1] == ""


async def test_etag_has_the_shape_of_the_services(table: Table, partition: str) -> None:
    [etag] = await table.commit(partition, [insert("a")])
    assert re.fullmatch(r"W/\"datetime'\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\d\.\d{7}Z'\"", etag)


async def test_refused_transaction_leaves_etags_valid(table: Table, partition: str) -> None:
    [etag] = await table.commit(partition, [insert("a")])
    with pytest.raises(Refused):
        await table.commit(partition, [Write("merge", "a", {"x": "1"}), Write("delete", "missing")])
    await table.commit(partition, [Write("replace", "a", {"x": "2"}, etag)])


# Reading.


async def test_missing_row_is_none(table: Table, partition: str) -> None:
    assert await table.read(partition, "missing") is None


async def test_partitions_do_not_see_each_other(table: Table, partition: str) -> None:
    await table.commit(partition, [insert("a", x="1"), insert("b")])
    assert await table.read(partition + "2", "a") is None
    assert await contents(table, partition + "2") == []
    with pytest.raises(Refused):
        await table.commit(partition + "2", [Write("delete", "a"), Write("delete", "b")])
    assert len(await contents(table, partition)) == 2


@pytest.fixture(params=["azurite", "memory", "memory with empty pages"])
async def lone(request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    """A table that nobody else writes to: a walk over partitions takes a trip for each."""
    made: Table
    if request.param == "azurite":
        azurite: Azurite = request.getfixturevalue("azurite")
        azurite.create_table("partitions")
        made = AzureTable.with_key(azurite.connection_string, "partitions")
    else:
        made = MemoryTable(empty_pages=request.param != "memory")
    yield made
    await made.close()


async def test_partitions_are_those_that_have_rows(lone: Table, partition: str) -> None:
    """In the order of their UTF-16 units; a partition goes with its last row."""
    table = lone
    names = [partition + text for text in ("", " x", "'", "-1", "0", "é", "\ud7ff", "😀", "\uff5e", "gone")]
    for name in names:
        await table.commit(name, [insert("b"), insert("a", x="1")])
    await table.commit(names[-1], [Write("delete", "a"), Write("delete", "b")])
    found = [name async for name in table.partitions()]
    assert [name for name in found if name.startswith(partition)] == names[:-1]
    assert found == sorted(set(found), key=units)


async def test_partitions_cost_a_trip_each(partition: str) -> None:
    table = MemoryTable()
    table.load("a", {f"{number}": {} for number in range(5000)})
    table.load("b", {"1": {}})
    assert [name async for name in table.partitions()] == ["a", "b"]
    assert table.trips == ["partition"] * 3


IN_ORDER = ["", " ", "!", "'", "0", "A", "Z", "_", "a", "a ", "a!", "a0", "aa", "b", "~", "é", "\ud7ff", "😀", "\uff5e"]
"""By UTF-16 code units, where characters beyond U+FFFF stand before those from U+E000."""

RANGES: dict[str, tuple[str, str, list[str]]] = {
    "everything": (*EVERYTHING, IN_ORDER),
    "start is in it, end is not": ("a", "b", ["a", "a ", "a!", "a0", "aa"]),
    "start that is no key": ("a!!", "ab", ["a0", "aa"]),
    "nothing": ("c", "d", []),
    "empty": ("a", "a", []),
    "the wrong way round": ("b", "a", []),
    "beyond U+FFFF": ("\ud7ff", "\ue000", ["\ud7ff", "😀"]),
    "from U+E000": ("\ue000", "\uffff", ["\uff5e"]),
    "one character beyond U+FFFF": ("😀", "😁", ["😀"]),
}


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("kind", ["", "r "])
@pytest.mark.parametrize(("start", "end", "keys"), cases(RANGES))
async def test_range(table: Table, partition: str, start: str, end: str, keys: list[str], kind: str, size: int) -> None:
    await table.commit(partition, [insert(kind + key) for key in reversed(IN_ORDER)])
    found = await contents(table, partition, kind + start, kind + end, size=size)
    assert [row.key for row in found] == [kind + key for key in keys]


async def test_pages_have_the_size(table: Table, partition: str) -> None:
    await table.commit(partition, [insert(f"{number}", x="1") for number in range(9)])
    pages = [page async for page in table.pages(partition, "1", "8", size=3)]
    assert [[row.key for row in page] for page in pages if page] == [["1", "2", "3"], ["4", "5", "6"], ["7"]]


async def test_full_last_page_is_the_last(table: Table, partition: str) -> None:
    await table.commit(partition, [insert(f"{number}") for number in range(4)])
    pages = [page async for page in table.pages(partition, *EVERYTHING, size=2)]
    assert [len(page) for page in pages if page] == [2, 2]


async def test_keys_only(table: Table, partition: str) -> None:
    etags = await table.commit(partition, [insert("a", x="1"), insert("b", x="2")])
    assert await contents(table, partition, keys_only=True) == [Row("a", {}, etags[0]), Row("b", {}, etags[1])]


async def test_more_rows_than_a_page_holds(table: Table, partition: str) -> None:
    keys = [f"{number:04}" for number in range(1050)]
    for at in range(0, len(keys), 100):
        await table.commit(partition, [insert(key) for key in keys[at : at + 100]])
    pages = [page async for page in table.pages(partition, *EVERYTHING)]
    assert [len(page) for page in pages if page] == [1000, 50]
    assert [row.key for page in pages for row in page] == keys


async def test_rows_deleted_while_paging_hide_no_others(table: Table, partition: str) -> None:
    await table.commit(partition, [insert(f"{number:02}") for number in range(30)])
    seen: list[str] = []
    async for page in table.pages(partition, *EVERYTHING, size=7):
        seen += [row.key for row in page]
        if page:
            await table.commit(partition, [Write("delete", row.key) for row in page])
    assert seen == [f"{number:02}" for number in range(30)]
    assert await contents(table, partition) == []


async def test_rows_deleted_ahead_are_not_seen(table: Table, partition: str) -> None:
    await table.commit(partition, [insert(f"{number}") for number in range(6)])
    seen: list[str] = []
    async for page in table.pages(partition, *EVERYTHING, size=2):
        if page and not seen:
            await table.commit(partition, [Write("delete", key) for key in "234"])  # the next page's first too
        seen += [row.key for row in page]
    assert seen == ["0", "1", "5"]


# What rows and keys may hold.

TEXTS = {
    "quotes": "'\"''",
    "percent": "%25%2F%",
    "url": "a&b=c+d;e:f@g$h,i!j*k(l)",
    "braces": "{a}[b]<c>|^`",
    "space": "a  b ",
    "only a space": " ",
    "accents": "éÉßø中文",
    "emoji": "👩‍👩‍👧😀",
    "beyond": "\U0010fffd",
    "last of the BMP": "\uffee\ufffd",
    "512 units": "k" * 512,
    "512 units of emoji": "😀" * 256,
}


@pytest.mark.parametrize("text", cases(TEXTS))
async def test_text_in_keys_and_values(table: Table, partition: str, text: str) -> None:
    """The SDK has ways of its own for one write and for several, for one row and for a range."""
    await table.commit(partition, [insert(text, text=text)])
    found = await table.read(partition, text)
    assert found and (found.key, found.values) == (text, {"text": text})
    assert await contents(table, partition, text, text + "\uffff") == [found]
    await table.commit(partition, [Write("merge", text, {"more": text}, found.etag), insert("x")])
    with pytest.raises(Refused) as refused:
        await table.commit(partition, [insert(text)])
    assert refused.value.status == 409
    [etag] = await table.commit(partition, [Write("merge", text, {"third": text})])
    assert await table.read(partition, text) == Row(text, {"text": text, "more": text, "third": text}, etag)
    await table.commit(partition, [Write("delete", text)])
    assert await table.read(partition, text) is None


@pytest.mark.parametrize("text", ["a'b", "a%25b", "é😀", "a b&c=d"])
async def test_text_in_partitions(table: Table, partition: str, text: str) -> None:
    partition += text
    [etag] = await table.commit(partition, [insert("a", x="1")])
    assert await table.commit(partition, [insert("b"), Write("delete", "a", etag=etag)])
    assert [row.key for row in await contents(table, partition)] == ["b"]


VALUES: dict[str, Any] = {
    "empty": "",
    "white space": " \t\r\n ",
    "control characters": "\x01\x1f\x7f\x85",
    "slashes": "/\\#?",
    "xml and json": '<a b="c">&amp;</a>{"d": ["\\u0041"]}',
    "like a date": "2026-01-31T08:00:00Z",
    "like a number": "12345678901234567890",
    "32,768 units": "x" * 32_768,
    "32,768 units of emoji": "😀" * 16_384,
    "integer": 2**31 - 1,
    "negative integer": -(2**31),
    "true": True,
    "false": False,
    "number": 1.5,
}


@pytest.mark.parametrize("value", cases(VALUES))
async def test_value_comes_back(table: Table, partition: str, value: object) -> None:
    await table.commit(partition, [insert("alone", v=value)])
    await table.commit(partition, [insert("among", v=value), insert("others", v=value)])
    rows = await contents(table, partition)
    assert [(row.values["v"], type(row.values["v"])) for row in rows] == [(value, type(value))] * 3


# At once.


async def test_one_of_twenty_inserts_wins(table: Table, partition: str) -> None:
    inserts = (table.commit(partition, [insert("a", by=number)]) for number in range(20))
    results = await asyncio.gather(*inserts, return_exceptions=True)
    [winner] = [number for number, result in enumerate(results) if not isinstance(result, BaseException)]
    assert [result.status for result in results if isinstance(result, Refused)] == [409] * 19
    row = await table.read(partition, "a")
    assert row and row.values == {"by": winner}


async def test_one_of_twenty_transactions_wins_whole(table: Table, partition: str) -> None:
    async def run(number: int) -> list[str]:
        return await table.commit(partition, [insert(f"own {number}"), insert("a", by=number)])

    results = await asyncio.gather(*(run(number) for number in range(20)), return_exceptions=True)
    [winner] = [number for number, result in enumerate(results) if not isinstance(result, BaseException)]
    assert {(r.status, r.index) for r in results if isinstance(r, Refused)} == {(409, 1)}
    assert [row.key for row in await contents(table, partition)] == ["a", f"own {winner}"]


async def test_one_of_ten_conditional_writes_wins(table: Table, partition: str) -> None:
    [etag] = await table.commit(partition, [insert("a", by=-1)])
    merges = (table.commit(partition, [Write("merge", "a", {"by": number}, etag)]) for number in range(10))
    results = await asyncio.gather(*merges, return_exceptions=True)
    assert sorted(result.status for result in results if isinstance(result, Refused)) == [412] * 9


async def test_unconditional_merges_of_other_properties_all_stay(table: Table, partition: str) -> None:
    await table.commit(partition, [insert("a")])
    await asyncio.gather(*(table.commit(partition, [Write("merge", "a", {f"p{n}": n})]) for n in range(10)))
    row = await table.read(partition, "a")
    assert row and row.values == {f"p{n}": n for n in range(10)}


# Limits.


@pytest.mark.parametrize("number", [0, 101])
async def test_number_of_writes_is_limited(table: Table, partition: str, number: int) -> None:
    """Azurite answers nothing that the SDK understands, so the table itself must refuse."""
    with pytest.raises(ValueError, match=str(number)):
        await table.commit(partition, [insert(f"{n}") for n in range(number)])
    assert await contents(table, partition) == []


async def test_hundred_writes(table: Table, partition: str) -> None:
    assert len(set(await table.commit(partition, [insert(f"{n}") for n in range(100)]))) > 0
    await table.commit(partition, [Write("delete", f"{n}") for n in range(100)])
    assert await contents(table, partition) == []


BIG = {f"p{n}": "x" * 32_000 for n in range(14)}
"""448,000 characters: 900 kB as UTF-16, half of that on the wire."""

TOO_MUCH: dict[str, tuple[list[Write], int]] = {
    "key of 513 units": ([insert("k" * 513)], 400),
    "key of 513 units, some of emoji": ([insert("😀" * 256 + "k")], 400),
    "string of 32,769 units": ([insert("a", v="x" * 32_769)], 400),
    "string of 32,769 units, some of emoji": ([insert("a", v="😀" * 16_384 + "x")], 400),
    "row twice": ([insert("a"), insert("b"), Write("merge", "a")], 400),
    "row written and deleted": ([Write("upsert", "a"), Write("delete", "a")], 400),
    **{f"key with {c!r}": ([insert(f"a{c}b")], 400) for c in "\\#?\t\n\x00\x1f\x7f\x80\x9f"},
    **{f"key with {c!r} in a transaction": ([insert("x"), insert(f"a{c}b")], 400) for c in "\\#?"},
}

NOT_BY_AZURITE: dict[str, tuple[list[Write], int]] = {
    "key with '/'": ([insert("a/b")], 400),  # Azurite answers 500
    "253 properties": ([insert("a", **{f"p{n}": "" for n in range(253)})], 400),
    "1 MiB": ([insert("a", **{f"p{n}": "x" * 32_000 for n in range(17)})], 400),
    "1 MiB of emoji": ([insert("a", **{f"p{n}": "😀" * 16_000 for n in range(17)})], 400),
    "property name": ([insert("a", **{"a-b": ""})], 400),
}


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp's
async def test_transaction_of_more_than_4_mib(table: Table, partition: str) -> None:
    with pytest.raises(TooLarge):
        await table.commit(partition, [insert(f"{n}", **BIG) for n in range(10)])
    assert await contents(table, partition) == []


@pytest.mark.parametrize(("writes", "status"), cases(TOO_MUCH))
async def test_limit(table: Table, partition: str, writes: Sequence[Write], status: int) -> None:
    with pytest.raises(HttpResponseError) as rejected:
        await table.commit(partition, writes)
    assert rejected.value.status_code == status
    assert await contents(table, partition) == []


@pytest.mark.parametrize(("writes", "status"), cases(NOT_BY_AZURITE))
async def test_limit_that_azurite_forgets(writes: Sequence[Write], status: int) -> None:
    table = MemoryTable()
    with pytest.raises(Rejected) as rejected:
        await table.commit("p", writes)
    assert rejected.value.status_code == status
    assert table.rows("p") == []


async def test_merges_cannot_exceed_the_limit_of_a_row() -> None:
    table = MemoryTable()
    await table.commit("p", [insert("a", **BIG)])
    with pytest.raises(Rejected):
        await table.commit("p", [Write("merge", "a", {f"q{n}": "x" * 32_000 for n in range(14)})])


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1], ids=["above", "below"])
async def test_integers_beyond_32_bits_are_refused(table: Table, partition: str, value: int) -> None:
    with pytest.raises(TypeError):
        await table.commit(partition, [insert("a", v=value)])


async def test_empty_pages_come_between_others() -> None:
    table = MemoryTable(empty_pages=True)
    table.load("p", {f"{n}": {} for n in range(3)})
    assert [len(page) async for page in table.pages("p", *EVERYTHING, size=2)] == [0, 2, 0, 1]
    assert (table.trips, table.rows_read) == (["page"] * 4, 3)


WALKED = [chr(code) for code in range(0x300)] + ["\ud7ff", "\ue000", "\ufffd", "\U00010000", "\U0010ffff", "😀"]
"""The first characters of the Basic Multilingual Plane, and those beside surrogates and at the astral edges."""


@pytest.mark.parametrize("table", ["plain_azurite", "memory"], indirect=True)
async def test_every_character_may_stand_in_a_key(table: Table, partition: str) -> None:
    """Written alone and in a transaction, read by key and by range, changed and deleted: it is the same row."""
    keys = {character: f"x u username {encode(f'a{character}b')}" for character in WALKED}
    assert len(set(keys.values())) == len(keys)
    for at in range(0, len(WALKED), 50):
        some = WALKED[at : at + 50]
        await table.commit(partition, [Write("insert", keys[one], {"text": f"{at}"}) for one in some])
    listed = [row.key async for page in table.pages(partition, *key_range("x u username a")) for row in page]
    assert sorted(listed) == sorted(keys.values())

    async def walk(number: int) -> None:
        key = keys[WALKED[number]]
        row = await table.read(partition, key)
        assert row is not None and row.key == key, WALKED[number]
        await table.commit(partition, [Write("merge", key, {"number": number}, row.etag)])
        start, end = key_range(key)
        found = [row async for page in table.pages(partition, start, end) for row in page]
        assert [(row.key, row.values["number"]) for row in found] == [(key, number)]
        await table.commit(partition, [Write("delete", key)])
        assert await table.read(partition, key) is None

    for at in range(0, len(WALKED), 16):
        await asyncio.gather(*map(walk, range(at, min(at + 16, len(WALKED)))))
