"""A tenant's policy as a JSON document: what it may say, and what is wrong with one.

    {"defaults": {"entitlements": [{"type": "license", "value": "Ai Voice"}]},
     "grants": [{"group": {"displayName": "Sales"}, "licenses": ["Ai Sales"], "roles": ["agent"]},
                {"role": "Supervisor", "roles": ["supervisor"]}],
     "never": ["owner"],
     "values": [{"from": "department", "to": "office", "map": {"Sales": "Berlin"}, "else": "Headquarters"}],
     "seats": {"licenses": {"Ai Voice": 200}, "total": 500},
     "massChange": {"percent": 10, "atLeast": 25, "alarm": true, "hold": "off", "holdHours": 24},
     "relink": {"hours": 72},
     "protected": {"users": ["breakglass@contoso.com"], "groups": ["Owners"]},
     "domains": ["contoso.com"]}

Every part may be left out; an empty object is a policy that does nothing but raise the alarm of a mass change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from scim.errors import INVALID_VALUE, ScimError
from scim.faults import find_fault
from scim.schema.registry import Declared, Registry, ResourceType
from scim.schema.validation import Document, make_canonical

MOST_BYTES = 30_000
"""Bytes of a policy: it is one row, and read with others."""
_MOST = 500
"""Entries of each list."""
_HOURS = 30 * 24


class PolicyError(ValueError):
    """One line that says which part of a policy is wrong, and what it may be."""


def _checked_domain(text: str) -> str:
    domain = text.strip().removeprefix("@").lower()
    if not domain or not domain.isprintable() or any(char in domain for char in " /@:,") or "." not in domain:
        raise ValueError("must be a domain such as contoso.com")
    return domain


def _checked_name(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text.strip()


Name = Annotated[str, Field(max_length=250), AfterValidator(_checked_name)]
Domain = Annotated[str, Field(max_length=253), AfterValidator(_checked_domain)]
Names = Annotated[tuple[Name, ...], Field(max_length=_MOST)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")


class GroupName(_Part):
    """Which group: by one of these. A group that was found once is followed through its renames."""

    id: Name | None = None
    display_name: Name | None = None
    external_id: Name | None = None

    @model_validator(mode="after")
    def _is_one(self) -> GroupName:
        if sum(name is not None for name in (self.id, self.display_name, self.external_id)) != 1:
            raise ValueError("names a group by exactly one of id, displayName and externalId")
        return self


class Grant(_Part):
    """What the members of a group, or the users with an app role, get: licences, roles, and any other attribute of the
    product under `attributes`."""

    group: GroupName | None = None
    role: Name | None = None
    licenses: Names = ()
    roles: Names = ()
    attributes: dict[Name, Any] = {}

    @model_validator(mode="after")
    def _is_whole(self) -> Grant:
        if (self.group is None) == (self.role is None):
            raise ValueError("is for a group or for a role: give one of the two")
        if not (self.licenses or self.roles or self.attributes):
            raise ValueError("gives nothing: give licenses, roles or attributes")
        return self

    def given(self) -> dict[str, Any]:
        """What it gives, as an event says it."""
        parts = {"licenses": list(self.licenses), "roles": list(self.roles), "attributes": self.attributes}
        return {name: part for name, part in parts.items() if part}


class ValueMap(_Part):
    """A value of the product that follows from an attribute's, with what it is if nothing fits."""

    source: Name = Field(alias="from")
    to: Name
    map: dict[Name, Name]
    otherwise: Name | None = Field(default=None, alias="else")


class Seats(_Part):
    """How many users may have a licence, or be active at all."""

    licenses: dict[Name, Annotated[int, Field(ge=0, le=10_000_000)]] = {}
    total: Annotated[int, Field(ge=0, le=10_000_000)] | None = None


class MassChange(_Part):
    """When many disables and deletes within an hour are told, and held."""

    percent: Annotated[int, Field(ge=1, le=100)] = 10
    at_least: Annotated[int, Field(ge=1, le=1_000_000)] = 25
    alarm: bool = True
    hold: Literal["off", "on", "all"] = "off"
    hold_hours: Annotated[int, Field(ge=1, le=_HOURS)] = 24


class Relink(_Part):
    """How long the product keeps the data of somebody who was deleted."""

    hours: Annotated[int, Field(ge=0, le=_HOURS)] = 72


class Protected(_Part):
    """Users and groups that SCIM cannot disable, delete or rename: users by userName, externalId or id, groups by
    displayName, externalId or id."""

    users: Names = ()
    groups: Names = ()


class Agents(_Part):
    """What happens when the last owner of an agent leaves."""

    ownerless: Literal["off", "alarm", "hold"] = "alarm"
    grace_days: Annotated[int, Field(ge=0, le=90)] = 7


class Policy(_Part):
    """What a tenant's policy says."""

    defaults: dict[Name, Any] = {}
    grants: Annotated[tuple[Grant, ...], Field(max_length=_MOST)] = ()
    never: Names = ()
    values: Annotated[tuple[ValueMap, ...], Field(max_length=50)] = ()
    seats: Seats = Seats()
    mass_change: MassChange = MassChange()
    relink: Relink = Relink()
    protected: Protected = Protected()
    domains: Annotated[tuple[Domain, ...], Field(max_length=_MOST)] = ()
    agents: Agents = Agents()
    offers: dict[Name, Annotated[tuple[dict[str, Any], ...], Field(max_length=1000)]] = {}

    @model_validator(mode="after")
    def _never_gives_what_it_forbids(self) -> Policy:
        forbidden = {name.lower() for name in self.never}
        for number, grant in enumerate(self.grants):
            if found := next((role for role in grant.roles if role.lower() in forbidden), None):
                raise ValueError(f"grants.{number}.roles gives {found!r}, which `never` forbids: take it out of one")
        return self

    def document(self) -> dict[str, Any]:
        """The policy as JSON data, without what it leaves out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def parse_policy(data: object, registry: Registry) -> Policy:
    """Return the policy that JSON data says. Raises PolicyError."""
    if not isinstance(data, dict):
        raise PolicyError("A policy is a JSON object, such as {}.")
    if (size := len(orjson.dumps(data))) > MOST_BYTES:
        raise PolicyError(f"A policy has {MOST_BYTES} bytes at most; this one has {size}.")
    try:
        policy = Policy.model_validate(data)
    except ValidationError as error:
        raise PolicyError(_describe(error)) from None
    users = _find_users(registry)
    policy.__dict__["defaults"] = canonical_defaults(policy.defaults, users)
    for number, each in enumerate(policy.values):
        _find_source(each.source, users, f"values.{number}.from")
    for name, values in policy.offers.items():
        _check_offer(name, values, registry)
    return policy


def _check_offer(name: str, values: Sequence[Mapping[str, Any]], registry: Registry) -> None:
    """Raise PolicyError for values of a type that is not only read, or that its schema does not have."""
    from scim.schema.loading import SchemaError, check_values

    known = {catalog.resource_type.name: catalog for catalog in registry.catalogs}
    if name not in known:
        names = ", ".join(known) or "none: copy optional-schemas/roles to schemas/"
        raise PolicyError(f"offers.{name}: is no type that is only read; there are {names}.")
    try:
        check_values(known[name].resource_type, values)
    except SchemaError as error:
        raise PolicyError(f"offers.{name}: {error}.") from None


def canonical_defaults(defaults: dict[str, Any], resource_type: ResourceType) -> Document:
    """Return values for new users in canonical form: one attribute of an extension is in its container. Raises
    PolicyError."""
    for name in defaults:
        target = resource_type.resolve(name)
        if target is None or (target.urn is None and not isinstance(target, Declared)):
            raise PolicyError(f"defaults.{name}: is no attribute of a user; /Schemas lists them.")
        attribute = target.attribute if isinstance(target, Declared) else None
        if attribute and (attribute.mutability == "readOnly" or attribute.uniqueness != "none"):
            raise PolicyError(f"defaults.{name}: cannot be the same for every user: it is unique, or read only.")
    named = {"userName": "somebody"}  # what every user needs, and no default says
    try:
        document = make_canonical({**defaults, **named}, resource_type)
    except ScimError as error:
        raise PolicyError(f"defaults: {error.detail}") from None
    document.pop("userName")
    return document


def _find_source(name: str, users: ResourceType, where: str) -> Declared:
    target = users.resolve(name)
    if not isinstance(target, Declared):
        raise PolicyError(f"{where}: {name} is no attribute of a user; /Schemas lists them.")
    if target.leaf.type == "complex" or (target.attribute.multi_valued and target.sub is None):
        raise PolicyError(f"{where}: {name} is not a single value; name an attribute that is.")
    return target


def _find_users(registry: Registry) -> ResourceType:
    users = registry.by_endpoint("users")
    if users is None:
        raise PolicyError("This service has no users.")
    return users


def _describe(error: ValidationError) -> str:
    """Return the first fault as one sentence."""
    path, text = find_fault(error)
    return f"{'.'.join(path)}: {text}." if path else f"The policy {text}."


def build_schema() -> dict[str, Any]:
    """Return the JSON Schema of a policy."""
    return Policy.model_json_schema(by_alias=True)


def refuse_as_scim(error: PolicyError) -> ScimError:
    """Return the error for a request that sends a wrong policy."""
    return ScimError(INVALID_VALUE, str(error), rule="policy")
