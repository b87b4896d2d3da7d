"""What rows hold beside their keys: documents as text, write ids, and the format of it all."""

from __future__ import annotations

import re
import secrets
from typing import Any

import orjson

from scim.errors import TOO_LARGE, UNAVAILABLE, ScimError
from scim.schema.validation import Document
from scim.store.table import Row

Values = dict[str, Any]
"""The properties of a row apart from its key."""
FORMAT = 1
"""The format of rows, kept as `v`. A process leaves a row with a greater one alone: a newer version wrote it."""

_CHUNK = 32_000
"""UTF-16 units of one string property; the service's limit is 32,768."""
_MAX_UNITS = 480_000
"""UTF-16 units of a document, at two bytes each, under the service's 1 MiB for an entity."""


def new_write_id() -> str:
    """Return a random write id (64 bits), by which a transaction finds itself done."""
    return secrets.token_hex(8)


_KEPT_WRITES = 6
"""Write ids that a resource's row keeps: a retry whose answer was lost finds its own although others wrote since."""


def add_write_id(new: str, before: str) -> str:
    """Return the property `write` after a write: the new id and the newest of those before, newest first."""
    return " ".join([new, *before.split()][:_KEPT_WRITES])


_TIME = re.compile(r"datetime'(\d{4}-\d\d-\d\dT\d\d(?::|%3A)\d\d(?::|%3A)\d\d)(?:\.(\d+))?Z'", re.IGNORECASE)


def parse_written_time(etag: str) -> str:
    """Return when a row was written, by the service's clock: its ETag holds the row's Timestamp (REST API, "Query
    Entities"). "" if this one does not."""
    found = _TIME.search(etag)
    if found is None:
        return ""
    return f"{found[1].replace('%3A', ':').replace('%3a', ':')}.{(found[2] or '')[:3]:0<3}Z"


def was_written_before(etag: str, time: str) -> bool:
    """Return whether a row was written before a time as meta shows it; not if its ETag does not say when."""
    written = parse_written_time(etag)
    return written != "" and written < time


def parse_written_instant(etag: str) -> str:
    """Return the same time as exactly as the service has it (100 ns), in a form that sorts."""
    found = _TIME.search(etag)
    return f"{found[1].upper().replace('%3A', ':')}.{found[2] or '':0<7}" if found else ""


class NewerFormat(ScimError):
    """A row was written in a format that this version does not know: 503, and the row is left alone."""

    def __init__(self, key: str) -> None:
        detail = f"{key.split(' ')[-1]} was written by a newer version of this service"
        super().__init__(UNAVAILABLE, f"{detail}, which this process cannot read; send again.", {"Retry-After": "30"})


def check_format(row: Row) -> None:
    """Raise NewerFormat for a row of a newer version."""
    version = row.values.get("v", FORMAT)
    if not isinstance(version, int) or version > FORMAT:
        raise NewerFormat(row.key)


def split_document(document: Document, what: str = "The resource") -> Values:
    """Return the properties that hold a document: its JSON text, over as many as its length takes. Raises 413."""
    text = orjson.dumps(document).decode()
    if len(text) > _MAX_UNITS or (not text.isascii() and len(text.encode("utf-16-le")) > 2 * _MAX_UNITS):
        raise ScimError(TOO_LARGE, f"{what} is too large: {_MAX_UNITS} characters are kept. Send less at a time.")
    size = _CHUNK if text.isascii() else _CHUNK // 2  # a character outside the BMP takes two units
    return {f"doc{i // size}": text[i : i + size] for i in range(0, len(text), size)}


def join_document(values: Values) -> Document:
    """Return the document that `document_values` split."""
    text, number = "", 0
    while (part := values.get(f"doc{number}")) is not None:
        text, number = text + part, number + 1
    document: Document = orjson.loads(text)
    return document


def measure_document(values: Values) -> int:
    """Return about how many bytes the document takes in a response: those of its text, more than ASCII counted
    twice."""
    size, number = 0, 0
    while (part := values.get(f"doc{number}")) is not None:
        size, number = size + (len(part) if part.isascii() else 2 * len(part)), number + 1
    return size
