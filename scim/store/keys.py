"""Row keys of a tenant's partition: with shared_keys.py, the one place that knows keys.

A prefix tells the kinds apart:

    r <id>                                       a resource: its document and write id
    x <type> <attribute> <value>                 a unique value: the id that has it
    l <type> <attribute> <value> <id>            a value to look up by
    m <group id> <member id>                     a membership, as the group sees it
    g <member id> <group id>                     the same membership, as the member sees it
    o <group id>                                 the gate: no change of several transactions is under way in the group
    c <group id>                                 in its place, what is left of such a change
    w <time> <random>                            the receipt of a change of members that was made unread
    p <time> <random>                            what is left of a deletion
    b <connection> <slot>                        where a page of a walk begins, and which page of which query it is
    e <time> <random>                            the outbox: what one transaction changed, until it is in the log
    h feed                                       the head of the log: its newest number, and of which epoch that is
    v <number>                                   an event of the log
    a <id> <number>, a =<name> <number>          what the log says about a resource
    d <name>, d  <id>                            who was deleted, by name; which groups they were in
    s <sink>                                     how far a webhook, or the doorbell, has come
    n <user>                                     which seats a user has or waits for (scim/policy)
    q <licence> <number>                         a place in the line for a seat
    eh <number>                                  a row of the outbox that is held back
    z <id>                                       what is held back of a resource
    d =<name>, d <externalId>                    who was deleted and may come back
    i <digest>, i done <index>                   the census: which indexes are kept by whom (census.py)
    f <type> <name or id>                        who was refused, and why (scim/insight)
    k m <minute> <connection> <process>          what a connection did in a minute, as one process counted it
    k h <hour> <connection>                      the same of all its minutes in an hour, of all processes

Those of the shared partition, which is no tenant's, are in shared_keys.py.

Parts are joined by a space, which an encoded value never contains and which sorts before all that it does, so key
ranges are value ranges: `sw` and sorting can use them.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator

from scim.errors import INVALID_VALUE, ScimError
from scim.schema.registry import Index, ResourceType
from scim.schema.validation import Document
from scim.schema.values import fold
from scim.store.properties import Values

RESOURCES, UNIQUE, LOOKUP, MEMBER, MEMBER_OF, PENDING, BOOKMARK = "r", "x", "l", "m", "g", "p", "b"
CENSUS = "i"
GATE, CHANGE, RECEIPT = "o", "c", "w"
FAILURE, COUNTERS = "f", "k"
OUTBOX, LOG, ABOUT, SINK = "e", "v", "a", "s"
FEED = "h feed"
"""The head of a tenant's log."""


_MAX_INDEXED = 45
"""Index rows of one resource: an update replaces them all in one transaction of 100 rows."""
_BOOKMARKS = 1000
"""Bookmarks of one connection, whatever it asks."""
_MAX_VALUE = 120
"""Characters of an encoded value in a key; what is longer is cut and told apart by a hash."""


def resource_key(id: str) -> str:
    """Return the key of the resource of that id. An id from a URL may be any text; only one of ours can be found."""
    return f"{RESOURCES} {encode(id)}"


def resource_range(resource_type: ResourceType, start: str | None = None, end: str | None = None) -> tuple[str, str]:
    """Return the key range of all resources of the type, or of those from the id `start` on and before the id `end`."""
    first, last = key_range(f"{RESOURCES} {encode(resource_type.id_prefix + '-')}")
    return (first if start is None else resource_key(start)), (last if end is None else resource_key(end))


def id_after(id: str) -> str:
    """Return what sorts right behind an id of ours, as the start of what follows it."""
    return id + "!"


def parse_id(key: str) -> str:
    """Return the id in a resource's key: ids of ours need no escaping."""
    return key.partition(" ")[2]


def unique_range(resource_type: ResourceType, index: Index) -> tuple[str, str]:
    """Return the key range of all values of a unique attribute, in their order."""
    return key_range(f"{UNIQUE} {resource_type.id_prefix} {index.key} ")


def range_until(prefix: str, until: str | None) -> tuple[str, str]:
    """Return the keys that start with `prefix`; only those before `until` behind it, if that is given."""
    start, end = key_range(prefix)
    return start, f"{prefix}{until}" if until else end


def unique_key(resource_type: ResourceType, index: Index, value: str) -> str:
    return f"{UNIQUE} {resource_type.id_prefix} {index.key} {encode(fold(value, index.attribute))}"


def lookup_range(resource_type: ResourceType, index: Index, value: str) -> tuple[str, str]:
    """Return the key range of the resources that have exactly this value."""
    return key_range(f"{_lookup(resource_type, index)} {encode(fold(value, index.attribute))} ")


def parse_looked_up(key: str) -> str:
    """Return the value in the key of a lookup row: right for ids of ours, which need no escaping."""
    return key.rsplit(" ", 2)[1]


def prefix_range(resource_type: ResourceType, index: Index, prefix: str) -> tuple[str, str]:
    """Return the key range of the resources with a value that starts so (and, for a very long prefix, some others)."""
    kind = f"{UNIQUE} {resource_type.id_prefix} {index.key}" if index.unique else _lookup(resource_type, index)
    return key_range(f"{kind} {_escape(fold(prefix, index.attribute))[:_MAX_VALUE]}")


def key_range(prefix: str) -> tuple[str, str]:
    """Return the keys that start with `prefix`, as [start, end). Keys are in the order of their UTF-16 units."""
    last = prefix[-1]
    if last == "\uffff":
        return prefix, key_range(prefix[:-1])[1]
    # Astral characters are surrogate pairs, which sort between U+D7FF and U+E000; half of one cannot be sent.
    following = {"\ud7ff": "\U00010000", "\U0010ffff": "\ue000"}.get(last) or chr(ord(last) + 1)
    return prefix, prefix[:-1] + following


def build_index_rows(resource_type: ResourceType, id: str, document: Document) -> dict[str, Values]:
    """Return the index rows that a document of that id has, by key. Raises 400 invalidValue if they are too many."""
    rows: dict[str, Values] = {}
    for index in resource_type.indexes.values():
        for value in find_indexed_values(document, index):
            key = unique_key(resource_type, index, value)
            if not index.unique:
                key = f"{_lookup(resource_type, index)} {encode(fold(value, index.attribute))} {id}"
            rows[key] = {"id": id}
    if len(rows) > _MAX_INDEXED:
        paths = ", ".join(index.path for index in resource_type.indexes.values())
        detail = f"{len(rows)} values of {paths}; at most {_MAX_INDEXED} are kept. Send fewer."
        raise ScimError(INVALID_VALUE, detail, rule="limit")
    return rows


def member_key(group: str, member: str) -> str:
    """Return the key of the group's side of a membership. `member` is the member's id as sent, which need not be one of
    ours."""
    return f"{MEMBER} {encode(group)} {encode(member)}"


def member_of_key(member: str, group: str) -> str:
    """Return the key of the member's side of the same membership."""
    return f"{MEMBER_OF} {encode(member)} {encode(group)}"


def members_range(first: str, last: str | None = None) -> tuple[str, str]:
    """Return the key range of the members of a group, or of all groups whose ids lie from `first` to `last`."""
    return f"{MEMBER} {encode(first)} ", key_range(f"{MEMBER} {encode(last or first)} ")[1]


def member_of_range(first: str, last: str | None = None) -> tuple[str, str]:
    """Return the key range of what a resource is a member of, or of all resources from `first` to `last`."""
    return f"{MEMBER_OF} {encode(first)} ", key_range(f"{MEMBER_OF} {encode(last or first)} ")[1]


def gate_key(group: str) -> str:
    """Return the key of the gate of a group: every change of members needs it, but for the steps of one of several
    transactions."""
    return f"{GATE} {encode(group)}"


def change_key(group: str) -> str:
    """Return the key of what is left of a change of several transactions, in place of the gate."""
    return f"{CHANGE} {encode(group)}"


def changes_range() -> tuple[str, str]:
    return key_range(f"{CHANGE} ")


def receipt_key(time: str) -> str:
    """Return a new receipt's key; `time` is a sortable time."""
    return f"{RECEIPT} {time} {secrets.token_hex(8)}"


def receipts_range(until: str | None) -> tuple[str, str]:
    """Return the key range of the receipts from before `until`, or of all."""
    return range_until(f"{RECEIPT} ", until)


def linked_range(other: str, start: str | None, end: str | None, *, of_group: bool) -> tuple[str, str]:
    """Return the key range of the edges of one resource as it sees them, from those to `start` on and before those to
    `end`: a group's members (`of_group`), or the groups of a member."""
    first, last = members_range(other) if of_group else member_of_range(other)
    return (first if start is None else first + encode(start)), (last if end is None else first + encode(end))


def parse_linked_id(key: str) -> str:
    """Return the id at the other end of an edge, from its key: right for ids of ours, which need no escaping."""
    return key.rpartition(" ")[2]


def pending_key(due: str) -> str:
    """Return the key of a new pending row; `due` is a sortable time."""
    return f"{PENDING} {due} {secrets.token_hex(8)}"


def pending_range(until: str | None) -> tuple[str, str]:
    """Return the key range of the pending rows that are due before `until`, or of all."""
    return range_until(f"{PENDING} ", until)


def bookmark_key(connection: str, query: str, start: int) -> str:
    """Return the key of the bookmark of a query's page. A connection has a fixed number of them, so others may need the
    same one."""
    digest = hashlib.sha256(f"{query} {start}".encode()).digest()
    return f"{BOOKMARK} {encode(connection)} {int.from_bytes(digest[:8]) % _BOOKMARKS}"


def bookmark_range() -> tuple[str, str]:
    return key_range(f"{BOOKMARK} ")


def census_key(kind: str, name: str = "") -> str:
    """Return the key of what processes with one set of indexes say (`kind` is the set's digest), or what was done about
    one index."""
    return f"{CENSUS} {kind} {encode(name)}" if name else f"{CENSUS} {kind}"


def census_range() -> tuple[str, str]:
    return key_range(f"{CENSUS} ")


def failure_key(kind: str, subject: str) -> str:
    """Return the key of who was refused: `kind` is a resource type's name, or what else failed; `subject` a folded name
    or an id."""
    return f"{FAILURE} {encode(kind)} {encode(subject)}"


def failure_range(kind: str | None = None, prefix: str = "") -> tuple[str, str]:
    """Return the key range of all failures, of those of a kind, or of those whose subject begins so."""
    if kind is None:
        return key_range(f"{FAILURE} ")
    return key_range(f"{FAILURE} {encode(kind)} {_escape(prefix)[:_MAX_VALUE]}")


def minute_key(minute: str, connection: str, process: str) -> str:
    """Return the key of what one process counted of a connection in a minute, such as 20261201T0430."""
    return f"{COUNTERS} m {minute} {connection} {process}"


def minute_range(until: str = "") -> tuple[str, str]:
    """Return the key range of all minutes, or of those before `until`."""
    return range_until(f"{COUNTERS} m ", until)


def hour_key(hour: str, connection: str) -> str:
    """Return the key of what was counted of a connection in an hour, such as 20261201T04."""
    return f"{COUNTERS} h {hour} {connection}"


def hour_range(since: str = "", until: str = "") -> tuple[str, str]:
    """Return the key range of all hours, of those from `since` on, or of those before `until`."""
    start, end = range_until(f"{COUNTERS} h ", until)
    return start + since, end


def counters_range(since_hour: str) -> tuple[str, str]:
    """Return the key range of the hours from that one on, and of all minutes, which sort behind them."""
    return hour_range(since_hour)[0], minute_range()[1]


def outbox_key(time: str) -> str:
    """Return a new key of the outbox; `time` is a sortable time, which tells no order."""
    return f"{OUTBOX} {time} {secrets.token_hex(8)}"


def outbox_range() -> tuple[str, str]:
    return key_range(f"{OUTBOX} ")


def log_key(number: int) -> str:
    """Return the key of the event of that number in a tenant's log."""
    return f"{LOG} {number:016}"


def log_range(after: int) -> tuple[str, str]:
    """Return the key range of the events behind the one of that number."""
    return log_key(after + 1), key_range(f"{LOG} ")[1]


def parse_number(key: str) -> int:
    """Return the number of an event, from its key or one that says what it is about."""
    return int(key.rpartition(" ")[2])


def about_key(subject: str, number: int) -> str:
    """Return the key of what says that an event is about a subject: a resource's id, or a `=` and a folded name."""
    return f"{ABOUT} {encode(subject)} {number:016}"


def about_range(subject: str) -> tuple[str, str]:
    return key_range(f"{ABOUT} {encode(subject)} ")


def sink_key(name: str) -> str:
    """Return the key of how far a sink has come with the tenant."""
    return f"{SINK} {encode(name)}"


def sinks_range() -> tuple[str, str]:
    return key_range(f"{SINK} ")


def seat_key(user: str) -> str:
    """Return the key of which seats a user has or waits for."""
    return f"n {encode(user)}"


def seats_range() -> tuple[str, str]:
    return key_range("n ")


def line_key(licence: str, number: int) -> str:
    """Return the key of a place in the line for a seat of a licence."""
    return f"q {encode(licence)} {number:016}"


def line_range(licence: str | None = None) -> tuple[str, str]:
    """Return the keys of the line for a licence, or of all lines."""
    return key_range("q " if licence is None else f"q {encode(licence)} ")


def held_key(number: int) -> str:
    """Return the key of a row of the outbox that is held back, by the order in which they were."""
    return f"eh {number:016}"


def parse_held(text: str) -> list[str]:
    """Return the keys in a list of those of rows that are held back, with spaces between."""
    return [held_key(int(number)) for number in text.split()[1::2]]


def held_range() -> tuple[str, str]:
    return key_range("eh ")


def waiting_range() -> tuple[str, str]:
    """Return the keys of the outbox, and of what is held back."""
    return outbox_range()[0], held_range()[1]


def withheld_key(id: str) -> str:
    """Return the key of what is held back of a resource, whose later changes wait behind it."""
    return f"z {encode(id)}"


def gone_key(name: str) -> str:
    """Return the key of who was deleted, by a name of theirs, for as long as they may come back."""
    return f"d {encode(name)}"


def departure_key(id: str) -> str:
    """Return the key of which groups a deleted resource was in. No name of theirs begins with a space in a key."""
    return f"d  {encode(id)}"


def gone_range() -> tuple[str, str]:
    return key_range("d ")


def index_name(resource_type: ResourceType, index: Index) -> str:
    """Return what the keys of an index's rows begin with, without the space behind it: kind, type and attribute."""
    return f"{UNIQUE if index.unique else LOOKUP} {resource_type.id_prefix} {index.key}"


def parse_index_name(key: str) -> str:
    """Return the name of the index that an index row belongs to, from its key."""
    return " ".join(key.split(" ", 3)[:3])


def is_membership(key: str) -> bool:
    """Return whether the row is a membership, seen from its group: each has one such row, and one seen from the
    member."""
    return key.startswith(f"{MEMBER} ")


def is_unique(key: str) -> bool:
    return key.startswith(UNIQUE + " ")


def _lookup(resource_type: ResourceType, index: Index) -> str:
    return f"{LOOKUP} {resource_type.id_prefix} {index.key}"


def find_indexed_values(document: Document, index: Index) -> Iterator[str]:
    """Return the values of an indexed attribute in a document."""
    container = document if index.target.urn is None else document.get(index.target.urn, {})
    value = container.get(index.target.name)
    for element in value if isinstance(value, list) else [value]:
        if index.target.sub is not None:
            element = element.get(index.target.sub.name) if element else None
        if isinstance(element, str):
            yield element


def _build_escapes() -> dict[int, str]:
    """Return what a key may not hold (control characters, / \\ # ?), the percent sign, which services have decoded
    twice in a URL, our separator and the escape characters themselves, each by a sequence that sorts where the
    character does."""
    escapes = {code: f"!{code:02X}" for code in range(0x22)}
    for before, forbidden in ('"#', "$%", "./", ">?", "[\\"):
        escapes[ord(before)] = before + "0"
        escapes[ord(forbidden)] = before + "1"
    escapes[ord("~")] = "~00"
    escapes |= {code: f"~{code:02X}" for code in range(0x7F, 0xA0)}
    return escapes


_ESCAPES = _build_escapes()


_TO_ESCAPE = re.compile("[" + "".join(re.escape(chr(code)) for code in _ESCAPES) + "]")


def _escape(text: str) -> str:
    if text.isascii():
        return text.translate(_ESCAPES)
    return _TO_ESCAPE.sub(lambda found: _ESCAPES[ord(found[0])], text)  # quicker, if few of many are to be escaped


def encode(text: str) -> str:
    """Return `text` as part of a key: in the order of the texts, cut and hashed when long."""
    escaped = _escape(text)
    if len(escaped) <= _MAX_VALUE:
        return escaped
    digest = hashlib.sha256(escaped.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{escaped[:_MAX_VALUE]}!~{digest}"
