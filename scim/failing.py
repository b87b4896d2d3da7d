"""What is answered when a request fails: the error in the form of its door; and for what nobody foresaw a text that
says who can do something about it. The cause is in the log alone.

What the errors come from is imported only here and now: a request that succeeds loads nothing for it.
"""

from __future__ import annotations

import logging

from scim.errors import INTERNAL, TOO_LARGE, UNAVAILABLE, ScimError, add_request
from scim.http import Request, Response

log = logging.getLogger("scim")

_OAUTH = {"oauth2", ".well-known"}
"""The doors whose errors have OAuth's form (RFC 6749 §5.2)."""
_RETRY_AFTER = {"Retry-After": "30"}


def refuse(request: Request, error: ScimError, request_id: str) -> Response:
    """Return the error in the form of the door that the request came to."""
    if request.root not in _OAUTH:
        return Response(error.kind.status, error.body(request_id), error.headers)
    code = "temporarily_unavailable" if error.kind is UNAVAILABLE else "server_error"
    body = {
        "error": "invalid_request" if error.kind.status < 500 else code,
        "error_description": add_request(error.detail, request_id),
    }
    return Response(error.kind.status, body, {"Content-Type": "application/json", **error.headers})


def explain_failure(error: Exception, request_id: str, *, tells: bool) -> ScimError:
    """Return 503 for what passes by itself or awaits the operator, 500 for a fault of ours. `tells`: log the cause."""
    from scim.schema.loading import SchemaError
    from scim.security.seals import NoSeals
    from scim.security.secrets import SecretsUnavailable
    from scim.security.signing_keys import NoSigningKeys
    from scim.settings import SettingsError
    from scim.store.table import TableUnavailable, TooLarge

    if isinstance(error, TooLarge):
        kind, detail = TOO_LARGE, "The change is too large for one transaction; send it in smaller requests"
    elif isinstance(error, TableUnavailable):
        if tells:
            log.warning("storage unavailable (request %s): %s", request_id, error)
        kind, detail = UNAVAILABLE, "Storage does not answer at the moment; nothing was lost. Send again later"
    elif isinstance(error, SecretsUnavailable):
        if tells:
            log.warning("caller not looked up (request %s): %s", request_id, error)
        kind, detail = UNAVAILABLE, "Who may call cannot be looked up at the moment; send again later"
    elif isinstance(error, SettingsError | SchemaError | NoSigningKeys | NoSeals):
        if tells:
            log.error("misconfigured (request %s): %s", request_id, error)
        kind, detail = UNAVAILABLE, "This service is not configured; its operator finds the setting in the log"
    else:
        if tells:
            log.exception("request %s failed", request_id, exc_info=error)
        kind, detail = INTERNAL, "The service failed on this request; its operator finds the cause in the log"
    headers = _RETRY_AFTER if kind is UNAVAILABLE else {}
    return ScimError(kind, f"{detail}.", headers)
