"""Create, read, replace, modify and delete one resource (RFC 7644 §3.3, §3.4.1, §3.5, §3.6)."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from scim import deadline, told
from scim.budget import call, in_turns
from scim.errors import NOT_FOUND, PRECONDITION_FAILED, TOO_LARGE, UNAVAILABLE, UNIQUENESS, ScimError
from scim.http import Response
from scim.ids import new_id
from scim.patch.apply import apply_in_steps
from scim.patch.entra import Operation, parse_in_steps
from scim.patch.references import read_references
from scim.schema.projection import Projection
from scim.schema.registry import ResourceType
from scim.schema.validation import Document, hold_immutable, make_canonical
from scim.service import edges
from scim.service.context import Context, TypeContext
from scim.service.deeds import note_creation, note_deletion, note_members, note_update
from scim.service.quota_check import (
    book,
    measure_creation,
    measure_deletion,
    measure_leaving,
    measure_update,
    require_room,
)
from scim.service.representation import build_response
from scim.store.members import Changes, Member
from scim.store.resource_rows import Creation, Stored
from scim.store.resources import Stale, Taken
from scim.text import is_urn

_RETRY_SECONDS = 6.0
"""How long concurrent updates of one resource are tried again before the client is asked to."""

_PER_SECOND = 500
"""Members that are surely written in a second: 1,000 rows, half of what a partition of the table takes."""

Change = Callable[[Stored], Awaitable[tuple[Document, Changes]]]
"""From the present resource to its new document and the changes of its members. Run again when somebody was faster."""


async def create(context: TypeContext) -> Response:
    """POST: 201 with the resource; 409 uniqueness if a unique value is taken."""
    projection = Projection(context.resource_type, context.request.query)
    document = await read_document(context)
    projection.note_written(list_set_attributes(document))
    stored = await create_stored(context, fill_defaults(context, document))
    return build_response(context, stored, projection, 201)


async def read(context: TypeContext, id: str) -> Response:
    """GET: 200, or 304 if If-None-Match names the version."""
    projection = Projection(context.resource_type, context.request.query)
    stored, values = await _read_with_edges(context, id, projection)
    response = build_response(context, stored, projection, 200, values)
    if context.request.method == "GET" and context.request.matches("if-none-match", response.headers["ETag"]):
        return Response(304, None, {"ETag": response.headers["ETag"]})
    return response


async def replace(context: TypeContext, id: str) -> Response:
    """PUT: 200 with the resource. What the body leaves out is cleared; what is read only stays."""
    projection = Projection(context.resource_type, context.request.query)
    document = await read_document(context)
    projection.note_written(list_set_attributes(document))

    async def change(old: Stored) -> tuple[Document, Changes]:
        hold_immutable(old.document, document, context.resource_type)
        return document, Changes()

    return await _update_and_answer(context, id, change, projection)


async def modify(context: TypeContext, id: str) -> Response:
    """PATCH: 200 with the resource; all operations or none."""
    projection = Projection(context.resource_type, context.request.query)
    listed = await read_operations(context)
    projection.note_written((operation.target.urn, operation.target.name) for operation in listed)

    async def change(old: Stored) -> tuple[Document, Changes]:
        document = await in_turns(apply_in_steps(old.document, listed, context.resource_type))
        return context.references.drop_own(context.resource_type, document), Changes()

    return await _update_and_answer(context, id, change, projection)


async def read_document(context: TypeContext) -> Document:
    """Return the document that a POST or PUT says. Raises 400 or 413."""
    resource_type = context.resource_type
    body = await context.read_body(resource_type)
    if resource_type.members and (number := count_longest(body)) > (most := find_most_members(context)):
        detail = f"An attribute has {number} values; at most {most} members can be written in the time of one request."
        raise ScimError(TOO_LARGE, f"{detail} Send it with fewer, and add the others with PATCH.")
    references = context.references
    body = references.read_body(resource_type, body)
    return references.drop_own(resource_type, await call(_count_values(body), make_canonical, body, resource_type))


def find_most_members(context: Context) -> int:
    """Return how many members of a group one request may name: surely written in its time."""
    return context.settings.request_seconds * _PER_SECOND


def _count_values(body: object) -> int:
    """Return how many values a body has, about: those of its lists and objects."""
    values = body.values() if isinstance(body, dict) else ()
    return sum(len(value) for value in values if isinstance(value, list | dict))


def count_longest(body: object) -> int:
    """Return how many values the attribute has that has most."""
    values = body.values() if isinstance(body, dict) else ()
    return max((len(value) for value in values if isinstance(value, list | dict)), default=0)


async def read_operations(context: TypeContext) -> list[Operation]:
    """Return the operations of a PATCH. Raises 400 or 413."""
    body = await context.read_body(context.resource_type)
    most = context.settings.max_patch_operations
    listed = await in_turns(parse_in_steps(body, context.resource_type, most, strict=context.strict))
    references = context.references
    return read_references(listed, context.resource_type, references.find_id, references.with_value)


def list_set_attributes(document: Document) -> list[tuple[str | None, str]]:
    """Return what a body has set: (URN or None, attribute)."""
    names: list[tuple[str | None, str]] = []
    for name, value in document.items():
        extension = is_urn(name) and isinstance(value, dict)
        names += [(name, inner) for inner in value] if extension else [(None, name)]
    return names


async def delete(context: TypeContext, id: str) -> Response:
    """DELETE: 204; final, and a second one is 404. Memberships go with the resource."""
    until = _find_deadline()
    while True:
        stored = await _read_existing(context, id)
        _require_match(context, stored)
        note_deletion()
        try:
            require_allowed(context, stored, None)
            with book(context, measure_deletion(stored.document)):
                await context.store.resources.delete(context.resource_type, stored)
            return Response(204)
        except Stale:
            await _wait_before_retry(context, stored, until)


async def create_stored(context: TypeContext, document: Document, members: Sequence[Member] = ()) -> Stored:
    """Return the new resource. Raises 409 uniqueness."""
    creation = Creation(context.new_id or new_id(context.resource_type.id_prefix), context.resource_type, document)
    note_creation(context.resource_type, document)
    note_members(Changes({member.value: member for member in members}))
    growth = measure_creation(document, len(members))
    require_room(context, growth)
    try:
        with book(context, growth):
            return await context.store.resources.create(creation, members)
    except Taken as taken:
        _raise_conflict(taken, document)


async def try_creation(context: TypeContext, id: str) -> Creation | None:
    """Return what a POST would make; None if it would be refused."""
    try:
        document = await read_document(context)
        return Creation(id, context.resource_type, fill_defaults(context, document))
    except ScimError:
        return None


async def update_stored(context: TypeContext, id: str, change: Change) -> Stored:
    """Read, change, write if nobody else did meanwhile, else again: no update is lost.

    A change that changes nothing writes nothing, so version and lastModified stay (RFC 7644 §3.5.2.1)."""
    until = _find_deadline()
    while True:
        stored = await _read_existing(context, id)
        _require_match(context, stored)
        document, changes = await change(stored)
        note_update(context.resource_type, stored.document, document)
        note_members(changes)
        if not changes and not stored.changing and _are_same(document, stored.document):
            return stored
        require_allowed(context, stored, document)
        require_room(context, measure_update(stored.document, document, changes) + measure_leaving(changes))
        try:
            with book(context, measure_update(stored.document, document, changes)):
                return await context.store.resources.update(context.resource_type, stored, document, changes)
        except Taken as taken:
            _raise_conflict(taken, document)
        except Stale:
            if stored.changing:  # the wait was for another request's members, and is over
                until = _find_deadline()
            await _wait_before_retry(context, stored, until)


def fill_defaults(context: TypeContext, document: Document) -> Document:
    """Return a new resource's document with what the tenant's policy says of new ones. Raises 400 if it does not allow
    it."""
    if context.policy is None:
        return document
    from scim.policy import guard

    guard.require_domains(context.policy, context.resource_type, document)
    return guard.fill_defaults(context.policy, context.resource_type, document)


def require_allowed(context: TypeContext, stored: Stored, document: Document | None) -> None:
    """Raise 400 if the tenant's policy does not allow that a resource becomes this document, or is deleted (None)."""
    if context.policy is None:
        return
    from scim.policy import guard

    guard.require_unprotected(context.policy, context.resource_type, stored.id, stored.document, document)
    if document is not None:
        guard.require_domains(context.policy, context.resource_type, document, stored.document)


def _are_same(one: Document, other: Document) -> bool:
    """Return whether two documents are the same JSON: to Python 1 and true are equal."""
    return one == other and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def make_not_found(resource_type: ResourceType, id: str) -> ScimError:
    return ScimError(
        NOT_FOUND, f"{resource_type.name} {id[:80]!r} does not exist: it was deleted, or never created here."
    )


async def _update_and_answer(context: TypeContext, id: str, change: Change, projection: Projection) -> Response:
    update = update_stored(context, id, change)
    if not edges.must_read(context.resource_type, projection):
        return build_response(context, await update, projection)
    stored, values = await asyncio.gather(update, edges.read_one(context, id))
    return build_response(context, stored, projection, 200, values)


async def _read_with_edges(context: TypeContext, id: str, projection: Projection) -> tuple[Stored, list[Document]]:
    """Return the resource and its edges if the response shows them; those of a user are read at the same time."""
    resource_type = context.resource_type
    if context.registry.by_id(id) is not resource_type or not edges.must_read(resource_type, projection):
        return await _read_existing(context, id), []
    if resource_type.members:  # the version must be no newer than the members that are shown with it
        stored = await _read_existing(context, id)
        return stored, await edges.read_one(context, id, bounded=True)
    read = _read_existing(context, id), edges.read_one(context, id, bounded=True)
    stored, values = await asyncio.gather(*read)
    return stored, values


async def _read_existing(context: TypeContext, id: str) -> Stored:
    """Return the resource; 404 if there is none of that type in the tenant."""
    stored = None
    if context.registry.by_id(id) is context.resource_type:
        stored = await context.store.resources.read(id)
    if stored is None:
        raise make_not_found(context.resource_type, id)
    return stored


def _require_match(context: Context, stored: Stored) -> None:
    """Raise 412 if the client's If-Match or If-None-Match forbids the write."""
    request = context.request
    if request.matches("if-match", stored.version) is False or request.matches("if-none-match", stored.version):
        raise _make_changed(stored)


def _make_changed(stored: Stored) -> ScimError:
    return ScimError(PRECONDITION_FAILED, f"{stored.id} is now at version {stored.version}; read it and send again.")


async def _wait_before_retry(context: Context, stored: Stored, until: float) -> None:
    """Wait a random moment for concurrent writers to finish. Raises 412 if the client made a condition, 503 when they
    never do."""
    if context.request.headers.get("if-match", "*").strip() != "*":
        raise _make_changed(stored)
    deadline.check()
    if asyncio.get_running_loop().time() > until:
        detail = f"{stored.id} is being changed by others all the time; send again."
        raise ScimError(UNAVAILABLE, detail, {"Retry-After": "1"})
    await asyncio.sleep(random.uniform(0.0, 0.1))


def _find_deadline() -> float:
    return asyncio.get_running_loop().time() + _RETRY_SECONDS


def _raise_conflict(taken: Taken, document: Document) -> NoReturn:
    index = taken.index
    container = document if index.target.urn is None else document.get(index.target.urn, {})
    value = str(container.get(index.target.name, ""))[:200]
    owner = f" by {taken.id}" if taken.id else ""
    detail = told.TAKEN.format(path=index.path, value=repr(value), owner=owner)
    raise ScimError(UNIQUENESS, detail, attribute=index.path) from None
