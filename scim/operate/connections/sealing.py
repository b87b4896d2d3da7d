"""The roots that credentials are sealed with: making the first, replacing it, and which connections still need which.

A credential is refused once the root that sealed it is gone, so a root stays as long as a credential of it is in force,
which may be a year and more. Nothing is printed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from scim.operate.connections.secret_store import SEALS, SecretStore, SecretStoreError
from scim.security.connections import Connection, Credential
from scim.security.keys import Issued, parse_client_id, parse_key
from scim.security.roots import find_current
from scim.security.seals import Seal, create_seal, find_sealer
from scim.security.signing_keys import OUTLIVED


@dataclass(frozen=True, slots=True)
class Need:
    """A root, and the names of the connections that have something in force that it sealed."""

    seal: Seal
    current: bool
    """Whether new credentials are sealed with it."""
    connections: list[str] = field(default_factory=list)


async def find_seal(kept: SecretStore) -> Seal:
    """Return the root to seal a new credential with; if there is none yet, make it."""
    known = await kept.read(SEALS)
    if not known:
        await kept.write(SEALS, (create_seal(),))
        known = await kept.read(SEALS)  # somebody else may have made one at the same moment
    seal = find_current(known, datetime.now(UTC))
    assert seal is not None
    return seal


async def find_needs(kept: SecretStore) -> list[Need]:
    """Return the roots, the oldest first, with who needs them. Raises SecretStoreError if a connection cannot be
    read."""
    known, now = await kept.read(SEALS), datetime.now(UTC)
    seals = sorted(known, key=lambda seal: seal.created)
    current = find_current(seals, now)
    needs = {seal.id: Need(seal, seal is current) for seal in seals}
    for name in await kept.names():
        connection = await kept.get(name)
        for seal_id in _list_needed(connection, list(needs.values()), now) if connection else ():
            if name not in needs[seal_id].connections:
                needs[seal_id].connections.append(name)
    return list(needs.values())


async def rotate_seals(kept: SecretStore) -> list[Need]:
    """Add a root, and take those away that nobody needs any more; those that were taken away.

    A root that was replaced a moment ago stays: a process may still seal access tokens with it, or another operator a
    credential. If connections cannot be read, all stay."""
    new, now = create_seal(), datetime.now(UTC)
    try:
        needs = await find_needs(kept)
    except SecretStoreError:
        needs = []
    known = await kept.read(SEALS)
    seals = sorted(known, key=lambda seal: seal.created)
    replaced = {old.id: following.created for old, following in pairwise(seals)}
    ended = [
        need
        for need in needs
        if not need.connections and need.seal.id in replaced and now - replaced[need.seal.id] >= OUTLIVED
    ]
    gone = {need.seal.id for need in ended}
    await kept.write(SEALS, (*(seal for seal in seals if seal.id not in gone), new))
    return ended


def _list_needed(connection: Connection, needs: list[Need], now: datetime) -> Iterator[str]:
    """Return the ids of the roots that sealed what is in force of a connection."""
    seals = [need.seal for need in needs]
    known = {seal.id for seal in seals}
    ends = connection.find_last_end()
    if connection.revoked is not None or (ends is not None and ends <= now):
        return
    for key in connection.keys:
        key_ends = connection.find_end(key)
        if key_ends is not None and key_ends <= now:
            continue
        seal_id = _find_sealer(key, seals)
        # Of a digest that was entered by hand, nothing tells the root: it may be any.
        yield from known if seal_id is None else known & {seal_id}
    if connection.client_id is not None:
        yield from known & {_find_root(parse_client_id(connection.client_id), seals) or ""}


def _find_sealer(key: Credential, seals: list[Seal]) -> str | None:
    return key.seal or _find_root(parse_key(key.value), seals)


def _find_root(issued: Issued | None, seals: list[Seal]) -> str | None:
    root = find_sealer(issued.text, issued.seal, seals) if issued is not None else None
    return root.id if root is not None else None
