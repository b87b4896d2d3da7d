"""How a message reaches a webhook's receiver, and where it can never go.

Every address that a host's name has must be a public one, and the connection goes to one of those that were checked, so
that no name leads into the network that the app runs in, nor to the platform's own services, whatever DNS says a moment
later. Over TLS, to the host that the URL names; no redirect is followed, no proxy is asked, no cookie is kept.

The client is aiohttp's, which is there for the table: its resolver is the one place to check addresses in.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from scim.feed.sinks.document import is_local

SECONDS = 20.0
"""What a receiver has to answer, from the look at its name to the end of its status line."""
_CONNECT_SECONDS = 10.0
_MOST_ANSWER = 4096
"""Bytes of an answer that are read, so that its connection can be used again."""
_PLATFORM = {ipaddress.ip_address("168.63.129.16")}
"""Azure's own service for virtual machines, on a public address."""
_TRANSLATED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
"""IPv6 addresses that stand for IPv4 ones (RFC 6052, 8215)."""


class Refusal(Exception):
    """The receiver has not taken a message; the text says why, in words for the operator."""

    def __init__(self, reason: str, *, status: int = 0, wait: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        """What it answered; 0 if it did not."""
        self.wait = wait
        """Seconds after which it wants to be asked again; None if it does not say."""


class Forbidden(OSError):
    """A name or an address that nothing is sent to."""


def is_public(text: str) -> bool:
    """Whether an address is one that messages may go to: public, and in no form that hides another one."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if "%" in text:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if any(one is not None for one in inner) or any(address in network for network in _TRANSLATED):
            return False
        if int(address) >> 32 == 0 or address.is_site_local:  # ::a.b.c.d and ::1; fec0::/10
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved and address not in _PLATFORM


class Resolver(AbstractResolver):
    """Finds the addresses of a name, all of which must be public."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        addresses = [(kind, str(address[0])) for kind, _, _, _, address in found]
        check_addresses(host, [text for _, text in addresses])
        return [
            ResolveResult(hostname=host, host=text, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, text in dict.fromkeys(addresses)
        ]

    async def close(self) -> None:
        """Nothing is kept open."""


def check_addresses(host: str, addresses: list[str]) -> None:
    """Raise Forbidden if a host has an address that is not public."""
    bad = next((text for text in addresses if not is_public(text)), None)
    if bad is not None or not addresses:
        raise Forbidden(f"{host} leads to {bad or 'nowhere'}, and webhooks go to public addresses only")


class WebhookClient:
    """Sends messages. `ca_file` replaces the system's trusted certificates; `resolver` takes the place of the one that
    checks addresses."""

    def __init__(self, *, ca_file: str | None = None, resolver: AbstractResolver | None = None) -> None:
        self._ca_file = ca_file
        self._resolver = resolver
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def _opened(self, *, local: bool) -> aiohttp.ClientSession:
        """The session for receivers elsewhere, or for those on this machine."""
        if local not in self._sessions:
            connector = aiohttp.TCPConnector(
                resolver=aiohttp.ThreadedResolver() if local else self._resolver or Resolver(),
                ssl=ssl.create_default_context(cafile=self._ca_file),
                use_dns_cache=False,
                limit_per_host=16,
            )
            self._sessions[local] = aiohttp.ClientSession(
                connector=connector,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=SECONDS, connect=_CONNECT_SECONDS),
                headers={"User-Agent": "azure-functions-scim"},
                auto_decompress=False,
            )
        return self._sessions[local]

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """POST a message. Raises Refusal unless the answer is 2xx."""
        host, local = urlsplit(url).hostname or "", is_local(url)
        try:
            if _is_address(host) and not local and self._resolver is None:  # such a name is not resolved
                check_addresses(host, [host])
            async with self._opened(local=local).post(url, data=body, headers=headers, allow_redirects=False) as answer:
                status, wait = answer.status, parse_wait(answer.headers.get("Retry-After"))
                await answer.content.read(_MOST_ANSWER)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            raise Refusal(_reason(host, error)) from None
        if 300 <= status < 400:
            raise Refusal(
                f"{host} answered {status}, and redirects are not followed: set the URL that it leads to", status=status
            )
        if not 200 <= status < 300:
            raise Refusal(f"{host} answered {status}", status=status, wait=wait)

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def parse_wait(text: str | None) -> float | None:
    """Return the seconds that a Retry-After asks for (RFC 9110 §10.2.3); None if it asks for none."""
    text = (text or "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _reason(host: str, error: BaseException) -> str:
    """What went wrong, in words; what libraries say would show the URL, of which a part may be a secret."""
    inner = error
    while inner is not None:
        if isinstance(inner, Forbidden):
            return str(inner)
        if isinstance(inner, ssl.SSLError | aiohttp.ClientConnectorCertificateError):
            return f"{host} shows no certificate that is trusted for that name"
        inner = getattr(inner, "os_error", None) or inner.__cause__  # type: ignore[assignment]
    if isinstance(error, aiohttp.InvalidURL):
        return f"{host} is no name or address of a host"
    if isinstance(error, TimeoutError):
        return f"{host} did not answer within {SECONDS:.0f} seconds"
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return f"the name {host} is not known"
    if isinstance(error, aiohttp.ClientConnectorError | ConnectionError):
        return f"{host} cannot be reached"
    return f"{host} ended the connection, or gave no HTTP answer ({type(error).__name__})"
