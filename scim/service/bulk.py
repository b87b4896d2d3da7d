"""Bulk (RFC 7644 §3.7): many operations in one request, each with its own result.

A resource that a POST will make gets its id before anything runs, so that references by bulkId, forward, backward or
in a circle, are simply that id. Operations still run after those that they refer to, and one that refers to a POST that
failed is refused with 409. Neighbouring POSTs share transactions: a hundred users cost a few trips.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from scim import deadline, ids, trace
from scim.body import read_body
from scim.budget import WORTH, TooDear, Work, call, charge, pause
from scim.errors import (
    BULK_CONFLICT,
    INTERNAL,
    INVALID_SYNTAX,
    INVALID_VALUE,
    TOO_LARGE,
    TOO_MANY,
    UNAVAILABLE,
    ScimError,
)
from scim.http import Request, Response
from scim.patch.entra import PATCH_URN
from scim.request_log import log_change
from scim.schema.registry import ResourceType
from scim.service import resources
from scim.service.context import VALUE_BYTES, Context
from scim.service.deeds import note_creation
from scim.service.quota_check import measure_creation, require_room
from scim.service.representation import build_location
from scim.store.batches import Made
from scim.store.quotas import Size
from scim.store.resource_rows import Creation
from scim.store.table import TableUnavailable, TooLarge

log = logging.getLogger("scim")

REQUEST_URN = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
RESPONSE_URN = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"

Run = Callable[[Context], Awaitable[Response]]
_METHODS = {"POST", "PUT", "PATCH", "DELETE"}
_MAX_PATH = 2048
"""Characters of an operation's path."""
_USED_UP = (
    "The operation was not run: with those before it, it takes more work than one request may. "
    "Send it in another request."
)
_REFERENCE = re.compile(r"bulkId:(.+)", re.IGNORECASE | re.DOTALL)


@dataclass(slots=True)
class Operation:
    """One operation of the request, and what came of it. `new_id` is the id that a POST will give."""

    number: int
    method: str
    path: str
    bulk_id: str | None
    version: str | None
    data: Any
    resource_type: ResourceType | None
    new_id: str | None = None
    refers_to: dict[str, None] = field(default_factory=dict)
    """BulkIds, in the order in which they come; of those that no POST gives, one."""
    is_astray: bool = False
    """Whether there is such a one."""
    result: dict[str, Any] | None = None

    @property
    def failed(self) -> bool:
        return self.result is not None and int(self.result["status"]) >= 400


async def run_bulk(context: Context, run: Run) -> Response:
    """Run the operations; `run` routes a single one. Raises 400 or 413 for the request as a whole."""
    body = await read_body(
        context.request.content(context.settings.max_bulk_bytes), context.settings.max_json_depth + 3
    )
    if not isinstance(body, dict):
        raise ScimError(INVALID_SYNTAX, "The body must be a JSON object: a BulkRequest.")
    members = {name.lower(): value for name, value in body.items()}
    listed, most_errors = members.get("operations"), members.get("failonerrors")
    if not isinstance(listed, list):
        raise ScimError(INVALID_SYNTAX, f"Operations must be an array of operations ({REQUEST_URN}).")
    if most_errors is not None and (
        not isinstance(most_errors, int) or isinstance(most_errors, bool) or most_errors < 0
    ):
        raise ScimError(INVALID_VALUE, "failOnErrors must be a whole number; leave it out, or send 0, to run all.")
    if len(listed) > context.settings.max_bulk_operations:
        limit = context.settings.max_bulk_operations
        raise ScimError(TOO_LARGE, f"The request has {len(listed)} operations; at most {limit} are run. Split it.")
    trace.note_bulk(len(listed))
    operations = [_parse_operation(context, item, number) for number, item in enumerate(listed, 1)]
    posts = _find_posts(operations)
    await call(len(context.request.body) // VALUE_BYTES, _resolve, operations, posts)
    await _run(context, _order(operations, posts), posts, run, most_errors or None)
    results = [operation.result for operation in operations if operation.result is not None]
    return Response(200, {"schemas": [RESPONSE_URN], "Operations": results})


def _parse_operation(context: Context, item: object, number: int) -> Operation:
    if not isinstance(item, dict):
        raise ScimError(INVALID_SYNTAX, f"Operation {number} must be an object with method, path and data.")
    members = {name.lower(): value for name, value in item.items()}
    method, path = members.get("method"), members.get("path")
    bulk_id, version = members.get("bulkid"), members.get("version")
    if not isinstance(method, str) or method.upper() not in _METHODS:
        raise ScimError(INVALID_SYNTAX, f"Operation {number}: method must be POST, PUT, PATCH or DELETE.")
    if not isinstance(path, str) or not path.startswith("/"):
        raise ScimError(INVALID_SYNTAX, f"Operation {number}: path must begin with / and name a resource type.")
    if len(path) > _MAX_PATH:
        raise ScimError(INVALID_VALUE, f"Operation {number}: path has {len(path)} characters; {_MAX_PATH} are read.")
    if any(value is not None and not isinstance(value, str) for value in (bulk_id, version)):
        raise ScimError(INVALID_SYNTAX, f"Operation {number}: bulkId and version must be strings.")
    method, data = method.upper(), members.get("data")
    if method == "PATCH" and isinstance(data, list):  # as RFC 7644 §3.7 prints it
        data = {"schemas": [PATCH_URN], "Operations": data}
    # As the operation itself will read its path, however that is spelt: what it makes must have the promised id.
    asked = Request(method, f"{context.request.base_url}{path}", prefix=context.request.prefix)
    segments = asked.segments if method == "POST" else []
    resource_type = context.registry.by_endpoint(segments[0]) if len(segments) == 1 else None
    new_id = ids.new_id(resource_type.id_prefix) if resource_type else None
    return Operation(number, method, path, bulk_id, version, data, resource_type, new_id)


def _find_posts(operations: list[Operation]) -> dict[str, Operation]:
    """Return the POSTs that can be referred to, by bulkId."""
    posts: dict[str, Operation] = {}
    for operation in operations:
        if operation.method == "POST" and operation.bulk_id is not None:
            if operation.bulk_id in posts:
                detail = f"Operation {operation.number}: bulkId {operation.bulk_id[:80]!r} is taken by another one."
                raise ScimError(INVALID_VALUE, detail)
            posts[operation.bulk_id] = operation
    return posts


def _resolve(operations: list[Operation], posts: dict[str, Operation]) -> None:
    """Put ids in the place of references."""
    for operation in operations:
        operation.data = _replace_references(operation.data, posts, operation)
        operation.path = str(_replace_references(operation.path, posts, operation, in_path=True))


def _replace_references(value: Any, posts: dict[str, Operation], operation: Operation, *, in_path: bool = False) -> Any:
    """Return `value` with every reference replaced by the id that its POST will give. One that nobody gives stays: the
    operation is refused when its turn comes."""
    if isinstance(value, dict | list):
        charge(1 + len(value), Work.BODY)
    if isinstance(value, dict):
        return {name: _replace_references(item, posts, operation) for name, item in value.items()}
    if isinstance(value, list):
        return [_replace_references(item, posts, operation) for item in value]
    if not isinstance(value, str):
        return value
    head, slash, last = value.rpartition("/") if in_path else ("", "", value)
    match = _REFERENCE.fullmatch(last)
    if match is None:
        return value
    post = posts.get(match[1])
    if post is not None or not operation.is_astray:
        operation.refers_to[match[1]] = None
    operation.is_astray |= post is None
    return f"{head}{slash}{post.new_id}" if post and post.new_id else value


def _order(operations: list[Operation], posts: dict[str, Operation]) -> Iterator[Operation]:
    """Return the operations, each after the POSTs that it refers to; in a circle, as they come."""
    seen: set[int] = set()
    for operation in operations:
        stack = [(operation, False)]
        while stack:
            one, ready = stack.pop()
            if ready:
                yield one
            elif one.number not in seen:
                seen.add(one.number)
                stack.append((one, True))
                others = (posts[name] for name in reversed(one.refers_to) if name in posts)
                stack += [(other, False) for other in others if other.number not in seen]


async def _run(
    context: Context, ordered: Iterator[Operation], posts: dict[str, Operation], run: Run, most_errors: int | None
) -> None:
    """Run until the end, or until as many have failed as the client puts up with."""
    batch: list[Operation] = []
    done: list[Operation] = []
    waited_for: set[str] = set()

    async def finish() -> None:
        await _create_together(context, batch, posts)
        for operation in batch:
            if operation.result is None:
                with trace.begin_operation() as deed:
                    operation.result = await _run_single(context, operation, posts, run)
                _account(context, operation, deed)
            done.append(operation)
            if _is_enough(done, most_errors):
                break
        batch.clear()
        waited_for.clear()

    for operation in ordered:
        together = most_errors is None and operation.resource_type is not None and not operation.resource_type.members
        if batch and (not together or operation.refers_to.keys() & waited_for):
            await finish()
        batch.append(operation)
        if operation.bulk_id:
            waited_for.add(operation.bulk_id)
        if not together:
            await finish()
        if _is_enough(done, most_errors):
            return
    await finish()


def _is_enough(done: list[Operation], most_errors: int | None) -> bool:
    return most_errors is not None and sum(operation.failed for operation in done) >= most_errors


async def _create_together(context: Context, batch: list[Operation], posts: dict[str, Operation]) -> None:
    """Try to make the resources of several POSTs in shared transactions. What is refused so is left to be run alone,
    which tells why."""
    if len(batch) < 2:
        return
    wanted: list[tuple[Operation, Creation]] = []
    for operation in batch:
        kind = operation.resource_type
        if kind and operation.new_id and context.permits(kind) and _explain_refusal(operation, posts) is None:
            own = replace(context, request=_make_request(context, operation), data=operation.data)
            await pause()
            with contextlib.suppress(TooDear):
                charge(WORTH, Work.BODY)
                if creation := await resources.try_creation(own.of(kind), operation.new_id):
                    wanted.append((operation, creation))
    if len(wanted) < 2:
        return
    growth = [measure_creation(creation.document, 0) for _, creation in wanted]
    try:
        require_room(context, reduce(Size.__add__, growth, Size()))
    except ScimError:
        return  # some may have room, one by one
    made: Made = {}
    with contextlib.suppress(TimeoutError, TableUnavailable):  # those that are not made tell it, each for itself
        async with asyncio.timeout(deadline.left()):
            await context.store.resources.create_together([creation for _, creation in wanted], made)
    for operation, creation in wanted:
        if creation.id not in made:
            continue
        with trace.begin_operation() as deed:
            note_creation(creation.resource_type, creation.document)
            context.store.quota.add_written(measure_creation(creation.document, 0))  # also if nobody knows
            if (stored := made[creation.id]) is None:
                operation.result = _make_failure(context, operation, TableUnavailable())
            else:
                headers = {
                    "Location": build_location(context.of(creation.resource_type), stored.id),
                    "ETag": stored.version,
                }
                operation.result = _make_result(context, operation, 201, headers, None)
        _account(context, operation, deed)


def _explain_refusal(operation: Operation, posts: dict[str, Operation]) -> ScimError | None:
    """Return why an operation cannot run: it refers to what is not made."""
    for name in operation.refers_to:
        if name not in posts:
            return ScimError(INVALID_VALUE, f"bulkId:{name[:80]} is given by no POST of this request.")
        if posts[name].failed:
            return ScimError(BULK_CONFLICT, f"bulkId:{name[:80]} was not made: its POST failed.")
    return None


def _make_request(context: Context, operation: Operation) -> Request:
    headers = {"if-match": operation.version} if operation.version else {}
    request = context.request
    return Request(operation.method, f"{request.base_url}{operation.path}", headers, prefix=request.prefix)


async def _run_single(context: Context, operation: Operation, posts: dict[str, Operation], run: Run) -> dict[str, Any]:
    """Run one operation as a request of its own. Whatever it runs into is its own result: those before it were done,
    and the client must learn which (RFC 7644 §3.7.3)."""
    request = _make_request(context, operation)
    await pause()
    try:
        charge(WORTH, Work.BODY)
        if refusal := _explain_refusal(operation, posts):
            raise refusal
        _check_path(context, request)
        deadline.check()
        async with asyncio.timeout(deadline.left()):
            response = await run(replace(context, request=request, data=operation.data, new_id=operation.new_id))
    except Exception as error:
        return _make_failure(context, operation, error)
    return _make_result(context, operation, response.status, response.headers, None)


def _make_failure(context: Context, operation: Operation, error: Exception) -> dict[str, Any]:
    """Return the result of an operation that ran into that."""
    failure = _to_error(error)
    trace.note_rule(failure)
    current = trace.find_current()
    body = failure.body(current.request if current else None)
    return _make_result(context, operation, failure.kind.status, {}, body)


def _account(context: Context, operation: Operation, deed: trace.Deed) -> None:
    """Add an operation that has ended to its request's log line, and log the resource that it changed, or may have."""
    status = int(operation.result["status"]) if operation.result else 0
    trace.add_up(deed, status)
    current, request = trace.find_current(), _make_request(context, operation)
    if current is None or 400 <= status < 500:
        return
    if deed.changed or deed.added or deed.removed or deed.deleted:
        id = operation.new_id if operation.method == "POST" else request.segments[-1]
        log_change(current, deed, request, id if id and ids.is_id(id) else None, status, context.registry)


def _to_error(error: Exception) -> ScimError:
    """Return the error of one operation, in the client's words."""
    match error:
        case TooDear() if error.is_used_up:
            return ScimError(TOO_MANY, _USED_UP, rule="budget")
        case ScimError():
            return error
        case TimeoutError():
            return deadline.OutOfTime()
        case TableUnavailable():
            return ScimError(UNAVAILABLE, "Storage does not answer at the moment; send this operation again later.")
        case TooLarge():
            return ScimError(TOO_LARGE, "The change is too large for one transaction; send it in smaller operations.")
    log.exception("an operation of a bulk request failed", exc_info=error)
    return ScimError(INTERNAL, "The service failed on this operation; its operator finds the cause in the log.")


def _check_path(context: Context, request: Request) -> None:
    """Raise 400 invalidValue for a path that a bulk operation cannot have: it is about resources alone."""
    segments = request.segments
    is_type = bool(segments) and context.registry.by_endpoint(segments[0]) is not None
    fits = len(segments) == (1 if request.method == "POST" else 2) and ".search" not in segments
    if not is_type or not fits:
        place = "a resource type, such as /Users" if request.method == "POST" else "a resource, such as /Users/{id}"
        raise ScimError(INVALID_VALUE, f"path must name {place}; {'/'.join(segments)[:80]!r} does not.")


def _make_result(
    context: Context, operation: Operation, status: int, headers: dict[str, str], response: object | None
) -> dict[str, Any]:
    result: dict[str, Any] = {"method": operation.method}
    if operation.bulk_id is not None:
        result["bulkId"] = operation.bulk_id
    if version := headers.get("ETag"):
        result["version"] = version
    location = headers.get("Location")
    if location is None and operation.method != "POST":
        location = context.base_url + operation.path
    if location is not None:
        result["location"] = location
    result["status"] = str(status)
    if response is not None:
        result["response"] = response
    return result
