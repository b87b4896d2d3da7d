"""Rows on the wire: reads and writes as the table's HTTP requests, and rows from its answers.

The SDK takes several times as long for it as the rest of a trip does (it builds and parses a transaction with the email
package). What is written here is the wire format alone (REST API of Table Storage: "Query Entities", "Insert Or Merge
Entity", "Performing entity group transactions"); requests still go through azure-core's pipeline.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson

from scim.store.table import Row, Write

_ACCEPTED = {"Accept": "application/json;odata=minimalmetadata", "DataServiceVersion": "3.0"}
_HEADERS = {**_ACCEPTED, "Content-Type": "application/json", "Prefer": "return-no-content"}
_NEXT = ("NextPartitionKey", "NextRowKey")
_NOT_OURS = {"PartitionKey", "Timestamp"}
_TYPE = "@odata.type"
_METHODS = {"upsert": "PATCH", "merge": "PATCH", "replace": "PUT", "delete": "DELETE"}
_INT32 = range(-(2**31), 2**31)


class Request(NamedTuple):
    """One HTTP request; `url` is absolute."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a transaction: an etag for each write, or the status and code of the first that failed."""

    etags: list[str]
    status: int = 0
    code: str = ""
    index: int = 0


def build_read(table_url: str, partition: str, key: str) -> Request:
    """Return the request for one row."""
    return Request("GET", f"{table_url}({_format_key(partition, key)})", dict(_ACCEPTED), b"")


def build_page(
    table_url: str, partition: str, start: str, end: str, size: int, *, keys_only: bool, after: Mapping[str, str]
) -> Request:
    """Return the request for up to `size` rows with start <= key < end; `after` is what the page before said of its
    end."""
    first, last = _quote_literal(start), _quote_literal(end)
    text = f"PartitionKey eq {_quote_literal(partition)} and RowKey ge {first} and RowKey lt {last}"
    query = {"$filter": text, "$top": str(size), **({"$select": "RowKey"} if keys_only else {}), **after}
    return Request("GET", f"{table_url}()?{urlencode(query, quote_via=quote)}", dict(_ACCEPTED), b"")


def build_next_partition(table_url: str, last: str, *, after: Mapping[str, str]) -> Request:
    """Return the request for one row of the first partition whose name is greater than `last`."""
    query = {"$filter": f"PartitionKey gt {_quote_literal(last)}", "$top": "1", "$select": "PartitionKey", **after}
    return Request("GET", f"{table_url}()?{urlencode(query, quote_via=quote)}", dict(_ACCEPTED), b"")


def parse_partitions(body: bytes) -> list[str]:
    """Return the partitions of the rows of an answer to `partition_behind`."""
    return [str(entity["PartitionKey"]) for entity in orjson.loads(body)["value"]]


def parse_row(body: bytes, etag: str) -> Row:
    """Return the row of an answer to `read`."""
    return _convert_entity(orjson.loads(body), etag)


def parse_page(body: bytes) -> list[Row]:
    """Return the rows of an answer to `page`."""
    return [_convert_entity(entity) for entity in orjson.loads(body)["value"]]


def parse_continuation(headers: Mapping[str, str]) -> dict[str, str]:
    """Return where a page ended, from its answer's headers; empty behind the last."""
    found = {name: headers.get(f"x-ms-continuation-{name}") for name in _NEXT}
    return {name: value for name, value in found.items() if value}


def _convert_entity(entity: dict[str, Any], etag: str = "") -> Row:
    """Return the row of an entity, which is used up."""
    key, found = entity.pop("RowKey", ""), entity.pop("odata.etag", "")
    for name in [name for name in entity if name in _NOT_OURS or "odata." in name]:
        kind = entity.pop(name)
        if kind == "Edm.Int64" and name.endswith(_TYPE):  # sent as text, since JavaScript would round it
            value = name.removesuffix(_TYPE)
            entity[value] = int(entity[value])
    return Row(key, entity, etag or found)


def _quote_literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def build_write(table_url: str, partition: str, write: Write) -> Request:
    """Return the request for one write. `table_url` is the table's, without a slash at its end."""
    headers, body = dict(_HEADERS), b""
    if write.kind != "delete":
        body = _format_entity(partition, write)
    if write.kind == "insert":
        return Request("POST", table_url, headers, body)
    if write.kind != "upsert":  # without If-Match a merge inserts
        headers["If-Match"] = write.etag
    return Request(_METHODS[write.kind], f"{table_url}({_format_key(partition, write.key)})", headers, body)


def build_transaction(endpoint: str, table_url: str, partition: str, writes: Sequence[Write]) -> Request:
    """Return the request for several writes, all or nothing."""
    batch, changes = f"batch_{secrets.token_hex(8)}", f"changeset_{secrets.token_hex(8)}"
    parts = [f"--{batch}\r\nContent-Type: multipart/mixed; boundary={changes}\r\n\r\n".encode()]
    start = f"--{changes}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    for write in writes:
        request = build_write(table_url, partition, write)
        headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        parts.append(f"{start}{request.method} {request.url} HTTP/1.1\r\n{headers}\r\n".encode())
        parts.append(request.body + b"\r\n")
    parts.append(f"--{changes}--\r\n--{batch}--\r\n".encode())
    sent = {
        "Content-Type": f"multipart/mixed; boundary={batch}",
        "Accept": "application/json",
        "DataServiceVersion": "3.0",
    }
    return Request("POST", f"{endpoint}/$batch", sent, b"".join(parts))


_STATUS = re.compile(rb"^HTTP/1\.1 (\d{3})", re.MULTILINE)
_ETAG = re.compile(rb"^ETag: *(\S.*?)\s*$", re.MULTILINE | re.IGNORECASE)
_INDEX = re.compile(r"(\d+):")


def parse_result(body: bytes) -> Result:
    """Return what the answer to a transaction says. ValueError if it says nothing."""
    # Each part begins with its status line; a failure is the only part there is.
    starts = [match.start() for match in _STATUS.finditer(body)]
    etags = []
    for start, end in zip(starts, [*starts, len(body)][1:], strict=True):
        part = body[start:end]
        status = int(part[9:12])
        if status >= 300:
            code, message = _parse_part_error(part)
            found = _INDEX.match(message)
            return Result([], status, code, int(found[1]) if found else 0)
        etag = _ETAG.search(part)
        etags.append(etag[1].decode() if etag else "")
    if not etags:
        raise ValueError("the answer to a transaction has no part")
    return Result(etags)


def parse_error(body: bytes) -> tuple[str, str]:
    """Return the code and the message of a failure; empty if it has none."""
    try:
        error = json.loads(body)["odata.error"]
        return str(error["code"]), str(error["message"]["value"])
    except (ValueError, KeyError, TypeError):
        code = re.search(rb"<code>(\w+)</code>", body)
        return (code[1].decode() if code else ""), ""


def _parse_part_error(part: bytes) -> tuple[str, str]:
    start, end = part.find(b"{"), part.rfind(b"}")
    return parse_error(part[start : end + 1] if start >= 0 else part)


def _format_key(partition: str, row: str) -> str:
    return f"PartitionKey='{_quote(partition)}',RowKey='{_quote(row)}'"


def _quote(text: str) -> str:
    return quote(text.replace("'", "''"), safe="")


def _format_entity(partition: str, write: Write) -> bytes:
    """Return the row as JSON, without what has no value. Only the types that our rows have."""
    row: dict[str, Any] = {"PartitionKey": partition, "RowKey": write.key}
    for name, value in write.values.items():
        if isinstance(value, float):
            row[f"{name}@odata.type"] = "Edm.Double"
        elif isinstance(value, int) and value not in _INT32:
            raise TypeError(f"{name}: {value} does not fit in 32 bits")
        elif value is not None and not isinstance(value, str | int):
            raise TypeError(f"{name}: a row holds text, booleans and numbers, not {type(value).__name__}")
        if value is not None:
            row[name] = value
    return json.dumps(row, separators=(",", ":")).encode()
