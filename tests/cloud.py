"""What Azure has and this machine has not, as small servers that speak its protocols: Key Vault and public keys of
issuers over TLS, and the endpoint that managed identities get their tokens from.

The app talks to them with its real SDKs. They count what they are asked for, and fail when told to.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import trustme
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

HEADER = "this-is-the-app"
"""What the identity endpoint must be shown (IDENTITY_HEADER)."""

_NAME = re.compile("[0-9a-zA-Z-]{1,127}")
"""What a secret may be called."""


@dataclass
class Secret:
    """A secret's current version."""

    value: str
    enabled: bool = True
    expires: int | None = None
    not_before: int | None = None
    tags: dict[str, str] = field(default_factory=dict)
    content_type: str | None = None
    version: int = 1


class Vault:
    """Key Vault's secrets (REST API 2016-10-01 and later): get, set, list; disabled ones are refused as there."""

    def __init__(self) -> None:
        self.secrets: dict[str, Secret] = {}
        self.older: dict[str, list[Secret]] = {}
        """Versions that others have taken the place of, the oldest first."""
        self.reads: list[str] = []
        """Names of secrets that were asked for with a good token."""
        self.fault: int | None = None
        """The status that everything is answered with."""
        self.turn: Callable[[str, web.Request], Awaitable[None]] | None = None
        """Is awaited before a request is answered: it is given the caller's token, and may let another go first."""
        self.page = 2
        """Secrets on a page of the list; the real one has up to 25."""
        self.deleted: dict[str, Secret | None] = {}
        """Secrets that were deleted and can be recovered (soft delete): nobody else gets their names meanwhile."""
        self.delay = 0.0
        self.tokens: set[str] = set()
        self.base = ""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/secrets", self._list),
            web.get("/secrets/{name}", self._get),
            web.get("/secrets/{name}/versions", self._versions),
            web.get("/secrets/{name}/{version}", self._get),
            web.get("/secrets/{name}/", self._get),
            web.put("/secrets/{name}", self._put),
            web.delete("/secrets/{name}", self._delete),
            web.get("/deletedsecrets/{name}", self._get_deleted),
            web.post("/deletedsecrets/{name}/recover", self._recover),
        ]

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if (refusal := self._refusal(request)) is not None:
            return refusal
        await self._wait(request)
        self.reads.append(name)
        if self.delay:
            await asyncio.sleep(self.delay)
        if (failure := self._failure(name)) is not None:
            return failure
        version = request.match_info.get("version")
        secret = self._version(name, version) if version else self.secrets.get(name)
        if secret is None:
            return _error(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        if not secret.enabled:
            return _error(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return web.json_response({"value": secret.value, **self._bundle(name, secret)})

    async def _put(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        name, body = request.match_info["name"], await request.json()
        await self._wait(request)
        if (failure := self._failure(name)) is not None:
            return failure
        if name in self.deleted:
            return _error(
                409, "Conflict", f"Secret {name} is deleted and can be recovered.", "ObjectIsDeletedButRecoverable"
            )
        attributes = body.get("attributes") or {}
        known = self.secrets.get(name)
        self.secrets[name] = secret = Secret(
            body["value"],
            attributes.get("enabled", True),
            attributes.get("exp"),
            attributes.get("nbf"),
            body.get("tags") or {},
            body.get("contentType"),
            known.version + 1 if known else 1,
        )
        if known is not None:
            self.older.setdefault(name, []).append(known)
        return web.json_response({"value": secret.value, **self._bundle(name, secret)})

    async def _delete(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        name = request.match_info["name"]
        await self._wait(request)
        if (failure := self._failure(name)) is not None:
            return failure
        if name not in self.secrets:
            return _error(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        self.deleted[name] = secret = self.secrets.pop(name)
        return web.json_response(self._deleted_bundle(name, secret))

    async def _get_deleted(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        name = request.match_info["name"]
        if (failure := self._failure(name)) is not None:
            return failure
        if (secret := self.deleted.get(name)) is None:
            return _error(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        return web.json_response(self._deleted_bundle(name, secret))

    async def _recover(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        name = request.match_info["name"]
        if (secret := self.deleted.pop(name, None)) is None:
            return _error(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        self.secrets[name] = secret
        return web.json_response(self._bundle(name, secret))

    def _deleted_bundle(self, name: str, secret: Secret) -> dict[str, Any]:
        now = int(time.time())
        dates = {"deletedDate": now, "scheduledPurgeDate": now + 90 * 86_400}
        return {**self._bundle(name, secret), "recoveryId": f"{self.base}/deletedsecrets/{name}", **dates}

    async def _versions(self, request: web.Request) -> web.Response:
        """All versions of a secret, in pages; none of one that is not there, as the real one."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        name = request.match_info["name"]
        await self._wait(request)
        if (failure := self._failure(name)) is not None:
            return failure
        start, size = int(request.query.get("$skiptoken", 0)), 3
        current = self.secrets.get(name)
        items = [self._bundle(name, secret) for secret in ([*self.older.get(name, []), current] if current else [])]
        more = f"{self.base}/secrets/{name}/versions?$skiptoken={start + size}&api-version=7.5"
        next_link = more if start + size < len(items) else None
        return web.json_response({"value": items[start : start + size], "nextLink": next_link})

    def _version(self, name: str, version: str) -> Secret | None:
        current = self.secrets.get(name)
        known = [*self.older.get(name, []), current] if current else []
        return next((secret for secret in known if secret and f"{secret.version:032x}" == version), None)

    async def _wait(self, request: web.Request) -> None:
        if self.turn is not None:
            await self.turn(request.headers["Authorization"].removeprefix("Bearer "), request)

    async def _list(self, request: web.Request) -> web.Response:
        """In pages, as the real one."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if (failure := self._failure("a-list")) is not None:
            return failure
        start, size = int(request.query.get("$skiptoken", 0)), self.page
        items = [self._bundle(name, secret) for name, secret in sorted(self.secrets.items())]
        more = f"{self.base}/secrets?$skiptoken={start + size}&api-version=7.5" if start + size < len(items) else None
        return web.json_response({"value": items[start : start + size], "nextLink": more})

    def _refusal(self, request: web.Request) -> web.Response | None:
        """The challenge that tells clients where to get a token, for whom it has none."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token in self.tokens:
            return None
        resource = self.base.replace("127.0.0.1", "0.0.1")  # a parent domain of ours, which the SDK insists on
        challenge = f'Bearer authorization="https://login.test/tenant", resource="{resource}"'
        return web.json_response(
            {"error": {"code": "Unauthorized"}}, status=401, headers={"WWW-Authenticate": challenge}
        )

    def _failure(self, name: str) -> web.Response | None:
        if self.fault is not None:
            return _error(self.fault, "Fault", "told to fail")
        if not _NAME.fullmatch(name):
            return _error(400, "BadParameter", "The request URI contains an invalid name.")
        return None

    def _bundle(self, name: str, secret: Secret) -> dict[str, Any]:
        attributes = {
            "enabled": secret.enabled,
            "created": 1,
            "updated": 1,
            "exp": secret.expires,
            "nbf": secret.not_before,
        }
        return {
            "id": f"{self.base}/secrets/{name}/{secret.version:032x}",
            "attributes": {key: value for key, value in attributes.items() if value is not None},
            "tags": secret.tags,
            "contentType": secret.content_type,
        }


def _error(status: int, code: str, message: str, inner: str | None = None) -> web.Response:
    error: dict[str, Any] = {"code": code, "message": message}
    if inner is not None:
        error["innererror"] = {"code": inner}
    return web.json_response({"error": error}, status=status)


@cache
def _private_key(kid: str) -> rsa.RSAPrivateKey:
    """Made once in a run, since it takes its time."""
    return rsa.generate_private_key(65537, 2048)


class Issuer:
    """An identity provider: signs tokens, and publishes its public keys."""

    def __init__(self) -> None:
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        self.published: list[str] = []
        self.asked = 0
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        """Answers in place of the public keys."""
        self.add_key("key-1")

    def add_key(self, kid: str, *, publish: bool = True) -> None:
        self.keys[kid] = _private_key(kid)
        if publish:
            self.published.append(kid)

    def jwks(self) -> dict[str, Any]:
        return {
            "keys": [
                {**RSAAlgorithm.to_jwk(self.keys[kid].public_key(), as_dict=True), "kid": kid, "use": "sig"}
                for kid in self.published
            ]
        }

    def token(
        self, *, kid: str = "key-1", key: Any = None, alg: str = "RS256", header: Any = None, **claims: Any
    ) -> str:
        """A signed token. A claim that is None is left out."""
        now = int(time.time())
        claims = {"iat": now, "nbf": now, "exp": now + 3900, **claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self.keys[kid], alg, headers={"kid": kid, **(header or {})})

    def fail(self, status: int = 500, **response: Any) -> None:
        """Answer so from now on."""

        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, **response)

        self.answer = answer

    async def _jwks(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        return await self.answer(request) if self.answer else web.json_response(self.jwks())


class Cloud:
    """The servers. `environment` is what Azure sets for an app with an identity."""

    def __init__(self, folder: Path) -> None:
        self.vault = Vault()
        self.issuer = Issuer()
        self.identity_requests: list[dict[str, str]] = []
        self.identity_fault: int | None = None
        """The status that the identity endpoint answers with."""
        self.ca_file = str(folder / "ca.pem")
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(self.ca_file)
        self.environment: dict[str, str] = {}
        self.vault_url = self.jwks_uri = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Cloud]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert("127.0.0.1").configure_cert(context)
        secure, plain = web.Application(), web.Application()
        secure.add_routes([*self.vault.routes(), web.get("/keys", self.issuer._jwks)])
        plain.add_routes([web.get("/token", self._token)])
        runners = [web.AppRunner(app, access_log=None) for app in (secure, plain)]
        for runner in runners:
            await runner.setup()
        try:
            await web.TCPSite(runners[0], "127.0.0.1", 0, ssl_context=context).start()
            await web.TCPSite(runners[1], "127.0.0.1", 0).start()
            ports = [runner.addresses[0][1] for runner in runners]
            self.vault_url = self.vault.base = f"https://127.0.0.1:{ports[0]}"
            self.jwks_uri = f"{self.vault_url}/keys"
            self.environment = {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{ports[1]}/token", "IDENTITY_HEADER": HEADER}
            yield self
        finally:
            for runner in runners:
                await runner.cleanup()

    async def _token(self, request: web.Request) -> web.Response:
        """The identity endpoint of App Service (api-version 2019-08-01)."""
        self.identity_requests.append(dict(request.query))
        if request.headers.get("X-IDENTITY-HEADER") != HEADER:
            return web.Response(status=401)
        if self.identity_fault is not None:
            return web.json_response(
                {"statusCode": self.identity_fault, "message": "told to fail"}, status=self.identity_fault
            )
        asked = {**request.query, "number": len(self.identity_requests)}  # each asker has a token of its own
        token = base64.urlsafe_b64encode(json.dumps(asked).encode()).decode()
        self.vault.tokens.add(token)
        expires = int(datetime.now(UTC).timestamp()) + 86_000
        return web.json_response(
            {
                "access_token": token,
                "expires_on": str(expires),
                "resource": request.query["resource"],
                "token_type": "Bearer",
            }
        )
