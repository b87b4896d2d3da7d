"""The table on Azure Table Storage or Azurite: the one module that talks to it.

The SDK's defaults (300 s timeouts, 10 retries) would outlive any request, so every trip has tight timeouts and a bound
over all its tries. Of the SDK's TableClient only its reading of connection strings is used: its own encoding of
requests costs more than the rest of a trip (wire.py)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from azure.core.credentials import AzureSasCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.data.tables.aio import TableClient

from scim import trace
from scim.store.table import (
    MAX_WRITES,
    PAGE_ROWS,
    TRIP_SECONDS,
    Refused,
    Row,
    TableUnavailable,
    TooLarge,
    Uncertain,
    Write,
    wire,
)
from scim.store.table.pipeline import Policies, open_pipeline

_RETRIES: dict[str, Any] = {"retry_total": 4, "retry_backoff_factor": 0.2, "retry_backoff_max": 2}


class _Counter(SansIOHTTPPolicy[Any, Any]):
    """Counts trips for the request's log line."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        trace.count_trip()


class AzureTable:
    """The table on Azure Table Storage or Azurite. The SDK's client opens it; requests are encoded by wire.py and go
    through a pipeline of the same credential. `policies` see every request on the wire, retries included."""

    def __init__(self, open_client: Callable[..., TableClient], policies: Policies) -> None:
        # The SDK logs each request's URL at INFO, and with it the row keys: names and addresses of people.
        logging.getLogger("azure").setLevel(logging.WARNING)
        watched: list[Any] = [_Counter(), *policies]
        # With the environment's proxies and passwords, each request would wait for a thread twice.
        transport = AioHttpTransport(connection_timeout=5, read_timeout=10, use_env_settings=False)
        self._client = open_client(transport=transport)
        self._endpoint = self._client.url.rstrip("/")
        if ".table.cosmos." in self._endpoint:
            raise ValueError("Cosmos DB orders and limits keys otherwise; use a storage account's table endpoint")
        self._table_url = f"{self._endpoint}/{self._client.table_name}"
        credential = self._client.credential
        if isinstance(credential, AzureSasCredential):
            raise ValueError("a shared access signature expires: use an account's key, or an identity")
        self._pipeline = open_pipeline(self._endpoint, credential, transport, watched, **_RETRIES)

    @staticmethod
    def with_key(connection_string: str, table: str, policies: Policies = ()) -> AzureTable:
        """Return the table that a connection string opens. ValueError, whose text may hold the key, if it is none."""
        return AzureTable(partial(TableClient.from_connection_string, connection_string, table), policies)

    @staticmethod
    def with_identity(
        endpoint: str, table: str, credential: AsyncTokenCredential, policies: Policies = ()
    ) -> AzureTable:
        """Return the table at an endpoint, opened with an identity, which stays the caller's to close."""
        return AzureTable(partial(TableClient, endpoint, table, credential=credential), policies)

    @property
    def endpoint(self) -> str:
        """The address of the account's tables."""
        return self._endpoint

    async def read(self, partition: str, key: str) -> Row | None:
        response = await self._send(wire.build_read(self._table_url, partition, key), TableUnavailable)
        if response.status_code == 404 and wire.parse_error(response.content)[0] != "TableNotFound":
            return None
        _check(response, TableUnavailable)
        return wire.parse_row(response.content, response.headers.get("ETag", ""))

    async def pages(
        self, partition: str, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
    ) -> AsyncIterator[list[Row]]:
        after: dict[str, str] = {}
        while True:
            request = wire.build_page(self._table_url, partition, start, end, size, keys_only=keys_only, after=after)
            response = await self._send(request, TableUnavailable)
            _check(response, TableUnavailable)
            yield wire.parse_page(response.content)
            after = wire.parse_continuation(response.headers)
            if not after:
                return

    async def partitions(self, after: str = "") -> AsyncIterator[str]:
        last: str | None = after
        while last is not None:
            last = await self._find_partition_behind(last)
            if last is not None:
                yield last

    async def _find_partition_behind(self, last: str) -> str | None:
        """Return the first partition behind that name. Servers of the table may answer that they have none, and go
        on."""
        after: dict[str, str] = {}
        while True:
            response = await self._send(wire.build_next_partition(self._table_url, last, after=after), TableUnavailable)
            _check(response, TableUnavailable)
            found = wire.parse_partitions(response.content)
            after = wire.parse_continuation(response.headers)
            if found or not after:
                return found[0] if found else None

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        if not 0 < len(writes) <= MAX_WRITES:
            raise ValueError(f"a transaction has 1 to {MAX_WRITES} writes, not {len(writes)}")
        alone = len(writes) == 1
        request = (
            wire.build_write(self._table_url, partition, writes[0])
            if alone
            else wire.build_transaction(self._endpoint, self._table_url, partition, writes)
        )
        response = await self._send(request, Uncertain)
        _check(response, Uncertain)
        if alone:
            return ["" if writes[0].kind == "delete" else response.headers.get("ETag", "")]
        try:
            result = wire.parse_result(response.content)
        except ValueError as error:
            raise Uncertain(str(error)) from None
        if result.status:
            raise _make_error(result.status, result.code, result.index, Uncertain)
        return result.etags

    async def _send(self, request: wire.Request, unanswered: type[TableUnavailable]) -> AsyncHttpResponse:
        """Make one trip, bounded in time with all its retries, and return the answer. Raises `unanswered` if no whole
        answer comes. A write is sent once: who sends it again must know that there may be two (transactions.py)."""
        options: dict[str, Any] = {"retry_total": 0} if unanswered is Uncertain else {}
        sent = HttpRequest(request.method, request.url, headers=request.headers, content=request.body or None)
        try:
            async with asyncio.timeout(TRIP_SECONDS):
                return await self._pipeline.send_request(sent, **options)
        except TimeoutError:
            raise unanswered(f"no answer within {TRIP_SECONDS} s") from None
        except ClientAuthenticationError as error:
            raise TableUnavailable(f"the table refuses us: {error.status_code}") from error
        except AzureError as error:  # not sent, not answered, or an answer that ends in its middle
            raise unanswered(f"{type(error).__name__}: {str(error)[:200]}") from error

    async def close(self) -> None:
        await self._client.close()
        await self._pipeline.close()


def _check(response: AsyncHttpResponse, unanswered: type[TableUnavailable]) -> None:
    if response.status_code >= 300:
        raise _make_error(response.status_code, wire.parse_error(response.content)[0], 0, unanswered)


def _make_error(status: int, code: str, index: int, unanswered: type[TableUnavailable]) -> Exception:
    if status in (404, 409, 412) and code != "TableNotFound":
        return Refused(status, index)
    if status in (401, 403, 404):
        return TableUnavailable(f"the table refuses us: {status} {code}")
    if status == 413:
        return TooLarge("the transaction has more bytes than the table takes")
    if status == 429 or status >= 500:
        return unanswered(f"the table answers {status} {code}")
    error = HttpResponseError(f"the table answers {status} {code}")  # a fault of ours
    error.status_code = status
    return error
