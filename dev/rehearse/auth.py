"""The credentials that an admin enters in Entra: a secret token, OAuth client credentials, or workload federation."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import quote

import httpx

HowSent = Literal["header", "body", "both"]

_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenError(Exception):
    """The token endpoint gave no access token; the text says what it answered."""


class Credentials(Protocol):
    """What a request is authorised with."""

    kind: str

    async def token(self, http: httpx.AsyncClient) -> str:
        """The access token, fetched where there is none that still lives. TokenError where none can be had."""

    def forget(self) -> None:
        """Fetch a new token next time, since this one was refused."""


@dataclass
class SecretToken:
    """A token that the admin pastes."""

    value: str
    kind: str = "secret token"

    async def token(self, http: httpx.AsyncClient) -> str:
        return self.value

    def forget(self) -> None:
        """There is no other one."""


@dataclass
class _Grant:
    """An access token of the client credentials grant (RFC 6749 §4.4), used until shortly before it ends."""

    endpoint: str
    client_id: str
    lifetime: float = 0.0
    """Seconds that the last token lives by its own account."""
    _value: str = field(default="", repr=False)
    _until: float = 0.0

    def form(self) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and form fields that prove who asks."""
        raise NotImplementedError

    async def token(self, http: httpx.AsyncClient) -> str:
        if time.monotonic() > self._until:
            await self._fetch(http)
        return self._value

    def forget(self) -> None:
        self._until = 0.0

    async def _fetch(self, http: httpx.AsyncClient) -> None:
        headers, fields = self.form()
        form = {"grant_type": "client_credentials", "scope": "scim", **fields}
        try:
            answer = await http.post(self.endpoint, data=form, headers=headers)
            body = answer.json()
        except httpx.HTTPError as error:
            raise TokenError(f"{self.endpoint} cannot be reached: {error or type(error).__name__}") from None
        except ValueError:
            raise TokenError(f"{self.endpoint} answered {answer.status_code} without JSON") from None
        if answer.status_code != 200 or not isinstance(body, dict) or not isinstance(body.get("access_token"), str):
            said = {name: body[name] for name in ("error", "error_description") if name in body} if body else {}
            raise TokenError(
                f"{self.endpoint} answered {answer.status_code} without an access_token: {said or 'no reason'}"
            )
        self._value = body["access_token"]
        self.lifetime = float(body.get("expires_in") or 0)
        self._until = time.monotonic() + max(0.0, (self.lifetime or 3600) - 60)


@dataclass
class ClientCredentials(_Grant):
    """Client id and secret; `how` they are sent is a setting of Entra's page."""

    secret: str = field(default="", repr=False)
    how: HowSent = "body"
    kind: str = "OAuth 2.0 client credentials"

    def form(self) -> tuple[dict[str, str], dict[str, str]]:
        pair = f"{quote(self.client_id, safe='')}:{quote(self.secret, safe='')}"
        basic = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        fields = {"client_id": self.client_id, "client_secret": self.secret}
        return ({} if self.how == "body" else basic), ({} if self.how == "header" else fields)


@dataclass
class Federation(_Grant):
    """A JWT of the identity provider in place of a secret (RFC 7523); the file is read for each token anew."""

    assertion_file: Path = Path()
    kind: str = "workload identity federation"

    def form(self) -> tuple[dict[str, str], dict[str, str]]:
        try:
            assertion = self.assertion_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise TokenError(f"the assertion in {self.assertion_file} cannot be read: {error}") from None
        return {}, {
            "client_id": self.client_id,
            "client_assertion_type": _JWT_BEARER,
            "client_assertion": assertion,
        }
