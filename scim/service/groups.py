"""What a resource with members does differently: its members are edges, so they are told apart from its document.

A PATCH that adds or removes named members reads nothing first, whatever the size of the group (docs/architecture.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from scim.errors import INVALID_VALUE, TOO_LARGE, UNAVAILABLE, ScimError
from scim.http import Response
from scim.patch.apply import apply
from scim.patch.entra import Operation, operations
from scim.patch.members import delta, identified, read_members, sets_all, split
from scim.schema.projection import Projection
from scim.schema.registry import ResourceType, Target
from scim.schema.validation import Document, hold_immutable
from scim.service import edges, resources
from scim.service.context import Context
from scim.service.deeds import note_members
from scim.store.gateway import Refused
from scim.store.members import Changes, Member, difference
from scim.store.stored import Stored

_MAX_TEXT = 1024
"""UTF-16 units of a member's value, display or type: 49 members must fit into a transaction of 4 MiB."""
_PER_SECOND = 500
"""Members that are surely written in a second: 1,000 rows, half of what a partition of the table takes."""


async def create(context: Context, resource_type: ResourceType) -> Response:
    """POST: 201 with the group and the members that it was sent with."""
    projection = Projection(resource_type, context.request.query)
    document = resources.sent(context, resource_type)
    projection.written(resources.written(document))
    members = _taken_out(context, document, resource_type)
    most = context.settings.request_seconds * _PER_SECOND
    if len(members) > most:
        detail = f"The group has {len(members)} members; at most {most} can be written in the time of one request."
        raise ScimError(TOO_LARGE, f"{detail} Create it with fewer, and add the others with PATCH.")
    stored = await resources.create_stored(context, resource_type, document, members)
    return context.response(resource_type, stored, projection, 201, _shown(context, members))


async def replace(context: Context, resource_type: ResourceType, id: str) -> Response:
    """PUT: 200 with the group; its members become those of the body, none where it has none."""
    projection = Projection(resource_type, context.request.query)
    document = resources.sent(context, resource_type)
    projection.written(resources.written(document))
    wanted = _taken_out(context, document, resource_type)

    async def change(old: Stored) -> tuple[Document, Changes]:
        hold_immutable(old.document, document, resource_type)
        return document, dataclasses.replace(difference(await _present(context, id), wanted), absolute=True)

    stored = await resources.update_stored(context, resource_type, id, change)
    return context.response(resource_type, stored, projection, 200, _shown(context, wanted))


async def modify(context: Context, resource_type: ResourceType, id: str) -> Response:
    """PATCH: 204, or 200 with the group where the client asks for attributes or a setting has it so."""
    projection = Projection(resource_type, context.request.query)
    most = context.settings.max_patch_operations
    listed = operations(context.body(resource_type), resource_type, most, strict=context.strict)
    on_document, on_members = split(listed, resource_type)
    on_members = read_members(on_members, context.registry)
    named = delta(on_members)
    conditional = any(name in context.request.headers for name in ("if-match", "if-none-match"))
    if named is not None and on_members and not on_document and not conditional:
        changes = Changes(_members(context, named.add.values()), named.remove)
        version = await _change_unread(context, resource_type, id, changes)
    else:

        async def change(old: Stored) -> tuple[Document, Changes]:
            document = apply(old.document, on_document, resource_type)
            if named is not None:
                return document, Changes(_members(context, named.add.values()), named.remove)
            present = await _present(context, id)
            changes = difference(present, _applied(context, resource_type, present, on_members))
            return document, dataclasses.replace(changes, absolute=sets_all(on_members))

        version = (await resources.update_stored(context, resource_type, id, change)).version
    if projection.given or context.settings.group_patch_returns_resource:
        return await resources.read(context, resource_type, id)
    return Response(204, None, {"ETag": version, "Location": context.location(resource_type, id)})


async def _change_unread(context: Context, resource_type: ResourceType, id: str, changes: Changes) -> str:
    """Change the members of a group that was not read; its new version. Raises 404 where there is no such group."""
    if context.registry.by_id(id) is resource_type:
        note_members(changes)
        try:
            return await context.store.members.change(context.tenant, id, changes)
        except Refused:
            if await context.store.resources.read(context.tenant, id) is not None:
                raise ScimError(
                    UNAVAILABLE, f"{id} changed in that moment; send again.", {"Retry-After": "1"}
                ) from None
    raise resources.missing(resource_type, id)


async def _present(context: Context, id: str) -> list[Member]:
    return [member async for _, member in context.store.members.of(context.tenant, id)]


def _applied(
    context: Context, resource_type: ResourceType, present: Iterable[Member], changes: Iterable[Operation]
) -> list[Member]:
    """The members after operations that need the present ones: the general PATCH on a document that has them."""
    name = resource_type.members or ""
    document = apply({name: [edges.member_value(context, m) for m in present]}, changes, resource_type)
    return _taken_out(context, document, resource_type)


def _taken_out(context: Context, document: Document, resource_type: ResourceType) -> list[Member]:
    """The members of a document, which is left without them."""
    name = resource_type.members or ""
    attribute = resource_type.core_attributes[name.lower()]
    values = identified(document.pop(name, []), Target(None, name, attribute))
    return list(_members(context, values).values())


def _members(context: Context, values: Iterable[Document]) -> dict[str, Member]:
    """Members by id. What the server knows better than the client ($ref, the type of our own ids) is not kept."""
    values = list(values)
    for value in values:
        for name, text in value.items():
            if len(text.encode("utf-16-le")) > 2 * _MAX_TEXT:
                raise ScimError(
                    INVALID_VALUE,
                    f"members.{name} has {len(text)} characters; at most {_MAX_TEXT} are kept.",
                    attribute=f"members.{name}",
                    rule="limit",
                )
    return {
        value["value"]: Member(
            value["value"],
            value.get("display"),
            None if context.registry.by_id(value["value"]) else value.get("type"),
        )
        for value in values
    }


def _shown(context: Context, members: Iterable[Member]) -> list[Document]:
    return [edges.member_value(context, member) for member in members]
