"""What a webhook is sent: a batch of a tenant's events as JSON, signed as Standard Webhooks 1.0 says.

    POST
    webhook-id: contoso_7f3a91c2_4601-4650       the same whenever these events are sent together again
    webhook-timestamp: 1767225600                when they are sent, in seconds: an old one may be a replay
    webhook-signature: v1,<base64> v1,<base64>   of each secret: HMAC-SHA256 of "<id>.<timestamp>.<body>"

    {"type": "feed.events", "timestamp": "…", "data": {"tenant": "contoso", "events": […], "next": "7f3a91c2_4650"}}

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from scim.feed.log import cursor
from scim.feed.sinks.document import PREFIX
from scim.policy.draft import Event

MOST_BYTES = 64_000
"""Bytes of one message."""
_ROOM = 500
"""Bytes of a message around its events."""


class Message(NamedTuple):
    """A batch of events as it is sent. `next` is the cursor behind its last event."""

    id: str
    body: bytes
    number: int
    next: str


def build_message(tenant: str, events: Sequence[Event], most: int) -> Message:
    """Make a message of the first of these events: up to `most`, and as many as have room. There must be one."""
    parts: list[bytes] = []
    room = MOST_BYTES - _ROOM
    for event in events[:most]:
        part = _encode(event)
        if parts and len(part) + 1 > room:
            break
        parts.append(part)
        room -= len(part) + 1
    first, last = events[0], events[len(parts) - 1]
    epoch = str(first["id"]).split("_")[-2]
    following = cursor(epoch, last["seq"])
    about = orjson.dumps({"type": "feed.events", "timestamp": last["time"]})[:-1]
    data = orjson.dumps({"tenant": tenant, "next": following})[:-1]
    body = b'%b,"data":%b,"events":[%b]}}' % (about, data, b",".join(parts))
    return Message(f"{tenant}_{epoch}_{first['seq']}-{last['seq']}", body, len(parts), following)


def _encode(event: Event) -> bytes:
    """Return an event as JSON that has room in a message: one that has none goes without its document, which is read
    by SCIM then, and without the values before."""
    part = orjson.dumps(event)
    if len(part) > MOST_BYTES - _ROOM:
        part = orjson.dumps({name: value for name, value in event.items() if name != "data"})
    if len(part) > MOST_BYTES - _ROOM and "previous" in event:
        part = orjson.dumps({**{name: value for name, value in event.items() if name != "data"}, "previous": {}})
    return part


def sign(message: Message, timestamp: int, secrets: Sequence[str]) -> str:
    """Return the value of webhook-signature: a signature by each secret."""
    signed = b"%b.%d.%b" % (message.id.encode(), timestamp, message.body)
    keys = [base64.b64decode(secret.removeprefix(PREFIX)) for secret in secrets]
    macs = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)
