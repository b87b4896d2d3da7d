"""The least that storage costs a Python process: requests encoded and signed by hand on aiohttp, answers barely read.

The encoding is this module's own, so that the floor does not move with the app's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from dev.bench.floors import Change, Entity

_JSON = "application/json;odata=minimalmetadata"
_VERSION = {"x-ms-version": "2019-02-02", "DataServiceVersion": "3.0"}
_METHODS = {"insert": "POST", "upsert": "PATCH", "merge": "PATCH", "replace": "PUT"}


class WireError(Exception):
    """An answer of the table that is none of those the bench expects."""


class WireTable:
    """A table, spoken to by hand. Opened inside a running loop."""

    def __init__(self, connection_string: str, table: str) -> None:
        parts = dict(part.split("=", 1) for part in connection_string.strip(";").split(";"))
        self._endpoint = parts["TableEndpoint"].rstrip("/")
        self._account, self._key = parts["AccountName"], base64.b64decode(parts["AccountKey"])
        self._table = f"{self._endpoint}/{table}"
        # Node.js closes idle connections after five seconds, and nobody sends again here.
        connector = aiohttp.TCPConnector(keepalive_timeout=3)
        self._session = aiohttp.ClientSession(connector=connector, skip_auto_headers=["User-Agent", "Accept-Encoding"])

    async def get(self, partition: str, row: str) -> tuple[Entity, str]:
        entity = json.loads(await self._send("GET", self._address(partition, row)))
        return entity, str(entity["odata.etag"])

    async def query(self, partition: str, start: str, end: str, most: int) -> list[Entity]:
        condition = f"PartitionKey eq '{partition}' and RowKey ge '{start}' and RowKey lt '{end}'"
        address = f"{self._table}()?$filter={quote(condition)}&$top={most}"
        found: list[Entity] = json.loads(await self._send("GET", address))["value"]
        return found

    async def write(self, changes: Sequence[Change]) -> None:
        if len(changes) == 1:
            method, address, headers, body = self._encoded(changes[0])
            await self._send(method, address, headers, body)
            return
        parts = [b"--batch_0\r\nContent-Type: multipart/mixed; boundary=changeset_0\r\n\r\n"]
        start = "--changeset_0\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        for change in changes:
            method, address, headers, body = self._encoded(change)
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            parts.append(f"{start}{method} {address} HTTP/1.1\r\n{lines}\r\n".encode() + body + b"\r\n")
        parts.append(b"--changeset_0--\r\n--batch_0--\r\n")
        sent = {"Content-Type": "multipart/mixed; boundary=batch_0"}
        answer = await self._send("POST", f"{self._endpoint}/$batch", sent, b"".join(parts))
        if answer.count(b"HTTP/1.1 204") != len(changes):
            raise WireError(answer[:500].decode())

    async def close(self) -> None:
        await self._session.close()

    def _address(self, partition: str, row: str) -> str:
        return f"{self._table}(PartitionKey='{quote(partition, safe='')}',RowKey='{quote(row, safe='')}')"

    def _encoded(self, change: Change) -> tuple[str, str, dict[str, str], bytes]:
        entity = {name: value for name, value in change.entity.items() if not name.startswith(("odata.", "Timestamp"))}
        headers = {"Content-Type": "application/json", "Accept": _JSON, "Prefer": "return-no-content", **_VERSION}
        if change.kind in ("merge", "replace"):
            headers["If-Match"] = change.etag or "*"
        insert = change.kind == "insert"
        address = self._table if insert else self._address(entity["PartitionKey"], entity["RowKey"])
        return _METHODS[change.kind], address, headers, json.dumps(entity).encode()

    async def _send(
        self, method: str, address: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> bytes:
        url, date = URL(address), formatdate(usegmt=True)
        signed = hmac.new(self._key, f"{date}\n/{self._account}{url.raw_path}".encode(), hashlib.sha256).digest()
        sent: dict[str, Any] = {"Accept": _JSON, **_VERSION, **(headers or {}), "x-ms-date": date}
        sent["Authorization"] = f"SharedKeyLite {self._account}:{base64.b64encode(signed).decode()}"
        async with self._session.request(method, url, headers=sent, data=body) as response:
            answer = await response.read()
        if response.status >= 300:
            raise WireError(f"{method} {address}: {response.status} {answer[:300]!r}")
        return answer
