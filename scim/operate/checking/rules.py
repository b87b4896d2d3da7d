"""What a row must be, whatever the others are: each rule gives what is wrong in words, and nothing if all is well."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson

from scim.errors import ScimError
from scim.schema.loading import load
from scim.schema.registry import ResourceType
from scim.schema.validation import Document, make_canonical
from scim.schema.values import parse_instant
from scim.store import keys, properties
from scim.store.resource_rows import choose_last_modified
from scim.store.table import Row
from scim.text import is_urn

_STRINGS = ("id", "created", "modified", "write")
"""What a resource's row holds beside its document."""
_PENDING_KEY = re.compile(r"p (\d{8}T\d{6})\S* \S+")
_RECEIPT_KEY = re.compile(r"w (\d{8}T\d{4})(\d{2})?\S* \S+")
_ASSERTION_KEY = re.compile(r"j (\d{8}T\d{6}) [0-9a-f]{64}")


def is_newer(row: Row) -> bool:
    """Return whether a row is of a newer version than this program."""
    version = row.values.get("v")
    return isinstance(version, int) and not isinstance(version, bool) and version > properties.FORMAT


def is_guarded(row: Row) -> bool:
    """Return whether a group's row is of the format that has gates."""
    return "v" in row.values


def parse_keys(row: Row) -> list[str]:
    """Return the index rows that a resource's row names."""
    keys = row.values.get("keys", "")
    return [key for key in keys.split("\n") if key] if isinstance(keys, str) else []


def find_resource_faults(row: Row) -> Iterator[str]:
    """Return what is wrong with the row of a resource, without its document."""
    values = row.values
    missing = [name for name in _STRINGS if not isinstance(values.get(name), str)]
    if missing:
        yield f"lacks {', '.join(missing)}"
    if not isinstance(values.get("keys", ""), str):
        yield "its keys are no text"
    version = values.get("v", properties.FORMAT)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        yield f"its version is {version!r:.40}"
    if not isinstance(values.get("changing", False), bool):
        yield "its changing is neither true nor false"
    if "." in str(values.get("write")).split(" ")[0]:
        yield "its newest write id is that of a change which was left unfinished"
    created, modified = values.get("created"), values.get("modified")
    for name, text in (("created", created), ("modified", modified)):
        if isinstance(text, str) and parse_instant(text) is None and not (name == "modified" and text == ""):
            yield f"its {name} is no time: {text!r:.40}"
    first, last = (parse_instant(text) if isinstance(text, str) else None for text in (created, modified))
    if first is not None and last is not None and last < first:
        yield f"was modified ({modified}) before it was created ({created})"


def read_document(row: Row, what: str = "its document") -> tuple[Document | None, str]:
    """Return the document that a row holds, or why it is none."""
    try:
        document = properties.join_document(row.values)
    except (ValueError, TypeError):
        return None, f"{what} is not whole"
    if not isinstance(document, dict):
        return None, f"{what} is not an object"
    return document, ""


def split_fault(row: Row, document: Document) -> str:
    """Return whether the document is over as many properties as it should be."""
    parts = {name: value for name, value in row.values.items() if name.startswith("doc")}
    return "" if properties.split_document(document) == parts else "its document is not split as it should be"


@cache
def _load_packaged() -> dict[str, ResourceType]:
    return {resource_type.core.id: resource_type for resource_type in load().resource_types}


def find_document_fault(document: Document, resource_type: ResourceType) -> str:
    """Return what our own schemas do not allow in the document. What others declare may have come after the
    document."""
    ours = _load_packaged().get(resource_type.core.id)
    if ours is None:
        return ""
    declared = ours.extension_attributes
    part = {name: value for name, value in document.items() if not is_urn(name) or name in declared}
    return _describe_difference(part, ours)


def is_outgrown(document: Document, resource_type: ResourceType) -> bool:
    """Return whether the document is not what the schemas that a deployer added would make of it now."""
    ours = _load_packaged().get(resource_type.core.id)
    if ours is not None and ours.extension_attributes.keys() == resource_type.extension_attributes.keys():
        return False
    return bool(_describe_difference(document, resource_type))


def _describe_difference(document: Document, resource_type: ResourceType) -> str:
    try:
        wanted = make_canonical(document, resource_type)
    except ScimError as error:
        return f"its document is not what its schema allows: {error.detail}"
    if _to_text(wanted) == _to_text(document):
        return ""
    names = (
        name
        for name in {**document, **wanted}
        if name not in wanted or _to_text(document.get(name)) != _to_text(wanted[name])
    )
    return f"its document is not in canonical form: {next(names, '')}"


def _to_text(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def find_edge_faults(row: Row) -> Iterator[str]:
    """Return what is wrong with one side of a membership, whose ends were read."""
    for name in ("display", "type"):
        if not isinstance(row.values.get(name, ""), str):
            yield f"its {name} is no text"


def find_bookmark_fault(row: Row) -> str:
    """Return what is wrong with a bookmark. It is a hint: that what it points at is gone costs reads and breaks
    nothing."""
    values = row.values
    if not all(isinstance(values.get(name), str) for name in ("type", "next", "at")):
        return "is a bookmark without a place"
    if not isinstance(values.get("query"), str) or not isinstance(values.get("start"), int):
        return "is a bookmark of no page"
    total = values.get("total")
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        return f"is a bookmark whose total is no count: {total!r:.40}"
    return "" if parse_time(values["at"]) else f"is a bookmark whose time is none: {values['at']!r:.40}"


def find_pending_fault(row: Row) -> tuple[str, str]:
    """Return the id of the resource whose edges a pending row is about, or that housekeeping cannot read it."""
    content, _ = read_document(row)
    known = content is not None and content.get("kind") == "detach" and isinstance(content.get("members"), bool)
    id = content.get("id") if content and known else None
    if parse_pending_due(row.key) is None or not isinstance(id, str):
        return "", "is a pending row that housekeeping cannot read"
    return id, ""


def change_fault(row: Row) -> str:
    """Return what is left of a change of several transactions."""
    content, _ = read_document(row)
    if parse_time(row.values.get("beat")) is None:
        return "is a change whose beat is no time"
    if not all(isinstance(row.values.get(name), str) for name in ("owner", "write")):
        return "is a change of nobody"
    if content is None or not isinstance(content.get("group"), str) or row.key != keys.change_key(content["group"]):
        return "is a change that nobody can finish"
    return ""


def parse_pending_due(key: str) -> datetime | None:
    return _stamp(_PENDING_KEY.fullmatch(key))


def parse_receipt_time(key: str) -> datetime | None:
    return _stamp(_RECEIPT_KEY.fullmatch(key))


def parse_assertion_end(key: str) -> datetime | None:
    return _stamp(_ASSERTION_KEY.fullmatch(key))


def _stamp(match: re.Match[str] | None) -> datetime | None:
    """Return the time in a row's key."""
    if match is None:
        return None
    text = "".join(filter(None, match.groups()))
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S" if len(text) == 15 else "%Y%m%dT%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None


def parse_time(text: object) -> datetime | None:
    """Return the time that a property holds; None if it is none. Without a zone it is UTC."""
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def show_modified(row: Row) -> str:
    """Return what the resource of a row shows as lastModified, also if `created` is no time."""
    created, modified = row.values.get("created"), row.values.get("modified")
    known = created if isinstance(created, str) and parse_instant(created) is not None else ""
    return choose_last_modified(known, modified if isinstance(modified, str) else "", row.etag)


def find_usage_fault(values: Mapping[str, Any]) -> str:
    """Return what is wrong with the row of when a credential was used."""
    if not isinstance(values.get("credential"), str) or not isinstance(values.get("warned", ""), str):
        return "lacks credential"
    times = [values.get(name) for name in ("first", "last")]
    return "" if all(parse_time(time) for time in times) else "its first or last use is no time"


def find_revocation_fault(values: Mapping[str, Any], digest: str) -> str:
    """Return what is wrong with the mark that a credential was revoked, at the key of its digest."""
    if values.get("value") != f"sha256:{digest}":
        return "marks another credential as revoked than its key says"
    return "" if parse_time(values.get("at")) else "does not say when the credential was revoked"
