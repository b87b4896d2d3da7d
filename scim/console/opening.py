"""Puts the console together, from the parts of the app that serves it."""

from __future__ import annotations

from pathlib import Path

from scim.console.console import Console, Place
from scim.console.visit import Parts
from scim.operate.access.audit import Audit
from scim.operate.access.sessions import Sessions
from scim.operate.connections.kept import Kept, KeptInSettings, KeptInVault
from scim.schema.registry import Registry
from scim.security.vault import Vault
from scim.settings import Settings
from scim.store.credentials import Credentials
from scim.store.table import Table

_LOCAL = Path("local.settings.json")


def open_console(settings: Settings, registry: Registry, table: Table, vault: Vault | None) -> Console:
    """Return the console. It keeps connections where the app reads them: in the vault, or on a laptop in its settings
    file."""
    kept: Kept = KeptInVault(vault) if vault is not None else KeptInSettings(_LOCAL)
    sessions, audit = Sessions(table), Audit(table)
    parts = Parts(table, registry, kept, Credentials(table), "", audit, sessions)
    return Console(Place(settings, parts, sessions, audit))
