"""What webhooks are never sent to: addresses inside, whatever name leads there and however it is written."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from scim.feed.sinks.client import Refusal, WebhookClient, is_public, parse_wait
from scim.feed.sinks.document import SinkDocument, create_secret, read_sinks, write_sinks
from tests.core import cases

INSIDE = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "168.63.129.16", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.7", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:169.254.169.254",
    "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b:1::1",
    "2002:7f00:1::1", "2001::1", "2001:db8::1", "100::1", "8.8.8.8%1", "nonsense", "",
]  # fmt: skip
OUTSIDE = ["8.8.8.8", "20.50.2.1", "2606:4700::1111", "2a01:111:f100::1"]


@pytest.mark.parametrize("address", INSIDE)
def test_inside(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_outside(address: str) -> None:
    assert is_public(address)


NAMES: dict[str, list[str]] = {
    "one inside": ["10.0.0.1"],
    "one of several": ["8.8.8.8", "127.0.0.1"],
    "the last of several": ["8.8.8.8", "2606:4700::1111", "::ffff:10.0.0.1"],
    "none": [],
}


@pytest.mark.parametrize("addresses", NAMES.values(), ids=NAMES)
async def test_a_name_that_leads_inside(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    connected = resolve_to(monkeypatch, [addresses])
    with pytest.raises(Refusal, match="public addresses only"):
        await send("https://hooks.example/hook")
    assert connected == []


async def test_what_was_checked_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the name leads to a moment later."""
    connected = resolve_to(monkeypatch, [["8.8.8.8"], ["127.0.0.1"]])
    with pytest.raises(Refusal, match="cannot be reached"):
        await send("https://hooks.example/hook")
    assert connected == ["8.8.8.8"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "169.254.169.254", "168.63.129.16", "[::1]", "[::ffff:10.0.0.1]", "2130706433", "0x7f.1", "0"]
)
async def test_an_address_in_place_of_a_name(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    connected = resolve_to(monkeypatch, [["127.0.0.1"]])
    with pytest.raises(Refusal, match=r"public addresses only|no name or address"):
        await send(f"https://{host}/hook")
    assert connected == []


async def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    connected = resolve_to(monkeypatch, [["8.8.8.8"]])
    with pytest.raises(Refusal, match="hooks"):
        await send("https://hooks.example/hook")
    assert connected == ["8.8.8.8"]


async def send(url: str) -> None:
    client = WebhookClient()
    try:
        await client.send(url, b"{}", {})
    finally:
        await client.close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]) -> list[str]:
    """Have names lead to these addresses, one answer after the other. Returns what is connected to, which nobody
    answers."""
    connected: list[str] = []
    left = [*answers]

    async def look(host: str, port: int, **_: Any) -> list[Any]:
        found = left.pop(0) if len(left) > 1 else left[0]
        kinds = [socket.AF_INET6 if ":" in text else socket.AF_INET for text in found]
        return [(kind, 1, 6, "", (text, port)) for kind, text in zip(kinds, found, strict=True)]

    async def connect(addr_infos: Any, **_: Any) -> Any:
        connected.extend(info[4][0] for info in addr_infos)
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look)
    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", connect)
    return connected


URLS: dict[str, tuple[str, str]] = {
    "no TLS": ("http://hooks.example/hook", "https://"),
    "another scheme": ("ftp://hooks.example/hook", "https://"),
    "a file": ("file:///etc/passwd", "no URL"),
    "a user": ("https://crm:secret@hooks.example/", "no user"),
    "a fragment": ("https://hooks.example/#x", "fragment"),
    "no host": ("https:///hook", "no URL"),
    "no port": ("https://hooks.example:x/", "no URL"),
    "a backslash": ("https://hooks.example\\@127.0.0.1/", "no URL"),
    "a line": ("https://hooks.example/\r\nX: y", "no URL"),
}


@pytest.mark.parametrize(("url", "text"), cases(URLS))
def test_urls_that_no_sink_has(url: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SinkDocument(name="crm", url=url, secrets=(create_secret(),))


def test_sinks_are_kept_as_json() -> None:
    sinks = {"crm": SinkDocument(name="crm", url="https://x.example/", secrets=(create_secret(),), tenants=("a",))}
    assert read_sinks(write_sinks(sinks)) == sinks
    assert read_sinks("") == {}


WRONG: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "no JSON object"),
    "no URL": ('{"crm": {"secrets": ["whsec_x"]}}', "sink 'crm'"),
    "a secret that is none": ('{"crm": {"url": "https://x.example", "secrets": ["hunter2"]}}', "whsec_"),
}


@pytest.mark.parametrize(("text", "told"), cases(WRONG))
def test_sinks_that_are_none(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as raised:
        read_sinks(text)
    assert "hunter2" not in str(raised.value)


WAITS = {"120": 120.0, "Wed, 21 Oct 2015 07:28:00 GMT": 0.0, "soon": None, "-1": None, "": None, "9" * 30: None}


@pytest.mark.parametrize(("text", "seconds"), WAITS.items())
def test_waits(text: str, seconds: float | None) -> None:
    assert parse_wait(text) == seconds
