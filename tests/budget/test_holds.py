"""That others are served while what cannot be divided is done: counted in what is made, and in turns of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from scim import body, budget
from scim.body import read_body
from scim.budget import Budget, grant
from scim.errors import ScimError
from scim.store import keys
from tests.budget.dear import nested, prepare
from tests.core import cases
from tests.store.memory import Door, MemoryTable
from tests.support import PATCH, Client

BODIES = {
    "lists": (b'{"x":[' + b"[]," * 140_000 + b'1],"\\u0000":1}',),
    "numbers": (b'{"x":[' + b"123456789012345678901," * 250_000 + b"1]}",),
    "texts": (b'{"x":[' + b'"\\u0041",' * 250_000 + b'1],"a":1,"a":2}',),
}


@pytest.mark.parametrize(("content",), cases(BODIES))
async def test_others_have_turns_while_a_strange_body_is_read(content: bytes) -> None:
    turns, reading = 0, True

    async def other() -> None:
        nonlocal turns
        while reading:
            turns += 1
            await asyncio.sleep(0)

    with grant(Budget(budget.MOST)):
        beside = asyncio.create_task(other())
        try:
            with pytest.raises(ScimError):
                await read_body(content, 32)
        finally:
            reading = False
            await beside
    assert turns > 10


@pytest.mark.parametrize("sign", ["", "-"])
async def test_numbers_of_many_digits_are_not_read(sign: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python reads one in a time that grows with the square of its digits."""
    made: list[int] = []
    monkeypatch.setattr(body, "int", lambda text: made.append(len(text)) or 0, raising=False)
    with pytest.raises(ScimError, match="too many digits"):
        await read_body(f'{{"a":[{sign}1,{sign}{"9" * 4_000}]}}'.encode(), 32)
    assert max(made) < 3


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The keys of memberships that are made from now on."""
    made: list[str] = []
    original = keys.member_key

    def counted(group: str, member: str) -> str:
        made.append(member)
        return original(group, member)

    monkeypatch.setattr(keys, "member_key", counted)
    yield made


@pytest.mark.parametrize("op", ["add", "remove"])
async def test_writes_of_many_members_are_made_a_few_at_a_time(op: str, made: list[str]) -> None:
    client: Client = Door(MemoryTable()).client
    group = (await client.post("/Groups", {"displayName": "g"})).json["id"]
    members = [{"value": f"u-{n:024}"} for n in range(20_000)]
    operations = [{"op": op, "path": "members", "value": members}]
    answer = await client.request("PATCH", f"/Groups/{group}", {"schemas": [PATCH], "Operations": operations})
    assert answer.status == 413  # more than one row can note
    assert len(made) < 200


@pytest.mark.parametrize("op", ["add", "remove"])
async def test_lists_that_nobody_declared_are_paid_for_by_their_size(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client: Client = Door(MemoryTable()).client
    there = await prepare(client, 1)
    monkeypatch.setattr(budget, "MOST", budget.MOST // 4)
    method, path, content = nested(there, op)
    answer = await client.request(method, path, content)
    assert (answer.status, answer.json["scimType"]) == (400, "tooMany")
