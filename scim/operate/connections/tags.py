"""What a connection is, in the tags of its secret.

A list of the vault's secrets has their tags and not their values, so a thousand connections are listed by forty
requests instead of a thousand more.

Tags belong to one version of a secret, as its value does, and are written with it. Whoever may list secrets reads them,
so there is no secret in them: a connection that holds one itself has none, and is read by itself.
"""

from __future__ import annotations

import json

from scim.security.connections import Connection, read_connection

_PART = "document-{}"
_PARTS = 12
_CHARACTERS = 256
"""Of a tag; a secret has up to 15 (Key Vault, "About keys, secrets and certificates")."""


def write_tags(connection: Connection) -> dict[str, str]:
    """Return the tags of a connection's secret: its tenant, or an operator's rights, and its kind for people, and its
    document if it fits and holds no secret. What was revoked of it is left out."""
    whose = {"operator": ",".join(connection.operator.rights)} if connection.operator else {}
    tags = whose | ({"tenant": connection.tenant} if connection.tenant else {}) | {"kind": connection.kind}
    document = connection.dump()
    document.pop("revoked_keys", None)
    text = json.dumps(document, separators=(",", ":"))
    if any(key.recoverable for key in connection.keys) or len(text) > _PARTS * _CHARACTERS:
        return tags
    parts = [text[at : at + _CHARACTERS] for at in range(0, len(text), _CHARACTERS)]
    return tags | {_PART.format(number): part for number, part in enumerate(parts)}


def read_tags(name: str, tags: dict[str, str]) -> Connection | None:
    """Return the connection that a secret's tags tell, without its revoked credentials; None if they tell none."""
    parts: list[str] = []
    while (part := tags.get(_PART.format(len(parts)))) is not None:
        parts.append(part)
    try:
        return read_connection(name, json.loads("".join(parts)))
    except ValueError:
        return None
