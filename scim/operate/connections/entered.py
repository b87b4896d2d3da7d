"""What `add` and `rotate` print: what to enter in Entra, or in the operator's own application, the secret this once."""

from __future__ import annotations

from datetime import UTC, datetime

from scim.operate.connections.printed import WARNED, name_rights, reach, show_moment
from scim.operate.escaping import escape
from scim.security.connections import Connection, Right
from scim.security.keys import fingerprint
from scim.security.usage import count_days_left

_ENTERED = {
    "api-key": ("Tenant URL", "Secret Token"),
    "oauth": ("Tenant URL", "Token endpoint", "Client ID", "Client Secret", "Scope"),
    "federation": ("Tenant URL", "Token endpoint", "Client ID", "Scope"),
    "entra": ("Tenant URL",),
}
_FIELDS_OF_AN_APPLICATION = {
    "api-key": ("Bearer token",),
    "oauth": ("Token endpoint", "Client ID", "Client Secret", "Scope"),
    "federation": ("Token endpoint", "Client ID", "Scope"),
}
_DOORS: dict[Right, str] = {"read": "Base URL", "feed": "Feed URL"}
"""Where an application may go, by the right that lets it in."""
_FOR_AN_APPLICATION = {
    "api-key": "Your application sends the token in the header Authorization: Bearer <token>. Keep it where the\n"
    "application keeps its secrets; --kind federation needs none.",
    "oauth": "Your application gets an access token at the token endpoint (grant_type client_credentials).",
    "federation": "Your application exchanges a token that matches the issuer, audience and subject above at the\n"
    "token endpoint (grant_type client_credentials, with the token as client_assertion). There is no secret.",
}
_NOTES = {
    "api-key": "Enter both in Entra: Provisioning > Connectivity, Bearer authentication. Then Test Connection.",
    "oauth": "Enter them in Entra: Provisioning > Connectivity, OAuth2 client credentials grant; any of the ways to"
    " send credentials. Then Test Connection.",
    "federation": "Enter them in Entra, on the page that showed the issuer (Provisioning > Connectivity, Workload\n"
    "Identity Federation: Token URL is the token endpoint, SCIM URL the tenant URL), then Test Connection; with\n"
    "another identity provider, where it asks for them. There is no secret; only tokens that match the issuer,\n"
    "audience and subject above are taken.",
    "entra": "Enter the tenant URL in Entra and leave the secret token blank. Microsoft means this for tests.\n"
    "WARNING: Entra sends the same token to every application of that Entra tenant whose secret is blank, and each of\n"
    "them can use it here while it lives, which may be eight hours.",
}


def list_fields(connection: Connection, url: str, secret: str | None) -> dict[str, str]:
    """Return what the admin pastes into Entra, or the operator into the application, by the name of the field."""
    every = {
        "Base URL": url.removesuffix("/scim") + "/tenants/<tenant>/scim",
        "Feed URL": url.removesuffix("/scim") + "/feed",
        "Bearer token": secret or "",
        "Tenant URL": url,
        "Secret Token": secret or "",
        "Token endpoint": url.removesuffix("/scim") + "/oauth2/token",
        "Client ID": connection.client_id or connection.name,
        "Client Secret": secret or "",
        "Scope": "scim",
    }
    if connection.operator is None:
        return {name: every[name] for name in _ENTERED[connection.kind]}
    doors = [name for right, name in _DOORS.items() if right in connection.operator.rights]
    return {name: every[name] for name in (*doors, *_FIELDS_OF_AN_APPLICATION[connection.kind])}


def write_instructions(connection: Connection, url: str, secret: str | None) -> str:
    """Return those fields for people, with what is pinned and where to enter them."""
    trust = connection.trust
    pinned = [
        (name, value)
        for name, value in (
            ("issuer", trust and trust.issuer),
            ("audience", trust and trust.audience),
            ("subject", trust and trust.subject),
            ("Entra tenant", trust and trust.tenant_id),
            ("application", trust and trust.app_id),
            ("keys from", trust and trust.jwks_uri),
        )
        if value
    ]
    whose = "of tenant" if connection.operator is None else "of your application:"
    lines = [f"Connection {connection.name} ({connection.kind}, {name_rights(connection)}) {whose} {reach(connection)}"]
    if connection.operator is not None and not connection.operator.reaches_all:
        lines.append(f"  tenants: {', '.join(connection.operator.tenants)}")
    lines += [f"  {name}: {value}" for name, value in pinned]
    notes = _NOTES if connection.operator is None else _FOR_AN_APPLICATION
    lines += ["", *(f"{name + ':':16}{value}" for name, value in list_fields(connection, url, secret).items())]
    lines += ["", *notes[connection.kind].split("\n")]
    if secret is not None:
        lines += ["", *_list_promises(connection, secret)]
    return "\n".join(map(escape, lines))


def _list_promises(connection: Connection, secret: str) -> list[str]:
    """Return what becomes of a secret that was just made: whether it can be shown again, and when it ends."""
    credential = next((key for key in connection.keys if key.id == fingerprint(secret)), None)
    ends = connection.find_end(credential)
    return [
        "The secret is kept as it is: whoever may read the vault or the settings has it."
        if credential is not None and credential.recoverable
        else "The secret is shown this once: only its digest is kept.",
        f"It is credential {fingerprint(secret)} in logs and lists, and ends on {show_moment(ends)}, in"
        f" {count_days_left(ends, datetime.now(UTC))} days; the log and list warn from {WARNED} days before."
        if ends is not None
        else f"WARNING: it NEVER ends by itself (credential {fingerprint(secret)}). Whoever gets hold of it has access"
        " until somebody revokes it: rotate with --expires 365d, unless you know why not.",
    ]
