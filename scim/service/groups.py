"""What a resource with members does differently: its members are edges, so they are told apart from its document.

A PATCH that adds or removes named members reads nothing first, whatever the size of the group (docs/architecture.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from scim.budget import Work, call, charge, in_turns
from scim.errors import INVALID_VALUE, TOO_LARGE, TOO_MANY, UNAVAILABLE, ScimError
from scim.http import Response
from scim.patch.apply import apply, apply_in_steps
from scim.patch.entra import Operation
from scim.patch.members import Delta, find_delta, parse_members, read_members, sets_all, split
from scim.schema.projection import Projection
from scim.schema.registry import Declared
from scim.schema.validation import Document, hold_immutable
from scim.service import edges, resources
from scim.service.context import Context, TypeContext
from scim.service.deeds import note_members
from scim.service.quota_check import book, has_ample_room, measure_members
from scim.service.representation import build_location, build_response
from scim.store.members import Changes, Member, find_changes
from scim.store.resource_rows import Stored
from scim.store.table import Refused

_IN_FILTER = 20
"""Members that an operation may well name in a filter."""
_MAX_TEXT = 1024
"""UTF-16 units of a member's value, display or type: 49 members must fit into a transaction of 4 MiB."""


async def create(context: TypeContext) -> Response:
    """POST: 201 with the group and the members that it was sent with."""
    projection = Projection(context.resource_type, context.request.query)
    document = await resources.read_document(context)
    projection.note_written(resources.list_set_attributes(document))
    members = await _pop_members(context, document)
    document = resources.fill_defaults(context, document)
    stored = await resources.create_stored(context, document, members)
    return build_response(context, stored, projection, 201, _build_values(context, members))


async def replace(context: TypeContext, id: str) -> Response:
    """PUT: 200 with the group; its members become those of the body, none if it has none."""
    projection = Projection(context.resource_type, context.request.query)
    document = await resources.read_document(context)
    projection.note_written(resources.list_set_attributes(document))
    wanted = await _pop_members(context, document)

    async def change(old: Stored) -> tuple[Document, Changes]:
        hold_immutable(old.document, document, context.resource_type)
        present = await _read_present(context, id)
        changes = await call(len(present), find_changes, present, wanted)
        return document, dataclasses.replace(changes, absolute=True)

    stored = await resources.update_stored(context, id, change)
    return build_response(context, stored, projection, 200, _build_values(context, wanted))


async def modify(context: TypeContext, id: str) -> Response:
    """PATCH: 204, or 200 with the group if the client asks for attributes, or a setting asks for it."""
    projection = Projection(context.resource_type, context.request.query)
    listed = await resources.read_operations(context)
    on_document, on_members = split(listed, context.resource_type)
    number = _count_named(on_members)
    if number > (most := resources.find_most_members(context)):
        raise ScimError(TOO_LARGE, f"The PATCH names {number} members; at most {most} are read. Split it.")
    on_members = await call(number, read_members, on_members, context.registry)
    named = await call(number, find_delta, on_members)
    conditional = any(name in context.request.headers for name in ("if-match", "if-none-match"))
    changes = None if named is None else await call(number, _to_changes, context, named)
    is_roomy = changes is None or has_ample_room(context, measure_members(changes))
    if changes is not None and on_members and is_roomy and not on_document and not conditional:
        version = await _change_unread(context, id, changes)
    else:

        async def change(old: Stored) -> tuple[Document, Changes]:
            document = await in_turns(apply_in_steps(old.document, on_document, context.resource_type))
            document = context.references.drop_own(context.resource_type, document)
            if changes is not None:
                return document, changes if is_roomy else await _look_up(context, id, changes)
            present = await _read_present(context, id)
            wanted = await _apply(context, present, on_members)
            these = await call(len(present), find_changes, present, wanted)
            return document, dataclasses.replace(these, absolute=sets_all(on_members))

        version = (await resources.update_stored(context, id, change)).version
    if projection.given or context.settings.group_patch_returns_resource:
        try:
            return await resources.read(context, id)
        except ScimError as error:  # it is done, whatever can be shown of it
            if error.kind is not TOO_MANY:
                raise
    return Response(204, None, {"ETag": version, "Location": build_location(context, id)})


async def _change_unread(context: TypeContext, id: str, changes: Changes) -> str:
    """Change the members of a group that was not read; its new version. Raises 404 if there is no such group."""
    if context.registry.by_id(id) is context.resource_type:
        note_members(changes)
        try:
            with book(context, measure_members(changes)):
                return await context.store.members.change(id, changes)
        except Refused:
            if await context.store.resources.read(id) is not None:
                raise ScimError(
                    UNAVAILABLE, f"{id} changed in that moment; send again.", {"Retry-After": "1"}
                ) from None
    raise resources.make_not_found(context.resource_type, id)


def _to_changes(context: Context, named: Delta) -> Changes:
    return Changes(_parse_members(context, named.add.values()), named.remove)


async def _look_up(context: Context, group: str, changes: Changes) -> Changes:
    """Return the changes of members that come near to a quota, as what they come to: who is absent is not removed."""
    there = await context.store.members.holding(group, changes.add.keys() | changes.remove)
    return Changes(changes.add, changes.remove & there, fresh=len(changes.add.keys() - there))


async def _read_present(context: Context, id: str) -> list[Member]:
    return [member async for _, member in context.store.members.read_members(id)]


def _count_named(changes: Iterable[Operation]) -> int:
    """Return how many members operations name, about."""
    return sum(
        max(_IN_FILTER, resources.count_longest({"members": one.value}), resources.count_longest(one.value))
        for one in changes
    )


async def _apply(context: TypeContext, present: Iterable[Member], changes: Iterable[Operation]) -> list[Member]:
    """Return the members after operations that need the present ones: the general PATCH on a document that has them."""
    name, changes = context.resource_type.members or "", list(changes)
    present = [] if sets_all(changes) else list(present)

    def applied() -> Document:
        values = [edges.build_member_value(context, member) for member in present]
        return apply({name: values}, changes, context.resource_type)

    document = await call(len(present) + _count_named(changes), applied)
    return await _pop_members(context, document)


async def _pop_members(context: TypeContext, document: Document) -> list[Member]:
    """Return the members of a document, which is left without them."""
    name = context.resource_type.members or ""
    attribute = context.resource_type.core_attributes[name.lower()]
    sent = document.pop(name, [])
    target = Declared(None, attribute)
    return await call(len(sent), lambda: list(_parse_members(context, parse_members(sent, target)).values()))


def _parse_members(context: Context, values: Iterable[Document]) -> dict[str, Member]:
    """Return members by id. What the server knows better than the client ($ref, the type of our own ids) is not
    kept."""
    values = list(values)
    charge(2 * len(values), Work.VALUES)
    for value in values:
        for name, text in value.items():
            if len(text.encode("utf-16-le")) > 2 * _MAX_TEXT:
                raise ScimError(
                    INVALID_VALUE,
                    f"members.{name} has {len(text)} characters; at most {_MAX_TEXT} are kept.",
                    attribute=f"members.{name}",
                    rule="limit",
                )
    members: dict[str, Member] = {}
    for value in values:
        id = context.registry.find_id(value["value"]) or value["value"]
        members[id] = Member(id, value.get("display"), None if context.registry.by_id(id) else value.get("type"))
    return members


def _build_values(context: Context, members: Iterable[Member]) -> list[Document]:
    return [edges.build_member_value(context, member) for member in members]
