"""A list of many connections: how often vault and table are asked, and what it says of the end of each."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.azurite import Azurite
from scim.security.keys import digest, fingerprint, new_key
from scim.security.usage import Used
from scim.store.credentials import Credentials
from tests.core import cases
from tests.security.conftest import Deployment

NOW = datetime.now(UTC)


def after(days: float) -> str:
    return (NOW + timedelta(days=days)).isoformat()


@pytest.mark.long
async def test_thousand_connections(deployment: Deployment, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is read once, several at a time; the table twice, whatever their number."""
    monkeypatch.setenv("SCIM_TABLE_CONNECTION_STRING", azurite.connection_string)
    vault, notes = deployment.cloud.vault, Credentials(deployment.application.gateway)
    keys = {f"customer-{number:04}": new_key(f"customer-{number:04}") for number in range(1000)}
    for name, key in keys.items():
        deployment.keep(name, {"tenant": name, "keys": [{"value": digest(key), "created": after(-5)}]})
    used = "customer-0500"
    await notes.write(used, Used(fingerprint(keys[used]), NOW, NOW))
    vault.page = 25
    under_way, most = 0, 0

    async def watch(token: str, request: Any) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1

    vault.turn = watch
    vault.reads.clear()
    listed = await deployment.tool("list")
    assert [each["name"] for each in listed] == sorted(keys)
    assert sorted(vault.reads) == [f"connection-{name}" for name in sorted(keys)]
    assert 4 <= most <= 16
    assert [each["name"] for each in listed if each["lastUsed"]] == [used]


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
