"""One line in the log for each request: what it says, and what it must never say."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from dev.host import Host
from scim.app import Application
from scim.http import Request
from scim.security.keys import fingerprint
from scim.settings import Settings
from tests.core import cases
from tests.support import Client, Wire

PERSON = "adele.vance@contoso.example"


def lines(caplog: pytest.LogCaptureFixture, event: str = "request") -> list[dict[str, Any]]:
    """The events of that name, which are all one line of JSON."""
    texts = [record.getMessage() for record in caplog.records if record.name == "scim"]
    assert not any("\n" in text for text in texts)
    found = [json.loads(text) for text in texts if text.startswith("{")]
    return [each for each in found if each["event"] == event]


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


async def test_one_line_for_each_request(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    user = await client.new_user(PERSON)
    taken = await client.post("/Users", {"userName": PERSON})
    read = await client.get(f"/users/{user['id']}")
    first, second, third = lines(caplog)
    assert first == {
        "event": "request",
        "request": first["request"],
        "tenant": client.tenant,
        "connection": client.tenant,
        "credential": fingerprint(client.token),
        "operation": "POST Users",
        "resource": user["id"],
        "status": 201,
        "scimType": None,
        "changed": ["userName"],
        "trips": 1,
        "ms": first["ms"],
    }
    assert (second["status"], second["scimType"], second["resource"]) == (409, "uniqueness", None)
    assert second["request"] == taken.headers["x-request-id"]
    assert (third["operation"], third["resource"], third["trips"]) == ("GET Users/{id}", user["id"], 2)
    assert third["request"] == read.headers["x-request-id"] and third["ms"] > 0


OPERATIONS = {
    "search": ("GET", f"/Users?filter=userName+eq+%22{PERSON}%22", "GET Users?filter"),
    "list": ("GET", "/Groups?startIndex=1", "GET Groups"),
    "search by POST": ("POST", "/Users/.search", "POST Users/.search"),
    "search everywhere": ("POST", "/.search", "POST .search"),
    "bulk": ("POST", "/Bulk", "POST Bulk"),
    "root": ("GET", "", "GET /"),
    "somebody's name as a path": ("GET", f"/{PERSON}", "GET ?"),
    "somebody's name as an id": ("DELETE", f"/Users/{PERSON}", "DELETE Users/{id}"),
    "somebody's name as a method": ("ADELE", "/Users", "? Users"),
    "schema": ("GET", "/Schemas/urn:x", "GET Schemas/{id}"),
}


@pytest.mark.parametrize(("method", "path", "operation"), cases(OPERATIONS))
async def test_operation_is_told_in_known_words(
    client: Client, caplog: pytest.LogCaptureFixture, method: str, path: str, operation: str
) -> None:
    body = {"userName": PERSON, "filter": f'userName eq "{PERSON}"', "Operations": []}
    await client.request(method, path, body if method == "POST" else None)
    if method == "ADELE":  # the host answers what no function allows
        assert lines(caplog) == []
        return
    (line,) = lines(caplog)
    assert (line["operation"], line["resource"]) == (operation, None)


async def test_no_value_of_a_person_is_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    user = await client.new_user(PERSON, displayName="Adele Vance")
    await client.post("/Users", {"userName": PERSON})
    await client.get(f"/Users?filter=userName+eq+%22{PERSON}%22")
    await client.get(f"/Users?filter=nickName+xx+%22{PERSON}%22")
    await client.patch(f"/Users/{user['id']}", {"op": "replace", "path": "active", "value": PERSON})
    await client.patch(f"/Users/{user['id']}", {"op": "replace", "path": "displayName", "value": "Adele Vance-Smith"})
    await client.delete(f"/Users/{user['id']}")
    assert len(lines(caplog)) == 7
    said = caplog.text
    assert not [word for word in ("adele", "Vance", "contoso.example", client.token) if word.lower() in said.lower()]


async def test_refused_caller(client: Client, host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong key for a connection that is there tells its name as claimed, or a stranger could raise its alert."""
    from dev.credentials import new_key

    await Client(host, client.tenant, new_key(client.tenant)).get("/Users")
    await Client(host, client.tenant, "nonsense").get("/Users")
    named, nameless = lines(caplog)
    assert (named["status"], named["claimed"], named["reason"]) == (401, client.tenant, "unknown")
    assert (nameless["status"], nameless.get("claimed"), nameless["reason"]) == (401, None, "malformed")
    assert {line[name] for line in (named, nameless) for name in ("connection", "tenant", "credential")} == {None}


async def test_health(host: Host) -> None:
    answer = await host.request("GET", "http://scim.test/health")
    assert answer.status == 200
    assert json.loads(answer.body) == {"status": "ok", "table": "ok", "connections": "ok"}
    assert (await host.request("POST", "http://scim.test/health")).status == 405


async def test_health_of_a_service_whose_table_is_away() -> None:
    away = "DefaultEndpointsProtocol=http;AccountName=x;AccountKey=eA==;TableEndpoint=http://127.0.0.1:9/x;"
    application = Application(Settings.from_environment({"SCIM_TABLE_CONNECTION_STRING": away}))
    response = await application.handle(Request("GET", "http://scim.test/health"))
    await application.close()
    assert (response.status, response.body) == (503, {"status": "failing", "table": "failing", "connections": "ok"})


async def test_health_is_looked_at_once_in_a_while(host: Host, wire: Wire) -> None:
    for _ in range(20):
        await host.request("GET", "http://scim.test/health")
    assert len(wire.trips) <= 1
