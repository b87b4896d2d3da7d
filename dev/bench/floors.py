"""The floors of a request: what a straightforward server would call of storage for it, and nothing else.

The calls are written once, on a `Table`, and run on two: azure-data-tables' async TableClient as its documentation uses
it, and the same requests hand-encoded on the wire (wire.py). Neither parses SCIM, validates, checks a credential or
builds a response, so an app that is no slower than the first costs less than what it saves.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from azure.core import MatchConditions
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

Entity = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One row's part in a transaction: put in a new one, merge into one that is there or not, replace that version."""

    kind: Literal["insert", "upsert", "merge", "replace"]
    entity: Entity
    etag: str = ""


class Table(Protocol):
    """The calls that the operations below need."""

    async def get(self, partition: str, row: str) -> tuple[Entity, str]:
        """Return the row and its etag."""

    async def query(self, partition: str, start: str, end: str, most: int) -> list[Entity]:
        """Return the first page of the rows with start <= RowKey < end."""

    async def write(self, changes: Sequence[Change]) -> None:
        """One change, or several as a transaction."""

    async def close(self) -> None:
        """Give back the connections."""


class SdkTable:
    """azure-data-tables, with its defaults."""

    def __init__(self, connection_string: str, table: str) -> None:
        self._client = TableClient.from_connection_string(connection_string, table)

    async def get(self, partition: str, row: str) -> tuple[Entity, str]:
        entity = await self._client.get_entity(partition, row)
        return dict(entity), str(entity.metadata["etag"])

    async def query(self, partition: str, start: str, end: str, most: int) -> list[Entity]:
        pages = self._client.query_entities(
            "PartitionKey eq @partition and RowKey ge @start and RowKey lt @end",
            parameters={"partition": partition, "start": start, "end": end},
            results_per_page=most,
        ).by_page()
        return [dict(entity) async for entity in await anext(pages)]

    async def write(self, changes: Sequence[Change]) -> None:
        if len(changes) > 1:
            await self._client.submit_transaction([_operation(change) for change in changes])
            return
        kind, entity, options = _operation(changes[0])
        await getattr(self._client, f"{kind}_entity")(entity, **options)

    async def close(self) -> None:
        await self._client.close()


def _operation(change: Change) -> tuple[str, Entity, dict[str, Any]]:
    match change.kind:
        case "insert":
            return "create", change.entity, {}
        case "upsert":
            return "upsert", change.entity, {"mode": UpdateMode.MERGE}
        case "merge":
            return "update", change.entity, {"mode": UpdateMode.MERGE}
        case "replace":
            options = {
                "mode": UpdateMode.REPLACE,
                "etag": change.etag,
                "match_condition": MatchConditions.IfNotModified,
            }
            return "update", change.entity, options


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the tenant's rows in a partition of its own, and what the operations need to know of it."""

    partition: str
    users: list[str]
    group: str
    names: list[str]
    middle: str
    """The key of the bookmark that the middle page begins with."""
    template: list[Entity] = field(default_factory=list)
    """The rows of the first user, from which those of new ones are made."""


class Floor:
    """The operations on one table."""

    def __init__(self, table: Table, copy: Copy) -> None:
        self._table = table
        self._copy = copy

    async def post(self, number: int) -> None:
        """A new user: its row, its index rows, a receipt and a row of the outbox, at once."""
        rows = self._new(number)
        document = next(str(row["doc0"]) for row in rows if "doc0" in row)
        await self._table.write([Change("insert", row) for row in [*rows, self._told(document)]])

    async def get(self, number: int) -> None:
        """A user and the groups that it is in."""
        await self._user(self._copy.users[number % len(self._copy.users)])

    async def find(self, number: int) -> None:
        """A user by its name: the index row, then the user and its groups."""
        index, _ = await self._table.get(self._copy.partition, self._copy.names[number % len(self._copy.names)])
        await self._user(str(index["id"]))

    async def patch(self, number: int) -> None:
        """One attribute of a user: read, replace under the version that was read, and a row of the outbox."""
        row, etag = await self._user(self._copy.users[number % len(self._copy.users)])
        row["doc0"] = str(row["doc0"]).replace("Manager", f"Manager {number}", 1)
        await self._table.write([Change("replace", row, etag), Change("insert", self._told(row["doc0"]))])

    async def page(self, number: int) -> None:
        """A page of 100 in the middle: the bookmark, the users, then their groups and the next page's bookmark."""
        bookmark, _ = await self._table.get(self._copy.partition, self._copy.middle)
        users = await self._table.query(self._copy.partition, f"r {bookmark['next']}", "r u.", 101)
        following = {**bookmark, "RowKey": f"{self._copy.middle} next", "next": str(users[-1]["id"])}
        first, last = f"g {users[0]['id']} ", f"g {users[99]['id']}!"
        await asyncio.gather(
            self._table.query(self._copy.partition, first, last, 1000),
            self._table.write([Change("upsert", following)]),
        )

    async def member(self, number: int) -> None:
        """One more member: both edges, a new version of the group, its gate, a receipt and a row of the outbox."""
        group, member = self._copy.group, f"u-{number:024}"
        edge = {"PartitionKey": self._copy.partition, "group": group, "member": member}
        own = {"PartitionKey": self._copy.partition}
        await self._table.write(
            [
                Change("merge", {**own, "RowKey": f"r {group}", "modified": ""}),
                Change("merge", {**own, "RowKey": f"o {group}"}),
                Change("insert", {**own, "RowKey": f"w 20260101T0000 {number:016x}"}),
                Change("insert", self._told(member)),
                Change("upsert", {**edge, "RowKey": f"m {group} {member}"}),
                Change("upsert", {**edge, "RowKey": f"g {member} {group}"}),
            ]
        )

    def _told(self, content: str) -> Entity:
        """Return a row as large as the one that tells the change feed, under a key that the feed's sequencer does not
        read."""
        key = f"w 20260101T0000 e{secrets.token_hex(12)}"
        return {"PartitionKey": self._copy.partition, "RowKey": key, "by": "{}", "marks": "c", "doc0": content}

    async def scan(self, number: int) -> None:
        """All users, a page of 1,000 behind another, as a search reads them for what no index has."""
        start, page = "r u-", 1000
        while page == 1000:
            found = await self._table.query(self._copy.partition, start, "r u.", page)
            page = len(found)
            start = f"{found[-1]['RowKey']}!"

    async def _user(self, id: str) -> tuple[Entity, str]:
        found, _ = await asyncio.gather(
            self._table.get(self._copy.partition, f"r {id}"),
            self._table.query(self._copy.partition, f"g {id} ", f"g {id}!", 1000),
        )
        return found

    def _new(self, number: int) -> list[Entity]:
        """Return the first user's rows with another id and other values."""
        old, new = self._copy.users[0], f"u-{number:024}"
        rows = []
        for row in self._copy.template:
            key = str(row["RowKey"])
            key = key.replace(old, new) if old in key else f"{key}{number}"
            rows.append({**row, "PartitionKey": self._copy.partition, "RowKey": key, "id": new})
        return [*rows, {"PartitionKey": self._copy.partition, "RowKey": f"w 20260101T0000 new {number:012x}"}]
