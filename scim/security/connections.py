"""Connections: one identity provider's access to one tenant, or the operator's own application's to many.

A connection is found by the name that a credential carries; nothing is ever listed. The settings are one source, Key
Vault the other; both answer the same one question.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from scim import told
from scim.clock import show_time
from scim.errors import Reason
from scim.faults import find_fault
from scim.security.keys import CONNECTION_NAME, digest, find_digest, fingerprint, is_storable, matches, parse_client_id
from scim.security.trust import Trust

Fault = tuple[str, Reason]
"""Why a caller is refused: what it is told, and what the log is."""
Right = Literal["feed", "read", "manage"]
"""What an operator's connection may: follow the changes of its tenants, read them by SCIM, steer them."""
EVERY_TENANT = "*"
MOST_TENANTS = 200
"""Tenants that an operator's connection names: a document in the vault has 25 KB."""
MOST_REVOKED = 40
"""Revoked credentials that a document names, if the table has marks of those before: some 5 KB of those 25."""
ENTRA_PREFIX = "entra-"
"""A connection for tokens that Entra issues is named after its tenant id, the only name that such a token carries."""


def _check_name(text: str) -> str:
    if not CONNECTION_NAME.fullmatch(text):
        raise ValueError("must be a-z, 0-9 and inner hyphens, 63 characters at most")
    return text


Name = Annotated[str, AfterValidator(_check_name)]
"""The name of a connection, or the id of a tenant."""


class Credential(BaseModel):
    """An API key or client secret of ours. In JSON, one that has no dates may be its value alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    value: str
    """The key itself, or `sha256:` and its hex digest."""
    created: AwareDatetime | None = None
    expires: AwareDatetime | None = None
    seal: str | None = None
    """The id of the root that sealed it, which a digest does not tell."""

    @model_validator(mode="before")
    @classmethod
    def _from_value(cls, given: object) -> object:
        return {"value": given} if isinstance(given, str) else given

    @field_validator("value")
    @classmethod
    def _refuse_reference(cls, value: str) -> str:
        """Refuse a Key Vault reference that was not resolved: it is text that anybody can guess, and must never become
        a key."""
        if value.startswith("@Microsoft.KeyVault("):
            raise ValueError("holds a Key Vault reference that was not resolved")
        return value

    @property
    def id(self) -> str:
        """Eight hex digits of the digest: what logs and lists call it."""
        return fingerprint(self.value)

    @property
    def recoverable(self) -> bool:
        """Whether the key itself is kept, and not its digest alone."""
        return find_digest(self.value) != self.value.lower()


class Revoked(BaseModel):
    """A credential that ended by hand, kept as a digest so that whoever still sends it can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    value: str
    """`sha256:` and the hex digest."""
    at: AwareDatetime

    @field_validator("value")
    @classmethod
    def _digest_value(cls, value: str) -> str:
        return find_digest(value)

    @property
    def id(self) -> str:
        """What the credential was called while it was in force."""
        return fingerprint(self.value)


class Operator(BaseModel):
    """What makes a connection the operator's own application's: which tenants it reaches, and what it may do there."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    tenants: tuple[str, ...] = Field(min_length=1, max_length=MOST_TENANTS)
    """Their ids, or "*" alone for all that there are and will be."""
    rights: tuple[Right, ...] = Field(min_length=1)

    @field_validator("tenants", mode="before")
    @classmethod
    def _make_list(cls, given: object) -> object:
        return (given,) if given == EVERY_TENANT else given

    @field_validator("tenants")
    @classmethod
    def _check_tenants(cls, tenants: tuple[str, ...]) -> tuple[str, ...]:
        if tenants != (EVERY_TENANT,) and not all(map(CONNECTION_NAME.fullmatch, tenants)):
            raise ValueError('must be ids of tenants, or "*" alone for all')
        return tuple(sorted(set(tenants)))

    @field_validator("rights")
    @classmethod
    def _sort_rights(cls, rights: tuple[Right, ...]) -> tuple[Right, ...]:
        return tuple(sorted(set(rights)))

    @property
    def reaches_all(self) -> bool:
        """Whether it reaches every tenant, those that are yet to come too."""
        return self.tenants == (EVERY_TENANT,)

    def reaches(self, tenant: str) -> bool:
        """Return whether a tenant of that id is one of its own, whether or not there is one."""
        return self.reaches_all or tenant in self.tenants


class Connection(BaseModel):
    """Who may call for which tenant, with what and until when: a customer's has one `tenant`, an operator's `operator`
    in its place, and nothing is both."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Name
    tenant: Name | None = None
    """The tenant's id, which is the partition of its rows: it never changes while the tenant lives."""
    operator: Operator | None = None
    """If it is the operator's own application's; `kind` says how that one shows who it is, as for everybody."""
    kind: Literal["api-key", "oauth", "federation", "entra"] = "api-key"
    """`api-key`: the key is the bearer token. `oauth`: client credentials for a token of ours. `federation`: the
    issuer's assertion for a token of ours. `entra`: the bearer token is one that Entra issued."""
    description: str = Field(default="", max_length=200)
    created: AwareDatetime | None = None
    """When it was made, or made anew in place of another one."""
    access: Literal["read", "write"] = "write"
    mode: Literal["entra", "strict"] = "entra"
    """`entra` takes everything that Entra sends; `strict` holds to the SCIM 2.0 Interoperability Profile."""
    types: tuple[str, ...] = Field(default=(), max_length=20)
    """The resource types that it may use, such as Agent and Group; all if it names none."""
    expires: AwareDatetime | None = None
    """When the connection ends, whatever its credentials say."""
    paused: AwareDatetime | None = None
    """Since when it is paused: requests get 503 and lose nothing."""
    revoked: AwareDatetime | None = None
    """When it was ended by hand."""
    revoked_keys: tuple[Revoked, ...] = ()
    keys: tuple[Credential, ...] = Field(default=(), max_length=4)
    """API keys or client secrets; two are valid at once while an admin rotates them, and more if several did so at the
    same moment. None of `revoked_keys` is one."""
    trust: Trust | None = None
    """Whose tokens are accepted, for the kinds without a secret."""
    client_id: str | None = None
    """What clients of kind `federation` send as client_id: the name under a seal, which leads to the connection."""

    @field_validator("keys")
    @classmethod
    def _drop_revoked(cls, keys: tuple[Credential, ...], info: ValidationInfo) -> tuple[Credential, ...]:
        """Leave out revoked secrets, whatever brought them back into the document."""
        revoked = {each.value for each in info.data.get("revoked_keys", ())}
        return tuple(key for key in keys if find_digest(key.value) not in revoked) if revoked else keys

    @model_validator(mode="after")
    def _check_side(self) -> Connection:
        """Refuse what is both a customer's connection and an operator's, or neither: no slip of the pen makes one of
        the other."""
        if self.operator is None:
            if self.tenant is None:
                raise ValueError("tenant: is needed")
        elif self.tenant is not None:
            raise ValueError("operator: an operator's connection has no tenant of its own: take one of the two out")
        elif self.kind == "entra":
            raise ValueError(
                "operator: kind entra is for a customer: every application of that Entra tenant has its token"
            )
        elif (self.access, self.mode, self.types) != ("write", "entra", ()):
            raise ValueError("operator: access, mode and types are a customer's; an operator's connection has rights")
        return self

    @model_validator(mode="after")
    def _check_kind(self) -> Connection:
        if self.kind in ("federation", "entra"):
            if self.trust is None or self.keys:
                raise ValueError(f"a connection of kind {self.kind} has trust and no keys")
            if self.kind == "federation" and self.trust.subject is None:
                raise ValueError("trust: subject must be pinned")
            issued = parse_client_id(self.client_id) if self.client_id is not None else None
            if self.client_id is not None and (issued is None or issued.connection != self.name):
                raise ValueError(f"client_id: must be one that was made for connection {self.name}")
            if self.kind == "entra" and (self.trust.app_id is None or self.name != build_entra_name(self.trust)):
                raise ValueError(f"a connection of kind entra pins app_id, and is named {build_entra_name(self.trust)}")
        elif self.trust is not None:
            raise ValueError(f"a connection of kind {self.kind} has keys and no trust")
        elif not self.keys and not self.revoked_keys and self.revoked is None:
            raise ValueError("keys: one or two are needed")
        elif not all(is_storable(key.value, self.name) for key in self.keys):
            raise ValueError(f"keys: each must be a key made for connection {self.name}, or sha256:<its hex digest>")
        return self

    @property
    def account(self) -> str:
        """Whose rate and budget its requests are counted against: its tenant's, or an operator's own, which no tenant
        can share, since none is called so. Neither keeps the other waiting."""
        return f"operator {self.name}" if self.tenant is None else self.tenant

    def match(self, key: str) -> Credential | Revoked | None:
        """Return the credential of the connection that `key` is, or was before it was revoked; None if it is neither.
        In constant time, whichever of them it is."""
        known: tuple[Credential | Revoked, ...] = (*self.keys, *self.revoked_keys)
        found = [each for each in known if matches(key, each.value)]
        return found[0] if found else None

    def why_ended(self, credential: Credential | Revoked | None) -> Fault | None:
        """Return why the connection, or this credential of it, is over; None if both are in force."""
        if isinstance(credential, Revoked):
            usable = any(self.why_ended(key) is None for key in self.keys)
            text = told.CREDENTIAL_REPLACED if usable else told.CREDENTIAL_REVOKED
            return text.format(name=self.name, at=show_time(credential.at)), "revoked"
        if self.revoked is not None:
            return told.CONNECTION_REVOKED.format(name=self.name, at=show_time(self.revoked)), "revoked"
        ends = self.find_end(credential)
        if ends is not None and datetime.now(UTC) >= ends:
            text = told.CONNECTION_EXPIRED if ends == self.expires else told.CREDENTIAL_EXPIRED
            return text.format(name=self.name, at=show_time(ends)), "expired"
        return None

    def name_credential(self, credential: Credential | None) -> str:
        """Return what a credential is called where its use is noted; without one, the trust is what lets in."""
        if credential is not None:
            return credential.id
        if self.trust is None:
            raise ValueError(f"connection {self.name} has no trust")
        return self.trust.id

    def find_end(self, credential: Credential | None) -> datetime | None:
        """Return when that credential of the connection, or the connection, expires: whichever is first."""
        ends = [end for end in (self.expires, credential.expires if credential else None) if end is not None]
        return min(ends, default=None)

    def find_last_end(self) -> datetime | None:
        """Return when the last of its credentials expires, or the connection; None for never."""
        ends = [self.find_end(key) for key in self.keys] or [self.expires]
        return None if None in ends else max(end for end in ends if end is not None)

    @property
    def making(self) -> str:
        """A digest for this connection, and none that is made in its place: what is revoked with the whole of it, since
        some have no credential of ours."""
        return digest(f"connection {self.name} {self.created and self.created.astimezone(UTC).isoformat()}")

    def add_revoked(self, revoked: Iterable[Revoked]) -> Connection:
        """Return the connection with these, too, among its revoked credentials, and so not among those in force. If its
        own `making` is among them, it is revoked as a whole."""
        every = {each.value: each for each in self.revoked_keys}
        for each in revoked:
            every.setdefault(each.value, each)
        whole = every.get(self.making) if self.revoked is None else None
        if whole is None and len(every) == len(self.revoked_keys):
            return self
        return self.change(revoked_keys=tuple(every.values()), revoked=whole.at if whole else self.revoked)

    def drop_old_revoked(self, marked: Collection[str]) -> Connection:
        """Return the connection with its newest MOST_REVOKED revoked credentials, and of the older ones those whose
        values are not among `marked`: what a mark tells need not stand in the document for ever."""
        by_age = sorted(self.revoked_keys, key=lambda each: each.at)
        left = [each for each in by_age[:-MOST_REVOKED] if each.value not in marked or each.value == self.making]
        return self.change(revoked_keys=(*left, *by_age[-MOST_REVOKED:])) if len(by_age) > MOST_REVOKED else self

    def change(self, **members: object) -> Connection:
        """Return the connection with other members. It is made anew, so that its rules hold."""
        return Connection.model_validate(
            {**{member: getattr(self, member) for member in Connection.model_fields}, **members}
        )

    def dump(self) -> dict[str, Any]:
        """Return the connection as JSON data without its name, as the settings and the vault hold it."""
        return self.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)


def build_entra_name(trust: Trust) -> str:
    return f"{ENTRA_PREFIX}{trust.tenant_id}"


def read_connection(name: str, document: object, revoked: Iterable[Revoked] = ()) -> Connection:
    """Return the connection of a JSON document. What is known to be `revoked` is so, whatever the document says of it.
    ValueError, without any value of it, if it is none."""
    if not isinstance(document, dict):
        raise ValueError("is not a JSON object")
    try:
        connection = Connection.model_validate({**document, "name": name})
        return connection.add_revoked(revoked)
    except ValidationError as error:
        path, text = find_fault(error)
        known = [part for part in path if part in Connection.model_fields]
        where = "".join(f"{part}: " for part in [".".join(known)] if part)
        raise ValueError(where + text) from None


class Revocations(Protocol):
    """Revoked credentials in a place of their own, where nothing is ever taken back: writing an older document of a
    connection in place of its newest one, in a race of two commands or by hand, brings no revoked secret back."""

    async def read_revoked(self, connection: str) -> list[Revoked]:
        """Return what is marked as revoked of that connection. Raises SecretsUnavailable."""

    async def mark_revoked(self, connection: str, revoked: Iterable[Revoked]) -> None:
        """Mark these for good. Raises SecretsUnavailable."""
