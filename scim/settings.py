"""The configuration: app settings read once, validated, with errors that name the setting.

docs/settings.md lists them for operators; a test holds that page against this class.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from scim.security.connections import Connection
from scim.security.keys import CONNECTION_NAME

PREFIX = "SCIM_"


class SettingsError(ValueError):
    """One line that names the setting and what is wrong with it; never a secret's value."""


def _resolved(value: object) -> object:
    """A Key Vault reference that the platform could not resolve arrives as its own text, which is no value."""
    if isinstance(value, str) and value.startswith("@Microsoft.KeyVault("):
        raise ValueError(
            "is a Key Vault reference that was not resolved; check the app's identity and the secret's name"
        )
    return value


def _named(value: object) -> object:
    """SCIM_CONNECTIONS is a JSON object by connection name."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}", object_pairs_hook=_once)
        except ValueError as error:
            raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        raise ValueError("must be a JSON object of connections by name")
    # A connection's name is its key: another one inside is no name.
    return {name: {**item, "name": name if item.get("name", name) == name else None} for name, item in value.items()}


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name stands in it twice")
    return dict(pairs)


class Settings(BaseModel):
    """Each field is the app setting SCIM_<FIELD NAME>; all but the table and the connections have defaults."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    table_connection_string: Annotated[str, BeforeValidator(_resolved)] = Field(
        min_length=1, description="Connection string of the storage account."
    )
    table_name: str = Field(
        default="scim", pattern="^[A-Za-z][A-Za-z0-9]{2,62}$", description="The table of all tenants."
    )
    connections: Annotated[dict[str, Connection], BeforeValidator(_named), BeforeValidator(_resolved)] = Field(
        default_factory=dict, description="Who may call: a JSON object of connections by name."
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+/scim$",
        description="The tenant URL that clients use, where it is not the one that requests arrive with.",
    )
    max_body_bytes: int = Field(default=2**20, ge=1024, description="Bytes of a request body.")
    max_group_body_bytes: int = Field(default=8 * 2**20, ge=1024, description="Bytes of a request body for a group.")
    max_bulk_bytes: int = Field(default=8 * 2**20, ge=1024, description="Bytes of the body of a bulk request.")
    max_bulk_operations: int = Field(default=1000, ge=1, description="Operations of one bulk request.")
    max_json_depth: int = Field(default=32, ge=4, le=500, description="Levels of nesting in a request body.")
    max_filter_length: int = Field(default=4096, ge=64, description="Characters of a filter.")
    max_filter_depth: int = Field(default=32, ge=1, le=100, description="Levels of nesting in a filter.")
    max_patch_operations: int = Field(default=1000, ge=1, description="Operations of one PATCH.")
    group_patch_returns_resource: bool = Field(
        default=False,
        description="Answer a group's PATCH with 200 and the group for clients that insist, else with 204.",
    )
    page_size: int = Field(
        default=100, ge=1, le=1000, description="Resources on a page where the client names no count."
    )
    max_page_size: int = Field(default=1000, ge=1, le=1000, description="Resources on a page at the most.")
    scan_limit: int = Field(
        default=100_000, ge=1, description="Resources read for a filter that no index serves, before 400 tooMany."
    )
    sort_limit: int = Field(
        default=10_000,
        ge=1,
        description="Resources sorted by an attribute without a fitting index, before 400 tooMany.",
    )
    schemas_folder: str = Field(
        default="schemas", description="Folder of added schema documents, from the app's own folder."
    )

    @staticmethod
    def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
        """The settings of this process. Raises SettingsError."""
        environment = os.environ if environment is None else environment
        names = {PREFIX + name.upper(): name for name in Settings.model_fields}
        values: dict[str, Any] = {f: environment[n] for n, f in names.items() if environment.get(n, "").strip()}
        try:
            return Settings.model_validate(values)
        except ValidationError as error:
            raise SettingsError(_line(error)) from None


def unknown(environment: Mapping[str, str]) -> list[str]:
    """What looks like a setting of ours and is none: a slip of the pen would else go unnoticed."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def _line(error: ValidationError) -> str:
    """The first complaint as one line; pydantic's own text would carry the value, which may be a secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    name, *inner = (str(part) for part in first["loc"])
    # What stands where a name belongs may be a secret too: only what can be a name is shown.
    shown = (part if CONNECTION_NAME.fullmatch(part) or part in Connection.model_fields else "…" for part in inner)
    where = PREFIX + name.upper() + (f" ({'.'.join(shown)})" if inner else "")
    if first["type"] == "missing":
        return f"{where} is not set."
    message = first["msg"].removeprefix("Value error, ")
    joint = " " if message.startswith(("is ", "must ", "holds ")) else ": "
    return f"{where}{joint}{message}."
