"""The Host header is a caller's word: one that cannot be a host gets a SCIM error, and where the operator said by which
name the service is reached, no other one gets an answer that names it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from scim.app import Application
from scim.http import Request
from scim.settings import Settings
from tests.core import cases

PUBLIC = "https://scim.contoso.example/scim"
NO_HOSTS = {
    "bracket": "[",
    "closing bracket": "a]b",
    "empty brackets": "[]",
    "no address in brackets": "[adele]",
    "folds to several characters": "\u2100.example",
    "folds to a slash": "a\uff0fb",
    "other script": "contosö.example",
    "space": "a b",
    "user": "adele@contoso.example",
    "script": "<script>",
    "quote": 'a"b',
    "percent": "a%2fb",
    "nothing": "",
    "port of letters": "a:b",
    "line break": "a\r\nX-Evil: 1",
    "backslash": "a\\b",
}
PATHS = ["/scim/Users", "/scim", "/oauth2/token", "/.well-known/oauth-authorization-server", "/", ""]
STRANGE_PATHS = ["//[x/scim/Users", "//a]b?x=//[", "//\u2100/scim#//["]
"""What a host may stand behind, if the one before it cannot be one."""


@pytest.fixture
async def public(settings: Settings) -> AsyncIterator[Application]:
    application = Application(settings.model_copy(update={"public_url": PUBLIC}))
    yield application
    await application.close()


@pytest.mark.parametrize("path", [*PATHS, *STRANGE_PATHS])
@pytest.mark.parametrize("host", cases(NO_HOSTS))
async def test_host_that_cannot_be_one(application: Application, host: str, path: str) -> None:
    answer = await application.handle(Request("GET", f"http://{host}{path}"))
    assert answer.status == 400, answer.body
    assert isinstance(answer.body, dict)
    assert "Host header" in str(answer.body.get("detail") or answer.body.get("error_description"))
    assert len(answer.headers["X-Request-Id"]) == 32


@pytest.mark.parametrize(
    "host", ["scim.test", "SCIM.test:7071", "127.0.0.1:7071", "[::1]:7071", "a_b.example", "[::1]"]
)
async def test_host_that_can_be_one(application: Application, host: str) -> None:
    assert (await application.handle(Request("GET", f"http://{host}/scim/Users"))).status == 401


OTHERS = ["evil.example", "scim.contoso.example.evil.example", "scim.contoso.example:444", "xscim.contoso.example"]


@pytest.mark.parametrize("path", PATHS[:4])
@pytest.mark.parametrize("host", OTHERS)
async def test_another_host_than_the_public_one(public: Application, host: str, path: str) -> None:
    answer = await public.handle(Request("GET", f"https://{host}{path}"))
    assert answer.status == 421
    assert "evil" not in str(answer.body) + str(answer.headers)


@pytest.mark.parametrize("host", ["scim.contoso.example", "SCIM.Contoso.Example", "scim.contoso.example:443"])
async def test_the_public_host(public: Application, host: str) -> None:
    answer = await public.handle(Request("GET", f"https://{host}/.well-known/oauth-authorization-server"))
    assert (answer.status, answer.body and answer.body["issuer"]) == (200, "https://scim.contoso.example")  # type: ignore[index]


async def test_probes_come_by_any_name(public: Application, application: Application) -> None:
    for one, host in ((public, "10.0.0.7"), (application, "[")):
        assert (await one.handle(Request("GET", f"http://{host}/health"))).status == 200
