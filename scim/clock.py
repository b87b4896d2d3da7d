"""How times are written: for machines as meta shows them, for people to the minute."""

from __future__ import annotations

from datetime import UTC, datetime


def format_time(time: datetime) -> str:
    """Return a time as meta shows it: ISO 8601 in UTC, with milliseconds and a Z. Such texts sort by time."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def show_time(time: datetime) -> str:
    """Return a time for people, as 2026-12-01 04:30 UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
