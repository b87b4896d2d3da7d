"""The only door to the table: read a row, read a key range, run a transaction.

Everything above speaks rows and the errors below; the SDK stops here. Its defaults (300 s timeouts, 10 retries) would
outlive any request, so every trip has tight timeouts and a bound over all its tries.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Protocol

from azure.core.credentials import AzureSasCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.data.tables.aio import TableClient

from scim import trace
from scim.store import wire
from scim.store.pipeline import Policies, open_pipeline
from scim.store.row import Row, Write

TRIP_SECONDS = 8.0
"""A trip with all its retries: storage that is down is reported within ten seconds."""
MAX_WRITES = 100
TRANSACTION_BYTES = 4 * 2**20 - 2**16
"""What a transaction may take on the wire, with room for what its parts have in common."""
PAGE_ROWS = 1000
PARALLEL_READS = 16
"""Point reads that one request has under way at once."""

_RETRIES: dict[str, Any] = {"retry_total": 4, "retry_backoff_factor": 0.2, "retry_backoff_max": 2}


class Unavailable(Exception):
    """The table did not answer in time, or not at all."""


class Uncertain(Unavailable):
    """No answer came to a write, which may or may not have happened."""


class TooLarge(Exception):
    """A transaction has more bytes than the table takes (4 MiB)."""


class Refused(Exception):
    """A transaction failed as a whole. `status` is 409 (key taken), 412 (etag) or 404 (no such row); `index` is the
    position of the write that failed, as the service told it. `unsure` is set if another copy of the transaction got no
    answer before: it may still arrive."""

    def __init__(self, status: int, index: int) -> None:
        super().__init__(f"write {index} was refused with {status}")
        self.status = status
        self.index = index
        self.unsure = False


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

    def partitions(self) -> AsyncIterator[str]:
        """The names of the partitions that have rows, in order: one trip each. No request asks for them."""

    async def close(self) -> None:
        """Give back the connections."""


class _Counter(SansIOHTTPPolicy[Any, Any]):
    """Counts trips for the request's log line."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        trace.trip()


class TableGateway:
    """The gateway on Azure Table Storage or Azurite. The SDK's client opens it; requests are encoded by wire.py and go
    through a pipeline of the same credential. `policies` see every request on the wire, retries included."""

    def __init__(self, table: Callable[..., TableClient], policies: Policies) -> None:
        # The SDK logs each request's URL at INFO, and with it the row keys: names and addresses of people.
        logging.getLogger("azure").setLevel(logging.WARNING)
        watched: list[Any] = [_Counter(), *policies]
        # With the environment's proxies and passwords, each request would wait for a thread twice.
        transport = AioHttpTransport(connection_timeout=5, read_timeout=10, use_env_settings=False)
        self._table = table(transport=transport)
        self._endpoint = self._table.url.rstrip("/")
        if ".table.cosmos." in self._endpoint:
            raise ValueError("Cosmos DB orders and limits keys otherwise; use a storage account's table endpoint")
        self._table_url = f"{self._endpoint}/{self._table.table_name}"
        credential = self._table.credential
        if isinstance(credential, AzureSasCredential):
            raise ValueError("a shared access signature expires: use an account's key, or an identity")
        self._pipeline = open_pipeline(self._endpoint, credential, transport, watched, **_RETRIES)

    @staticmethod
    def with_key(connection_string: str, table: str, policies: Policies = ()) -> TableGateway:
        """The table that a connection string opens. ValueError, whose text may hold the key, where it is none."""
        return TableGateway(partial(TableClient.from_connection_string, connection_string, table), policies)

    @staticmethod
    def with_identity(
        endpoint: str, table: str, credential: AsyncTokenCredential, policies: Policies = ()
    ) -> TableGateway:
        """The table at an endpoint, opened with an identity, which stays the caller's to close."""
        return TableGateway(partial(TableClient, endpoint, table, credential=credential), policies)

    async def read(self, partition: str, key: str) -> Row | None:
        response = await self._sent(wire.read(self._table_url, partition, key), Unavailable)
        if response.status_code == 404 and wire.error_of(response.content)[0] != "TableNotFound":
            return None
        _check(response, Unavailable)
        return wire.row(response.content, response.headers.get("ETag", ""))

    async def pages(
        self, partition: str, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
    ) -> AsyncIterator[list[Row]]:
        after: dict[str, str] = {}
        while True:
            request = wire.page(self._table_url, partition, start, end, size, keys_only=keys_only, after=after)
            response = await self._sent(request, Unavailable)
            _check(response, Unavailable)
            yield wire.rows(response.content)
            after = wire.end_of(response.headers)
            if not after:
                return

    async def partitions(self) -> AsyncIterator[str]:
        last: str | None = ""
        while last is not None:
            last = await self._partition_behind(last)
            if last is not None:
                yield last

    async def _partition_behind(self, last: str) -> str | None:
        """The first partition behind that name. Servers of the table may answer that they have none, and go on."""
        after: dict[str, str] = {}
        while True:
            response = await self._sent(wire.partition_behind(self._table_url, last, after=after), Unavailable)
            _check(response, Unavailable)
            found = wire.partitions(response.content)
            after = wire.end_of(response.headers)
            if found or not after:
                return found[0] if found else None

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        if not 0 < len(writes) <= MAX_WRITES:
            raise ValueError(f"a transaction has 1 to {MAX_WRITES} writes, not {len(writes)}")
        alone = len(writes) == 1
        request = (
            wire.single(self._table_url, partition, writes[0])
            if alone
            else wire.transaction(self._endpoint, self._table_url, partition, writes)
        )
        response = await self._sent(request, Uncertain)
        _check(response, Uncertain)
        if alone:
            return ["" if writes[0].kind == "delete" else response.headers.get("ETag", "")]
        try:
            result = wire.result(response.content)
        except ValueError as error:
            raise Uncertain(str(error)) from None
        if result.status:
            raise _failure(result.status, result.code, result.index, Uncertain)
        return result.etags

    async def _sent(self, request: wire.Request, unanswered: type[Unavailable]) -> AsyncHttpResponse:
        """One trip, bounded in time with all its retries. Raises `unanswered` if no whole answer comes. A write is sent
        once: who sends it again must know that there may be two (transactions.py)."""
        options: dict[str, Any] = {"retry_total": 0} if unanswered is Uncertain else {}
        sent = HttpRequest(request.method, request.url, headers=request.headers, content=request.body or None)
        try:
            async with asyncio.timeout(TRIP_SECONDS):
                return await self._pipeline.send_request(sent, **options)
        except TimeoutError:
            raise unanswered(f"no answer within {TRIP_SECONDS} s") from None
        except ClientAuthenticationError as error:
            raise Unavailable(f"the table refuses us: {error.status_code}") from error
        except AzureError as error:  # not sent, not answered, or an answer that ends in its middle
            raise unanswered(f"{type(error).__name__}: {str(error)[:200]}") from error

    async def close(self) -> None:
        await self._table.close()
        await self._pipeline.close()


def _check(response: AsyncHttpResponse, unanswered: type[Unavailable]) -> None:
    if response.status_code >= 300:
        raise _failure(response.status_code, wire.error_of(response.content)[0], 0, unanswered)


def _failure(status: int, code: str, index: int, unanswered: type[Unavailable]) -> Exception:
    if status in (404, 409, 412) and code != "TableNotFound":
        return Refused(status, index)
    if status in (401, 403, 404):
        return Unavailable(f"the table refuses us: {status} {code}")
    if status == 413:
        return TooLarge("the transaction has more bytes than the table takes")
    if status == 429 or status >= 500:
        return unanswered(f"the table answers {status} {code}")
    error = HttpResponseError(f"the table answers {status} {code}")  # a fault of ours
    error.status_code = status
    return error
