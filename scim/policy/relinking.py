"""Who was deleted and comes back: for some hours a new user of the same userName or externalId is told to take the
place of the old one, so that the product keeps the person's data. A row for each name says whose it was
(`d =<userName>`, `d <externalId>`); they are looked up only while there are any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from scim import deadline
from scim.clock import format_time
from scim.policy.draft import Event
from scim.policy.rows import Rows
from scim.policy.state import State
from scim.schema.registry import Registry
from scim.schema.values import fold
from scim.store import keys
from scim.store.table import Partition
from scim.store.transactions import remove_rows


class Relinking:
    """Remembers and recognises for one run."""

    def __init__(self, rows: Rows, hours: int, registry: Registry) -> None:
        self._rows = rows
        self._hours = hours
        self._registry = registry

    def remember(self, state: State, event: Event) -> tuple[State, Event]:
        """Return the deletion of a user with the time after which the product may purge what it has of them."""
        until = format_time(datetime.fromisoformat(event["time"]) + timedelta(hours=self._hours))
        event = {**event, "purgeAfter": until}
        if not self._hours:
            return state, event
        for key in list_gone_keys(event["resource"], self._registry):
            self._rows.put(key, {"id": event["resource"]["id"], "until": until})
        return state.changed(gone_until=max(state.gone_until, until)), event

    async def recognise(self, state: State, event: Event) -> Event:
        """Return the creation of a user with the id of the one whose place it takes, if somebody of the same name was
        deleted and is not to be purged yet."""
        if event["time"] >= state.gone_until:
            return event
        replaced = None
        for key in list_gone_keys(event["resource"], self._registry):
            gone = await self._rows.read(key)
            if gone is not None:
                self._rows.put(key, {"id": gone["id"], "until": ""})  # whether the table has it is not known: it ends
                is_other = str(gone["id"]) != event["resource"]["id"]  # it may be restored
                if replaced is None and is_other and str(gone["until"]) > event["time"]:
                    replaced = str(gone["id"])
        return event if replaced is None else {**event, "replaces": replaced}


def list_gone_keys(names: Mapping[str, Any], registry: Registry) -> Iterator[str]:
    """The keys of the rows that say who gave up a user's names."""
    users = registry.by_endpoint("users")
    if users is not None and (name := names.get("userName")):
        yield keys.gone_key(f"={fold(name, users.core_attributes['username'])}")
    if external := names.get("externalId"):
        yield keys.gone_key(external)


async def forget_gone(partition: Partition) -> None:
    """Remove the rows about those who cannot be recognised any more. Raises TableUnavailable."""
    now = format_time(datetime.now(UTC))
    async for page in partition.pages(*keys.gone_range()):
        await remove_rows(partition, [row.key for row in page if str(row.values.get("until", "")) < now])
        if deadline.left() <= 0:
            return
