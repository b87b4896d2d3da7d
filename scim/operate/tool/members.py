"""What `connections add` is to make, from its options; and the tenants and rights of an operator's connection."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import ValidationError

from scim.operate.connections.commands import TOO_MANY_TENANTS
from scim.operate.errors import CommandError
from scim.schema.registry import Registry
from scim.security.connections import ENTRA_PREFIX, EVERY_TENANT, Operator, Right, build_entra_name
from scim.security.keys import CONNECTION_NAME
from scim.security.trust import (
    GUID,
    Trust,
    find_entra_tenant,
    make_entra_federation,
    make_entra_issued,
    make_federation,
)

RIGHTS = ",".join(get_args(Right))
USUAL_RIGHTS = "feed,read"
"""Those of an operator's connection that says nothing else."""
_PINNED_NAMES = ("tenant_id", "app_id", "subject", "issuer", "audience", "jwks_uri")
_GUIDS = {
    "tenant_id": "--tenant-id must be the Entra tenant's id, such as 0a1b2c3d-1111-2222-3333-444455556666",
    "app_id": "--app-id must be an application's id, such as 0a1b2c3d-1111-2222-3333-444455556666",
}
_MEMBERS = {
    **_GUIDS,
    "issuer": "--issuer must be an address that begins with https://",
    "jwks_uri": "--jwks-uri must be an address that begins with https://",
    "audience": "--audience must have 1 to 256 characters",
    "subject": "--subject must have 1 to 256 characters",
}
"""What to say of a member that is wrong."""


def read_members(options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the members of the connection to make. Raises CommandError."""
    trust, kind, given_name = _read_trust(options), options["kind"], options["name"]
    stray = [each for each in _PINNED_NAMES if trust is None and options[each]]
    if stray:
        raise CommandError(f"--{stray[0].replace('_', '-')} is for --kind federation or entra: which one is it?")
    about_secrets = [each for each in ("recoverable", "print_secret") if trust is not None and options[each]]
    if about_secrets:
        flag = about_secrets[0].replace("_", "-")
        raise CommandError(f"--{flag} is about a secret, and a connection of kind {kind} has none.")
    operator = _read_operator(options)
    if options["accept_replay"] and kind != "entra":
        raise CommandError("--accept-replay is for --kind entra alone.")
    name = build_entra_name(trust) if kind == "entra" and trust else given_name
    if not name or (given_name and given_name != name):
        raise CommandError(
            f"A connection for Entra's own tokens is named {name}: leave the name out."
            if given_name
            else "Give the connection a name: a-z, 0-9 and inner hyphens."
        )
    if kind != "entra" and name.startswith(ENTRA_PREFIX):
        raise CommandError(f"Names that begin with {ENTRA_PREFIX} are for --kind entra: choose another one.")
    if kind == "entra" and not options["tenant"]:
        raise CommandError("--tenant is missing: whose users does Entra's own token reach?")
    if kind == "entra" and not options["read_only"] and not options["accept_replay"]:
        raise CommandError(
            "Entra sends one and the same token to every application of that Entra tenant whose secret is blank, and"
            " each of them can use it here until it ends. Give --read-only; or --accept-replay, to let them write."
        )
    members: dict[str, Any] = {"kind": kind, "description": options["description"]}
    if operator is not None:
        members["operator"] = operator.model_dump()
    else:
        members |= {
            "tenant": options["tenant"] or name,
            "access": "read" if options["read_only"] else "write",
            "mode": "strict" if options["strict"] else "entra",
            "types": read_types(options["types"]),
        }
    return name, members if trust is None else {**members, "trust": trust.model_dump()}


def _read_operator(options: dict[str, Any]) -> Operator | None:
    """What an operator's connection may; None for a customer's. Raises CommandError if it is neither."""
    asked = [name for name in ("all_tenants", "tenants", "rights") if options[name]]
    if not options["operator"]:
        if asked:
            raise CommandError(f"--{asked[0].replace('_', '-')} is for --operator, your own application: is it one?")
        return None
    for name in ("tenant", "read_only", "strict"):
        if options[name]:
            raise CommandError(
                f"--{name.replace('_', '-')} is a customer's: with --operator, give --all-tenants or --tenants LIST,"
                " and --rights."
            )
    if options["kind"] == "entra":
        raise CommandError("--operator takes --kind api-key, oauth or federation: Entra's own token is anybody's.")
    tenants = read_tenants(options)
    if tenants is None:
        raise CommandError("Which tenants does your application reach? Give --all-tenants, or --tenants LIST.")
    rights = read_rights(options["rights"] or USUAL_RIGHTS)
    try:
        return Operator(tenants=tenants, rights=rights)
    except ValidationError:
        raise CommandError(TOO_MANY_TENANTS) from None


def read_tenants(options: dict[str, Any]) -> tuple[str, ...] | None:
    """The tenants that the options name; None if they name none. Raises CommandError."""
    listed = read_list("--tenants", options["tenants"])
    if options["all_tenants"] and listed:
        raise CommandError("--all-tenants and --tenants contradict each other: give one.")
    return (EVERY_TENANT,) if options["all_tenants"] else listed


def read_types(text: str | None) -> tuple[str, ...]:
    """The resource types of a list with commas; none if nothing was given. Raises CommandError."""
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if (text is not None and not names) or not all(name.isalnum() and name.isascii() for name in names):
        raise CommandError("--types names resource types with commas between, such as Agent,Group.")
    return names


def require_types(names: tuple[str, ...], registry: Registry) -> None:
    """Raise CommandError for a resource type that the app does not have."""
    known = [each.name for each in (*registry.resource_types, *(one.resource_type for one in registry.catalogs))]
    wrong = [name for name in names if name not in known]
    if wrong:
        raise CommandError(f"--types: there is no resource type {wrong[0][:80]}; there are {', '.join(known)}.")


def read_list(option: str, text: str | None) -> tuple[str, ...] | None:
    """The tenants of a list with commas; None if nothing was given. Raises CommandError."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if not CONNECTION_NAME.fullmatch(name)]
    if wrong or not names:
        raise CommandError(
            f"{option}: {wrong[0][:80]!r} is no name of a tenant; they are a-z, 0-9 and inner hyphens."
            if wrong
            else f"{option} names no tenant: give their names with commas between."
        )
    return tuple(names)


def read_rights(text: str) -> tuple[Right, ...]:
    """The rights of a list with commas. Raises CommandError."""
    every: tuple[Right, ...] = get_args(Right)
    names = {name.strip().lower() for name in text.split(",") if name.strip()}
    if not names or names - set(every):
        raise CommandError(f"--rights must be some of {RIGHTS}, with commas between.")
    return tuple(right for right in every if right in names)


def _take_apart(options: dict[str, Any]) -> None:
    """Take apart what Entra's page shows: its issuer names the tenant, its audience the application."""
    tenant_id = find_entra_tenant(options["issuer"] or "")
    if options["kind"] == "federation" and tenant_id is not None:
        if options["tenant_id"] and options["tenant_id"].strip().lower() != tenant_id:
            raise CommandError("--issuer is that of another Entra tenant than --tenant-id: leave one of them out.")
        options |= {"issuer": None, "tenant_id": tenant_id, "app_id": options["app_id"] or options["audience"]}
    if options["app_id"]:
        options["app_id"] = options["app_id"].strip().lower().removeprefix("api://").removesuffix("/.default")
    for name, fault in _GUIDS.items():
        if options[name] and not GUID.fullmatch(options[name].strip().lower()):
            raise CommandError(f"{fault}.")


def _read_trust(options: dict[str, Any]) -> Trust | None:
    _take_apart(options)
    try:
        match options["kind"]:
            case "entra":
                _require_members(options, "tenant_id")
                return make_entra_issued(options["tenant_id"], options["audience"], options["jwks_uri"])
            case "federation" if options["issuer"]:
                _require_members(options, "audience", "subject")
                return make_federation(options["issuer"], options["audience"], options["subject"], options["jwks_uri"])
            case "federation":
                _require_members(options, "tenant_id", "app_id", "subject")
                return make_entra_federation(
                    options["tenant_id"], options["app_id"], options["subject"], options["jwks_uri"]
                )
    except ValueError as error:
        fault = error.errors()[0]["loc"][0] if isinstance(error, ValidationError) else None
        raise CommandError(f"{_MEMBERS[str(fault)]}." if fault else str(error)) from None
    return None


def _require_members(options: dict[str, Any], *names: str) -> None:
    for name in names:
        if not options[name]:
            kind = options["kind"]
            raise CommandError(f"--{name.replace('_', '-')} is missing: a connection of kind {kind} pins it.")
