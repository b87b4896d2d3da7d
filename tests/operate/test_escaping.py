"""What a caller or another operator chose reaches the terminal escaped, whatever command shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scim.operate.escaping import escape, escape_lines
from scim.store.members import Changes, Member
from scim.store.store import Store
from scim.store.table import Table
from tests.core import GROUP_TYPE, cases
from tests.operate.conftest import Operator
from tests.store.memory import create

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b1m\u202egpj.\u2066x\u200b\x7f\nforged\r"
_OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]|^forged", re.MULTILINE)


TEXTS = {
    "plain": ("Zoë, 王 😀", "Zoë, 王 😀"),
    "colours": ("\x1b[31mred", r"\u001b[31mred"),
    "an order of its own": ("a\u202eb", r"a\u202eb"),
    "lines": ("a\nb\r\tc", r"a\u000ab\u000d\u0009c"),
    "half a character": ("\ud800", r"\ud800"),
    "beyond": ("\U000e0041", r"\U000e0041"),
}


@pytest.mark.parametrize(("text", "shown"), cases(TEXTS))
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    assert escape(text) == shown
    assert escape_lines(f"{text}\nb").splitlines()[-1] == "b"


async def test_a_connections_description(operator: Operator) -> None:
    operator.connect("acme", "acme", description=ESCAPES)
    for command in (["list"], ["show", "acme"], ["pause", "acme"], ["rotate", "acme", "--print-secret"]):
        for options in ([], ["--json"]):
            code, out, err = await operator.command("connections", *command, *options)
            assert code in (0, 1), err
            assert not _OBEYED.search(out + err), (command, options, out + err)
    shown = (await operator.tool("connections", "show", "acme"))["description"]
    assert shown == ESCAPES


async def test_a_members_id(operator: Operator, table: Table, tmp_path: Path) -> None:
    store = Store(table)
    group = (await create(store, "escaped", GROUP_TYPE, {"displayName": "g"})).id
    await store.of("escaped").members.change(group, Changes({ESCAPES: Member(ESCAPES)}))
    await create(store, "escaped", GROUP_TYPE, {"displayName": ESCAPES})
    for command in (["check"], ["size"], ["reindex"]):
        code, out, err = await operator.command("tenants", *command, "escaped")
        assert not _OBEYED.search(out + err), (command, out + err)
    file = tmp_path / "dump.jsonl"
    file.write_text(json.dumps({"kind": ESCAPES, "tenant": ESCAPES}) + "\n")
    for command in (["import", str(file)], ["import", str(file), "--tenant", ESCAPES], ["check", ESCAPES]):
        code, out, err = await operator.command("tenants", *command)
        assert code in (1, 2) and not _OBEYED.search(out + err), (command, out + err)
