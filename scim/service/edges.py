"""Members of groups and groups of users in responses and filters: both are edges, neither is in a document.

A resource type shows edges in one attribute at most (`members` or `groups`), and this module reads them for one
resource, for a page of neighbours, or only as far as a filter asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from scim.errors import TOO_MANY, ScimError
from scim.schema.projection import Projection
from scim.schema.registry import ResourceType
from scim.schema.validation import Document
from scim.service.context import Context
from scim.store.members import Member

Edges = dict[str, list[Document]]
"""By the resource's id, the values of its edge attribute."""

_FEW = 8
"""Point reads are made for so many resources; for more, one range read is cheaper."""


def attribute_of(resource_type: ResourceType) -> str | None:
    """The attribute that shows edges; None where the resource type has none."""
    return resource_type.members or resource_type.member_of


def shown(resource_type: ResourceType, projection: Projection) -> bool:
    """Whether a response shows edges, so that they must be read."""
    attribute = attribute_of(resource_type)
    return attribute is not None and projection.includes(attribute)


async def of_one(context: Context, resource_type: ResourceType, id: str) -> Document:
    """The edge attribute of one resource, as the part of it that the document lacks; {} where there are no edges."""
    attribute = attribute_of(resource_type)
    values = [value async for _, value in _between(context, resource_type, id, id)]
    return {attribute: values} if attribute and values else {}


async def of_page(context: Context, resource_type: ResourceType, ids: Sequence[str], *, neighbours: bool) -> Edges:
    """The edges of a page. Neighbours in key order take one range read; others a read each. Raises 400 tooMany where
    they are more than the scan limit."""
    edges: Edges = {id: [] for id in ids}
    ranges = [(ids[0], ids[-1])] if neighbours and ids else [(id, id) for id in ids]
    number = 0

    async def collect(first: str, last: str) -> None:
        nonlocal number
        async for id, value in _between(context, resource_type, first, last):
            if id in edges:
                edges[id].append(value)
            number += 1
            if number > context.settings.scan_limit:
                what = attribute_of(resource_type)
                limit = context.settings.scan_limit
                raise ScimError(TOO_MANY, f"The page has more than {limit} {what}: send excludedAttributes={what}.")

    for at in range(0, len(ranges), _FEW):
        await asyncio.gather(*(collect(*one) for one in ranges[at : at + _FEW]))
    return edges


async def of_asked(context: Context, resource_type: ResourceType, ids: Sequence[str], others: Iterable[str]) -> Edges:
    """The edges of these resources as far as they lead to `others`: what a filter on them needs, and no more."""
    edges: Edges = {id: [] for id in ids}
    for other in others:
        for id in await _linked(context, resource_type, ids, other):
            if id in edges:
                edges[id].append({"value": other})
    return edges


async def linked_to(context: Context, resource_type: ResourceType, other: str) -> list[str]:
    """The ids of the resources of the type with an edge to `other`: the groups of a member, the users of a group."""
    if resource_type.members:
        ids = [group async for _, group in context.members.groups_of(context.tenant, other)]
    else:
        ids = [member.value async for _, member in context.members.of(context.tenant, other)]
    return sorted({id for id in ids if context.registry.by_id(id) is resource_type})


async def _linked(context: Context, resource_type: ResourceType, ids: Sequence[str], other: str) -> list[str]:
    if len(ids) > _FEW:
        return await linked_to(context, resource_type, other)
    pairs = [(id, other) if resource_type.members else (other, id) for id in ids]
    held = await asyncio.gather(*(context.members.holds(context.tenant, *pair) for pair in pairs))
    return [id for id, holds in zip(ids, held, strict=True) if holds]


async def _between(
    context: Context, resource_type: ResourceType, first: str, last: str
) -> AsyncIterator[tuple[str, Document]]:
    """(id, value of its edge attribute) for the resources from `first` to `last`."""
    if resource_type.members:
        async for group, member in context.members.of(context.tenant, first, last):
            yield group, member_value(context, member)
    elif resource_type.member_of:
        async for id, group in context.members.groups_of(context.tenant, first, last):
            yield id, _present({"value": group, "$ref": context.reference(group), "type": "direct"})


def member_value(context: Context, member: Member) -> Document:
    """A member as a group shows it: type and absolute $ref are the server's, display is as sent (RFC 7643 §4.2)."""
    resource_type = context.registry.by_id(member.value)
    return _present(
        {
            "value": member.value,
            "$ref": context.reference(member.value),
            "type": resource_type.name if resource_type else member.type,
            "display": member.display,
        }
    )


def _present(value: Document) -> Document:
    return {name: item for name, item in value.items() if item is not None}
