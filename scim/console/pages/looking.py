"""What several pages look up: a tenant's connections with what is known of their use, in a trip for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from scim.console.visit import Parts, Visit
from scim.insight.connections import LookUp
from scim.operate.connections import printed
from scim.operate.connections.commands import View
from scim.security.connections import Connection
from scim.security.usage import find_due_warning

Tone = Literal["good", "care", "bad", "none"]


def looking_up(parts: Parts, tenant: str) -> LookUp:
    """Return what finds the connections of a tenant: all of them, heard of or not."""

    async def look_up(_: Iterable[str]) -> list[Connection]:
        known = await parts.kept.known()
        unknown = [name for name, each in known.items() if each is None]
        read = await asyncio.gather(*(parts.kept.get(name) for name in unknown))
        return [each for each in (*known.values(), *read) if each is not None and each.tenant == tenant]

    return look_up


async def list_views(visit: Visit) -> list[View]:
    """Return the connections of the visit's tenant."""
    views = await visit.parts.commands().list()
    return [view for view in views if isinstance(view, View) and view.connection.tenant == visit.tenant]


def judge(view: View, now: datetime) -> Tone:
    """Return how a connection does: whether somebody gets in by it, and for how long."""
    connection = view.connection
    ends = connection.find_last_end()
    if connection.revoked or connection.paused or (ends is not None and ends <= now):
        return "bad"
    if not connection.keys and connection.trust is None:
        return "bad"
    if find_due_warning(ends, now) is not None or view.rotation is not None:
        return "care"
    return "good" if find_last(view) else "none"


def judge_all(views: Sequence[View], now: datetime) -> Tone:
    """Return how a tenant's connections do together: one that works is enough."""
    tones = {judge(view, now) for view in views if view.connection.revoked is None}
    return next((tone for tone in _ORDER if tone in tones), "none")


def find_last(view: View) -> datetime | None:
    """Return when a connection was used last, to the hour; None if it never was, or that is not known."""
    return max((used.last for used in view.used or ()), default=None)


def name_state(view: View, now: datetime) -> str:
    """Return in a few words whether a connection works, and what is coming."""
    text = printed.describe_state(view.connection, now)
    return text[:1].upper() + text[1:]


_ORDER: tuple[Tone, ...] = ("care", "good", "none", "bad")
