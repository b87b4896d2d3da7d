"""Sign-in with an OpenID provider: authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0 §3.1).

Any provider works that has a discovery document and signs its ID tokens with RS256. Entra is one with two
peculiarities: the issuer of an application for many directories stands in its document as a pattern,
`…/{tenantid}/v2.0`; and in place of a client secret it takes a token of a managed identity that it was told to trust (a
federated credential).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote_plus, urlencode, urlsplit

from scim.security.assertions import LEEWAY, Assertions, Rejected, check_times, read_moment
from scim.security.fetching import FAULTS, fetch_json
from scim.security.secrets import SecretsUnavailable
from scim.security.trust import GUID, find_entra_tenant

log = logging.getLogger("scim.openid")

EXCHANGE = "api://AzureADTokenExchange/.default"
"""What a managed identity's token is asked for, to be taken as a client's credential."""
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SCOPE = "openid profile"
_OLD = 3600.0
"""Seconds after which a provider's document is asked for anew."""
_AGAIN = 10.0
"""Seconds between two tries of one that does not answer."""
_PATTERN = "{tenantid}"
_MANY = ("/organizations/", "/common/")
"""The beginnings of the paths of Entra's issuers for many directories."""
FRESH_SECONDS = 900
"""How long ago somebody may have shown who they are, where a fresh sign-in is asked for."""

Why = Literal["provider", "used", "client", "token", "not_fresh"]


class NotSignedIn(Exception):
    """The provider, or what it sent, lets nobody in. `why` is the kind, the text the rule or the provider's words."""

    def __init__(self, why: Why, text: str = "") -> None:
        super().__init__(text)
        self.why: Why = why


class ProviderUnavailable(SecretsUnavailable):
    """The provider does not answer, or not as one does."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What this service is to a provider. `secret` is None if a token of the app's identity stands for it. `for_many`
    lets it be a provider for many directories, each of which gives its people roles as it likes."""

    issuer: str
    client_id: str
    secret: str | None = None
    for_many: bool = False


@dataclass(frozen=True, slots=True)
class Flow:
    """One sign-in under way, all of which follows from one secret that the browser keeps: the provider is never told
    it. `about` is whatever else belongs to the sign-in; with another one, everything here is another."""

    secret: str
    about: str

    @property
    def state(self) -> str:
        """What the provider hands back, so that a code comes to the browser that asked for it."""
        return self._derive("state")

    @property
    def nonce(self) -> str:
        """What the ID token must say."""
        return self._derive("nonce")

    @property
    def verifier(self) -> str:
        """What shows that whoever redeems the code is who asked for it (RFC 7636)."""
        return self._derive("verifier")

    @property
    def challenge(self) -> str:
        """The verifier's digest, which the provider is told beforehand."""
        return _encode(hashlib.sha256(self.verifier.encode()).digest())

    def _derive(self, use: str) -> str:
        text = f"{use}\n{self.about}".encode("utf-8", "surrogatepass")
        return _encode(hmac.digest(self.secret.encode("utf-8", "surrogatepass"), text, "sha256"))


@dataclass(frozen=True, slots=True)
class _Document:
    """What a provider's discovery document says, as far as it is used."""

    issuer: str
    authorization: str
    token: str
    keys: str
    end_session: str | None
    takes_basic: bool
    lets_choose: bool
    names_issuer: bool


class Provider:
    """One OpenID provider that this service is registered with. `assert_self` returns a token of the app's identity;
    `ca_file` replaces the system's trusted certificates."""

    def __init__(
        self,
        registration: Registration,
        assertions: Assertions,
        assert_self: Callable[[], Awaitable[str]],
        ca_file: str | None = None,
    ) -> None:
        self.registration = registration
        self._assertions = assertions
        self._assert_self = assert_self
        self._ca_file = ca_file
        self._document: _Document | None = None
        self._asked = float("-inf")
        self._lock = asyncio.Lock()

    async def find_sign_in(self, flow: Flow, redirect_uri: str, *, fresh: bool = False, other: bool = False) -> str:
        """Return the address where the provider signs somebody in. `fresh` has it ask who they are, even if it knows;
        `other` lets them choose another account. Raises ProviderUnavailable."""
        document = await self._read()
        asked = {
            "client_id": self.registration.client_id,
            "response_type": "code",
            "redirect_uri": redirect_uri,
            "scope": _SCOPE,
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": flow.challenge,
            "code_challenge_method": "S256",
        }
        if fresh:
            asked |= {"prompt": "login", "max_age": str(FRESH_SECONDS)}
        elif other:
            asked["prompt"] = "select_account" if document.lets_choose else "login"
        return _extend(document.authorization, asked)

    async def find_sign_out(self, back: str) -> str | None:
        """Return the address where the provider ends its own session, and then leads `back`; None if it has none.
        Raises ProviderUnavailable."""
        document = await self._read()
        if document.end_session is None:
            return None
        asked = {"client_id": self.registration.client_id, "post_logout_redirect_uri": back}
        return _extend(document.end_session, asked)

    async def redeem(
        self, code: str, flow: Flow, redirect_uri: str, *, named: str | None = None, fresh: bool = False
    ) -> dict[str, Any]:
        """Return the claims of the ID token that a code is good for, all checked. `named` is the issuer that the answer
        named (RFC 9207); `fresh` asks that the person showed who they are within 15 minutes. Raises NotSignedIn,
        ProviderUnavailable and SecretsUnavailable."""
        document = await self._read()
        is_named = named is not None and (named == document.issuer or _match_issuer(named, document.issuer) is not None)
        if not is_named and (named is not None or document.names_issuer):
            raise NotSignedIn("token", "the answer comes from another provider (iss)")
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        form["code_verifier"] = flow.verifier
        headers = await self._show_self(form, document)
        try:
            _, answer = await fetch_json(
                document.token, ca_file=self._ca_file, form=form, headers=headers, statuses=(200, 400, 401)
            )
        except FAULTS as error:
            raise self._unavailable(error) from None
        if "error" in answer:
            raise _refusal(answer)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise NotSignedIn("token", "the provider sent no ID token")
        try:
            claims = await self._assertions.read_signed(token, document.keys)
            self._check(claims, document, flow)
            if fresh:
                _check_fresh(claims)
        except Rejected as rejected:
            raise NotSignedIn("token", str(rejected)) from None
        return claims

    def _check(self, claims: dict[str, Any], document: _Document, flow: Flow) -> None:
        """Hold an ID token that is the provider's against what was asked for (OpenID Connect Core 1.0 §3.1.3.7)."""
        issuer = claims.get("iss")
        if not isinstance(issuer, str) or (pinned := _match_issuer(issuer, document.issuer)) is None:
            raise Rejected("its issuer (iss) is another one")
        if pinned and claims.get("tid") != pinned:
            raise Rejected("its directory (tid) is not its issuer's")
        audience = claims.get("aud")
        if audience not in (self.registration.client_id, [self.registration.client_id]):
            raise Rejected("its audience (aud) is another application")
        if claims.get("azp", self.registration.client_id) != self.registration.client_id:
            raise Rejected("it was issued to another application (azp)")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode("utf-8", "replace"), flow.nonce.encode()):
            raise Rejected("its nonce is not the one of this sign-in")
        check_times(claims)
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise Rejected("it has no subject (sub)")

    async def _show_self(self, form: dict[str, str], document: _Document) -> dict[str, str]:
        """Put into the form, or return as headers, what shows that it is this service that asks."""
        ours = self.registration
        if ours.secret is None:
            form["client_id"] = ours.client_id
            form |= {"client_assertion_type": _ASSERTION, "client_assertion": await self._assert_self()}
        elif document.takes_basic:
            pair = f"{quote_plus(ours.client_id)}:{quote_plus(ours.secret)}"  # RFC 6749 §2.3.1
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        else:
            form |= {"client_id": ours.client_id, "client_secret": ours.secret}
        return {}

    async def _read(self) -> _Document:
        """Return the provider's document; a known one goes on for as long as the provider does not answer."""
        async with self._lock:
            now, known = time.monotonic(), self._document
            if known is not None and now - self._asked < _OLD:
                return known
            if now - self._asked < _AGAIN:
                raise ProviderUnavailable(f"{self.registration.issuer} did not answer a moment ago")
            self._asked = now
            try:
                url = self.registration.issuer.rstrip("/") + "/.well-known/openid-configuration"
                _, document = await fetch_json(url, ca_file=self._ca_file)
                self._document = _parse(document, self.registration)
            except FAULTS as error:
                if known is None:
                    raise self._unavailable(error) from None
                log.warning("%s does not answer: %s", self.registration.issuer, error)
            assert self._document is not None
            return self._document

    def _unavailable(self, error: BaseException) -> ProviderUnavailable:
        return ProviderUnavailable(f"{self.registration.issuer}: {type(error).__name__}: {error}")


def _match_issuer(issuer: str, expected: str) -> str | None:
    """Return the directory that an issuer says, "" if it says none; None if it is not the one that is `expected`, or
    fits no pattern of that."""
    if _PATTERN not in expected:
        return (find_entra_tenant(issuer) or "") if issuer == expected else None
    before, _, after = expected.partition(_PATTERN)
    middle = issuer.removeprefix(before).removesuffix(after)
    return middle if issuer == before + middle + after and GUID.fullmatch(middle) else None


def _parse(said: dict[str, Any], ours: Registration) -> _Document:
    """Read a discovery document. Raises ValueError if it is another issuer's, or names what cannot be an address."""
    found, issuer = said.get("issuer"), ours.issuer
    is_pattern = isinstance(found, str) and _PATTERN in found and ours.for_many and _is_for_many(issuer, found)
    if not isinstance(found, str) or not (found == issuer or is_pattern):
        raise ValueError(f"its discovery document names another issuer, {str(found)[:200]}")
    secure = issuer.startswith("https:")

    def read(name: str, *, needed: bool = True) -> str | None:
        value = said.get(name)
        if value is None and not needed:
            return None
        if not isinstance(value, str) or not value.startswith("https://" if secure else ("https://", "http://")):
            raise ValueError(f"its discovery document has no address {name}")
        return value

    methods = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    prompts = said.get("prompt_values_supported")
    is_entra = is_pattern or find_entra_tenant(found) is not None  # it does not say, and takes it
    return _Document(
        issuer=found,
        authorization=read("authorization_endpoint") or "",
        token=read("token_endpoint") or "",
        keys=read("jwks_uri") or "",
        end_session=read("end_session_endpoint", needed=False),
        takes_basic=isinstance(methods, list) and "client_secret_basic" in methods,
        lets_choose=is_entra or (isinstance(prompts, list) and "select_account" in prompts),
        names_issuer=said.get("authorization_response_iss_parameter_supported") is True,
    )


def _is_for_many(issuer: str, pattern: str) -> bool:
    """Return whether an issuer is an Entra's for many directories, and the pattern that of the same Entra."""
    ours, theirs = urlsplit(issuer), urlsplit(pattern)
    return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc) and ours.path.startswith(_MANY)


def _refusal(answer: dict[str, Any]) -> NotSignedIn:
    """Return what a token endpoint's error means (RFC 6749 §5.2)."""
    said = f"{answer['error']}: {answer.get('error_description', '')}"[:500]
    log.warning("a sign-in was refused by the provider: %s", " ".join(said.split()))
    kinds: dict[object, Why] = {"invalid_grant": "used", "invalid_client": "client", "unauthorized_client": "client"}
    return NotSignedIn(kinds.get(answer["error"], "provider"), said.splitlines()[0])


def _check_fresh(claims: dict[str, Any]) -> None:
    """Refuse a token that does not say that the person has just shown who they are."""
    if "auth_time" not in claims:
        raise NotSignedIn("not_fresh", "the ID token has no claim auth_time")
    at, now = read_moment(claims, "auth_time"), time.time()
    if at < now - FRESH_SECONDS - LEEWAY:
        raise NotSignedIn("not_fresh", "the provider did not ask who you are (auth_time)")
    if at > now + LEEWAY:
        raise Rejected("its auth_time is yet to come: compare the clocks")


def _extend(url: str, asked: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}"


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
