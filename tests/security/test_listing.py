"""A list of many connections: how often vault and table are asked, and what it says of the end of each."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.azurite import Azurite
from dev.credentials import new_key
from scim.operate.connections.tags import write_tags
from scim.security.connections import read_connection
from scim.security.keys import digest, fingerprint
from scim.security.usage import Used
from scim.store.credentials import Credentials
from tests.core import cases
from tests.security.conftest import Deployment
from tests.security.test_tool import FEDERATION

NOW = datetime.now(UTC)


def after(days: float) -> str:
    return (NOW + timedelta(days=days)).isoformat()


async def test_many_connections(deployment: Deployment, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """None that the tool wrote is read by itself; the others are, several at a time."""
    monkeypatch.setenv("SCIM_TABLE_CONNECTION_STRING", azurite.connection_string)
    vault, notes = deployment.cloud.vault, Credentials(deployment.application.table)
    names = [deployment.name() for _ in range(40)]
    by_hand = [deployment.connect()[0] for _ in range(20)]
    for name in names:
        tags = write_tags(read_connection(name, {"tenant": "t", "keys": [digest(new_key(name))], "paused": NOW}))
        deployment.keep(name, {"tenant": "t", "keys": [digest(new_key(name))]}, tags=tags)
    await notes.write_use(names[7], Used("cafecafe", NOW, NOW))
    under_way, most = 0, 0

    async def watch(token: str, request: Any) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1

    vault.page, vault.turn = 25, watch
    vault.reads.clear()
    listed = await deployment.tool("list")
    assert [each["name"] for each in listed] == sorted([*names, *by_hand])
    assert sorted(vault.reads) == sorted(f"connection-{name}" for name in by_hand)
    assert 4 <= most <= 16
    assert [each["name"] for each in listed if each["lastUsed"]] == [names[7]]
    assert {each["name"] for each in listed if each["state"].startswith("paused")} == {*names}


LISTED: dict[str, tuple[list[tuple[str, ...]], bool]] = {
    "a secret": ([], True),
    "a client secret": ([("--kind", "oauth", "--description", 'ü😀"' * 60)], True),
    "federation": ([FEDERATION], True),
    "recoverable": ([("--recoverable",)], False),
    "paused": ([(), ("pause",)], True),
    "rotating": ([(), ("rotate",)], True),
    "one of two revoked": ([(), ("rotate",), ("revoke", "--old", "--force")], True),
    "nothing in force": ([(), ("revoke", "--old", "--force")], True),
    "revoked as a whole": ([(), ("revoke", "--all")], True),
}


@pytest.mark.parametrize(("commands", "tagged"), cases(LISTED))
async def test_tags_say_what_the_secret_says(
    deployment: Deployment, commands: list[tuple[str, ...]], tagged: bool
) -> None:
    """The list shows what `show` shows; no tag holds a secret, or is longer than a vault takes."""
    name = deployment.name()
    first, *others = commands or [()]
    secret = (await deployment.tool("add", name, *first))["enter"].get("Secret Token", "no secret")
    for verb, *options in others:
        if len(others) == 1 and verb == "revoke" and "--old" in options:
            options = ["--credential", fingerprint(secret)]
        await deployment.run(verb, name, *options)
    tags = deployment.cloud.vault.secrets[f"connection-{name}"].tags
    assert len(tags) <= 15 and all(len(value.encode("utf-16-le")) <= 512 for value in tags.values())
    assert secret not in "".join(tags.values())
    assert ("document-0" in tags) == tagged
    shown = await deployment.tool("show", name)
    shown.pop("revokedCredentials")
    assert await deployment.tool("list") == [shown]


OLD, NEW = ({"value": digest(new_key("contoso"))} for _ in range(2))
ENDS: dict[str, tuple[dict[str, Any], list[tuple[float, str]]]] = {
    "never": ({"keys": [OLD]}, []),
    "in a year": ({"keys": [{**OLD, "expires": after(365)}]}, []),
    "in 31 days": ({"keys": [{**OLD, "expires": after(31)}]}, []),
    "in 29 days": ({"keys": [{**OLD, "expires": after(29)}]}, [(29, "credential OLD of contoso: rotate contoso")]),
    "yesterday": ({"keys": [{**OLD, "expires": after(-1)}]}, [(-1, "credential OLD of contoso: rotate contoso")]),
    "the older of two": (
        {"keys": [{**OLD, "created": after(-360), "expires": after(5)}, {**NEW, "created": after(-1)}]},
        [(5, "credential OLD of contoso: revoke contoso --old, once the newer one is in use")],
    ),
    "both": (
        {"keys": [{**OLD, "expires": after(5)}, {**NEW, "expires": after(3)}]},
        [(3, "credential NEW of contoso: rotate contoso"), (5, "credential OLD of contoso: rotate contoso")],
    ),
    "the connection": (
        {"keys": [OLD], "expires": after(2)},
        [(2, "credential OLD of contoso: rotate contoso")],
    ),
    "revoked": ({"keys": [], "revoked": after(-2), "expires": after(2)}, []),
}


@pytest.mark.parametrize(("members", "endings"), cases(ENDS))
async def test_what_ends_within_30_days(
    deployment: Deployment, members: dict[str, Any], endings: list[tuple[float, str]]
) -> None:
    deployment.keep("contoso", {"tenant": "contoso", **members})
    ids = {"OLD": fingerprint(OLD["value"]), "NEW": fingerprint(NEW["value"])}
    expected = []
    for days, text in endings:
        for word, id in ids.items():
            text = text.replace(word, id)
        expected.append(f"  {NOW + timedelta(days=days):%Y-%m-%d %H:%M}Z  {text}")
    printed = await deployment.run("list")
    assert printed.partition("Ended, or ends within 30 days:\n")[2].splitlines() == expected
    assert len((await deployment.tool("show", "contoso"))["ending"]) == len(expected)
