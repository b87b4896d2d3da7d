"""One pass over a tenant's rows in key order: what is wrong with each alone, and which do not agree with others.

Documents are dropped as they go by. What stays in memory are keys that still wait for their counterpart: lookup rows
until their resource comes, unique values until their row comes, one side of each membership until the other comes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from scim.errors import ScimError
from scim.operate.checking import rules
from scim.operate.checking.feed import FeedSurvey
from scim.operate.checking.findings import Edge, Finding, Repair, Suspects
from scim.operate.checking.insight import find_insight_fault
from scim.operate.checking.policy import KINDS, PolicySurvey
from scim.schema.registry import Index, Registry, ResourceType
from scim.store import census, keys
from scim.store.positions import FRESH
from scim.store.table import Row, Write

LATE = timedelta(hours=1)
"""How long after its time housekeeping must have done with a row."""
_RECEIPT_KEPT = timedelta(minutes=10)
_RANDOM = re.compile("[a-z2-7]{24}")
"""What follows the prefix in every id that was ever ours."""


class Indexes:
    """The indexes that these schemas declare, and which of them cover the tenant."""

    def __init__(self, registry: Registry, counted: census.TenantCensus) -> None:
        self._counted = counted
        self._declared = {
            keys.index_name(one, index): (one, index)
            for one in registry.resource_types
            for index in one.indexes.values()
        }
        self._covers: dict[str, bool] = {}

    def declared(self, key: str) -> tuple[ResourceType, Index] | None:
        """Return the index of a row's key; None if these schemas do not have it."""
        return self._declared.get(keys.parse_index_name(key))

    def covers(self, key: str) -> bool:
        """Return whether every document must have its rows of the index that the key belongs to."""
        name = keys.parse_index_name(key)
        if name not in self._covers:
            found = self._declared.get(name)
            self._covers[name] = found is not None and self._must_cover(census.build_index_name(*found))
        return self._covers[name]

    def _must_cover(self, name: str) -> bool:
        always = name in census.ALWAYS and self._counted.find_last_without(name) is None
        return always or self._counted.covers(name)


class Survey:
    """Takes the rows one by one, in key order."""

    def __init__(self, registry: Registry, now: datetime) -> None:
        self._registry = registry
        self._now = now
        self.counted = census.TenantCensus()
        self.indexes = Indexes(registry, self.counted)
        self.rows = self.memberships = self.pending = 0
        self.ids: set[str] = set()
        self.unread: set[str] = set()
        """Resources that this version cannot judge: what belongs to them is left alone."""
        self.unfinished: set[str] = set()
        """Resources whose edges may stand alone: a pending row will remove them or complete them."""
        self.changing: set[str] = set()
        """Groups whose gate is away: a change is under way, or was cut short."""
        self.findings: list[Finding] = []
        self.suspects = Suspects()
        self.noted: Counter[str] = Counter()
        """What is no problem, with how many rows say so."""
        self.working: list[str] = []
        """Keys of rows that housekeeping has to do with."""
        self.overdue: list[str] = []
        self.chaff: list[Write] = []
        """What removes the rows that are too old."""
        self.feed = FeedSurvey(now - LATE)
        self.policy = PolicySurvey()
        self._lookups: dict[str, object] = {}
        """By key, the id that a lookup row holds; None for the id at the key's end, which is nearly every one."""
        self._names: dict[str, str] = {}
        """Each id once, however many rows name it."""
        self._expected: dict[str, str] = {}
        self._late: dict[str, str] = {}
        self._twins: set[Edge] = set()
        self._groups: set[str] = set()
        self._members: set[str] = set()
        self._gates: set[str] = set()
        self._old: list[Row] = []
        self._looks: dict[str, Callable[[Row], None]] = {
            keys.RESOURCES: self._take_resource,
            keys.UNIQUE: self._take_unique,
            keys.LOOKUP: self._take_lookup,
            keys.MEMBER: self._take_edge,
            keys.MEMBER_OF: self._take_twin,
            keys.PENDING: self._take_job,
            keys.BOOKMARK: self._take_bookmark,
            keys.CENSUS: self._take_census,
            keys.GATE: self._take_gate,
            keys.CHANGE: self._change,
            keys.RECEIPT: self._take_receipt,
            keys.FAILURE: self._take_insight,
            keys.COUNTERS: self._take_insight,
            **dict.fromkeys(("a", "e", "s", "v"), self.feed.take),
            "h": self._take_head,
            **dict.fromkeys(KINDS, self.policy.take),
        }

    def take(self, row: Row) -> None:
        """Look at a row alone, and remember what others must agree with. A row that makes the look fail is a line."""
        self.rows += 1
        kind, space, _ = row.key.partition(" ")
        look = self._looks.get(kind) if space else None
        try:
            if look is None:
                self._say(row.key, "is a row of no known kind")
            elif rules.is_newer(row) and kind != keys.RESOURCES:
                self._note_newer(row)
            else:
                look(row)
        except Exception as error:  # whatever it is: it must not hide what comes after
            text = error.detail if isinstance(error, ScimError) else str(error)
            self._say(row.key, f"cannot be looked at: {type(error).__name__}: {text[:200]}")
            if kind == keys.RESOURCES:
                self.unread.add(keys.parse_id(row.key))

    def _take_head(self, row: Row) -> None:
        self.feed.take(row)
        self.policy.take_head(row)

    def finish(self) -> None:
        """All rows were there: whatever still waits for its counterpart is suspect."""
        self.feed.finish()
        suspects = self.suspects
        suspects.indexes |= {key for key in self._lookups if self._read_held(key) not in self.unread}
        suspects.resources.update(self._expected.values())
        suspects.lone |= self._twins
        suspects.groups |= self._groups - self.ids - self.unfinished
        suspects.groups |= {id for id in (self._groups & self.ids) - self.unread if not self.has_members(id)}
        suspects.members |= {id for id in self._members - self.ids - self.unfinished if self.is_ours(id)}
        suspects.gates |= (self._gates | self.changing) - self.ids
        for key in self._late:
            self._note_uncovered(key)
        if self._old:
            text = "is an old bookmark that housekeeping should have removed"
            self._say(self._old[0].key, f"{text} ({len(self._old)} of them)" if len(self._old) > 1 else text)
            self.chaff += [Write("delete", row.key, etag=row.etag) for row in self._old]

    def has_members(self, id: str) -> bool:
        resource_type = self._registry.by_id(id)
        return resource_type is not None and resource_type.members is not None

    def is_ours(self, id: str) -> bool:
        return self._registry.by_id(id) is not None and _RANDOM.fullmatch(id.partition("-")[2]) is not None

    def _say(self, key: str, rule: str, repair: Repair | None = None) -> None:
        self.findings.append(Finding(key, rule, repair))

    def _note_newer(self, row: Row) -> None:
        self.noted[f"are of version {row.values['v']}, which is newer than this program, and were left alone"] += 1

    def _note_uncovered(self, key: str) -> None:
        declared = self.indexes.declared(key)
        path = declared[1].path if declared else keys.parse_index_name(key)
        self.noted[f"lack index rows of {path}, or have old ones: run reindex"] += 1

    def _take_insight(self, row: Row) -> None:
        """Who was refused, or what was counted: nothing depends on it, so that what cannot be read may go."""
        if fault := find_insight_fault(row):
            self._say(row.key, fault, Repair("removed", [Write("delete", row.key, etag=row.etag)]))

    # Resources --------------------------------------------------------------------------------------------------------

    def _take_resource(self, row: Row) -> None:
        id = row.values.get("id")
        if rules.is_newer(row):
            self._note_newer(row)
            self._leave(row, keys.parse_id(row.key))
            return
        for fault in rules.find_resource_faults(row):
            self._say(row.key, fault)
        if not isinstance(id, str):
            self._leave(row, keys.parse_id(row.key))
            return
        if row.key != keys.resource_key(id):
            self._say(row.key, f"holds id {id}, which belongs at {keys.resource_key(id)}")
            self._leave(row, keys.parse_id(row.key))
            return
        self.ids.add(id)
        resource_type = self._registry.by_id(id)
        document, fault = rules.read_document(row)
        if resource_type is None or document is None:
            if fault:
                self._say(row.key, fault)
            else:
                self.noted[f"have ids that begin with {id.partition('-')[0]}-, which is no resource type here"] += 1
            self._leave(row, id)
            return
        for attribute in filter(None, (resource_type.members, resource_type.member_of)):
            if attribute in document:
                self._say(row.key, f"its document holds {attribute}, which only edges hold")
        wanted = None
        faults = [rules.split_fault(row, document), rules.find_document_fault(document, resource_type)]
        try:
            wanted = keys.build_index_rows(resource_type, id, document)
        except ScimError as error:
            faults.append(error.detail)
        except (AttributeError, TypeError):
            faults[1] = faults[1] or "its document is not what its schemas allow"
        for fault in filter(None, faults):
            self._say(row.key, fault)
        if wanted is None:
            self._leave(row, id)
            return
        if rules.is_outgrown(document, resource_type):
            self.noted["are not what the schemas that were added make of a document now; the next change mends it"] += 1
        self._agree(id, set(wanted), set(rules.parse_keys(row)))
        self._look_at_gate(row, id, resource_type)

    def _leave(self, row: Row, id: str) -> None:
        """What belongs to a resource that cannot be judged is not judged either."""
        self.ids.add(id)
        self.unread.add(id)
        for key in rules.parse_keys(row):
            if self._read_held(key) == id:
                del self._lookups[key]
        self._gates.discard(id)

    def _agree(self, id: str, wanted: set[str], own_keys: set[str]) -> None:
        """Hold a resource's document and its keys against the lookup rows, which went by, and leave word for the unique
        ones, which come."""
        uncovered: set[str] = set()
        for key in wanted | own_keys:
            covers = self.indexes.covers(key)
            if key in own_keys:
                if key not in wanted and self.indexes.declared(key):
                    (self.suspects.resources if covers else uncovered).add(id if covers else key)
                self._expect(key, id)
            elif covers or key in self._lookups:
                self.suspects.resources.add(id)
                self._expect(key, id)
            elif keys.is_unique(key) and key not in self._late:
                self._late[key] = id
            else:
                uncovered.add(key)
        for key in {keys.parse_index_name(key): key for key in uncovered}.values():
            self._note_uncovered(key)

    def _expect(self, key: str, id: str) -> None:
        if not keys.is_unique(key):
            if self._read_held(key) != id:
                self.suspects.resources.add(id)
            self._lookups.pop(key, None)
        elif key in self._expected:
            self.suspects.resources |= {id, self._expected[key]}
        else:
            self._expected[key] = id

    def _look_at_gate(self, row: Row, id: str, resource_type: ResourceType) -> None:
        gate, change = id in self._gates, id in self.changing
        self._gates.discard(id)
        if resource_type.members is None:
            if gate or change:
                self.suspects.gates.add(id)
            return
        unsettled = row.values.get("changing") is True
        if (rules.is_guarded(row) and gate == change) or (gate and change) or (unsettled and not change):
            self.suspects.gates.add(id)

    # Index rows -------------------------------------------------------------------------------------------------------

    def _take_lookup(self, row: Row) -> None:
        id = row.values.get("id")
        self._lookups[row.key] = None if row.key.endswith(f" {id}") else id or ""

    def _read_held(self, key: str) -> object:
        """Return the id that a lookup row holds."""
        id = self._lookups.get(key, "")
        return key.rpartition(" ")[2] if id is None else id

    def _take_unique(self, row: Row) -> None:
        id = row.values.get("id")
        expected, late = self._expected.pop(row.key, None), self._late.get(row.key)
        if expected is not None:
            if expected != id:
                self.suspects.resources.add(expected)
        elif late is not None and late == id:
            del self._late[row.key]
            self.suspects.resources.add(late)
        elif id not in self.unread:
            self.suspects.indexes.add(row.key)

    # Memberships ------------------------------------------------------------------------------------------------------

    def _take_twin(self, row: Row) -> None:
        if edge := self._read_ends(row):
            self._twins.add(edge)

    def _take_edge(self, row: Row) -> None:
        edge = self._read_ends(row)
        if edge is None:
            return
        self.memberships += 1
        if edge in self._twins:
            self._twins.discard(edge)
        else:
            self.suspects.lone.add(edge)

    def _read_ends(self, row: Row) -> Edge | None:
        group, member = row.values.get("group"), row.values.get("member")
        if not isinstance(group, str) or not isinstance(member, str):
            self._say(row.key, "lacks group or member")
            return None
        forward = row.key.startswith(keys.MEMBER + " ")
        key = keys.member_key(group, member) if forward else keys.member_of_key(member, group)
        if row.key != key:
            self._say(row.key, f"holds group {group} and member {member}, which belong at {key}")
            return None
        for fault in rules.find_edge_faults(row):
            self._say(row.key, fault)
        group, member = (self._names.setdefault(id, id) for id in (group, member))
        self._groups.add(group)
        self._members.add(member)
        return Edge(group, member)

    def _take_gate(self, row: Row) -> None:
        self._gates.add(keys.parse_id(row.key))

    def _change(self, row: Row) -> None:
        self.pending += 1
        self.changing.add(keys.parse_id(row.key))
        self.working.append(row.key)
        beat = rules.parse_time(row.values.get("beat"))
        if fault := rules.change_fault(row):
            self._say(row.key, fault)
        elif beat and beat < self._now - LATE:
            self._say(row.key, f"is a change that was cut short, and nobody went on since {beat:%Y-%m-%d %H:%M}")
            self.overdue.append(row.key)

    # What housekeeping sees to ----------------------------------------------------------------------------------------

    def _take_job(self, row: Row) -> None:
        self.pending += 1
        self.working.append(row.key)
        id, fault = rules.find_pending_fault(row)
        due = rules.parse_pending_due(row.key)
        if fault or due is None:
            self._say(row.key, fault)
            return
        self.unfinished.add(id)
        if due < self._now - LATE:
            self._say(row.key, f"is pending and was due at {due:%Y-%m-%d %H:%M}")
            self.overdue.append(row.key)

    def _take_bookmark(self, row: Row) -> None:
        self.working.append(row.key)
        if fault := rules.find_bookmark_fault(row):
            self._say(row.key, fault, Repair("removed", [Write("delete", row.key, etag=row.etag)]))
        elif (at := rules.parse_time(row.values["at"])) and at < self._now - FRESH - LATE:
            self._old.append(row)

    def _take_receipt(self, row: Row) -> None:
        time = rules.parse_receipt_time(row.key)
        if time is None:
            self._say(
                row.key, "is a receipt without a time", Repair("removed", [Write("delete", row.key, etag=row.etag)])
            )
        elif time < self._now - _RECEIPT_KEPT - LATE:  # a few are left until housekeeping is told of the tenant
            self.noted["are old receipts, which housekeeping removes once there are more"] += 1
            self.chaff.append(Write("delete", row.key, etag=row.etag))

    def _take_census(self, row: Row) -> None:
        before = len(self.counted.unreadable)
        census.add_row(self.counted, row)
        if len(self.counted.unreadable) > before:
            self._say(row.key, "is a row of the census that cannot be read")
