"""What this process shows to Azure: its managed identity there, elsewhere whoever is signed in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential


def open_identity(client_id: str | None) -> AsyncTokenCredential:
    """Return the identity; `client_id` tells which one, if several are assigned."""
    if "IDENTITY_ENDPOINT" in os.environ:
        from azure.identity.aio import ManagedIdentityCredential

        return ManagedIdentityCredential(client_id=client_id)
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential(managed_identity_client_id=client_id)
