"""Opens the sinks that the settings and the vault name. Only what is configured is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from scim.feed.following import Sink
    from scim.security.vault import Vault
    from scim.settings import Settings
    from scim.store.table import Table


def open_sinks(
    settings: Settings, table: Table, vault: Vault | None, identity: AsyncTokenCredential | None, ca_file: str | None
) -> list[Sink]:
    """Return what brings events to others in this process; nothing is opened before there is something to bring."""
    sinks: list[Sink] = []
    if vault is not None or settings.sinks:
        from scim.feed.sinks.client import WebhookClient
        from scim.feed.sinks.document import find_sinks
        from scim.feed.sinks.webhooks import Webhooks

        source = find_sinks(vault, settings.sinks or "", settings.outage_minutes)
        sinks.append(Webhooks(table, source, WebhookClient(ca_file=ca_file)))
    if settings.doorbell_endpoint or settings.doorbell_connection_string:
        from scim.feed.sinks.doorbell import Doorbell, Queue

        queue = Queue(
            settings.doorbell_queue,
            connection_string=settings.doorbell_connection_string,
            endpoint=settings.doorbell_endpoint,
            identity=identity,
        )
        sinks.append(Doorbell(table, queue))
    return sinks
