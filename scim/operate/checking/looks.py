"""A second look at what did not agree: the rows are read again, since others may have been writing. What is still
wrong is named, with the transaction that mends it if that can be proven."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from scim.errors import ScimError
from scim.operate.checking import rules
from scim.operate.checking.findings import Edge, Finding, Repair
from scim.operate.checking.survey import Survey
from scim.schema.registry import Registry, ResourceType
from scim.schema.validation import Document
from scim.store import keys, properties
from scim.store.table import MAX_WRITES, PARALLEL_READS, Row, Table, Write

_TRIES = 4
"""How often a resource is read until nobody changes it meanwhile; one that never rests is looked at next time."""

T = TypeVar("T")
U = TypeVar("U")


@dataclass(slots=True)
class _Plan:
    """What is wrong with a resource's index rows, and what mends it."""

    named: list[tuple[str, str, bool]] = field(default_factory=list)
    """Key, rule, and whether it is mended."""
    writes: list[Write] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """The index rows that the resource names from then on."""
    does: list[str] = field(default_factory=list)

    def say(self, key: str, rule: str, does: str = "") -> None:
        self.named.append((key, rule, bool(does)))
        if does:
            self.does.append(does)


class Looks:
    """Looks again at the suspects of a survey. Every method raises TableUnavailable."""

    def __init__(self, table: Table, tenant: str, registry: Registry, survey: Survey) -> None:
        self._table = table
        self._tenant = tenant
        self._registry = registry
        self._survey = survey
        self.strangers: dict[str, str] = {}
        """By key, the id of a member that looks like one of ours and is no resource."""

    async def findings(self) -> list[Finding]:
        """Return what is wrong with the suspects."""
        suspects = self._survey.suspects
        indexes = await _look_at_each(suspects.indexes, self._look_at_index)
        more = {id for id, _ in indexes if id is not None}
        found = [finding for _, finding in indexes if finding is not None]
        for listed in (
            await _look_at_each(suspects.resources | more, self.resource),
            await _look_at_each(suspects.lone, self._look_at_lone),
            await _look_at_each(suspects.groups, self._look_at_ghost),
            await _look_at_each(suspects.gates, self._look_at_gate),
        ):
            found += [finding for findings in listed for finding in findings]
        for strangers in await _look_at_each(suspects.members, self._look_at_stranger):
            self.strangers |= strangers
        return found

    # Index rows -------------------------------------------------------------------------------------------------------

    async def resource(self, id: str) -> list[Finding]:
        """Return what is wrong with a resource's document, its keys and its index rows."""
        for _ in range(_TRIES):
            row = await self._read(keys.resource_key(id))
            if row is None or (wanted := self._build_wanted(row)) is None:
                return []
            own_keys = rules.parse_keys(row)
            names = [*own_keys, *(key for key in wanted if key not in own_keys)]
            there = dict(zip(names, await _look_at_each(names, self._read), strict=True))
            again = await self._read(row.key)
            if again is not None and again.etag == row.etag:
                return await self._compare(row, id, wanted, set(own_keys), there)
        return []

    async def _compare(
        self, row: Row, id: str, wanted: dict[str, properties.Values], own_keys: set[str], there: dict[str, Row | None]
    ) -> list[Finding]:
        plan = _Plan()
        for key, found in there.items():
            named, asked = key in own_keys, key in wanted
            if asked and (found is None or found.values.get("id") != id):
                await self._note_missing(plan, row, key, found, named=named)
            elif asked:
                plan.keys.append(key)
                if not named:
                    plan.say(row.key, f"its keys lack {key}", f"{key} named")
            elif found is None:
                plan.say(row.key, f"its keys name {key}, which does not exist", f"{key} no longer named")
            elif found.values.get("id") != id:
                owner = found.values.get("id")
                plan.say(row.key, f"its keys name {key}, which belongs to {owner}", f"{key} no longer named")
            elif self._survey.indexes.covers(key):
                plan.say(key, f"points to {id}, whose document does not have the value", f"{key} removed")
                plan.writes.append(Write("delete", key, etag=found.etag))
            else:
                plan.keys.append(key)
        return list(_list_findings(row, plan))

    async def _note_missing(self, plan: _Plan, row: Row, key: str, found: Row | None, *, named: bool) -> None:
        """An index row that a document asks for is not there, or somebody else's."""
        id = str(row.values["id"])
        if found is None:
            if named or self._survey.indexes.covers(key):
                plan.say(key, f"is missing, but the document of {id} has the value", f"{key} added")
                plan.writes.append(Write("insert", key, {"id": id}))
                plan.keys.append(key)
            return
        owner = found.values.get("id")
        other = await self._read(keys.resource_key(owner)) if isinstance(owner, str) else None
        theirs = self._build_wanted(other) if other else {}
        if other is not None and (theirs is None or key in theirs):
            if named or self._survey.indexes.covers(key):
                plan.say(row.key, f"has the unique value of {key}, as {owner} has")
            if named:  # a deletion would take the other's row with it
                plan.say(row.key, f"its keys name {key}, which belongs to {owner}", f"{key} no longer named")
            return
        plan.say(key, f"points to {owner}, but {id} has the value", f"{key} now points to {id}")
        plan.writes.append(Write("replace", key, {"id": id}, found.etag))
        plan.keys.append(key)

    async def _look_at_index(self, key: str) -> tuple[str | None, Finding | None]:
        """Look at an index row that no resource was seen to ask for: return the resource to look at, or what is wrong
        with the row."""
        row = await self._read(key)
        if row is None:
            return None, None
        id = row.values.get("id")
        owner = await self._read(keys.resource_key(id)) if isinstance(id, str) else None
        removal = Repair("removed", [Write("delete", key, etag=row.etag)])
        if owner is None:
            return None, Finding(key, f"points to {id}, which does not exist", removal)
        wanted = self._build_wanted(owner)
        if wanted is None:
            return None, None
        if key in wanted or key in rules.parse_keys(owner):
            return str(id), None
        if self._survey.indexes.declared(key) is None:
            return None, Finding(key, f"is an index row of {id}, which does not name it, and of no index here")
        proof = Write("merge", owner.key, {"modified": rules.show_modified(owner)}, owner.etag)
        removal = Repair("removed", [*removal.writes, proof])
        return None, Finding(key, f"points to {id}, whose document does not have the value", removal)

    def _build_wanted(self, row: Row) -> dict[str, properties.Values] | None:
        """Return the index rows that a resource's document asks for; None if this version cannot tell."""
        id, resource_type, document = self._read_resource(row)
        if resource_type is None or document is None:
            return None
        try:
            return keys.build_index_rows(resource_type, id, document)
        except (AttributeError, TypeError, ScimError):
            return None

    def _read_resource(self, row: Row) -> tuple[str, ResourceType | None, Document | None]:
        id = row.values.get("id")
        if rules.is_newer(row) or not isinstance(id, str) or row.key != keys.resource_key(id):
            return "", None, None
        return id, self._registry.by_id(id), rules.read_document(row)[0]

    # Memberships ------------------------------------------------------------------------------------------------------

    async def _look_at_lone(self, edge: Edge) -> list[Finding]:
        """Return what is wrong with a membership of which one side was seen."""
        forward, backward = keys.member_key(*edge), keys.member_of_key(edge.member, edge.group)
        wanted = [forward, backward, keys.resource_key(edge.group), keys.resource_key(edge.member)]
        mine, theirs, group, member = await asyncio.gather(*map(self._read, wanted))
        there, missing = (mine, backward) if mine else (theirs, forward)
        if there is None or (mine and theirs):
            return []
        repair = None
        if group is None or (member is None and self._survey.is_ours(edge.member)):
            repair = Repair("removed", [Write("delete", there.key, etag=there.etag)])
        elif edge.group not in self._survey.changing and not rules.is_newer(group):
            values = {"group": edge.group, "member": edge.member}
            repair = Repair(f"{missing} added", [*_touch(group), Write("insert", missing, values)])
        return [Finding(there.key, f"has no twin {missing}", repair)]

    async def _look_at_ghost(self, group: str) -> list[Finding]:
        """Return what is wrong with a group that has memberships, and does not exist or cannot have members."""
        row = await self._read(keys.resource_key(group))
        if row is not None and self._survey.has_members(group):
            return []
        wrong = "which does not exist" if row is None else "which cannot have members"
        findings = []
        async for page in self._table.pages(self._tenant, *keys.members_range(group)):
            for edge in page:
                twin = await self._read(keys.member_of_key(str(edge.values.get("member")), group))
                both = [Write("delete", side.key, etag=side.etag) for side in (edge, twin) if side]
                repair = Repair("removed", both) if row is None else None
                findings.append(Finding(edge.key, f"is a membership of {group}, {wrong}", repair))
        return findings

    async def _look_at_stranger(self, member: str) -> dict[str, str]:
        """Return what there is to say of a member in the shape of our ids that was not seen."""
        if await self._read(keys.resource_key(member)) is not None:
            return {}
        found = {}
        async for page in self._table.pages(self._tenant, *keys.member_of_range(member)):
            for edge in page:
                group = str(edge.values.get("group"))
                if group not in self._survey.unfinished:
                    found[keys.member_key(group, member)] = member
        return found

    async def _look_at_gate(self, group: str) -> list[Finding]:
        """Return what is wrong with a group's gate, or with the change in its place."""
        names = [keys.resource_key(group), keys.gate_key(group), keys.change_key(group)]
        row, gate, change = await asyncio.gather(*map(self._read, names))
        if row is None or not self._survey.has_members(group):
            return [
                Finding(
                    stray.key,
                    f"belongs to {group}, which {'does not exist' if row is None else 'cannot have members'}",
                    Repair("removed", [Write("delete", stray.key, etag=stray.etag)]) if row is None else None,
                )
                for stray in (gate, change)
                if stray
            ]
        if rules.is_newer(row):
            return []
        if gate and change:
            removal = Repair("gate removed", [Write("delete", gate.key, etag=gate.etag)])
            return [Finding(gate.key, f"stands open while {change.key} is under way", removal)]
        if change:
            return []
        settled: properties.Values = {"modified": rules.show_modified(row)}
        unsettled = row.values.get("changing") is True
        if unsettled:
            settled["changing"] = False
        touch, opening = Write("merge", row.key, settled, row.etag), Write("insert", names[1])
        if gate is None and rules.is_guarded(row):
            return [
                Finding(row.key, "has neither a gate nor a change under way", Repair("gate added", [touch, opening]))
            ]
        if unsettled:
            proof = [touch] if gate is None else [touch, Write("merge", gate.key, etag=gate.etag)]
            return [Finding(row.key, "is being changed, but no row says by whom", Repair("settled as it is", proof))]
        return []

    async def _read(self, key: str) -> Row | None:
        return await self._table.read(self._tenant, key)


def _list_findings(row: Row, plan: _Plan) -> Iterator[Finding]:
    """Return the findings about a resource; one transaction mends all that can be mended."""
    keys = "\n".join(plan.keys)
    merge = Write("merge", row.key, {"keys": keys, "modified": rules.show_modified(row)}, row.etag)
    repair = Repair(", ".join(plan.does), [merge, *plan.writes]) if plan.does else None
    if repair is not None and len(repair.writes) > MAX_WRITES:
        repair = None
    for key, rule, mended in plan.named:
        yield Finding(key, rule, repair if mended else None)


def _touch(group: Row) -> list[Write]:
    """Return what a change of a group's members writes beside the edges: a new version, if its gate is open."""
    gate = keys.gate_key(group.values["id"])
    return [Write("merge", group.key, {"modified": ""}, group.etag), Write("merge", gate)]


async def _look_at_each(items: Iterable[T], look: Callable[[T], Awaitable[U]]) -> list[U]:
    """Look at all, a few at a time, in order."""
    listed = sorted(items) if isinstance(items, set) else list(items)
    found: list[U] = []
    for at in range(0, len(listed), PARALLEL_READS):
        found += await asyncio.gather(*map(look, listed[at : at + PARALLEL_READS]))
    return found
