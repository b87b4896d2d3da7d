"""Create, read, replace, modify and delete one resource (RFC 7644 §3.3, §3.4.1, §3.5, §3.6)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from scim.errors import MUTABILITY, NOT_FOUND, PRECONDITION_FAILED, UNAVAILABLE, UNIQUENESS, ScimError
from scim.http import Response
from scim.patch.apply import apply
from scim.patch.entra import operations
from scim.schema.projection import Projection
from scim.schema.registry import ResourceType
from scim.schema.validation import Document, canonical
from scim.service import edges
from scim.service.context import Context
from scim.store.members import Changes, Member
from scim.store.resources import Stale, Stored, Taken

_RETRY_SECONDS = 6.0
"""How long concurrent updates of one resource are tried again before the client is asked to."""

Change = Callable[[Stored], Awaitable[tuple[Document, Changes]]]
"""From the present resource to its new document and the changes of its members. Run again when somebody was faster."""


async def create(context: Context, resource_type: ResourceType) -> Response:
    """POST: 201 with the resource; 409 uniqueness where a unique value is taken."""
    projection = Projection(resource_type, context.request.query)
    document = canonical(context.body(resource_type), resource_type)
    stored = await create_stored(context, resource_type, document)
    return context.response(resource_type, stored, projection, 201)


async def read(context: Context, resource_type: ResourceType, id: str) -> Response:
    """GET: 200, or 304 where If-None-Match names the version."""
    projection = Projection(resource_type, context.request.query)
    stored, edge = await _with_edges(context, resource_type, id, projection)
    if context.request.method == "GET" and context.request.matches("if-none-match", stored.version):
        return Response(304, None, {"ETag": stored.version})
    return context.response(resource_type, stored, projection, 200, edge)


async def replace(context: Context, resource_type: ResourceType, id: str) -> Response:
    """PUT: 200 with the resource. What the body leaves out is cleared; what is read only stays."""
    document = canonical(context.body(resource_type), resource_type)

    async def change(old: Stored) -> tuple[Document, Changes]:
        hold_immutable(old.document, document, resource_type)
        return document, Changes()

    return await _updated(context, resource_type, id, change)


async def modify(context: Context, resource_type: ResourceType, id: str) -> Response:
    """PATCH: 200 with the resource; all operations or none."""
    listed = operations(context.body(resource_type), resource_type, context.settings.max_patch_operations)

    async def change(old: Stored) -> tuple[Document, Changes]:
        return apply(old.document, listed, resource_type), Changes()

    return await _updated(context, resource_type, id, change)


async def delete(context: Context, resource_type: ResourceType, id: str) -> Response:
    """DELETE: 204; final, and a second one is 404. Memberships go with the resource."""
    deadline = _deadline()
    while True:
        stored = await _existing(context, resource_type, id)
        _require_match(context, stored)
        try:
            await context.resources.delete(context.tenant, resource_type, stored)
            return Response(204)
        except Stale:
            await _before_retry(context, stored, deadline)


async def create_stored(
    context: Context, resource_type: ResourceType, document: Document, members: Sequence[Member] = ()
) -> Stored:
    """The new resource. Raises 409 uniqueness."""
    try:
        return await context.resources.create(context.tenant, resource_type, document, members)
    except Taken as taken:
        _conflict(taken, document)


async def update_stored(context: Context, resource_type: ResourceType, id: str, change: Change) -> Stored:
    """Read, change, write if nobody else did meanwhile, else again: no update is lost.

    A change that changes nothing writes nothing, so version and lastModified stay (RFC 7644 §3.5.2.1)."""
    deadline = _deadline()
    while True:
        stored = await _existing(context, resource_type, id)
        _require_match(context, stored)
        document, changes = await change(stored)
        if document == stored.document and not changes:
            return stored
        try:
            return await context.resources.update(context.tenant, resource_type, stored, document, changes)
        except Taken as taken:
            _conflict(taken, document)
        except Stale:
            await _before_retry(context, stored, deadline)


def hold_immutable(old: Document, new: Document, resource_type: ResourceType) -> None:
    """Raise 400 mutability where a PUT changes what was to stay as it was created (RFC 7644 §3.5.1)."""
    for attribute in resource_type.core.attributes:
        if attribute.mutability == "immutable" and old.get(attribute.name) != new.get(attribute.name):
            raise ScimError(MUTABILITY, f"{attribute.name} is immutable; send the value it was created with.")


def missing(resource_type: ResourceType, id: str) -> ScimError:
    return ScimError(
        NOT_FOUND, f"{resource_type.name} {id[:80]!r} does not exist: it was deleted, or never created here."
    )


async def _updated(context: Context, resource_type: ResourceType, id: str, change: Change) -> Response:
    projection = Projection(resource_type, context.request.query)
    needs_edges = edges.shown(resource_type, projection)
    reading = edges.of_one(context, resource_type, id) if needs_edges else _nothing()
    stored, edge = await asyncio.gather(update_stored(context, resource_type, id, change), reading)
    return context.response(resource_type, stored, projection, 200, edge)


async def _with_edges(
    context: Context, resource_type: ResourceType, id: str, projection: Projection
) -> tuple[Stored, Document]:
    """The resource and, read at the same time, its edges where the response shows them."""
    if context.registry.by_id(id) is not resource_type or not edges.shown(resource_type, projection):
        return await _existing(context, resource_type, id), {}
    stored, edge = await asyncio.gather(_existing(context, resource_type, id), edges.of_one(context, resource_type, id))
    return stored, edge


async def _nothing() -> Document:
    return {}


async def _existing(context: Context, resource_type: ResourceType, id: str) -> Stored:
    """The resource; 404 where there is none of that type in the tenant."""
    stored = None
    if context.registry.by_id(id) is resource_type:
        stored = await context.resources.read(context.tenant, id)
    if stored is None:
        raise missing(resource_type, id)
    return stored


def _require_match(context: Context, stored: Stored) -> None:
    """Raise 412 where the client's If-Match or If-None-Match forbids the write."""
    request = context.request
    if request.matches("if-match", stored.version) is False or request.matches("if-none-match", stored.version):
        raise _changed(stored)


def _changed(stored: Stored) -> ScimError:
    return ScimError(PRECONDITION_FAILED, f"{stored.id} is now at version {stored.version}; read it and send again.")


async def _before_retry(context: Context, stored: Stored, deadline: float) -> None:
    """Wait a random moment for concurrent writers to finish. Raises 412 where the client made a condition, 503 when
    they never do."""
    if context.request.headers.get("if-match", "*").strip() != "*":
        raise _changed(stored)
    if asyncio.get_running_loop().time() > deadline:
        detail = f"{stored.id} is being changed by others all the time; send again."
        raise ScimError(UNAVAILABLE, detail, {"Retry-After": "1"})
    await asyncio.sleep(random.uniform(0.0, 0.1))


def _deadline() -> float:
    return asyncio.get_running_loop().time() + _RETRY_SECONDS


def _conflict(taken: Taken, document: Document) -> NoReturn:
    index = taken.index
    container = document if index.target.urn is None else document.get(index.target.urn, {})
    value = str(container.get(index.target.name, ""))[:200]
    owner = f" by {taken.id}" if taken.id else ""
    detail = f"{index.path} {value!r} is already taken{owner}: match on it, or send another value."
    raise ScimError(UNIQUENESS, detail) from None
