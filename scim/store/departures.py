"""Which groups a deleted resource was in, so that it can come back into them.

The transactions that take it out of its groups note these in the pending row of its deletion, which they write anyway.
When housekeeping removes that row, they go into a row of their own (`d  <id>`), for as long as the change feed keeps
the last document as a rule. Of a resource that was in thousands of groups, the first are noted.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from scim.clock import format_time
from scim.store import keys, properties
from scim.store.properties import Values
from scim.store.table import Partition, Row, Write
from scim.store.transactions import commit_surely

MOST_NOTES = 100
"""Transactions of one deletion that note groups: a row has 252 properties."""
_KEPT_FOR = timedelta(days=30)
_NAME = "groups_"
_IN_ONE = 100
"""Groups in one property of up to 32,000 characters."""


def note_groups(groups: Iterable[str]) -> Values:
    """Return what a pending row gets, beside what it says."""
    ids = " ".join(map(keys.encode, groups))
    return {f"{_NAME}{secrets.token_hex(4)}": ids} if ids else {}


def parse_groups(row: Row) -> list[str]:
    """Return the groups that a row notes; ids of ours need no escaping."""
    noted = [str(value).split() for name, value in sorted(row.values.items()) if name.startswith(_NAME)]
    return list(dict.fromkeys(id for ids in noted for id in ids))


async def find_groups(partition: Partition, id: str) -> list[str]:
    """Return the groups that a deleted resource was in; none if that is not known. Raises TableUnavailable."""
    found = await partition.read(keys.departure_key(id))
    if found is None or not found.values.get("restoring"):
        async for page in partition.pages(*keys.pending_range(None)):
            for row in page:
                if _is_deletion(row, id):
                    found = row
    return parse_groups(found) if found is not None else []


async def keep_groups(partition: Partition, id: str, groups: Sequence[str], *, restoring: bool = False) -> None:
    """Keep the groups that a deleted resource was in, if any; `restoring` if it is coming back into them. Raises
    TableUnavailable."""
    if groups:
        until = format_time(datetime.now(UTC) + _KEPT_FOR)
        values = {"id": id, "until": until, "restoring": restoring}
        for at in range(0, len(groups), _IN_ONE):
            values |= {f"{_NAME}{at}": " ".join(groups[at : at + _IN_ONE])}
        await commit_surely(partition, [Write("upsert", keys.departure_key(id), values)])


def _is_deletion(row: Row, id: str) -> bool:
    content = properties.join_document(row.values)
    return content.get("kind") == "detach" and content.get("id") == id and not content.get("creation")
