"""The application: one request in, one SCIM answer out, whatever happens.

It puts the parts together once per process, at the first request: importing it must stay cheap and cannot fail, or the
Functions host would answer every URL with an empty 404.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scim.errors import INTERNAL, TOO_LARGE, UNAVAILABLE, ScimError
from scim.http import CONTENT_TYPE, Request, Response

if TYPE_CHECKING:
    from azure.core.pipeline.policies import AsyncHTTPPolicy

    from scim.schema.registry import Registry
    from scim.security.connections import Connections
    from scim.settings import Settings
    from scim.store.gateway import Gateway
    from scim.store.store import Store

log = logging.getLogger("scim")

_APP = Path(__file__).parents[1]
"""The app's own folder, wherever the process was started."""
_RETRY_AFTER = {"Retry-After": "30"}


@dataclass(frozen=True, slots=True)
class _Parts:
    settings: Settings
    connections: Connections
    registry: Registry
    store: Store


class Application:
    """Answers SCIM requests. `settings` come from the environment where none are given; `policies` see every request
    to the table; a `gateway` takes the table's place."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        policies: Sequence[AsyncHTTPPolicy[Any, Any]] = (),
        gateway: Gateway | None = None,
    ) -> None:
        self._settings = settings
        self._policies = policies
        self._gateway = gateway
        self._parts: _Parts | None = None

    async def handle(self, request: Request) -> Response:
        """The response to a request; its errors are SCIM error documents with a request id that finds the log line."""
        request_id = uuid.uuid4().hex
        try:
            response = await self._answer(request)
        except ScimError as error:
            response = Response(error.kind.status, error.body(), error.headers)
        except Exception as error:
            response = self._failure(error, request_id)
        response.headers["Content-Type"] = CONTENT_TYPE
        response.headers["X-Request-Id"] = request_id
        return response

    @property
    def gateway(self) -> Gateway:
        """The door to the table, for tools that look at rows."""
        return self._built().store.gateway

    async def housekeep(self, *, everything: bool = False) -> int:
        """Finish operations that were cut short, those that are due or (where nobody else works) all; how many.

        Raises what stopped it; the next run goes on."""
        return await self._built().store.housekeeping.run(everything=everything)

    async def close(self) -> None:
        """Give back the connections to the table."""
        parts, self._parts = self._parts, None
        if parts is not None:
            await parts.store.gateway.close()

    async def _answer(self, request: Request) -> Response:
        from scim.security.authentication import authenticate
        from scim.service.context import Context
        from scim.service.routes import route

        parts = self._built()
        connection = await authenticate(request.headers, parts.connections, reads=request.reads)
        context = Context(
            request=request,
            tenant=connection.tenant,
            connection=connection.name,
            settings=parts.settings,
            registry=parts.registry,
            store=parts.store,
            strict=connection.mode == "strict",
        )
        return await route(context)

    def _built(self) -> _Parts:
        if self._parts is None:
            from scim.schema.loading import load
            from scim.security.connections import FixedConnections
            from scim.settings import Settings, unknown
            from scim.store.store import Store

            settings = self._settings or Settings.from_environment()
            for name in unknown(os.environ):
                log.warning("%s is no setting of this service; docs/settings.md lists them", name)
            registry = load(_APP / settings.schemas_folder)
            gateway = self._gateway or self._table(settings)
            self._parts = _Parts(settings, FixedConnections(settings.connections), registry, Store.on(gateway))
        return self._parts

    def _table(self, settings: Settings) -> Gateway:
        from scim.settings import SettingsError
        from scim.store.gateway import TableGateway

        try:
            return TableGateway(settings.table_connection_string, settings.table_name, self._policies)
        except ValueError:  # its text may quote the string, which holds a key
            raise SettingsError("SCIM_TABLE_CONNECTION_STRING is no connection string of a storage account.") from None

    @staticmethod
    def _failure(error: Exception, request_id: str) -> Response:
        """503 for what passes by itself or awaits the operator, 500 for a fault of ours, whose cause the log has."""
        from scim.schema.loading import SchemaError
        from scim.settings import SettingsError
        from scim.store.gateway import TooLarge, Unavailable

        if isinstance(error, TooLarge):
            kind, detail = TOO_LARGE, "The change is too large for one transaction; send it in smaller requests"
        elif isinstance(error, Unavailable):
            log.warning("storage unavailable (request %s): %s", request_id, error)
            kind, detail = UNAVAILABLE, "Storage does not answer at the moment; nothing was lost. Send again later"
        elif isinstance(error, SettingsError | SchemaError):
            log.error("misconfigured (request %s): %s", request_id, error)
            kind, detail = UNAVAILABLE, "This service is not configured; its operator finds the setting in the log"
        else:
            log.exception("request %s failed", request_id, exc_info=error)
            kind, detail = INTERNAL, "The service failed on this request; its operator finds the cause in the log"
        headers = dict(_RETRY_AFTER) if kind is UNAVAILABLE else {}
        return Response(kind.status, ScimError(kind, f"{detail} (request {request_id}).").body(), headers)
