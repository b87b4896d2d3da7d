"""The SCIM errors (RFC 7644 §3.12): one table, one exception, one body.

Everything else stands on this module. `raise ScimError(INVALID_FILTER, "…")` from anywhere ends as a SCIM error
document, and `detail` is shown to an Entra admin word for word: name the attribute, the rule and the remedy,
and never a secret or an internal name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

_MOST = 2_000
"""Characters of a detail: it may quote what was sent, but the request must not come back with it."""
ERROR_URN = "urn:ietf:params:scim:api:messages:2.0:Error"

Rule = Literal[
    "syntax",  # a body, filter, path or parameter that cannot be read
    "unknown",  # a name that no schema has
    "undeclared",  # an attribute of an extension that nobody declared
    "not-an-attribute",
    "type",
    "text",  # a string that is no Unicode text
    "value",
    "required",
    "read-only",
    "immutable",
    "unique",
    "twice",
    "limit",
    "budget",
    "quota",
    "policy",  # a policy that is none
    "domain",
    "protected",
    "never-returned",
    "complex",
    "operator",
    "not-multi-valued",
    "no-target",
    "cursor",
    "count",
]
"""The rule that a request broke: for the log and its queries."""


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """An HTTP status and, if RFC 7644 table 9 or RFC 9865 §2.1 has one, its scimType. `rule` is what the log calls
    the rule that was broken, unless an error knows it better."""

    status: int
    scim_type: str | None = None
    rule: Rule | None = None


INVALID_FILTER = ErrorKind(400, "invalidFilter", "syntax")
TOO_MANY = ErrorKind(400, "tooMany", "limit")
UNIQUENESS = ErrorKind(409, "uniqueness", "unique")
MUTABILITY = ErrorKind(400, "mutability", "read-only")
INVALID_SYNTAX = ErrorKind(400, "invalidSyntax", "syntax")
INVALID_PATH = ErrorKind(400, "invalidPath", "syntax")
NO_TARGET = ErrorKind(400, "noTarget", "no-target")
INVALID_VALUE = ErrorKind(400, "invalidValue", "value")
INVALID_CURSOR = ErrorKind(400, "invalidCursor", "cursor")
EXPIRED_CURSOR = ErrorKind(400, "expiredCursor", "cursor")
INVALID_COUNT = ErrorKind(400, "invalidCount", "count")

UNAUTHORIZED = ErrorKind(401)
FORBIDDEN = ErrorKind(403)
NOT_FOUND = ErrorKind(404)
METHOD_NOT_ALLOWED = ErrorKind(405)
BULK_CONFLICT = ErrorKind(409)
GONE = ErrorKind(410)
PRECONDITION_FAILED = ErrorKind(412)
TOO_LARGE = ErrorKind(413, None, "limit")
URL_TOO_LONG = ErrorKind(414, None, "limit")
UNSUPPORTED_MEDIA_TYPE = ErrorKind(415)
MISDIRECTED = ErrorKind(421)
TOO_MANY_REQUESTS = ErrorKind(429)
INTERNAL = ErrorKind(500)
NOT_IMPLEMENTED = ErrorKind(501)
UNAVAILABLE = ErrorKind(503)


Reason = Literal[
    "missing",  # no credential was sent
    "malformed",  # what was sent cannot be a credential of ours
    "unknown",  # it could be one, and is none
    "mistrusted",  # a token of another issuer that is not as its connection says
    "replayed",  # an assertion that was used before
    "wrong-kind",  # a credential of another kind of connection, or sent in the wrong place
    "expired",
    "revoked",
    "paused",
    "read-only",
    "no-right",  # an operator's connection that may not do this, or not with this tenant
    "over-budget",  # too many requests, or too many refused ones
]
"""Why a caller was refused: for the log and its queries, never for the caller."""


class ScimError(Exception):
    """A request ends here: with this status, scimType and detail, and these extra response headers.

    For the log: `reason` says why a caller was refused, None elsewhere; `attribute` is the path of the attribute that
    broke `rule`, as it was sent (the log writes it only if a schema knows it), None if it is about none."""

    def __init__(
        self,
        kind: ErrorKind,
        detail: str,
        headers: Mapping[str, str] | None = None,
        *,
        reason: Reason | None = None,
        attribute: str | None = None,
        rule: Rule | None = None,
    ) -> None:
        detail = detail if len(detail) <= _MOST else f"{detail[:_MOST]}…"
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.reason = reason
        self.attribute = attribute
        self.rule = rule or kind.rule

    def body(self, request: str | None = None) -> dict[str, object]:
        """Return the error document of RFC 7644 §3.12; `status` is a string there. With the id of the request its text
        ends with it: the text is all that an admin sees in Entra, and the id finds the log line."""
        body: dict[str, object] = {"schemas": [ERROR_URN], "status": str(self.kind.status)}
        if self.kind.scim_type:
            body["scimType"] = self.kind.scim_type
        body["detail"] = add_request(self.detail, request) if request else self.detail
        return body


def add_request(text: str, request: str) -> str:
    """Return a text for a caller that ends with the id of its request."""
    return f"{text.removesuffix('.')} (request {request})."
