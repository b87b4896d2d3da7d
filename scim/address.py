"""Where a request comes from: the address of the caller, as the platform's front end saw it.

Each proxy on the way adds the address of whoever called it at the end of X-Forwarded-For. What stands before that may
be made up, so the list is read from its end: the last entry is the platform's, the one before it that of a proxy of the
operator's own in front of it, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address

UNKNOWN = "?"
"""The address of a request that does not tell any."""


def find_address(headers: Mapping[str, str], proxies: int) -> str:
    """Return the caller's IP address behind that many proxies of the operator's own; UNKNOWN if there is none."""
    entries = headers.get("x-forwarded-for", "").rsplit(",", proxies + 1)[-(proxies + 1) :]
    return _read(entries[0]) if len(entries) == proxies + 1 else UNKNOWN


def find_network(address: str) -> str:
    """Return what a caller at that address holds as a rule: the /64 of an IPv6 address (RFC 6177), else itself."""
    if address == UNKNOWN:
        return address
    parsed = ip_address(address)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64" if isinstance(parsed, IPv6Address) else address


def _read(entry: str) -> str:
    """Return an entry of X-Forwarded-For: `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, or `[2001:db8::1]:443`."""
    text = entry.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return UNKNOWN
    return str(getattr(address, "ipv4_mapped", None) or address)
