"""Where policies are kept: one row for each tenant that has one, in the partition that is no tenant's.

So a process reads all of them in one trip, and keeps them: no request waits for a policy but the first of a process,
and the first after nobody asked for two minutes. What was changed counts within a minute.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from scim.behind import Background, start_apart
from scim.clock import format_time
from scim.store import properties, shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import Partition, Refused, Row, Table, TableUnavailable, Write
from scim.store.transactions import commit_surely

if TYPE_CHECKING:
    from scim.policy.document import Policy
    from scim.schema.registry import Registry

log = logging.getLogger("scim")

_FRESH = 60.0
"""Seconds for which what was read is good."""
_STALE = 120.0
"""Seconds after which a request waits until it is read anew."""


class Stale(Exception):
    """The policy is at another version by now."""


class Kept(NamedTuple):
    """A tenant's policy as it is kept. `version` is the row's ETag, "" of one that is not there."""

    data: dict[str, Any]
    version: str
    changed: str = ""
    """When, and by whom, it was set."""
    by: str = ""


NONE = Kept({}, "")


async def read_policy(table: Table, tenant: str) -> Kept:
    """Return a tenant's policy. Raises TableUnavailable."""
    row = await table.read(SHARED, shared_keys.policy_key(tenant))
    return NONE if row is None else _parse(row)


async def write_policy(table: Table, tenant: str, data: dict[str, Any], by: str, version: str | None = None) -> Kept:
    """Keep a policy in place of the one that is there; of that version alone, if one is given ("" for none). Raises
    Stale, TableUnavailable."""
    changed = format_time(datetime.now(UTC))
    values = {"v": properties.FORMAT, "tenant": tenant, "policy": json.dumps(data), "changed": changed, "by": by}
    key = shared_keys.policy_key(tenant)
    write = Write("upsert", key, values)
    if version is not None:
        write = Write("merge", key, values, version) if version else Write("insert", key, values)
    try:
        etags = await Partition(table, SHARED).commit([write])
    except Refused:
        raise Stale from None
    return Kept(data, etags[0], changed, by)


async def remove_policy(table: Table, tenant: str) -> None:
    """Forget a tenant's policy. Raises TableUnavailable."""
    try:
        await commit_surely(Partition(table, SHARED), [Write("delete", shared_keys.policy_key(tenant))])
    except Refused:
        return  # there is none


def _parse(row: Row) -> Kept:
    properties.check_format(row)
    values = row.values
    return Kept(json.loads(values["policy"]), row.etag, str(values.get("changed", "")), str(values.get("by", "")))


@dataclass(slots=True)
class _Read:
    """What was read of all tenants, and the policies that were made of it."""

    kept: dict[str, Kept]
    at: float


class Policies:
    """The policies of all tenants, as a process keeps them."""

    def __init__(self, table: Table, registry: Registry) -> None:
        self._table = table
        self._registry = registry
        self._read: _Read | None = None
        self._made: dict[tuple[str, str], Policy | None] = {}
        self._background = Background()

    async def find(self, tenant: str) -> Policy | None:
        """Return a tenant's policy; None if it has none. Raises TableUnavailable."""
        read, now = self._read, time.monotonic()
        if read is None or now - read.at > _STALE:
            read = await start_apart(self._load())  # it is for all tenants, and no request's own
        elif now - read.at > _FRESH:
            read.at = now  # one at a time
            self._background.start(self._refresh())
        kept = read.kept.get(tenant)
        return None if kept is None else self._make(tenant, kept)

    def _make(self, tenant: str, kept: Kept) -> Policy | None:
        if (tenant, kept.version) not in self._made:
            self._made[tenant, kept.version] = make_policy(kept, self._registry, tenant)
            if len(self._made) > 2000:
                self._made.pop(next(iter(self._made)))
        return self._made[tenant, kept.version]

    async def _load(self) -> _Read:
        kept: dict[str, Kept] = {}
        async for page in self._table.pages(SHARED, *shared_keys.policies_range()):
            for row in page:
                try:
                    kept[str(row.values["tenant"])] = _parse(row)
                except Exception:
                    log.exception("the policy %r cannot be read", row.key)
        self._read = _Read(kept, time.monotonic())
        return self._read

    async def _refresh(self) -> None:
        try:
            await self._load()
        except TableUnavailable as error:
            log.warning("policies are read anew later: %s", error)

    async def settle(self) -> None:
        """Wait for what is being read."""
        await self._background.settle()


def make_policy(kept: Kept, registry: Registry, tenant: str) -> Policy | None:
    """Return the policy that is kept; None, and a line in the log, if this version of the app cannot read it."""
    from scim.policy.document import PolicyError, parse_policy

    if not kept.version:
        return None
    try:
        return parse_policy(kept.data, registry)
    except PolicyError as error:
        log.error("the policy of %s is not followed: %s", tenant, error)
        return None
