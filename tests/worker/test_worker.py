"""The app under the real Python worker of Azure Functions: what it answers is what the local host answers.

The worker's library is a package from Python 3.13 on (azure-functions-runtime); it is driven in this process by
`dev.bench.worker`, on the same application as the local host. Both get the same requests, each in a tenant of its own.

WORKER_SECONDS=60 makes the steady load at the end last a minute.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import function_app
from dev.bench.worker import Worker, WorkerError
from dev.host import Answer, Host
from scim.app import Application
from tests.conftest import NewClient
from tests.support import PATCH, USER, Client

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="the worker's library is for Python 3.13 and newer; older ones are built in"
)

ROOT = Path(__file__).parents[2]
ORIGIN = "http://scim.test"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
PER_SECOND = 25


@pytest.fixture(scope="session")
async def worker(host: Host) -> AsyncIterator[Worker]:
    """The worker with our functions. The local host has had their names, which the app gives out once."""
    function_app.app.functions_bindings = {}
    worker = Worker()
    await worker.start(ROOT)
    yield worker
    worker.stop()


@dataclass(frozen=True)
class Pair:
    """The same identity provider twice: one talks to the local host, the other to the worker."""

    local: Client
    real: Client
    hosts: tuple[Host, Worker]

    async def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, content: bytes = b""
    ) -> tuple[Any, Any]:
        """Both answers, each as it can be compared. `path` follows the origin."""
        data = content or (b"" if body is None else json.dumps(body, ensure_ascii=False).encode())
        shown = []
        for host, client in zip(self.hosts, (self.local, self.real), strict=True):
            sent = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/scim+json"}
            answer = await host.request(method, ORIGIN + path, {**sent, **(headers or {})}, data)
            shown.append(comparable(answer, client))
        return shown[0], shown[1]


@pytest.fixture
def pair(host: Host, worker: Worker, new_client: NewClient) -> Pair:
    local, real = new_client(), new_client()
    return Pair(local, Client(worker, real.tenant, real.token), (host, worker))  # type: ignore[arg-type]


def comparable(answer: Answer, client: Client) -> dict[str, Any]:
    """An answer without what differs by chance: ids, times, versions, tokens, and the tenant's own name."""
    text = answer.body.decode()
    headers = {name.lower(): value for name, value in answer.headers.items()}
    lines = json.dumps([headers, text])
    names: dict[str, str] = {}
    lines = re.sub(r"\b([ug])-[a-z2-7]{24}", lambda m: names.setdefault(m[0], f"{m[1]}-{len(names)}"), lines)
    lines = re.sub(r"\b[0-9a-f]{32}\b", "<request>", lines)
    lines = re.sub(r"20\d\d-\d\d-\d\dT[\d.:%A]+Z", "<time>", lines)
    lines = re.sub(r'W/\\+"[^"\\]*', "<version>", lines)
    lines = re.sub(r"eyJ[\w.-]+", "<token>", lines).replace(client.tenant, "<tenant>")
    headers, text = json.loads(lines)
    return {"status": answer.status, "headers": headers, "body": text}


async def test_every_function_is_indexed(worker: Worker) -> None:
    names = "users groups scim tenants feed manage console token metadata health elsewhere housekeeping"
    assert sorted(worker.names) == sorted(names.split())


ROUTES = (
    "/scim/Users",
    "/scim/Users/",
    "/scim/Users/u-aaaaaaaaaaaaaaaaaaaaaaaa",
    "/scim/users/a%2Fb",
    "/scim/Users/z%C3%BCrich%20%25",
    "/scim/Users/.search",
    "/scim/Groups",
    "/scim/Groups/g-aaaaaaaaaaaaaaaaaaaaaaaa",
    "/scim/Groups/a/b/c",
    "/scim/Bulk",
    "/scim/Me",
    "/scim/Schemas",
    f"/scim/Schemas/{USER}",
    "/scim/ResourceTypes/User",
    "/scim/ServiceProviderConfig",
    "/scim/.search",
    "/scim",
    "/scim/nothing/here",
    "/tenants",
    "/tenants/contoso/scim/Users",
    "/tenants/a%2Fb/scim/Users",
    "/oauth2/token",
    "/.well-known/oauth-authorization-server",
    "/health",
    "/",
    "/else",
)


@pytest.mark.parametrize("path", ROUTES)
async def test_every_method_on_every_route(pair: Pair, path: str) -> None:
    for method in METHODS:
        local, real = await pair.ask(method, path)
        assert real == local, f"{method} {path}"


QUERIES = (
    "",
    "?",
    "?filter=",
    "?count=1&count=0",
    "?startIndex=1&count=0&attributes=",
    "?filter=userName+eq+%22Zo%C3%AB%22",
    "?filter=userName%20eq%20%22ZO%C3%8B%22",
    '?filter=userName eq "zoë"',
    "?filter=userName+eq",
    "?filter=emails[type+eq+%22work%22].value+ew+%22example%22&attributes=userName,emails",
    "?cursor=&count=1",
    "?attributes=a&excludedAttributes=b",
)


@pytest.mark.parametrize("query", QUERIES)
async def test_queries(pair: Pair, query: str) -> None:
    """Empty values and repeated names, which the host does not hand over in params; raw and encoded characters."""
    for client in (pair.local, pair.real):
        await client.new_user("zoë", displayName="Zoë 🚀", emails=[{"type": "work", "value": "zoë@contoso.example"}])
    local, real = await pair.ask("GET", f"/scim/Users{query}")
    assert real == local


def padded(size: int) -> bytes:
    """A user whose body has exactly that many bytes."""
    body = json.dumps({"schemas": [USER], "userName": "padded"}).encode()
    return body[:-1] + b" " * (size - len(body)) + b"}"


MIB = 2**20
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "one byte": b"{",
    "no JSON": b"userName=ada",
    "no UTF-8": b'{"userName": "\xff"}',
    "byte order mark": b'\xef\xbb\xbf{"userName": "bom"}',
    "non-ASCII": json.dumps({"userName": "Ünïcödé 🚀 名前"}, ensure_ascii=False).encode(),
    "a large value": json.dumps({"userName": "large", "title": "ä" * 200_000}, ensure_ascii=False).encode(),
    "1 MiB": padded(MIB),
    "a byte more": padded(MIB + 1),
    "9 MiB": padded(9 * MIB),
}


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in BODIES.items()])
@pytest.mark.parametrize("path", ["/scim/Users", "/scim/Groups"])
async def test_bodies(pair: Pair, path: str, body: bytes) -> None:
    local, real = await pair.ask("POST", path, content=body)
    assert real == local


HEADERS: dict[str, dict[str, str]] = {
    "no credential": {"Authorization": ""},
    "another scheme": {"Authorization": "Basic YTpi"},
    "a wrong token": {"Authorization": "Bearer scim_nobody_0"},
    "another media type": {"Content-Type": "text/plain"},
    "a charset": {"Content-Type": 'application/json; charset="utf-8"'},
    "chunked": {"Transfer-Encoding": "chunked"},
    "a precondition": {"If-Match": 'W/"0"'},
    "a language": {"Accept-Language": "de", "Accept": "application/json"},
}


@pytest.mark.parametrize("headers", [pytest.param(headers, id=name) for name, headers in HEADERS.items()])
async def test_headers(pair: Pair, headers: dict[str, str]) -> None:
    for method, body in (("GET", None), ("POST", {"userName": "ada"})):
        local, real = await pair.ask(method, "/scim/Users", body, headers)
        assert real == local


async def test_token_endpoint(pair: Pair) -> None:
    """A form, which is no JSON, and the credential in a header."""
    for headers in ({}, {"Authorization": f"Basic {base64.b64encode(b'nobody:secret').decode()}"}):
        form = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        local, real = await pair.ask("POST", "/oauth2/token", headers=form, content=b"grant_type=client_credentials")
        assert real == local


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": list(operations)}


async def test_a_life(pair: Pair) -> None:
    """What Entra does to a user and a group, from the first match to the end."""
    answers = [await steps(client) for client in (pair.local, pair.real)]
    shown = [
        [comparable(Answer(r.status, _headers(r.headers), r.body), client) for r in found]
        for found, client in zip(answers, (pair.local, pair.real), strict=True)
    ]
    assert [one["status"] for one in shown[0]] == [200, 201, 409, 200, 200, 201, 204, 200, 204, 204, 200, 200, 204, 404]
    assert shown[1] == shown[0]


def _headers(headers: dict[str, str]) -> Any:
    return Answer(0).headers.__class__(headers)


async def steps(client: Client) -> Sequence[Any]:
    """The requests of a life, one after the other."""
    user = {"userName": "Zoë@contoso.example", "active": True, "displayName": "Zoë 🚀", "externalId": "1"}
    found = [await client.get("/Users?filter=userName+eq+%22zo%C3%AB@contoso.example%22")]
    found.append(await client.post("/Users", user))
    id = found[-1].json["id"]
    found.append(await client.post("/Users", user))
    found.append(await client.patch(f"/Users/{id}", {"op": "Add", "path": "title", "value": "Größe"}))
    found.append(await client.put(f"/Users/{id}", {**user, "title": "名前"}))
    found.append(await client.post("/Groups", {"displayName": "Zürich"}))
    group = f"/Groups/{found[-1].json['id']}"
    found.append(await client.patch(group, {"op": "Add", "path": "members", "value": [{"value": id}]}))
    found.append(await client.get(group))
    found.append(await client.patch(group, {"op": "Replace", "path": "displayName", "value": "Genève"}))
    found.append(await client.patch(group, {"op": "Remove", "path": "members", "value": [{"value": id}]}))
    bulk = [{"method": "POST", "path": "/Users", "bulkId": "1", "data": {"userName": "öther"}}]
    found.append(await client.post("/Bulk", {"Operations": bulk}))
    found.append(await client.patch(f"/Users/{id}", {"op": "Replace", "path": "active", "value": "False"}))
    found.append(await client.delete(f"/Users/{id}"))
    found.append(await client.get(f"/Users/{id}"))
    return found


async def test_timer(worker: Worker, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Housekeeping runs on the worker's tick, and its failure reaches the host."""
    runs: list[int] = []
    housekeep = application.housekeep

    async def counted() -> int:
        runs.append(await housekeep())
        return runs[-1]

    monkeypatch.setattr(application, "housekeep", counted)
    await worker.run_timer("Housekeeping")
    assert len(runs) == 1

    async def fails() -> int:
        raise OSError("no table")

    monkeypatch.setattr(application, "housekeep", fails)
    with pytest.raises(WorkerError, match="no table"):
        await worker.run_timer("housekeeping")


async def test_failure_of_ours_is_a_scim_error(
    pair: Pair, application: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a fault")

    caplog.set_level(logging.CRITICAL, "scim")
    monkeypatch.setattr(application, "_built", fails)
    local, real = await pair.ask("GET", "/scim/Users")
    assert (real["status"], real["headers"]["content-type"]) == (500, "application/scim+json")
    assert real == local


async def test_many_at_once(pair: Pair) -> None:
    """Answers reach those who asked."""
    names = [f"user-{number}" for number in range(40)]
    made = await asyncio.gather(*(pair.real.post("/Users", {"userName": name}) for name in names))
    assert [answer.json["userName"] for answer in made] == names
    read = await asyncio.gather(*(pair.real.get(f"/Users/{answer.json['id']}") for answer in made))
    assert [answer.json["userName"] for answer in read] == names


async def test_steady_load(pair: Pair) -> None:
    """25 requests a second, each sent when it is due, whether or not those before are answered."""
    user = await pair.real.new_user("ada")
    number = round(float(os.environ.get("WORKER_SECONDS", "2")) * PER_SECOND)
    began = asyncio.get_running_loop().time()
    under_way = []
    for one in range(number):
        await asyncio.sleep(began + one / PER_SECOND - asyncio.get_running_loop().time())
        if one % 5 == 0:
            ask = pair.real.post("/Users", {"userName": f"user-{one}"})
        elif one % 5 == 1:
            ask = pair.real.patch(f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": str(one)})
        else:
            ask = pair.real.get("/Users?filter=userName+eq+%22ADA%22")
        under_way.append(asyncio.create_task(ask))
    answers = await asyncio.gather(*under_way)
    assert {answer.status for answer in answers} == {200, 201}
