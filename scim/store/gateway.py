"""The only door to the table: read a row, read a key range, run a transaction.

Everything above speaks rows and the errors below; the SDK stops here. Its defaults (300 s timeouts, 10 retries) would
outlive any request, so every trip has tight timeouts and a bound over all its tries.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import AsyncHTTPPolicy, SansIOHTTPPolicy
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from scim import trace

Policies = Sequence[AsyncHTTPPolicy[Any, Any]]

TRIP_SECONDS = 8.0
"""A trip with all its retries: storage that is down is reported within ten seconds."""
MAX_WRITES = 100
PAGE_ROWS = 1000
PARALLEL_READS = 16
"""Point reads that one request has under way at once."""

_CLIENT_OPTIONS: dict[str, Any] = {
    "connection_timeout": 5,
    "read_timeout": 10,
    "retry_total": 4,
    "retry_backoff_factor": 0.2,
    "retry_backoff_max": 2,
    "logging_enable": False,
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the tenant's partition. `values` are its own properties; `etag` changes with every write."""

    key: str
    values: dict[str, Any]
    etag: str


@dataclass(frozen=True, slots=True)
class Write:
    """One row's part in a transaction.

    insert fails with Refused 409 where the key is taken; replace and merge need the row (404) with that etag (412),
    `*` being any; delete likewise; upsert inserts the row or merges into it, and always succeeds."""

    kind: Literal["insert", "upsert", "replace", "merge", "delete"]
    key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    etag: str = "*"


class Unavailable(Exception):
    """The table did not answer in time, or not at all; nothing was written."""


class Uncertain(Unavailable):
    """No answer came to a write, which may or may not have happened."""


class TooLarge(Exception):
    """A transaction has more bytes than the table takes (4 MiB)."""


class Refused(Exception):
    """A transaction failed as a whole. `status` is 409 (key taken), 412 (etag) or 404 (no such row); `index` is the
    position of the write that failed, as the service told it."""

    def __init__(self, status: int, index: int) -> None:
        super().__init__(f"write {index} was refused with {status}")
        self.status = status
        self.index = index


class Gateway(Protocol):
    """What the store needs of a table."""

    async def read(self, partition: str, key: str) -> Row | None:
        """The row, or None. Raises Unavailable."""

    def pages(
        self, partition: str, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
    ) -> AsyncIterator[list[Row]]:
        """The rows with start <= key < end in key order, page by page; each page is one trip and may be empty."""

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        """Run up to 100 writes as one transaction: all or nothing. Gives each write's new etag ("" for a delete).
        Raises Refused, TooLarge, Unavailable or Uncertain."""

    async def close(self) -> None:
        """Give back the connections."""


class _Counter(SansIOHTTPPolicy[Any, Any]):
    """Counts trips for the request's log line."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        trace.trip()


class TableGateway:
    """The gateway on Azure Table Storage or Azurite. `policies` see every request on the wire, retries included."""

    def __init__(self, table: TableClient) -> None:
        # The SDK logs each request's URL at INFO, and with it the row keys: names and addresses of people.
        logging.getLogger("azure").setLevel(logging.WARNING)
        self._table = table

    @staticmethod
    def with_key(connection_string: str, table: str, policies: Policies = ()) -> TableGateway:
        """The table that a connection string opens. ValueError, whose text may hold the key, where it is none."""
        return TableGateway(
            TableClient.from_connection_string(
                connection_string, table, per_retry_policies=[_Counter(), *policies], **_CLIENT_OPTIONS
            )
        )

    @staticmethod
    def with_identity(
        endpoint: str, table: str, credential: AsyncTokenCredential, policies: Policies = ()
    ) -> TableGateway:
        """The table at an endpoint, opened with an identity, which stays the caller's to close."""
        return TableGateway(
            TableClient(
                endpoint, table, credential=credential, per_retry_policies=[_Counter(), *policies], **_CLIENT_OPTIONS
            )
        )

    async def read(self, partition: str, key: str) -> Row | None:
        try:
            async with _bounded(writing=False):
                return _row(await self._table.get_entity(partition, key))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def pages(
        self, partition: str, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
    ) -> AsyncIterator[list[Row]]:
        pages = self._table.query_entities(
            "PartitionKey eq @partition and RowKey ge @start and RowKey lt @end",
            parameters={"partition": partition, "start": start, "end": end},
            results_per_page=size,
            select=["RowKey"] if keys_only else None,
        ).by_page()
        while True:
            async with _bounded(writing=False):
                try:
                    page = await anext(pages)
                except StopAsyncIteration:
                    return
                rows = [_row(entity) async for entity in page]
            yield rows

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        if not 0 < len(writes) <= MAX_WRITES:
            raise ValueError(f"a transaction has 1 to {MAX_WRITES} writes, not {len(writes)}")
        async with _bounded(writing=True):
            if len(writes) == 1:
                return [await self._single(partition, writes[0])]
            results = await self._table.submit_transaction([_operation(partition, write) for write in writes])
        return [result.get("etag") or "" for result in results]

    async def _single(self, partition: str, write: Write) -> str:
        """One write alone needs no multipart body, which costs the SDK most of a transaction's time."""
        if write.kind == "delete":  # the SDK's delete_entity hides a missing row
            await self._table.submit_transaction([_operation(partition, write)])
            return ""
        entity = {"PartitionKey": partition, "RowKey": write.key, **write.values}
        if write.kind == "insert":
            result = await self._table.create_entity(entity)
        elif write.kind == "upsert":
            result = await self._table.upsert_entity(entity, mode=UpdateMode.MERGE)
        else:
            result = await self._table.update_entity(entity, **_condition(write), mode=_mode(write))
        return str(result["etag"])

    async def close(self) -> None:
        await self._table.close()


@contextlib.asynccontextmanager
async def _bounded(*, writing: bool) -> AsyncIterator[None]:
    """One trip: bounded in time, its failures told apart."""
    unanswered = Uncertain if writing else Unavailable
    try:
        async with asyncio.timeout(TRIP_SECONDS):
            with _translated(unanswered):
                yield
    except TimeoutError:
        raise unanswered(f"no answer within {TRIP_SECONDS} s") from None


@contextlib.contextmanager
def _translated(unanswered: type[Unavailable]) -> Iterator[None]:
    try:
        yield
    except TableTransactionError as error:
        raise _http_failure(error, error.index, unanswered) from error
    except HttpResponseError as error:
        raise _http_failure(error, 0, unanswered) from error
    except ServiceRequestError as error:
        raise Unavailable(_reason(error)) from error
    except ServiceResponseError as error:
        raise unanswered(_reason(error)) from error


def _http_failure(error: HttpResponseError, index: int, unanswered: type[Unavailable]) -> Exception:
    status = error.status_code or 0
    if status in (404, 409, 412) and getattr(error, "error_code", None) != "TableNotFound":
        return Refused(status, index)
    if status in (401, 403) or status == 404:
        return Unavailable(f"the table refuses us: {status} {getattr(error, 'error_code', '')}")
    if status == 413:
        return TooLarge("the transaction has more bytes than the table takes")
    if status in (429, 503):
        return (
            Unavailable(f"the table is busy: {status}") if unanswered is Unavailable else Uncertain(f"status {status}")
        )
    if status >= 500:
        return unanswered(f"status {status}")
    return error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def _row(entity: Mapping[str, Any]) -> Row:
    values = {name: value for name, value in entity.items() if name not in ("PartitionKey", "RowKey")}
    metadata: Mapping[str, Any] = getattr(entity, "metadata", {})
    return Row(str(entity.get("RowKey", "")), values, str(metadata.get("etag", "")))


def _operation(partition: str, write: Write) -> Any:
    entity = {"PartitionKey": partition, "RowKey": write.key, **write.values}
    match write.kind:
        case "insert":
            return ("create", entity)
        case "upsert":
            return ("upsert", entity, {"mode": UpdateMode.MERGE})
        case "delete":
            return ("delete", entity, _condition(write))
        case _:
            return ("update", entity, {**_condition(write), "mode": _mode(write)})


def _mode(write: Write) -> UpdateMode:
    return UpdateMode.MERGE if write.kind == "merge" else UpdateMode.REPLACE


def _condition(write: Write) -> dict[str, Any]:
    if write.etag == "*":
        return {"match_condition": MatchConditions.Unconditionally}
    return {"etag": write.etag, "match_condition": MatchConditions.IfNotModified}
