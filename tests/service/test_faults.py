"""What clients see when the table is slow, down, or loses answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError, ServiceResponseError

import function_app
from dev.azurite import Azurite, free_port
from scim.app import Application
from scim.operate.check import list_problems
from scim.schema.loading import load
from scim.settings import Settings
from tests.support import Client, Request, Wire

Call = Callable[[Client, Any], Any]
REGISTRY = load()


def once(method: str, error: Exception) -> Callable[[Request], Exception | None]:
    """Fails the first request of that method."""
    left = [error]
    return lambda request: left.pop() if left and request.http_request.method == method else None


WRITES: list[tuple[str, Call, int]] = [
    ("create", lambda c, u: c.post("/Users", {"userName": "fresh@contoso.example"}), 201),
    ("patch", lambda c, u: c.patch(f"/Users/{u['id']}", {"op": "add", "path": "title", "value": "new"}), 200),
    ("rename", lambda c, u: c.patch(f"/Users/{u['id']}", {"op": "add", "path": "userName", "value": "re@x"}), 200),
    ("put", lambda c, u: c.put(f"/Users/{u['id']}", {"userName": "put@contoso.example"}), 200),
    ("delete", lambda c, u: c.delete(f"/Users/{u['id']}"), 204),
]
LOST = [ServiceResponseError("the connection was reset"), ServiceRequestError("no connection")]


@pytest.mark.parametrize("error", LOST, ids=["after it was sent", "before it was sent"])
@pytest.mark.parametrize(("call", "status"), [row[1:] for row in WRITES], ids=[row[0] for row in WRITES])
async def test_a_write_whose_answer_is_lost_is_done_once(
    client: Client, wire: Wire, application: Application, call: Call, status: int, error: Exception
) -> None:
    user = await client.new_user("lost@contoso.example")
    wire.reset()
    methods = ("POST", "PUT")  # a transaction, and a single entity's write
    lost = [error]

    def lose(request: Request) -> Exception | None:
        return lost.pop() if lost and request.http_request.method in methods else None

    if isinstance(error, ServiceResponseError):
        wire.after = lose
    else:
        wire.before = lose
    answer = await call(client, user)
    assert answer.status == status, answer.body
    assert lost == []
    assert (await client.get("/Users")).json["totalResults"] == {201: 2, 200: 1, 204: 0}[status]
    assert await list_problems(application.table, client.tenant, REGISTRY) == []


@pytest.mark.parametrize("status", [500, 503])
async def test_the_sdk_retrying_a_write_that_succeeded_is_no_conflict(client: Client, wire: Wire, status: int) -> None:
    """The service answers 503 to a transaction that it committed, and the SDK sends it again."""
    wire.status_once = ("POST", status)
    answer = await client.post("/Users", {"userName": "again@contoso.example"})
    assert answer.status == 201, answer.body
    assert wire.status_once is None
    assert (await client.get("/Users")).json["totalResults"] == 1
    duplicate = await client.post("/Users", {"userName": "AGAIN@contoso.example"})
    assert duplicate.status == 409


async def test_reads_survive_a_lost_answer(client: Client, wire: Wire) -> None:
    user = await client.new_user("read@contoso.example")
    wire.after = once("GET", ServiceResponseError("the connection was reset"))
    assert (await client.get(f"/Users/{user['id']}")).status == 200


async def test_an_error_that_nobody_foresaw_is_a_scim_error_without_a_trace(
    client: Client, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    user = await client.new_user("bug@contoso.example")
    wire.before = once("GET", RuntimeError("internal secret"))
    answer = await client.get(f"/Users/{user['id']}?excludedAttributes=groups")
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/scim+json"
    assert "internal secret" not in answer.body.decode()
    request_id = answer.headers["x-request-id"]
    assert request_id in answer.json["detail"]
    assert any(request_id in record.getMessage() and record.exc_info for record in caplog.records)


async def test_table_down_and_up_again(
    settings: Settings, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    connection = Azurite(port=port, memory=False, location=tmp_path)
    down = settings.model_copy(update={"table_connection_string": connection.connection_string})
    application = Application(down)
    monkeypatch.setattr(function_app, "application", application)
    try:
        for call in (client.get("/Users/u-x"), client.post("/Users", {"userName": "down@contoso.example"})):
            began = time.monotonic()
            answer = await call
            assert time.monotonic() - began < 10
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
        with Azurite(port=port, memory=False, location=tmp_path) as azurite:
            await asyncio.to_thread(azurite.create_table, settings.table_name)
            assert (await client.post("/Users", {"userName": "up@contoso.example"})).status == 201
    finally:
        await application.close()


async def test_a_table_that_hangs_is_given_up(client: Client, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scim.store.table.azure.TRIP_SECONDS", 0.3)
    wire.delay = 5.0
    began = time.monotonic()
    answer = await client.get("/Users/u-aaaaaaaaaaaaaaaaaaaaaaaa")
    assert time.monotonic() - began < 2
    assert (answer.status, answer.headers["retry-after"]) == (503, "30")


async def test_no_value_of_an_attribute_reaches_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """The worker logs from INFO on, and the SDK would log URLs, which have row keys in them."""
    caplog.set_level(logging.INFO)
    user = await client.new_user("very-private-name@contoso.example", emails=[{"value": "very-private-mail"}])
    await client.get('/Users?filter=emails.value+eq+"very-private-mail"')
    await client.get('/Users?filter=userName+eq+"very-private-name@contoso.example"')
    await client.patch(f"/Users/{user['id']}", {"op": "replace", "path": "userName", "value": "very-private-other"})
    await client.delete(f"/Users/{user['id']}")
    assert "very-private" not in caplog.text
