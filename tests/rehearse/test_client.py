"""HTTP as Entra speaks it, against an endpoint that answers as each test says."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl

import httpx
import pytest

from dev.rehearse import client as module
from dev.rehearse.auth import ClientCredentials, Credentials, Federation, SecretToken, TokenError
from dev.rehearse.client import Client
from dev.rehearse.rehearsal import TargetRefused, check_empty

Handler = Callable[[httpx.Request], httpx.Response]
TOKENS = "https://app.example/oauth2/token"


def new_client(
    handler: Handler, credentials: Credentials | None = None, url: str = "https://app.example/scim"
) -> Client:
    client = Client(url, credentials or SecretToken("secret"), rate=0, transport=httpx.MockTransport(handler))
    return client


async def test_a_request_is_written_as_entra_writes_it() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    client = new_client(answer, url="https://app.example/scim/?aadOptscim062020")
    await client.find("find user", "/Users", 'userName eq "o\'neill+ü#EXT#@x"')
    await client.send("create user", "POST", "/Users", {"userName": "ü"})
    assert str(seen[0].url) == (
        "https://app.example/scim/Users?filter=userName+eq+%22o%27neill%2B%C3%BC%23EXT%23%40x%22"
    )
    assert seen[0].headers["authorization"] == "Bearer secret"
    assert seen[1].headers["content-type"] == "application/scim+json; charset=utf-8"
    assert json.loads(seen[1].content) == {"userName": "ü"}


@pytest.mark.parametrize(("status", "headers"), [(429, {"Retry-After": "0"}), (503, {"Retry-After": "0"})])
async def test_it_waits_and_tries_again(status: int, headers: dict[str, str]) -> None:
    answers = [httpx.Response(status, headers=headers), httpx.Response(status, headers=headers), httpx.Response(200)]
    client = new_client(lambda _: answers.pop(0))
    answer = await client.send("probe", "GET", "/Users")
    assert (answer.status, answer.tries, client.statistics.throttled) == (200, 3, 2)


async def test_a_503_without_a_date_is_left_to_the_next_cycle() -> None:
    client = new_client(lambda _: httpx.Response(503))
    answer = await client.send("probe", "GET", "/Users")
    assert (answer.status, answer.tries) == (503, 1)


async def test_a_retry_after_is_not_waited_for_longer_than_sensible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAIT", 0.0)
    client = new_client(lambda _: httpx.Response(429, headers={"Retry-After": "86400"}))
    answer = await client.send("probe", "GET", "/Users")
    assert (answer.status, answer.tries) == (429, module.TRIES)


async def test_no_answer_is_an_answer_too() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request) if "slow" in request.url.path else httpx.ConnectError("refused")

    client = new_client(fail)
    slow, closed = await client.send("a", "GET", "/slow"), await client.send("a", "GET", "/Users")
    assert (slow.status, slow.error) == (0, "no answer within 30 seconds")
    assert (closed.status, closed.error) == (0, "ConnectError: refused")
    assert slow.uncertain and client.statistics.failed == 2


async def test_a_token_that_the_target_repeats_is_not_shown() -> None:
    client = new_client(lambda request: httpx.Response(401, text=f"unknown: {request.headers['authorization']}"))
    answer = await client.send("a", "GET", "/Users")
    assert answer.exchange.answer == answer.text == "unknown: Bearer [token]"


async def test_what_is_no_json_is_no_data() -> None:
    client = new_client(lambda _: httpx.Response(200, text="<html>"))
    answer = await client.send("a", "GET", "/Users")
    assert answer.data is None and answer.object == {} and answer.resources == []


async def test_the_pace_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    monkeypatch.setattr(module.time, "monotonic", lambda: 100.0)
    pace = module.Pace(25)
    for _ in range(4):
        await pace.wait()
    assert waited == pytest.approx([0.04, 0.08, 0.12])


async def test_only_what_was_created_is_deleted() -> None:
    deleted: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            name = json.loads(request.content)["userName"]
            return httpx.Response(409) if name == "taken" else httpx.Response(201, json={"id": f"id/{name}"})
        deleted.append(request.url.raw_path.decode())
        return httpx.Response(404 if "gone" in deleted[-1] else 500 if "stuck" in deleted[-1] else 204)

    client = new_client(answer)
    for name in ("a", "taken", "gone", "stuck", "b"):
        await client.send("create user", "POST", "/Users", {"userName": name})
    await client.send("delete user", "DELETE", "/Users/id%2Fb")
    client.created.pop(("/Users", "id/b"), None)
    deleted.clear()
    left = await client.clean_up()
    assert sorted(set(deleted)) == ["/scim/Users/id%2Fa", "/scim/Users/id%2Fgone", "/scim/Users/id%2Fstuck"]
    assert left == ["/Users/id/stuck (stuck): 500"]


async def test_what_a_lost_answer_made_is_found_and_deleted() -> None:
    deleted: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            raise httpx.ReadError("")
        if request.method == "GET":
            both = [{"id": "1", "userName": "Anna"}, {"id": "2", "userName": "somebody else"}]
            return httpx.Response(200, json={"totalResults": 2, "Resources": both})
        deleted.append(request.url.path)
        return httpx.Response(204)

    client = new_client(answer)
    await client.send("create user", "POST", "/Users", {"userName": "anna"})
    assert await client.clean_up() == []
    assert deleted == ["/scim/Users/1"]


async def test_a_request_goes_on_when_its_caller_is_cancelled() -> None:
    arrived = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        arrived.set()
        await asyncio.sleep(0.01)
        return httpx.Response(201, json={"id": "1"})

    client = Client("https://x", SecretToken("s"), rate=0, transport=httpx.MockTransport(answer))
    caller = asyncio.create_task(client.send("create user", "POST", "/Users", {"userName": "anna"}))
    await arrived.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await client.settle()
    assert client.created == {("/Users", "1"): "anna"}


@pytest.mark.parametrize("how", ["header", "body", "both"])
async def test_client_credentials(how: str) -> None:
    forms: list[tuple[str, dict[str, str]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if str(request.url) == TOKENS:
            forms.append((request.headers.get("authorization", ""), dict(parse_qsl(request.content.decode()))))
            return httpx.Response(200, json={"access_token": f"access{len(forms)}", "expires_in": 3600})
        return httpx.Response(401 if request.headers["authorization"] == "Bearer access1" else 200, json={})

    credentials = ClientCredentials(TOKENS, "id", secret="s:ü", how=how)  # type: ignore[arg-type]
    client = new_client(answer, credentials)
    assert (await client.send("a", "GET", "/Users")).status == 401
    assert (await client.send("a", "GET", "/Users")).status == 200  # a refused token is fetched anew
    basic = f"Basic {base64.b64encode(b'id:s%3A%C3%BC').decode()}"
    header, form = forms[0]
    assert len(forms) == 2 and form["grant_type"] == "client_credentials" and form["scope"] == "scim"
    assert header == ("" if how == "body" else basic)
    assert form.get("client_secret") == (None if how == "header" else "s:ü")
    assert credentials.lifetime == 3600


async def test_federation(tmp_path: Path) -> None:
    bodies: list[dict[str, list[str]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(parse_qs(request.content.decode()))
        return httpx.Response(200, json={"access_token": "a"})

    file = tmp_path / "jwt"
    file.write_text("head.body.signature\n")
    credentials = Federation(TOKENS, "id", assertion_file=file)
    assert await credentials.token(new_client(answer).http) == "a"
    assert bodies[0]["client_assertion"] == ["head.body.signature"]
    assert bodies[0]["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    file.unlink()
    credentials.forget()
    with pytest.raises(TokenError, match="cannot be read"):
        await credentials.token(new_client(answer).http)


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx.Response(401, json={"error": "invalid_client"}), "invalid_client"),
        (httpx.Response(200, json={"token_type": "Bearer"}), "without an access_token"),
        (httpx.Response(502, text="<html>"), "502 without JSON"),
    ],
)
async def test_a_token_endpoint_that_gives_none(response: httpx.Response, said: str) -> None:
    credentials = ClientCredentials(TOKENS, "id", secret="top secret")
    client = new_client(lambda _: response, credentials)
    answer = await client.send("a", "GET", "/Users")
    assert answer.status == 0 and said in answer.error and "top secret" not in answer.error


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx.Response(200, json={"totalResults": 3, "Resources": [{}]}), r"holds 3 users already.*--i-know"),
        (httpx.Response(401), "refuses the credentials"),
        (httpx.Response(404), "does not tell whether it holds users.*--i-know"),
        (httpx.Response(200, text="<html>"), "does not tell"),
    ],
)
async def test_a_target_that_is_not_empty_is_refused(response: httpx.Response, said: str) -> None:
    client = new_client(lambda _: response)
    with pytest.raises(TargetRefused, match=said):
        await check_empty(client)
    assert client.statistics.requests == 1


async def test_an_empty_target_is_taken() -> None:
    await check_empty(new_client(lambda _: httpx.Response(200, json={"totalResults": 0})))
