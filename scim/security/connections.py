"""Connections: one identity provider's access to one tenant, and where they are looked up.

A connection is found by the name that a credential carries; nothing is ever listed. The settings are one source;
any other answers the same one question.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from scim.security.keys import CONNECTION_NAME, is_storable


class Connection(BaseModel):
    """Who may call for which tenant, with what and until when."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern=f"^{CONNECTION_NAME.pattern}$")
    tenant: str = Field(pattern=f"^{CONNECTION_NAME.pattern}$")
    """The tenant's id, which is the partition of its rows: it never changes while the tenant lives."""
    kind: Literal["api-key"] = "api-key"
    access: Literal["read", "write"] = "write"
    mode: Literal["entra", "strict"] = "entra"
    """`entra` takes everything that Entra sends; `strict` holds to the SCIM 2.0 Interoperability Profile."""
    expires: AwareDatetime | None = None
    keys: tuple[str, ...] = Field(min_length=1, max_length=2)
    """API keys, or `sha256:` and their hex digest; two are valid at once while an admin rotates them."""

    @field_validator("keys")
    @classmethod
    def _resolved(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        """An unresolved Key Vault reference is text that anybody can guess: it must never become a key."""
        if any(key.startswith("@Microsoft.KeyVault(") for key in keys):
            raise ValueError("holds a Key Vault reference that was not resolved")
        return keys

    @model_validator(mode="after")
    def _own_keys(self) -> Connection:
        if not all(is_storable(key, self.name) for key in self.keys):
            raise ValueError(f"keys: each must be a key made for connection {self.name}, or sha256:<its hex digest>")
        return self

    def expired(self, now: datetime) -> bool:
        return self.expires is not None and now >= self.expires


class Connections(Protocol):
    """A source of connections."""

    async def get(self, name: str) -> Connection | None:
        """The connection of that name, None where there is none. Raises ScimError 503 where that cannot be told."""


class FixedConnections:
    """Connections that are known from the start, as those in the settings are."""

    def __init__(self, connections: Mapping[str, Connection]) -> None:
        self._connections = connections

    async def get(self, name: str) -> Connection | None:
        return self._connections.get(name)
