"""`python -m dev.error_table`: writes the table of errors in docs/entra.md from the texts that the service sends.

A row is one refusal: its status, its text from scim/told.py, and what each of the two readers does about it. A test
provokes every text and holds the page to this table.
"""

from __future__ import annotations

import re
from pathlib import Path

from scim import told

PAGE = Path(__file__).parents[1] / "docs" / "entra.md"
_HEAD = "| what you see | step for the Entra admin | step for the operator |\n| --- | --- | --- |\n"

Row = tuple[str, str, str, str]
"""Status or OAuth error code, text, step for the Entra admin, step for the operator."""

ROWS: list[Row] = [
    ("401", told.SEND_TOKEN, "Enter the secret token; Entra sent none.", "-"),
    (
        "401",
        told.UNKNOWN_TOKEN,
        "Copy the token again, whole.",
        "`connections list`: is the connection there? Else `add` or `rotate`.",
    ),
    (
        "401",
        told.CREDENTIAL_EXPIRED,
        "Ask for a new secret (they last a year, unless the operator chose otherwise), enter it, Test Connection.",
        '`rotate NAME`; alert "credential expiring" was there 30, 14, 7 and 1 days before.',
    ),
    ("401", told.CONNECTION_EXPIRED, "Ask; then Test Connection.", "`add NAME --replace` with a later expiry."),
    (
        "401",
        told.CREDENTIAL_REPLACED,
        "Enter the new secret.",
        "If nobody meant to revoke it: `rotate`. Who still uses a secret that leaked is seen so, too.",
    ),
    ("401", told.CREDENTIAL_REVOKED, "Ask for a new secret, enter it, Test Connection.", "`rotate NAME`."),
    ("401", told.CONNECTION_REVOKED, "Ask whether it was meant.", "If not: `add NAME --replace`."),
    ("401", told.CLIENT_SECRET, "Choose OAuth2 client credentials and enter it there.", "-"),
    (
        "401",
        told.ACCESS_TOKEN_EXPIRED,
        "None: Entra gets a new one. If it stays: Test Connection.",
        "Is the clock of the identity provider right?",
    ),
    (
        "401",
        told.ENTRA_TOKEN,
        "A secret is missing: enter it.",
        "Or allow it, for tests: `add --kind entra --read-only`.",
    ),
    (
        "invalid_client",
        told.SEND_CLIENT,
        "Enter the client id and secret; for federation, choose it as the authentication method.",
        "-",
    ),
    (
        "invalid_client",
        told.UNKNOWN_CLIENT,
        "Compare client id and secret; for federation, the values of Entra's page.",
        "`show NAME`: what is pinned; the text names the claim that differs.",
    ),
    ("unauthorized_client", told.SECRET_TOKEN, "Choose Bearer authentication and enter it there.", "-"),
    ("invalid_scope", told.OTHER_SCOPE, "Enter the scope as it was given.", "-"),
    (
        "403",
        told.READ_ONLY,
        "Ask for a secret that may write. Test Connection passes with one that may not; the first write fails.",
        "`add NAME` without `--read-only`.",
    ),
    (
        "403",
        told.OPERATORS_CONNECTION,
        "Ask for a secret token of your own tenant: this one is not meant for Entra.",
        "`add NAME --tenant TENANT` makes one; `revoke` the other, since it went astray.",
    ),
    ("404", told.NO_ADDRESS, "Enter the tenant URL as the text says it.", "-"),
    ("404", told.BEHIND_URL, "Enter the tenant URL as the text says it: Entra adds /Users and /Groups itself.", "-"),
    (
        "409 uniqueness",
        told.TAKEN,
        "Another user has that userName (or group that displayName): change it in Entra, or match on it.",
        "Look which one: the text names the attribute; search by it.",
    ),
    ("400 invalidValue", told.WRONG_TYPE, "The text names the attribute and the rule: correct the mapping.", "-"),
    ("400 invalidValue", told.REQUIRED, "Map a source attribute that every user has.", "-"),
    ("400 mutability", told.READ_ONLY_ATTRIBUTE, "Take the attribute out of the mapping.", "-"),
    (
        "400 tooMany",
        told.TOO_MANY_READ,
        "Match on an attribute that the text names.",
        "Declare an index for the attribute (a schema file), or raise `SCIM_SCAN_LIMIT`.",
    ),
    ("415", told.MEDIA_TYPE, "None: Entra sends what is read.", "Which client is it? Its content type is wrong."),
    (
        "503",
        told.PAUSED,
        "None: Entra repeats what failed; after a long pause, Restart provisioning.",
        "`resume NAME`.",
    ),
]


OTHERS: list[tuple[str, str, str]] = [
    ("400 invalidPath, invalidFilter", "The text says what cannot be read: correct the mapping.", "-"),
    ("413", "The text says what is too large.", "Raise the limit named there."),
    ("429", "None: Entra tries again.", "Which client sends so much? Raise `SCIM_TENANT_RATE` if it may."),
    (
        "500, 503",
        "None: Entra tries again in the next cycle.",
        "The request id finds the log line: [operate](operate.md).",
    ),
    (
        "Quarantine: invalid credentials",
        "Test Connection with a secret that works, then Restart provisioning.",
        "`show NAME`.",
    ),
    (
        "Quarantine: too many failures",
        "Correct what the log shows most, then Restart provisioning.",
        'Query "failures".',
    ),
]
"""What has many texts, or none of ours."""


def shown(text: str) -> str:
    """A text as the page shows it: what differs from request to request is an ellipsis."""
    return re.sub(r"\{\w+\}", "…", text).replace("<", "&lt;").replace(">", "&gt;")


def table() -> str:
    """The rows of the table, as Markdown."""
    rows = [(f"{kind} {shown(text)}", admin, operator) for kind, text, admin, operator in ROWS]
    return "".join(f"| {' | '.join(row)} |\n" for row in [*rows, *OTHERS])


def page(text: str) -> str:
    """The page with its table made anew."""
    before, _, rest = text.partition(_HEAD)
    return before + _HEAD + table() + rest[rest.index("\n\n") + 1 :]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
