"""Whether a file holds only what this deployment could have written: looked at before anything of it is made.

A document that no request could make might be one that the app cannot show, and a list of the tenant would fail for all
who read it. What a deployer's own schemas say of an extension may have come after the document, so an extension of
theirs need only be an object; all else must be as its schema has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import orjson

from scim.body import parse_body
from scim.errors import ScimError
from scim.ids import is_id
from scim.operate.checking.rules import find_document_fault
from scim.operate.errors import CommandError
from scim.operate.tenants.dump import Dump, Membership, Resource
from scim.operate.tenants.measure import name_type
from scim.schema.registry import Registry, ResourceType
from scim.schema.validation import make_canonical
from scim.schema.values import parse_instant
from scim.text import check_text

_DEEPEST = 202
"""Levels of a document: what any deployment takes (SCIM_MAX_JSON_DEPTH), and what an extension's name adds."""
_SHOWN = 200
"""Characters of a name that an error shows."""


def vet(dump: Dump, registry: Registry, only: Collection[str] | None = None) -> None:
    """Raise CommandError that names the first bad line, what is wrong with it and what to do. `only`: of these
    resources, with their memberships."""
    first, more = "", 0
    for number, item in dump.numbered():
        about = (item.id,) if isinstance(item, Resource) else (item.group, item.member.value)
        if only is not None and not any(id in only for id in about):
            continue
        fault = next(_find_faults(item, registry), "")
        if fault and not first:
            first = f"{dump.path}, line {number}: {about[0][:_SHOWN]}: {fault}"
        elif fault:
            more += 1
    if first:
        others = f" {more} more lines are wrong." if more else ""
        raise CommandError(f"{first}.{others} Nothing was made: correct the file, or export anew.")


def _find_faults(item: Resource | Membership, registry: Registry) -> Iterator[str]:
    """Return what is wrong with a line."""
    resource_type = registry.by_id(item.id if isinstance(item, Resource) else item.group)
    if resource_type is None:
        yield "its type is one that no schema here has: add its schema first"
    elif isinstance(item, Membership):
        yield from _find_membership_faults(item, resource_type)
    else:
        yield from _find_resource_faults(item, resource_type, name_type(registry, item.id))


def _find_resource_faults(resource: Resource, resource_type: ResourceType, name: str) -> Iterator[str]:
    if not is_id(resource.id):
        yield "its id is none that this app gives; write the id of the export"
    if resource.type != name:
        yield f"its type is {resource.type[:_SHOWN]!r}, but its id is that of a {name}; write {name}"
    created, modified = parse_instant(resource.created), parse_instant(resource.modified)
    if created is None:
        yield f"its created is no time: {resource.created[:_SHOWN]!r}; write one such as 2026-01-31T08:00:00Z"
    if resource.modified and (modified is None or (created is not None and modified < created)):
        yield f"its modified is no time after created: {resource.modified[:_SHOWN]!r}; write one"
    if not isinstance(resource.late, bool):
        yield "its late is neither true nor false; take it out"
    try:
        parse_body(orjson.dumps(resource.document), _DEEPEST)
    except ScimError as error:
        yield error.detail.rstrip(".")
    declared = {urn.lower(): urn for urn in resource_type.extension_attributes}
    for urn, value in resource.document.items():
        known = declared.get(urn.lower())
        if known is not None and urn != known:
            yield f"{urn[:_SHOWN]} is the extension {known}; write it so"
        if known is not None and not isinstance(value, dict):
            yield f"{urn[:_SHOWN]} is no object; write an object of its attributes"
    if fault := _find_document_fault(resource, resource_type):
        yield fault


def _find_document_fault(resource: Resource, resource_type: ResourceType) -> str:
    try:
        if fault := find_document_fault(resource.document, resource_type):
            return fault.rstrip(".")
        if not _is_extended(resource, resource_type):
            make_canonical(resource.document, resource_type)
    except ScimError as error:
        return error.detail.rstrip(".")
    return ""


def _is_extended(resource: Resource, resource_type: ResourceType) -> bool:
    """Return whether it holds an extension, of which the schema may have come later."""
    return any(urn in resource.document for urn in resource_type.extension_attributes)


def _find_membership_faults(membership: Membership, resource_type: ResourceType) -> Iterator[str]:
    if resource_type.members is None:
        yield f"a {resource_type.core.name} has no members; take the line out"
    member = membership.member
    if not member.value:
        yield "its member is empty; write the id of one"
    for name, text in (("member", member.value), ("display", member.display), ("type", member.type)):
        if text is None:
            continue
        if not isinstance(text, str):
            yield f"its {name} is no text; write one, or take it out"
            continue
        try:
            check_text(text, name)
        except ScimError as error:
            yield error.detail.rstrip(".")
