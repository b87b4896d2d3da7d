"""`python -m dev.check <tenant>`: reads all of a tenant's rows and names every broken invariant, one line each.

The table is the one that SCIM_TABLE_ENDPOINT (opened as whoever is signed in) or SCIM_TABLE_CONNECTION_STRING, and
SCIM_TABLE_NAME, name, in the environment or else among the Values of local.settings.json. Nothing is written. A tenant
that is being written to meanwhile may show what is none, since a read of many pages is no snapshot: run it again.

Exit code 0 where every invariant holds, 1 where one does not, 2 and one line where the table cannot be read.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scim.app import Application
from scim.schema.loading import SchemaError, load
from scim.schema.registry import Registry
from scim.settings import Settings, SettingsError
from scim.store import rows
from scim.store.gateway import Gateway, Unavailable
from scim.store.pending import TENANTS
from scim.store.row import Row

_SETTINGS = Path("local.settings.json")
_EVERYTHING = ("", "\uffff")
_RANDOM = re.compile("[a-z2-7]{24}")
"""What follows the prefix in every id that was ever ours."""
_PENDING_KEY = re.compile(r"p \d{8}T\d{6}\S* \S+")
_STRINGS = ("id", "created", "modified", "write")
"""What a resource's row holds beside its document."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a tenant's rows say."""

    rows: int = 0
    resources: int = 0
    memberships: int = 0
    pending: int = 0
    """Operations of several transactions that are under way, or were cut short: none after housekeeping."""
    problems: list[str] = field(default_factory=list)
    """A line for each broken invariant: the row's key and the rule."""
    strangers: dict[str, str] = field(default_factory=dict)
    """By key, the id of a member that looks like one of ours and is no resource. A client may send an id that never
    existed, and it is kept as sent; but the memberships of a deleted resource must be gone."""


async def problems(gateway: Gateway, tenant: str, registry: Registry, *, invented: Collection[str] = ()) -> list[str]:
    """The broken invariants of a tenant, a line each. `invented` are ids in the shape of ours that were never
    resources and may be members."""
    report = await examine(gateway, tenant, registry)
    strangers = [_stranger(key, id) for key, id in report.strangers.items() if id not in invented]
    return sorted([*report.problems, *strangers])


async def examine(gateway: Gateway, tenant: str, registry: Registry) -> Report:
    """Read every row of a tenant. Raises Unavailable."""
    examination = _Examination(registry)
    async for page in gateway.pages(tenant, *_EVERYTHING):
        for row in page:
            examination.take(row)
    known = await gateway.read(TENANTS, rows.tenant_key(tenant)) is not None
    return examination.report(announced=known)


class _Examination:
    """Takes the rows one by one and compares them when all are there."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._rows = 0
        self._problems: list[str] = []
        self._ids: set[str] = set()
        self._expected: dict[str, str] = {}
        """The index rows that documents ask for, by key, with the id each must hold."""
        self._indexed: dict[str, object] = {}
        self._edges: dict[tuple[str, str], str] = {}
        """By (group, member), the key of the group's side."""
        self._twins: dict[tuple[str, str], str] = {}
        """The same of the member's side."""
        self._pending: list[str] = []
        self._unfinished: set[str] = set()
        """Resources whose edges may stand alone: a pending row will remove them or complete them."""

    def take(self, row: Row) -> None:
        """Look at a row alone, and remember what others must agree with."""
        self._rows += 1
        kind, space, _ = row.key.partition(" ")
        look = {
            rows.RESOURCES: self._resource,
            rows.UNIQUE: self._index,
            rows.LOOKUP: self._index,
            rows.MEMBER: self._edge,
            rows.MEMBER_OF: self._edge,
            rows.PENDING: self._job,
            rows.BOOKMARK: self._bookmark,
            rows.GATE: self._skip,
            rows.RECEIPT: self._skip,
            rows.CHANGE: self._change,
        }.get(kind)
        if look is None or not space:
            self._say(row.key, "is a row of no known kind")
        else:
            look(row)

    def report(self, *, announced: bool) -> Report:
        """What is wrong between the rows. `announced`: whether housekeeping knows of the tenant."""
        self._compare_indexes()
        strangers = dict(self._compare_edges())
        if self._pending and not announced:
            self._say(self._pending[0], "is pending in a tenant that housekeeping does not know of")
        edges = len(self._edges)
        return Report(self._rows, len(self._ids), edges, len(self._pending), sorted(self._problems), strangers)

    def _say(self, key: str, rule: str) -> None:
        self._problems.append(f"{key}: {rule}")

    def _resource(self, row: Row) -> None:
        id = row.values.get("id")
        missing = [name for name in _STRINGS if not isinstance(row.values.get(name), str)]
        if missing:
            self._say(row.key, f"lacks {', '.join(missing)}")
        if not isinstance(id, str):
            return
        self._ids.add(id)
        if row.key != rows.resource_key(id):
            self._say(row.key, f"holds id {id}, which belongs at {rows.resource_key(id)}")
        resource_type = self._registry.by_id(id)
        if resource_type is None:
            self._say(row.key, f"id {id} is of no resource type")
            return
        document = self._document(row)
        if document is None:
            return
        for attribute in filter(None, (resource_type.members, resource_type.member_of)):
            if attribute in document:
                self._say(row.key, f"its document holds {attribute}, which only edges hold")
        for key, values in rows.index_rows(resource_type, id, document).items():
            if rows.is_unique(key) and self._expected.get(key, id) != id:
                self._say(row.key, f"has the unique value of {key}, as {self._expected[key]} has")
            self._expected[key] = values["id"]

    def _document(self, row: Row) -> dict[str, Any] | None:
        """The document of a resource's row, unless it is none or not split as it should be."""
        parts = {name: value for name, value in row.values.items() if name.startswith("doc")}
        try:
            document = rows.document_of(row.values)
        except ValueError:
            self._say(row.key, "its document is not whole")
            return None
        if not isinstance(document, dict):
            self._say(row.key, "its document is not an object")
            return None
        if rows.document_values(document) != parts:
            self._say(row.key, "its document is not split as it should be")
        return document

    def _index(self, row: Row) -> None:
        self._indexed[row.key] = row.values.get("id")

    def _compare_indexes(self) -> None:
        for key, id in self._indexed.items():
            if key in self._expected:
                if self._expected[key] != id:
                    self._say(key, f"points to {id}, but {self._expected[key]} has the value")
            elif id in self._ids:
                self._say(key, f"points to {id}, whose document does not have the value")
            else:
                self._say(key, f"points to {id}, which does not exist")
        for key in self._expected.keys() - self._indexed.keys():
            self._say(key, f"is missing, but the document of {self._expected[key]} has the value")

    def _edge(self, row: Row) -> None:
        group, member = row.values.get("group"), row.values.get("member")
        if not isinstance(group, str) or not isinstance(member, str):
            self._say(row.key, "lacks group or member")
            return
        forward = row.key.startswith(rows.MEMBER + " ")
        key = rows.member_key(group, member) if forward else rows.member_of_key(member, group)
        if row.key != key:
            self._say(row.key, f"holds group {group} and member {member}, which belong at {key}")
        (self._edges if forward else self._twins)[group, member] = row.key

    def _compare_edges(self) -> Iterator[tuple[str, str]]:
        """Names what is wrong; gives key and id of each member that looks like a resource and is none."""
        for pair, key in self._edges.items():
            if pair not in self._twins:
                self._say(key, f"has no twin {rows.member_of_key(pair[1], pair[0])}")
        for pair, key in self._twins.items():
            if pair not in self._edges:
                self._say(key, f"has no twin {rows.member_key(*pair)}")
        for (group, member), key in (self._twins | self._edges).items():
            if group in self._unfinished or member in self._unfinished:
                continue
            if group not in self._ids:
                self._say(key, f"is a membership of {group}, which does not exist")
            elif not self._has_members(group):
                self._say(key, f"is a membership of {group}, which cannot have members")
            if member not in self._ids and self._is_ours(member):
                yield key, member

    def _has_members(self, id: str) -> bool:
        resource_type = self._registry.by_id(id)
        return resource_type is not None and resource_type.members is not None

    def _is_ours(self, id: str) -> bool:
        return self._registry.by_id(id) is not None and _RANDOM.fullmatch(id.partition("-")[2]) is not None

    def _bookmark(self, row: Row) -> None:
        """A hint: that it is old, or that what it points at is gone, costs reads and breaks nothing."""
        if not all(isinstance(row.values.get(name), str) for name in ("type", "next", "at")):
            self._say(row.key, "is a bookmark without a place")

    def _skip(self, row: Row) -> None:
        """A row that nothing depends on."""

    def _change(self, row: Row) -> None:
        self._pending.append(row.key)

    def _job(self, row: Row) -> None:
        self._pending.append(row.key)
        try:
            content = rows.document_of(row.values)
            kind, id = content["kind"], content["group" if content["kind"] == "change" else "id"]
        except (ValueError, KeyError, TypeError):
            kind, id = None, None
        if not _PENDING_KEY.fullmatch(row.key) or kind not in ("change", "detach") or not isinstance(id, str):
            self._say(row.key, "is a pending row that housekeeping cannot read")
        elif kind == "detach":
            self._unfinished.add(id)


def _stranger(key: str, id: str) -> str:
    return f"{key}: its member {id} looks like a resource and is none"


def main(arguments: list[str]) -> int:
    """Check the tenant that the command line names; the exit code."""
    if len(arguments) != 1:
        print("usage: python -m dev.check <tenant>", file=sys.stderr)
        return 2
    try:
        values = _values()
        if os.environ.get("SCIM_TABLE_ENDPOINT"):  # a deployment's table, not this machine's
            values.pop("SCIM_TABLE_CONNECTION_STRING", None)
        settings = Settings.from_environment({**values, **os.environ})
        report = asyncio.run(_examined(settings, arguments[0]))
    except (SettingsError, SchemaError) as error:
        print(error, file=sys.stderr)
        return 2
    except Unavailable as error:
        print(f"The table does not answer; SCIM_TABLE_CONNECTION_STRING says where it is: {error}", file=sys.stderr)
        return 2
    if not report.rows:
        print(f"There is no row of a tenant {arguments[0]}: is that its name?", file=sys.stderr)
        return 2
    for line in report.problems:
        print(line)
    for key, id in report.strangers.items():
        print(f"{_stranger(key, id)} (deleted resources must leave no membership; an id that never existed may stay)")
    print(
        f"{report.rows} rows, {report.resources} resources, {report.memberships} memberships, {report.pending} pending:"
        f" {len(report.problems)} problems, {len(report.strangers)} unknown members"
    )
    return 1 if report.problems else 0


async def _examined(settings: Settings, tenant: str) -> Report:
    application = Application(settings)
    try:
        return await examine(application.gateway, tenant, load(Path(settings.schemas_folder)))
    finally:
        await application.close()


def _values() -> dict[str, str]:
    """The Values of local.settings.json, none where there is no such file. Raises SettingsError."""
    try:
        values = json.loads(_SETTINGS.read_text(encoding="utf-8-sig"))["Values"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingsError(f"{_SETTINGS} cannot be read: it must be a JSON object with Values.") from None
    return {name: value for name, value in values.items() if isinstance(value, str)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
