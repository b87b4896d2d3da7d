"""The token endpoint (RFC 6749 §3.2) and what announces it (RFC 8414).

Three ways to an access token of ours, all for a client that acts for itself: a client secret; an assertion that the
identity provider signed, as client authentication (RFC 7523 §2.2); and the same assertion as a token to exchange
(RFC 8693). The client id of a client with a secret is the connection's name, since the secret carries a seal; that of a
client with an assertion carries one itself, since it is what leads to the connection.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from scim import told, trace
from scim.errors import Reason, add_request
from scim.http import Request, Response
from scim.security.access_tokens import SCOPE
from scim.security.assertions import Rejected, read_expiry
from scim.security.authentication import NotFound, find_by_key, find_fault, trace_caller
from scim.security.connections import Connection, Credential
from scim.security.keys import parse_client_id
from scim.security.security import Security

ROOT = "oauth2"
TOKEN = "token"
METADATA_ROOT = ".well-known"
METADATA = "oauth-authorization-server"

CLIENT_CREDENTIALS = "client_credentials"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
_SUBJECT_TYPES = ("urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token")

_FORM = "application/x-www-form-urlencoded"
_MAX_BODY = 65_536
_MAX_ASSERTION = 16_384
_NO_STORE = {"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"}
_UNPRINTABLE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


class OAuthError(Exception):
    """A token request ends here, with an error code of RFC 6749 §5.2."""

    def __init__(
        self,
        error: str,
        description: str,
        status: int = 400,
        headers: dict[str, str] | None = None,
        *,
        reason: Reason | None = None,
    ) -> None:
        super().__init__(description)
        self.error, self.status, self.headers, self.reason = error, status, headers or {}, reason

    def response(self) -> Response:
        current = trace.find_current()
        text = add_request(str(self), current.request) if current and current.request else str(self)
        # The characters that RFC 6749 allows there.
        body = {"error": self.error, "error_description": _UNPRINTABLE.sub("'", text)}
        return Response(self.status, body, {**_NO_STORE, **self.headers})


def answer_metadata(request: Request, origin: str) -> Response:
    """Return the authorization server's metadata. `origin` is the issuer."""
    if request.method not in ("GET", "HEAD"):
        return OAuthError("invalid_request", "The metadata is read with GET.", 405, {"Allow": "GET, HEAD"}).response()
    body = {
        "issuer": origin,
        "token_endpoint": f"{origin}/{ROOT}/{TOKEN}",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
        "grant_types_supported": [CLIENT_CREDENTIALS, EXCHANGE],
        "response_types_supported": [],
        "scopes_supported": [SCOPE],
    }
    return Response(200, body, {"Content-Type": "application/json"})


async def answer(request: Request, security: Security, limit: Callable[[str], None]) -> Response:
    """Return an access token for whoever proves to be the client, or why not. `limit` counts a request of a tenant:
    what it raises for one that asks too often, SecretsUnavailable and NoSigningKeys are raised."""
    try:
        return await _grant(request, security, limit)
    except OAuthError as error:
        trace.note_refusal(error.reason)
        return error.response()


async def _grant(request: Request, security: Security, limit: Callable[[str], None]) -> Response:
    form = _parse_form(request)
    _check_scope(form)
    grant = form.get("grant_type")
    if grant in (CLIENT_CREDENTIALS, EXCHANGE):
        trace.note_grant(grant.rpartition(":")[2])
    if grant == CLIENT_CREDENTIALS and ("client_assertion" in form or "client_assertion_type" in form):
        connection, credential = await _authenticate_by_assertion(request, form, security), None
    elif grant == CLIENT_CREDENTIALS:
        connection, credential = await _authenticate_by_secret(request, form, security)
    elif grant == EXCHANGE:
        connection, credential = await _authenticate_by_exchange(request, form, security), None
    elif not grant:
        raise OAuthError("invalid_request", "grant_type is missing: send client_credentials.")
    else:
        raise OAuthError("unsupported_grant_type", f"grant_type must be {CLIENT_CREDENTIALS} or {EXCHANGE}.")
    trace.note_admission()
    limit(connection.account)  # of whoever may have a token: one that shows a used assertion must not slow its tenant
    used = connection.name_credential(credential)
    body: dict[str, Any] = {
        "access_token": await security.tokens.issue(connection, used),
        "token_type": "Bearer",
        "expires_in": int(security.tokens.lifetime.total_seconds()),
        "scope": SCOPE,
    }
    if grant == EXCHANGE:
        body["issued_token_type"] = ACCESS_TOKEN
    security.usage.note(connection, used, connection.find_end(credential))
    return Response(200, body, dict(_NO_STORE))


def _parse_form(request: Request) -> dict[str, str]:
    if request.method != "POST":
        raise OAuthError("invalid_request", "A token is requested with POST.", 405, {"Allow": "POST"})
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise OAuthError("invalid_request", f"Content-Type must be {_FORM}.")
    if len(request.body) > _MAX_BODY:
        raise OAuthError("invalid_request", f"The body has more than {_MAX_BODY} bytes.", 413)
    try:
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise OAuthError("invalid_request", "The body is no form.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthError("invalid_request", "A parameter was sent twice (RFC 6749 section 3.2): send each once.")
    return {name: value for name, value in form.items() if value}


def _check_scope(form: dict[str, str]) -> None:
    if set(form.get("scope", SCOPE).split()) - {SCOPE}:
        raise OAuthError("invalid_scope", told.OTHER_SCOPE.format(scope=SCOPE))


async def _authenticate_by_secret(
    request: Request, form: dict[str, str], security: Security
) -> tuple[Connection, Credential]:
    client, secret = _read_client(request, form)
    if not client or not secret:
        raise _make_invalid_client(told.SEND_CLIENT, "missing")
    try:
        connection, credential = await find_by_key(secret, security, client)
    except NotFound as error:
        raise _make_invalid_client(*(error.fault or (told.UNKNOWN_CLIENT, error.reason))) from None
    if connection.kind != "oauth":
        raise OAuthError(
            "unauthorized_client",
            told.SECRET_TOKEN.format(name=connection.name),
            reason="wrong-kind",
        )
    if (fault := find_fault(connection, credential, security)) is not None:
        raise _make_invalid_client(*fault)
    return connection, credential


def _read_client(request: Request, form: dict[str, str]) -> tuple[str | None, str | None]:
    """Return the client's id and secret from header, body or both, which then must agree."""
    in_body = form.get("client_id"), form.get("client_secret")
    encoded = request.headers.get("authorization", "").partition(" ")[2]
    if _read_scheme(request) != "basic":
        return in_body
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise _make_invalid_client(
            "The Authorization header is not Basic with base64 of <client id>:<client secret>.", "malformed"
        ) from None
    name, _, secret = decoded.partition(":")
    in_header = unquote_plus(name), unquote_plus(secret)  # RFC 6749 §2.3.1
    if any(given is not None and given != other for given, other in zip(in_body, in_header, strict=True)):
        raise OAuthError("invalid_request", "The client id or secret in the body is not the one in the header.")
    return in_header


def _read_scheme(request: Request) -> str:
    return request.headers.get("authorization", "").partition(" ")[0].lower()


async def _authenticate_by_assertion(request: Request, form: dict[str, str], security: Security) -> Connection:
    """Return the connection of a client that shows an assertion (RFC 7523 §2.2), as Entra's workload identity
    federation does."""
    if form.get("client_assertion_type") != JWT_BEARER:
        raise OAuthError("invalid_request", f"client_assertion_type must be {JWT_BEARER}.")
    if "client_secret" in form:
        raise OAuthError("invalid_request", "Send either a client secret or a client assertion.")
    if _read_scheme(request) == "basic":
        raise OAuthError("invalid_request", "Send the client assertion alone, without an Authorization header.")
    try:
        return await _check_assertion(form.get("client_id"), form.get("client_assertion", ""), security)
    except Rejected as reason:
        raise _make_invalid_client(_describe_refusal("client assertion", reason), reason.reason) from None


async def _authenticate_by_exchange(request: Request, form: dict[str, str], security: Security) -> Connection:
    """Return the connection of a token exchange (RFC 8693 §2.1). It is named by client_id, or by audience if there is
    none."""
    if form.get("subject_token_type") not in _SUBJECT_TYPES:
        raise OAuthError("invalid_request", f"subject_token_type must be {' or '.join(_SUBJECT_TYPES)}.")
    if form.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
        raise OAuthError("invalid_request", f"requested_token_type must be {ACCESS_TOKEN}, or absent.")
    if "actor_token" in form:
        raise OAuthError("invalid_request", "Delegation (actor_token) is not supported.")
    client, secret = _read_client(request, form)
    if secret or "client_assertion" in form:
        raise OAuthError("invalid_request", "Send the subject token alone: it is what shows who the client is.")
    client = client or form.get("audience")
    try:
        return await _check_assertion(client, form.get("subject_token", ""), security)
    except Rejected as reason:  # RFC 8693 §2.2.2 has this code for it
        raise OAuthError("invalid_request", _describe_refusal("subject token", reason), reason=reason.reason) from None


async def _check_assertion(client: str | None, assertion: str, security: Security) -> Connection:
    """Return the connection whose trust the assertion meets. Raises Rejected."""
    if not assertion or len(assertion) > _MAX_ASSERTION:
        raise Rejected("it is missing, or longer than any", proven=False, reason="malformed")
    issued = parse_client_id(client or "")
    if issued is None or not await security.sealing.holds(issued.text, issued.seal):
        raise Rejected("the client id is not one of ours", proven=False, reason="malformed")
    connection = await security.connections.get(issued.connection, lambda known: known.kind == "federation")
    trace_caller(connection)
    if connection is None or connection.kind != "federation" or connection.trust is None:
        raise Rejected("the client id is not known", proven=False, reason="unknown")
    try:
        claims = await security.assertions.check(assertion, connection.trust)
    except Rejected as reason:
        if reason.proven:
            trace.note_credential(connection.name, connection.tenant, connection.trust.id)
        raise
    trace.note_credential(connection.name, connection.tenant, connection.trust.id)
    if (fault := find_fault(connection, None, security)) is not None:
        raise _make_invalid_client(*fault)
    await security.tokens.require_key()  # an assertion is used up only where a token comes of it
    if "jti" in claims and not await security.log.take_assertion(
        connection.name, str(claims["jti"]), read_expiry(claims)
    ):
        raise Rejected("it was used before (jti)", reason="replayed")
    return connection


def _describe_refusal(what: str, reason: Rejected) -> str:
    if reason.proven:
        return f"The {what} is refused: {reason}."
    return f"The client id is not known here for assertions, or the {what} is not signed by the issuer that it trusts."


def _make_invalid_client(description: str, reason: Reason) -> OAuthError:
    return OAuthError("invalid_client", description, 401, {"WWW-Authenticate": 'Basic realm="scim"'}, reason=reason)
