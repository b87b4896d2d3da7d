"""Row keys of the shared partition, which is no tenant's: what is read across tenants, or before a tenant is known.

A prefix tells the kinds apart:

    t <tenant>                                   a tenant that may have rows for housekeeping
    q <tenant>                                   how much a tenant has
    u <connection> <credential>                  when a credential was used
    v <connection> <digest>                      the mark that a credential was revoked
    j <expiry> <digest>                          an assertion that was seen and may not come again
    f <tenant>                                   a tenant that has a log
    y <tenant>                                   the policy of a tenant
    s <digest>, i <digest>                       a session of the console; a link that lets in once
    c <inverse time> <random>                    the console's audit
    o d <directory>, o t <tenant>                whose directory a tenant's admins sign in from, by either
    k cursors, k housekeeping                    the key of cursors; the tenant that housekeeping reached last

Parts are joined as those of a tenant's keys are.
"""

from __future__ import annotations

from scim.store.keys import encode, key_range

SHARED = "~"
"""The partition of what belongs to no tenant, or is read across tenants; no tenant's name can be it."""
CURSOR_KEY = "k cursors"
"""The key that cursors are signed with."""
HOUSEKEEPING = "k housekeeping"
"""The tenant that housekeeping reached last."""


def tenant_key(tenant: str) -> str:
    """Return the key of the note that a tenant may have pending rows."""
    return f"t {encode(tenant)}"


def tenants_range() -> tuple[str, str]:
    return key_range("t ")


def quota_key(tenant: str) -> str:
    """Return the key of how much a tenant has."""
    return f"q {encode(tenant)}"


def quotas_range() -> tuple[str, str]:
    return key_range("q ")


def session_key(digest: str) -> str:
    """Return the key of somebody who is signed in to the console."""
    return f"s {digest}"


def sessions_range() -> tuple[str, str]:
    return key_range("s ")


def invitation_key(digest: str) -> str:
    """Return the key of a link that lets somebody into the console once."""
    return f"i {digest}"


def invitations_range() -> tuple[str, str]:
    return key_range("i ")


def audit_key(inverse: str, random: str) -> str:
    """Return the key of what was done in the console; `inverse` falls with time, so the newest
    come first."""
    return f"c {inverse} {random}"


def audit_range() -> tuple[str, str]:
    return key_range("c ")


def directory_key(directory: str) -> str:
    """Return the key of which tenant's admins sign in from an identity provider's directory, in the shared
    partition."""
    return f"o d {encode(directory)}"


def directory_of_key(tenant: str) -> str:
    """Return the key of the same from the tenant's side: it has one such directory."""
    return f"o t {encode(tenant)}"


def directories_range() -> tuple[str, str]:
    return key_range("o d ")


def usage_key(connection: str, credential: str) -> str:
    """Return the key of when a credential was used."""
    return f"u {connection} {credential}"


def usage_range(connection: str | None) -> tuple[str, str]:
    """Return the keys of what is noted of a connection's credentials, or of all."""
    return key_range(f"u {connection} " if connection else "u ")


def revoked_key(connection: str, digest: str) -> str:
    """Return the key of the mark that a credential was revoked, which stays."""
    return f"v {connection} {digest}"


def revoked_range(connection: str | None) -> tuple[str, str]:
    """Return the keys of the marks of a connection's credentials, or of all."""
    return key_range(f"v {connection} " if connection else "v ")


def parse_connection(key: str) -> str:
    """Return the connection that such a row is about."""
    return key.split(" ")[1]


def assertion_key(expires: str, digest: str) -> str:
    """Return the key of the sight of an assertion that may come once."""
    return f"j {expires} {digest}"


def assertion_range(until: str) -> tuple[str, str]:
    """Return the keys of the assertions that expired before then."""
    return "j ", f"j {until}"


def policy_key(tenant: str) -> str:
    """Return the key of a tenant's policy."""
    return f"y {encode(tenant)}"


def policies_range() -> tuple[str, str]:
    return key_range("y ")


def feed_key(tenant: str) -> str:
    """Return the key of the note that a tenant has a log."""
    return f"f {encode(tenant)}"


def feeds_range(after: str = "") -> tuple[str, str]:
    """Return the keys of the tenants that have a log, or of those behind one."""
    start, end = key_range("f ")
    return (feed_key(after) + "!" if after else start), end
