"""What the tests talk through: a tenant's client, and a watch on the wire to the table."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy

from dev.host import Host

BASE = "http://scim.test/scim"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_REQUEST = re.compile(rb" \(request [0-9a-f]{32}\)")


@dataclass(frozen=True)
class Response:
    """Header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The parsed body; None where there is none."""
        return json.loads(self.body) if self.body else None

    @cached_property
    def told(self) -> Any:
        """The parsed body without the id of the request, which every error's text ends with."""
        return json.loads(_REQUEST.sub(b"", self.body)) if self.body else None


class Client:
    """One tenant's identity provider."""

    def __init__(self, host: Host, tenant: str, token: str) -> None:
        self.tenant = tenant
        self.token = token
        self._host = host

    async def request(
        self,
        method: str,
        path: str,
        body: object | None = None,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> Response:
        """`path` follows the tenant URL as it stands, query included; `content` is a body that need not be JSON."""
        data = content if content is not None else b"" if body is None else json.dumps(body).encode()
        sent = {"Host": "scim.test", "Authorization": f"Bearer {self.token}"}
        if data:
            sent |= {"Content-Type": "application/scim+json; charset=utf-8", "Content-Length": str(len(data))}
        answer = await self._host.request(method, BASE + path, {**sent, **(headers or {})}, data)
        return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)

    async def get(self, path: str, **headers: str) -> Response:
        return await self.request("GET", path, headers=headers)

    async def post(self, path: str, body: object) -> Response:
        return await self.request("POST", path, body)

    async def put(self, path: str, body: object) -> Response:
        return await self.request("PUT", path, body)

    async def patch(self, path: str, *operations: object, headers: dict[str, str] | None = None) -> Response:
        return await self.request("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, headers)

    async def delete(self, path: str) -> Response:
        return await self.request("DELETE", path)

    async def new_user(self, user_name: str, **attributes: object) -> Any:
        """A user made by POST, as the server gives it back."""
        response = await self.post("/Users", {"schemas": [USER], "userName": user_name, **attributes})
        assert response.status == 201, response.body
        return response.json


Request = PipelineRequest[Any]
Fault = Callable[[Request], Exception | None]


class Wire(AsyncHTTPPolicy[Any, Any]):
    """Sits on the wire to the table: counts every request, and loses what a test tells it to lose."""

    def __init__(self) -> None:
        self.trips: list[str] = []
        self.before: Fault | None = None
        """Called before a request is sent; what it returns is raised and the request never leaves."""
        self.after: Fault | None = None
        """Called when the answer is there; what it returns is raised and the answer is lost."""
        self.status_once: tuple[str, int] | None = None
        """(method, status): the next answer to that method comes with this status, whatever the table did."""
        self.delay = 0.0
        """Seconds that every request takes longer."""

    async def send(self, request: Request) -> PipelineResponse[Any, Any]:
        url = request.http_request.url.partition("?")[0]
        self.trips.append(f"{request.http_request.method} {url.rpartition('/')[2].partition('(')[0]}")
        if self.before and (error := self.before(request)):
            raise error
        await asyncio.sleep(self.delay)
        response = await self.next.send(request)
        if self.status_once and self.status_once[0] == request.http_request.method:
            response.http_response.status_code = self.status_once[1]
            self.status_once = None
        if self.after and (error := self.after(request)):
            raise error
        return response

    def reset(self) -> None:
        self.trips.clear()
        self.before = self.after = self.status_once = None
        self.delay = 0.0
