"""A resource as rows: what its row holds, which writes make or replace it, and the resource that a row holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from scim.errors import ScimError
from scim.schema.registry import ResourceType
from scim.schema.validation import Document
from scim.store import keys, properties
from scim.store.table import Row, Write


class Stored(NamedTuple):
    """A resource as it is kept."""

    id: str
    document: Document
    """Its attributes, without id and meta."""
    version: str
    """The row's ETag, which is weak. Of what was just written it is a past one if others have written since
    (transactions.py): it names this state, not theirs."""
    created: str
    modified: str
    """What meta.lastModified shows."""
    changing: bool = False
    """Whether a change of its members in several transactions is under way, or was cut short."""
    keys: tuple[str, ...] = ()
    """The keys of its index rows: schemas may have changed since it was written, so they are known from the row and not
    from the document."""
    write: str = ""
    """The ids of its last writes."""
    unknown: Mapping[str, Any] = MappingProxyType({})
    """The properties of the row that this version does not know."""
    size: int = 0
    """About how many bytes it takes in a response; 0 unless it was read."""
    revision: int = 0
    """How often its document was written; 0 if that is not known."""


class Creation(NamedTuple):
    """A resource to be made, with the id that it gets."""

    id: str
    resource_type: ResourceType
    document: Document


_KNOWN = {"id", "created", "modified", "write", "touched", "keys", "changing", "v", "n"}
"""The properties of a resource's row beside those of its document."""
_DOCUMENT = re.compile(r"doc\d+")


def _build_values(
    id: str, document: Document, created: str, modified: str, write: str, index_rows: Iterable[str], revision: int
) -> properties.Values:
    values = {"v": properties.FORMAT, "id": id, "created": created, "modified": modified, "write": write, "n": revision}
    return {**values, "keys": "\n".join(index_rows), **properties.split_document(document)}


def build_replacement(
    resource_type: ResourceType,
    old: Stored,
    document: Document,
    index_rows: Mapping[str, properties.Values],
    write_id: str,
) -> tuple[list[Write], list[list[Write]], tuple[str, ...]]:
    """Return the writes that make `old` into `document`, the deletions of index rows beside them, and the keys of the
    index rows that the resource has then. What this version or these schemas do not know stays: a newer version, or one
    with other schemas, may run beside this one."""
    known = {keys.index_name(resource_type, index) for index in resource_type.indexes.values()}
    strange = [key for key in old.keys if keys.parse_index_name(key) not in known]
    own_keys = (*index_rows, *strange)
    own = _build_values(
        old.id, document, old.created, "", properties.add_write_id(write_id, old.write), own_keys, old.revision + 1
    )
    values = {**old.unknown, **own, **({"changing": True} if old.changing else {})}
    writes = [Write("replace", keys.resource_key(old.id), values, old.version)]
    writes += _build_index_writes({new: row for new, row in index_rows.items() if new not in old.keys})
    return writes, [[Write("delete", key)] for key in old.keys if key not in own_keys], own_keys


def find_late_rows(resource_type: ResourceType, old: Stored, index_rows: Iterable[str]) -> set[str]:
    """Return the rows of unique values that were kept before their schema was there, and that this change does not
    touch. They are made up for unless somebody else has the value too: a user must still be disabled."""
    new = [key for key in index_rows if keys.is_unique(key) and key not in old.keys]
    untouched = keys.build_index_rows(resource_type, old.id, old.document) if new else {}
    return {key for key in new if key in untouched}


def find_doubtful_keys(resource_type: ResourceType, old: Stored) -> tuple[list[str], list[str], list[str]]:
    """Return the keys that a resource names as its index rows' and that its document does not ask for, in three: of
    unique values by an index of these schemas, of those by none, and what cannot be an index row of this resource."""
    known = {keys.index_name(resource_type, index) for index in resource_type.indexes.values()}
    try:
        asked = keys.build_index_rows(resource_type, old.id, old.document)
    except ScimError:  # more than these schemas allow
        asked = {}
    ours: list[str] = []
    strange: list[str] = []
    foreign: list[str] = []
    for key in old.keys:
        if key in asked or (key.startswith(keys.LOOKUP + " ") and keys.parse_linked_id(key) == old.id):
            continue
        if not keys.is_unique(key):
            foreign.append(key)
        elif keys.parse_index_name(key) in known:
            ours.append(key)
        else:
            strange.append(key)
    return ours, strange, foreign


def measure_write(write: Write) -> int:
    """Return how many bytes a write takes in a transaction, or a little more: its headers, its key twice (escaped in a
    URL) and JSON in ASCII, in which a character outside it takes six or twelve."""

    def text(value: str) -> int:
        return len(value) + value.count('"') + value.count("\\") if value.isascii() else 12 * len(value)

    texts = [name + value for name, value in write.values.items() if isinstance(value, str)]
    return 1000 + 24 * len(write.key) + 20 * len(write.values) + sum(map(text, texts))


def build_creation(creation: Creation, created: str, modified: str, write_id: str) -> list[Write]:
    """Return the writes that make a resource: its row first, then its index rows, and the gate of a group."""
    index_rows = keys.build_index_rows(creation.resource_type, creation.id, creation.document)
    values = _build_values(creation.id, creation.document, created, modified, write_id, index_rows, 1)
    # A lookup row's key holds the new id, so an insert cannot clash, and the table has less to do than for an upsert.
    writes = [
        Write("insert", keys.resource_key(creation.id), values),
        *(Write("insert", key, content) for key, content in index_rows.items()),
    ]
    if creation.resource_type.members is not None:
        writes.append(Write("insert", keys.gate_key(creation.id)))
    return writes


def build_created(
    creation: Creation, version: str, created: str, modified: str, write_id: str, writes: Sequence[Write]
) -> Stored:
    """Return the resource that these writes made, with the version that they gave it."""
    own_keys = tuple(write.key for write in writes[1:] if not write.key.startswith(keys.GATE + " "))
    shown = choose_last_modified(created, modified, version)
    return Stored(creation.id, creation.document, version, created, shown, keys=own_keys, write=write_id, revision=1)


def _build_index_writes(index_rows: dict[str, properties.Values]) -> list[Write]:
    """Return the writes of index rows. Unique values are inserted, so that a taken one refuses the whole; lookup rows
    carry the id and cannot clash."""
    return [Write("insert" if keys.is_unique(key) else "upsert", key, values) for key, values in index_rows.items()]


def parse_stored(row: Row) -> Stored:
    """Return the resource that a row holds. Raises 503 NewerFormat."""
    properties.check_format(row)
    values = row.values
    created = values["created"]
    return Stored(
        values["id"],
        properties.join_document(values),
        row.etag,
        created,
        choose_last_modified(created, values["modified"], row.etag),
        values.get("changing", False),
        tuple(filter(None, values.get("keys", "").split("\n"))),
        values["write"],
        {name: value for name, value in values.items() if name not in _KNOWN and not _DOCUMENT.fullmatch(name)},
        properties.measure_document(values),
        int(values.get("n", 0)),
    )


def choose_last_modified(created: str, modified: str, version: str) -> str:
    """Return meta.lastModified: what the row says, else when the service wrote it. By the service's clock it never goes
    backwards, whatever the clocks of the processes say."""
    return max(created, modified or properties.parse_written_time(version))
