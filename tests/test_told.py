"""Every text that docs/entra.md quotes is what is sent, word for word, and its table is made from these texts."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import function_app
from dev.azurite import Azurite
from dev.credentials import SEALS, new_key
from dev.error_table import PAGE, ROWS, page
from dev.host import Host
from scim import told
from scim.app import Application
from scim.security import access_tokens
from scim.security.keys import find_digest
from scim.security.signing_keys import SigningKey, write_signing_keys
from scim.settings import Settings
from tests.support import Response

ORIGIN = "http://scim.test"
PAST = (datetime.now(UTC) - timedelta(days=1)).isoformat()
NAMES = ("good", "lapsed", "ended", "paused", "reader", "closed", "replaced", "withdrawn", "client", "app")
KEYS = {name: new_key(name) for name in NAMES}
SIGNING_KEY = SigningKey(
    id="cafe0001",
    key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="),
    created=datetime.now(UTC) - timedelta(days=1),
)
OLD = {name: new_key(name) for name in ("replaced", "withdrawn")}
MORE: dict[str, dict[str, Any]] = {
    "lapsed": {"keys": [{"value": KEYS["lapsed"], "expires": PAST}]},
    "ended": {"expires": PAST},
    "paused": {"paused": PAST},
    "reader": {"access": "read"},
    "closed": {"revoked": PAST},
    "replaced": {"revoked_keys": [{"value": find_digest(OLD["replaced"]), "at": PAST}]},
    "withdrawn": {"keys": [], "revoked": None, "revoked_keys": [{"value": find_digest(OLD["withdrawn"]), "at": PAST}]},
    "client": {"kind": "oauth"},
    "app": {"tenant": None, "operator": {"tenants": "*", "rights": ["read"]}},
}
ENTRAS = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, {"tid": "x"}, 1)
)
"""What looks like a token of Entra's."""


@dataclass(frozen=True)
class Sent:
    """A request that must be answered with a certain text."""

    method: str = "GET"
    path: str = "/scim/Users"
    token: str | None = None
    body: object = None
    form: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def token_request(**form: str) -> Sent:
    text = "&".join(f"{name}={value}" for name, value in {"grant_type": "client_credentials", **form}.items())
    return Sent("POST", "/oauth2/token", form=text)


GOOD = KEYS["good"]
PROVOKED: dict[str, Sent] = {
    told.SEND_TOKEN: Sent(),
    told.UNKNOWN_TOKEN: Sent(token="mistyped"),
    told.CREDENTIAL_EXPIRED: Sent(token=KEYS["lapsed"]),
    told.CONNECTION_EXPIRED: Sent(token=KEYS["ended"]),
    told.CREDENTIAL_REPLACED: Sent(token=OLD["replaced"]),
    told.CREDENTIAL_REVOKED: Sent(token=OLD["withdrawn"]),
    told.CONNECTION_REVOKED: Sent(token=KEYS["closed"]),
    told.CLIENT_SECRET: Sent(token=KEYS["client"]),
    told.ENTRA_TOKEN: Sent(token=ENTRAS),
    told.SEND_CLIENT: token_request(client_id="client"),
    told.UNKNOWN_CLIENT: token_request(client_id="client", client_secret="mistyped"),
    told.SECRET_TOKEN: token_request(client_id="good", client_secret=GOOD),
    told.OTHER_SCOPE: token_request(client_id="client", client_secret=KEYS["client"], scope="other"),
    told.READ_ONLY: Sent("POST", token=KEYS["reader"], body={"userName": "x"}),
    told.OPERATORS_CONNECTION: Sent(token=KEYS["app"]),
    told.NO_ADDRESS: Sent(path="/scmi/Users?filter=x", token=GOOD),
    told.BEHIND_URL: Sent(path="/scim/Users/Users?filter=x", token=GOOD),
    told.TAKEN: Sent("POST", token=GOOD, body={"userName": "user-0"}),
    told.WRONG_TYPE: Sent("POST", token=GOOD, body={"userName": "x", "active": "maybe"}),
    told.REQUIRED: Sent("POST", token=GOOD, body={"displayName": "x"}),
    told.READ_ONLY_ATTRIBUTE: Sent(
        "PATCH", "/scim/Users/u-x", GOOD, {"Operations": [{"op": "add", "path": "id", "value": "x"}]}
    ),
    told.TOO_MANY_READ: Sent(path="/scim/Users?filter=title%20eq%20%22x%22", token=GOOD),
    told.MEDIA_TYPE: Sent("POST", token=GOOD, body={}, headers={"content-type": "text/xml"}),
    told.PAUSED: Sent(token=KEYS["paused"]),
}
IN_TIME = {told.ACCESS_TOKEN_EXPIRED}
"""Texts that come when time has passed; a test below lets it pass."""

Ask = Callable[[Sent], Any]


@pytest.fixture(scope="module")
async def ask(host: Host, azurite: Azurite) -> AsyncIterator[Ask]:
    """Sends a request to an application with connections in every state, and a tenant of more users than it scans."""
    connections = {name: {"tenant": "told", "keys": [key], **MORE.get(name, {})} for name, key in KEYS.items()}
    configured = {
        "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
        "SCIM_TABLE_NAME": "scim",
        "SCIM_CONNECTIONS": json.dumps(connections),
        "SCIM_SEALS": SEALS,
        "SCIM_SIGNING_KEYS": write_signing_keys((SIGNING_KEY,)),
        "SCIM_USAGE_MINUTES": "0",
        "SCIM_INSIGHT_SECONDS": "0",
    }
    own = Application(Settings.from_environment(configured).model_copy(update={"scan_limit": 2}))
    original, function_app.application = function_app.application, own

    async def send(sent: Sent) -> Response:
        body = b"" if sent.body is None else json.dumps(sent.body).encode()
        headers = {"Host": "scim.test"}
        if sent.form is not None:
            body, headers["content-type"] = sent.form.encode(), "application/x-www-form-urlencoded"
        if sent.token is not None:
            headers["authorization"] = f"Bearer {sent.token}"
        answer = await host.request(sent.method, ORIGIN + sent.path, {**headers, **sent.headers}, body)
        return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)

    for number in range(5):
        await send(Sent("POST", token=GOOD, body={"userName": f"user-{number}"}))
    yield send
    function_app.application = original
    await own.close()


def pattern(text: str) -> str:
    """A text as a regular expression; what differs from request to request is anything."""
    return (
        ".+".join(map(re.escape, re.split(r"\{\w+\}", text.removesuffix(".")))).replace(".+:", ".*:")
        + r" \(request \w+\)\."
    )


@pytest.mark.parametrize(("text", "sent"), PROVOKED.items(), ids=[text[:40] for text in PROVOKED])
async def test_a_text_is_sent_word_for_word(ask: Ask, text: str, sent: Sent) -> None:
    answer = await ask(sent)
    detail = answer.json.get("detail") or answer.json["error_description"]
    assert re.fullmatch(pattern(text), detail), detail
    kinds = {kind for kind, of, _, _ in ROWS if of == text}
    assert {kind.split()[0] for kind in kinds} & {str(answer.status), answer.json.get("error")}
    assert {kind.split()[1] for kind in kinds if " " in kind} <= {answer.json.get("scimType")}


async def test_an_access_token_that_expired(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was got from the token endpoint two hours ago."""

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) - timedelta(hours=2)

    with monkeypatch.context() as then:
        then.setattr(access_tokens, "datetime", Earlier)
        answer = await ask(token_request(client_id="client", client_secret=KEYS["client"]))
    assert answer.status == 200, answer.body
    answer = await ask(Sent(token=answer.json["access_token"]))
    assert answer.status == 401
    assert re.fullmatch(pattern(told.ACCESS_TOKEN_EXPIRED), answer.json["detail"]), answer.json["detail"]
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    answer = await ask(token_request(client_id="client", client_secret=KEYS["client"]))
    assert (await ask(Sent(token=answer.json["access_token"]))).status == 200


def test_every_text_of_the_page_is_provoked() -> None:
    assert {text for _, text, _, _ in ROWS} == {*PROVOKED, *IN_TIME}


def test_the_page_has_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run python -m dev.error_table"


ANYWHERE = ["/", "/Users", "/Users/u-1", "/scmi/Users", "/api/scim/Users", "/scim2", "/a/b/c/d", "/v2/Groups?filter=x"]


@pytest.mark.parametrize("path", ANYWHERE)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
async def test_any_other_address_says_what_the_tenant_url_is(ask: Ask, path: str, method: str) -> None:
    answer = await ask(Sent(method, path, body={"userName": "x"} if method in ("POST", "PATCH") else None))
    assert (answer.status, answer.json["status"]) == (404, "404")
    assert "the tenant URL ends with /scim, so it is http://scim.test/scim" in answer.json["detail"]
    assert answer.headers["content-type"] == "application/scim+json"


BEHIND = [
    "/scim/Users/Users",
    "/scim/Users/Groups",
    "/scim/Groups/Users?filter=x",
    "/scim/Users/Users/u-1",
    "/scim/Users/Schemas",
]


@pytest.mark.parametrize("path", BEHIND)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
async def test_a_tenant_url_with_more_behind_it(ask: Ask, path: str, method: str) -> None:
    answer = await ask(Sent(method, path, GOOD, {"userName": "x"} if method != "GET" else None))
    assert answer.status == 404
    assert f"without /{path.split('/')[2]} behind it, so it is http://scim.test/scim" in answer.json["detail"]
