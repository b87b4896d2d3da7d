"""The configuration: app settings read once, validated, with errors that name the setting.

docs/settings.md lists them for operators; a test holds that page against this class.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from scim.faults import find_fault
from scim.security.connections import Connection
from scim.security.keys import CONNECTION_NAME, parse_key
from scim.security.seals import Seal, find_sealer, read_seals
from scim.security.signing_keys import LONGEST, SigningKey, read_signing_keys
from scim.security.trust import fold_directory

PREFIX = "SCIM_"
BODY_LIMIT = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"
"""The host's own setting: bytes of a body that it reads before any of our code runs; 100 MB by default."""

_HEAD_ROOM = 64 * 1024
"""What the host takes above our limits, so that a body just above them is refused by us, with a text."""

_ISSUER = r"^(https://[^\s?#]+|http://(localhost|127\.0\.0\.1)(:\d+)?(/[^\s?#]*)?)$"
"""An OpenID issuer; without TLS on this machine alone."""
_COSMOS = ".table.cosmos."
_NO_COSMOS = "orders and limits keys otherwise and cannot hold this data: use a storage account's table endpoint"


class SettingsError(ValueError):
    """One line that names the setting and what is wrong with it; never a secret's value."""


def _resolved(value: object) -> object:
    """Refuse a Key Vault reference that the platform could not resolve: it arrives as its own text, which is no
    value."""
    if isinstance(value, str) and value.startswith("@Microsoft.KeyVault("):
        raise ValueError(
            "is a Key Vault reference that was not resolved; check the app's identity and the secret's name"
        )
    return value


def _named(value: object) -> object:
    """Read SCIM_CONNECTIONS, a JSON object by connection name."""
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


def _signing_keys(value: object) -> object:
    return read_signing_keys(value) if isinstance(value, str) else value


def _seals(value: object) -> object:
    return read_seals(value) if isinstance(value, str) else value


def _directories(value: object) -> object:
    """Read SCIM_CONSOLE_DIRECTORIES, `tenant=directory` with commas between: no JSON, which no parameter file holds."""
    if not isinstance(value, str):
        return value
    found: dict[str, str] = {}
    for each in filter(None, (part.strip() for part in value.split(","))):
        tenant, _, directory = (part.strip() for part in each.partition("="))
        if not CONNECTION_NAME.fullmatch(tenant) or not directory:
            raise ValueError("must be TENANT=DIRECTORY, with commas between several")
        if tenant in found or fold_directory(directory) in found.values():
            raise ValueError("names a tenant or a directory twice: each of them has one of the other")
        found[tenant] = fold_directory(directory)
    return found


def _one_directory(value: str | None) -> str | None:
    """Refuse an issuer for many directories: whoever may give roles in one of their own would be an operator."""
    if value is not None and re.search(r"/(common|organizations|consumers)(/|$)", value):
        raise ValueError(
            "must be the issuer of your own directory, with its id: anybody in any other could be operator"
        )
    return value


class Settings(BaseModel):
    """Each field is the app setting SCIM_<FIELD NAME>. One of the first two is needed, the rest has defaults."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    table_endpoint: str | None = Field(
        default=None,
        pattern=r"^https://[^\s/?#]+/?$",
        description="Table endpoint of the storage account, opened with the app's identity.",
    )
    table_connection_string: Annotated[str | None, BeforeValidator(_resolved)] = Field(
        default=None, min_length=1, description="In its place: connection string of the storage account, with a key."
    )
    table_name: str = Field(
        default="scim", pattern="^[A-Za-z][A-Za-z0-9]{2,62}$", description="The table of all tenants."
    )
    key_vault_url: str | None = Field(
        default=None,
        pattern=r"^https://[^\s/?#]+/?$",
        description="The Key Vault that holds connections, signing keys and seals, opened with the app's identity.",
    )
    identity_client_id: str | None = Field(
        default=None, description="Client id of the app's identity, where that is a user-assigned one."
    )
    connections: Annotated[dict[str, Connection], BeforeValidator(_named), BeforeValidator(_resolved)] = Field(
        default_factory=dict,
        description="Who may call, where there is no Key Vault: a JSON object of connections by name.",
    )
    signing_keys: Annotated[tuple[SigningKey, ...], BeforeValidator(_signing_keys), BeforeValidator(_resolved)] = Field(
        default=(), description="What access tokens are signed with, where there is no Key Vault: made by the tool."
    )
    seals: Annotated[tuple[Seal, ...], BeforeValidator(_seals), BeforeValidator(_resolved)] = Field(
        default=(), description="What credentials are sealed with, where there is no Key Vault: made by the tool."
    )
    token_minutes: int = Field(
        default=60,
        ge=5,
        le=LONGEST // timedelta(minutes=1),
        description="How long an access token is good for; Entra asks for 60 at least.",
    )
    outage_minutes: int = Field(
        default=240,
        ge=5,
        le=1440,
        description="How long known connections and keys go on while Key Vault or an issuer is away; then 503.",
    )
    usage_minutes: int = Field(
        default=60,
        ge=0,
        le=1440,
        description="How often the use of a credential is noted, and its expiry looked at; 0 for never.",
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^(https://[^\s/?#]+|http://(localhost|127\.0\.0\.1)(:\d+)?)(/[^\s?#]*)?/scim$",
        description="The tenant URL that clients use, where it is not the one that requests arrive with.",
    )
    tenant_rate: int = Field(
        default=400,
        ge=0,
        description="Requests a second of one tenant, or of an operator's connection, in one process, before 429; 0 "
        "for no limit.",
    )
    tenant_resources: int = Field(
        default=1_000_000, ge=0, description="Users, groups and other resources of one tenant; 0 for no quota."
    )
    tenant_members: int = Field(
        default=10_000_000, ge=0, description="Memberships of all groups of one tenant; 0 for no quota."
    )
    tenant_megabytes: int = Field(
        default=20_000, ge=0, description="Megabytes of one tenant in the table; 0 for no quota."
    )
    insight_seconds: int = Field(
        default=5,
        ge=0,
        le=300,
        description="Seconds between two writes of what was counted of a tenant, behind responses; 0 keeps neither "
        "counters nor who was refused, and why and status know nothing of it.",
    )
    feed: bool = Field(
        default=True,
        description="Whether every change is told to the change feed (docs/feed.md); what is written while it is off "
        "never is.",
    )
    feed_days: int = Field(default=30, ge=1, le=365, description="Days that the change feed keeps an event.")
    feed_seconds: int = Field(
        default=1,
        ge=0,
        le=300,
        description="Seconds between two runs of the change feed for one tenant behind the responses of one process; 0 "
        "for none: then events wait for a reader, or for housekeeping.",
    )
    sinks: Annotated[str | None, BeforeValidator(_resolved)] = Field(
        default=None,
        description="Webhooks that get the events of the change feed, where there is no Key Vault: made by the tool.",
    )
    console: bool = Field(
        default=False,
        description="Whether /console is there: pages for operators and customers' admins (docs/console.md). The app's "
        "identity then needs to write the vault; in Azure the console is an app of its own.",
    )
    console_url: str | None = Field(
        default=None,
        pattern=r"^(https://[^\s/?#]+|http://(localhost|127\.0\.0\.1)(:\d+)?)/console$",
        description="Where the console is, if it is not on the host of the tenant URL.",
    )
    console_operators_issuer: Annotated[str | None, AfterValidator(_one_directory)] = Field(
        default=None,
        pattern=_ISSUER,
        description="The OpenID provider that operators sign in at, such as "
        "`https://login.microsoftonline.com/DIRECTORY/v2.0`. The templates take Entra if there is a client id.",
    )
    console_operators_client_id: str | None = Field(
        default=None, min_length=1, description="What the console is registered as there: Entra's application id."
    )
    console_operators_client_secret: Annotated[str | None, BeforeValidator(_resolved)] = Field(
        default=None,
        min_length=1,
        description="The secret of that registration, for local use: in Azure the app's identity stands for it.",
    )
    console_customers_issuer: str | None = Field(
        default=None,
        pattern=_ISSUER,
        description="The OpenID provider that customers' admins sign in at, such as "
        "`https://login.microsoftonline.com/organizations/v2.0`. The templates take this if there is a client id.",
    )
    console_customers_client_id: str | None = Field(
        default=None, min_length=1, description="What the console is registered as there."
    )
    console_customers_client_secret: Annotated[str | None, BeforeValidator(_resolved)] = Field(
        default=None, min_length=1, description="The secret of that registration, for local use."
    )
    console_directories: Annotated[dict[str, str] | None, BeforeValidator(_directories)] = Field(
        default=None,
        description="From which directory (`tid`) a tenant's admins sign in: `contoso=ID,fabrikam=ID`. An admin who "
        "came by a link can say so as well.",
    )
    doorbell_endpoint: str | None = Field(
        default=None,
        pattern=r"^https://[^\s/?#]+/?$",
        description="Queue endpoint of a storage account: a message there tells which tenant's feed has news. Opened "
        "with the app's identity.",
    )
    doorbell_connection_string: Annotated[str | None, BeforeValidator(_resolved)] = Field(
        default=None, min_length=1, description="In its place: connection string of the storage account, with a key."
    )
    doorbell_queue: str = Field(
        default="scim-feed",
        pattern="^[a-z0-9](-?[a-z0-9]){2,62}$",
        description="The queue of those messages.",
    )
    mass_changes: int = Field(
        default=100,
        ge=1,
        description="Users disabled and resources deleted of one tenant in an hour, before the event `mass_change`.",
    )
    address_refusals: int = Field(
        default=60,
        ge=0,
        description="Refused requests a minute of one source address in one process, before 429 in place of the "
        "refusal; 0 for no limit.",
    )
    proxies: int = Field(
        default=0,
        ge=0,
        le=5,
        description="Proxies of your own in front of the platform (Front Door, API Management), each of which adds its "
        "caller to X-Forwarded-For.",
    )
    entra_keys_url: str | None = Field(
        default=None,
        pattern=r"^https://[^\s?#]+$",
        description="Where the public keys for Entra's own tokens are, if it is not the public cloud's Entra.",
    )
    request_seconds: int = Field(
        default=90, ge=5, le=200, description="What a request may take before 503; less than the host's own timeout."
    )
    max_body_bytes: int = Field(default=2**20, ge=1024, description="Bytes of a request body.")
    max_group_body_bytes: int = Field(default=8 * 2**20, ge=1024, description="Bytes of a request body for a group.")
    max_bulk_bytes: int = Field(default=8 * 2**20, ge=1024, description="Bytes of the body of a bulk request.")
    max_bulk_operations: int = Field(default=1000, ge=1, description="Operations of one bulk request.")
    max_json_depth: int = Field(default=32, ge=4, le=200, description="Levels of nesting in a request body.")
    max_filter_length: int = Field(
        default=65536, ge=64, description="Characters of a filter in the body of a .search; of one in a URL 8192."
    )
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
        default=100_000,
        ge=1,
        description="Resources read for a filter that no index serves, or edges for groups eq, before 400 tooMany.",
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
        """Return the settings of this process. Raises SettingsError."""
        environment = os.environ if environment is None else environment
        names = {PREFIX + name.upper(): name for name in Settings.model_fields}
        values: dict[str, Any] = {f: environment[n] for n, f in names.items() if environment.get(n, "").strip()}
        try:
            settings = Settings.model_validate(values)
        except ValidationError as error:
            raise SettingsError(_line(error)) from None
        settings._one_of("table_endpoint", "table_connection_string", needed=True)
        for name in ("table_endpoint", "table_connection_string"):
            if _COSMOS in (getattr(settings, name) or "").lower():
                raise SettingsError(f"{PREFIX}{name.upper()} names Cosmos DB, which {_NO_COSMOS}.")
        settings._one_of("key_vault_url", "connections")
        settings._one_of("key_vault_url", "signing_keys")
        settings._one_of("key_vault_url", "seals")
        settings._one_of("key_vault_url", "sinks")
        settings._one_of("doorbell_endpoint", "doorbell_connection_string")
        for who in ("operators", "customers"):
            settings._both(f"console_{who}_issuer", f"console_{who}_client_id")
        settings._all_sealed()
        return settings

    @property
    def public_origin(self) -> str | None:
        """The public URL without what the tenant URL ends with; None if requests tell it."""
        return None if self.public_url is None else self.public_url.removesuffix("/scim")

    def find_origin(self, asked: str) -> str:
        """Return where our doors are, scheme, host and the path before them: the public URL's, else the origin that a
        request `asked`."""
        return self.public_origin or asked

    def find_console_origin(self, asked: str) -> str:
        """Return where the console is, without `/console`; `asked` is the origin that a request asked."""
        return self.find_origin(asked) if self.console_url is None else self.console_url.removesuffix("/console")

    def wanted_body_limit(self) -> int:
        """Return what BODY_LIMIT has to be: the greatest body that the app takes and some more."""
        return max(self.max_body_bytes, self.max_group_body_bytes, self.max_bulk_bytes) + _HEAD_ROOM

    def _all_sealed(self) -> None:
        """Refuse a key without a seal of ours: it would be refused as made up, and nobody would be told why."""
        for connection in self.connections.values():
            for key in connection.keys:
                issued = parse_key(key.value)
                if issued is not None and find_sealer(issued.text, issued.seal, self.seals) is None:
                    raise SettingsError(
                        f"{PREFIX}CONNECTIONS ({connection.name}.keys): a key was not made with {PREFIX}SEALS: make "
                        f"it anew with python -m scim connections add {connection.name} --replace."
                    )

    def _both(self, first: str, second: str) -> None:
        """Refuse one of two settings without the other."""
        if bool(getattr(self, first)) != bool(getattr(self, second)):
            raise SettingsError(f"{PREFIX}{first.upper()} and {PREFIX}{second.upper()}: set both, or neither.")

    def _one_of(self, first: str, second: str, *, needed: bool = False) -> None:
        """Refuse two sources of the same thing: it would be left to chance which one counts."""
        names = f"{PREFIX}{first.upper()} or {PREFIX}{second.upper()}"
        if getattr(self, first) and getattr(self, second):
            raise SettingsError(f"{names}: only one of them may be set.")
        if needed and not getattr(self, first) and not getattr(self, second):
            raise SettingsError(f"{names} must be set.")


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Return what looks like a setting of ours and is none: a slip of the pen would else go unnoticed."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {"SCIM_TENANT_URL"}  # the operator's tool's
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def find_body_limit_problem(environment: Mapping[str, str], settings: Settings) -> str | None:
    """Return one line if the host's limit on bodies is set below ours; None if it is not."""
    text = environment.get(BODY_LIMIT, "").strip()
    wanted = settings.wanted_body_limit()
    if not text.isdigit() or int(text) >= wanted:
        return None
    return (
        f"{BODY_LIMIT} is {text}, but SCIM_MAX_BODY_BYTES, SCIM_MAX_GROUP_BODY_BYTES and SCIM_MAX_BULK_BYTES allow "
        f"more, which the host would refuse with an empty 500. Set it to {wanted}."
    )


def _line(error: ValidationError) -> str:
    """Return the first complaint as one line; pydantic's own text would carry the value, which may be a secret."""
    (name, *inner), text = find_fault(error)
    # What stands where a name belongs may be a secret too: only what can be a name is shown.
    shown = (part if CONNECTION_NAME.fullmatch(part) or part in Connection.model_fields else "…" for part in inner)
    where = PREFIX + name.upper() + (f" ({'.'.join(shown)})" if inner else "")
    if text == "is missing" and not inner:
        return f"{where} is not set."
    joint = " " if text.startswith(("is ", "must ", "holds ")) else ": "
    return f"{where}{joint}{text}."
