"""Create, read, replace, modify and delete one resource (RFC 7644 §3.3, §3.4.1, §3.5, §3.6)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import NoReturn

from scim.errors import MUTABILITY, NOT_FOUND, PRECONDITION_FAILED, UNAVAILABLE, UNIQUENESS, ScimError
from scim.http import Response
from scim.patch.apply import apply
from scim.patch.entra import operations
from scim.schema.projection import Projection
from scim.schema.registry import ResourceType
from scim.schema.validation import Document, canonical
from scim.service.context import Context
from scim.store.resources import Stale, Stored, Taken

_RETRY_SECONDS = 6.0
"""How long concurrent updates of one resource are tried again before the client is asked to."""


async def create(context: Context, resource_type: ResourceType) -> Response:
    """POST: 201 with the resource; 409 uniqueness where a unique value is taken."""
    projection = Projection(resource_type, context.request.query)
    document = canonical(context.body(), resource_type)
    try:
        stored = await context.resources.create(context.tenant, resource_type, document)
    except Taken as taken:
        _conflict(taken, document)
    return context.response(resource_type, stored, projection, 201)


async def read(context: Context, resource_type: ResourceType, id: str) -> Response:
    """GET: 200, or 304 where If-None-Match names the version."""
    projection = Projection(resource_type, context.request.query)
    stored = await _existing(context, resource_type, id)
    if context.request.matches("if-none-match", stored.version):
        return Response(304, None, {"ETag": stored.version})
    return context.response(resource_type, stored, projection)


async def replace(context: Context, resource_type: ResourceType, id: str) -> Response:
    """PUT: 200 with the resource. What the body leaves out is cleared; what is read only stays."""
    document = canonical(context.body(), resource_type)

    def change(old: Document) -> Document:
        for attribute in resource_type.core.attributes:
            if attribute.mutability == "immutable" and old.get(attribute.name, None) != document.get(attribute.name):
                raise ScimError(MUTABILITY, f"{attribute.name} is immutable; send the value it was created with.")
        return document

    return await _update(context, resource_type, id, change)


async def modify(context: Context, resource_type: ResourceType, id: str) -> Response:
    """PATCH: 200 with the resource; all operations or none."""
    changes = operations(context.body(), resource_type, context.settings.max_patch_operations)
    return await _update(context, resource_type, id, lambda old: apply(old, changes, resource_type))


async def delete(context: Context, resource_type: ResourceType, id: str) -> Response:
    """DELETE: 204; final, and a second one is 404."""
    deadline = _deadline()
    while True:
        stored = await _existing(context, resource_type, id)
        _require_match(context, stored)
        try:
            await context.resources.delete(context.tenant, resource_type, stored)
            return Response(204)
        except Stale:
            await _before_retry(context, stored, deadline)


async def _update(
    context: Context, resource_type: ResourceType, id: str, change: Callable[[Document], Document]
) -> Response:
    """Read, change, write if nobody else did meanwhile, else again: no update is lost (design: optimistic concurrency).

    A change that changes nothing writes nothing, so version and lastModified stay (RFC 7644 §3.5.2.1)."""
    projection = Projection(resource_type, context.request.query)
    deadline = _deadline()
    while True:
        stored = await _existing(context, resource_type, id)
        _require_match(context, stored)
        document = change(stored.document)
        if document == stored.document:
            return context.response(resource_type, stored, projection)
        try:
            stored = await context.resources.update(context.tenant, resource_type, stored, document)
            return context.response(resource_type, stored, projection)
        except Taken as taken:
            _conflict(taken, document)
        except Stale:
            await _before_retry(context, stored, deadline)


async def _existing(context: Context, resource_type: ResourceType, id: str) -> Stored:
    """The resource; 404 where there is none of that type in the tenant."""
    stored = None
    if context.registry.by_id(id) is resource_type:
        stored = await context.resources.read(context.tenant, id)
    if stored is None:
        raise ScimError(
            NOT_FOUND, f"{resource_type.name} {id[:80]!r} does not exist: it was deleted, or never created here."
        )
    return stored


def _require_match(context: Context, stored: Stored) -> None:
    if context.request.matches("if-match", stored.version) is False:
        raise _changed(stored)
    if context.request.method != "GET" and context.request.matches("if-none-match", stored.version):
        raise _changed(stored)


def _changed(stored: Stored) -> ScimError:
    return ScimError(PRECONDITION_FAILED, f"{stored.id} is now at version {stored.version}; read it and send again.")


async def _before_retry(context: Context, stored: Stored, deadline: float) -> None:
    """Wait a random moment for concurrent writers to finish. Raises 412 where the client made a condition, 503 when
    they never do."""
    if "if-match" in context.request.headers:
        raise _changed(stored)
    if asyncio.get_running_loop().time() > deadline:
        raise ScimError(
            UNAVAILABLE, f"{stored.id} is being changed by others all the time; send again.", {"Retry-After": "1"}
        )
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
