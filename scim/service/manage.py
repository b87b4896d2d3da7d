"""/manage/{tenant}/…: an operator's connection with the right `manage` asks why, how a tenant does, and for figures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import unquote

from scim.errors import INVALID_VALUE, METHOD_NOT_ALLOWED, NOT_FOUND, ScimError
from scim.http import Request, Response
from scim.insight.metrics import read_metrics
from scim.insight.status import read_status
from scim.insight.why import Why
from scim.schema.registry import Registry
from scim.security.connections import Connection
from scim.security.operators import require_right
from scim.security.security import Security
from scim.store.store import Store

_JSON = {"Content-Type": "application/json"}
_NO_DOOR = (
    "There is nothing at {path}: there are {origin}/manage/<tenant>/why?user=<name>, …/why?group=<name>, "
    "…/history?user=<name>, …/status and …/metrics.csv."
)
_WHOSE = "Say whose: ?user=<name>, or ?group=<name>; a name is a userName, e-mail address, displayName or id."
_WHOM = (
    "Say who is missing: ?user=<name>, or ?group=<name>, or both for why a user is not in a group. A name is a "
    "userName, e-mail address, externalId, displayName or id, or the beginning of one."
)


async def answer_manage(
    request: Request, connection: Connection, registry: Registry, store: Store, security: Security, origin: str
) -> Response:
    """The answer to a request of an operator's connection; `origin` is where our doors are. Raises 403 for one without
    the right or the tenant, 404 for a path that is none, 405."""
    segments = [unquote(segment) for segment in request.path.split("/") if segment]
    operation = _OPERATIONS.get(segments[2].lower()) if len(segments) == 3 else None
    if operation is None:
        raise ScimError(NOT_FOUND, _NO_DOOR.format(path=request.path[:200], origin=origin))
    require_right(connection, "manage", segments[1])
    if request.method not in ("GET", "HEAD"):
        detail = f"{request.method} is not possible at {request.path[:200]}; use GET."
        raise ScimError(METHOD_NOT_ALLOWED, detail, {"Allow": "GET, HEAD"})
    return await operation(request, segments[1], registry, store, security)


async def _why(request: Request, tenant: str, registry: Registry, store: Store, security: Security) -> Response:
    user, group = request.query.get("user", "").strip(), request.query.get("group", "").strip()
    if not user and not group:
        raise ScimError(INVALID_VALUE, _WHOM)
    why = Why(store.table, registry, tenant, _looking_up(tenant, security))
    if user and group:
        answer = await why.ask_membership(user, group)
    else:
        answer = await why.ask(user or group, groups=not user)
    return Response(200, answer.data(), dict(_JSON))


async def _history(request: Request, tenant: str, registry: Registry, store: Store, security: Security) -> Response:
    user, group = request.query.get("user", "").strip(), request.query.get("group", "").strip()
    if bool(user) == bool(group):
        raise ScimError(INVALID_VALUE, _WHOSE)
    told = await Why(store.table, registry, tenant, _looking_up(tenant, security)).tell(user or group, groups=not user)
    return Response(200, told.data(), dict(_JSON))


async def _status(request: Request, tenant: str, registry: Registry, store: Store, security: Security) -> Response:
    expected = request.query.get("expect", "")
    if expected and not (expected.isascii() and expected.isdecimal() and len(expected) < 10):
        raise ScimError(
            INVALID_VALUE, "expect must be a whole number: the users and groups that are assigned in Entra."
        )
    number = int(expected) if expected else None
    status = await read_status(store.table, tenant, _looking_up(tenant, security), expected=number)
    return Response(200, status.data(), dict(_JSON))


async def _metrics(request: Request, tenant: str, registry: Registry, store: Store, security: Security) -> Response:
    text = await read_metrics(store.table, tenant)
    return Response(200, text.encode(), {"Content-Type": "text/csv; charset=utf-8"})


_Operation = Callable[[Request, str, Registry, Store, Security], Awaitable[Response]]
_OPERATIONS: dict[str, _Operation] = {"why": _why, "history": _history, "status": _status, "metrics.csv": _metrics}


def _looking_up(tenant: str, security: Security) -> Callable[[Iterable[str]], Awaitable[list[Connection]]]:
    """Look up connections that were heard of: the app cannot list them."""

    async def look_up(names: Iterable[str]) -> list[Connection]:
        found = [await security.connections.get(name, lambda _: True) for name in names]
        return [each for each in found if each is not None and each.tenant == tenant]

    return look_up
