"""/manage/{tenant}/…: an operator's connection with the right `manage` asks why, how a tenant does, and for figures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from scim.errors import INVALID_VALUE, METHOD_NOT_ALLOWED, NOT_FOUND, PRECONDITION_FAILED, ScimError
from scim.http import Request, Response
from scim.insight.metrics import read_metrics
from scim.insight.status import read_status
from scim.insight.why import Why
from scim.policy.document import refuse_as_scim
from scim.policy.kept import Kept, read_policy
from scim.schema.registry import Registry
from scim.security.connections import Connection
from scim.security.operators import require_right
from scim.security.security import Security
from scim.service.steering import PolicyError, Stale, release, set_policy, show_policy, try_policy
from scim.store.store import Store

_JSON = {"Content-Type": "application/json"}
_NO_DOOR = (
    "There is nothing at {path}: there are {origin}/manage/<tenant>/why?user=<name>, …/why?group=<name>, "
    "…/history?user=<name>, …/status, …/metrics.csv, …/policy, …/policy-test and …/release."
)
_OTHER_POLICY = (
    "The policy of {tenant} was changed meanwhile: read it, put your change into what it is now, and send it with its "
    "ETag."
)
_MOST_POLICY = 100_000
_WHOSE = "Say whose: ?user=<name>, or ?group=<name>; a name is a userName, e-mail address, displayName or id."
_WHOM = (
    "Say who is missing: ?user=<name>, or ?group=<name>, or both for why a user is not in a group. A name is a "
    "userName, e-mail address, externalId, displayName or id, or the beginning of one."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of an operator, about a tenant. `origin` is where our doors are."""

    request: Request
    tenant: str
    connection: Connection
    registry: Registry
    store: Store
    security: Security
    origin: str


async def answer_manage(
    request: Request, connection: Connection, registry: Registry, store: Store, security: Security, origin: str
) -> Response:
    """Return the answer to a request of an operator's connection; `origin` is where our doors are. Raises 403 for one
    without the right or the tenant, 404 for a path that is none, 405."""
    segments = [unquote(segment) for segment in request.path.split("/") if segment]
    operations = _OPERATIONS.get(segments[2].lower()) if len(segments) == 3 else None
    if operations is None:
        raise ScimError(NOT_FOUND, _NO_DOOR.format(path=request.path[:200], origin=origin))
    require_right(connection, "manage", segments[1])
    operation = operations.get("GET" if request.method == "HEAD" else request.method)
    if operation is None:
        allowed = ", ".join(dict.fromkeys([*(["GET", "HEAD"] if "GET" in operations else []), *operations]))
        detail = f"{request.method} is not possible at {request.path[:200]}; use {allowed.replace(', HEAD', '')}."
        raise ScimError(METHOD_NOT_ALLOWED, detail, {"Allow": allowed})
    return await operation(Asked(request, segments[1], connection, registry, store, security, origin))


async def _why(asked: Asked) -> Response:
    user, group = asked.request.query.get("user", "").strip(), asked.request.query.get("group", "").strip()
    if not user and not group:
        raise ScimError(INVALID_VALUE, _WHOM)
    why = Why(asked.store.table, asked.registry, asked.tenant, _looking_up(asked.tenant, asked.security))
    if user and group:
        answer = await why.ask_membership(user, group)
    else:
        answer = await why.ask(user or group, groups=not user)
    return Response(200, answer.data(), dict(_JSON))


async def _history(asked: Asked) -> Response:
    user, group = asked.request.query.get("user", "").strip(), asked.request.query.get("group", "").strip()
    if bool(user) == bool(group):
        raise ScimError(INVALID_VALUE, _WHOSE)
    told = await Why(asked.store.table, asked.registry, asked.tenant, _looking_up(asked.tenant, asked.security)).tell(
        user or group, groups=not user
    )
    return Response(200, told.data(), dict(_JSON))


async def _status(asked: Asked) -> Response:
    expected = asked.request.query.get("expect", "")
    if expected and not (expected.isascii() and expected.isdecimal() and len(expected) < 10):
        raise ScimError(
            INVALID_VALUE, "expect must be a whole number: the users and groups that are assigned in Entra."
        )
    number = int(expected) if expected else None
    status = await read_status(
        asked.store.table, asked.tenant, _looking_up(asked.tenant, asked.security), expected=number
    )
    return Response(200, status.data(), dict(_JSON))


async def _metrics(asked: Asked) -> Response:
    text = await read_metrics(asked.store.table, asked.tenant)
    return Response(200, text.encode(), {"Content-Type": "text/csv; charset=utf-8"})


async def _read_policy(asked: Asked) -> Response:
    kept, state = await show_policy(asked.store.table, asked.tenant)
    return _show_policy(kept, state)


async def _set_policy(asked: Asked) -> Response:
    """200 with the policy; 412 if If-Match names another version than the one that is there."""
    data, wanted = asked.request.json(_MOST_POLICY, 30), asked.request.headers.get("if-match", "").strip()
    version = None if wanted in ("", "*") else wanted
    if asked.request.headers.get("if-none-match", "").strip() == "*":
        version = ""
    try:
        kept = await set_policy(asked.store.table, asked.registry, asked.tenant, data, asked.connection.name, version)
    except PolicyError as error:
        raise refuse_as_scim(error) from None
    except Stale:
        raise ScimError(PRECONDITION_FAILED, _OTHER_POLICY.format(tenant=asked.tenant)) from None
    return _show_policy(kept, (await show_policy(asked.store.table, asked.tenant))[1])


def _show_policy(kept: Kept, state: dict[str, object]) -> Response:
    """Return the policy with what it came to. Its version is the ETag."""
    about = {"changed": kept.changed or None, "by": kept.by or None}
    headers = {**_JSON, "Cache-Control": "no-store", **({"ETag": kept.version} if kept.version else {})}
    return Response(200, {"policy": kept.data, **about, **state}, headers)


async def _try_policy(asked: Asked) -> Response:
    """POST with {"policy": …, "user": …}: what would become of the user; the policy in force if none is given."""
    body = asked.request.json(_MOST_POLICY, 30)
    user = body.get("user") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(user, dict):
        raise ScimError(INVALID_VALUE, 'Send {"user": {…}}, as a POST of the user has it, and "policy" to try another.')
    table = asked.store.table
    data = body["policy"] if "policy" in body else (await read_policy(table, asked.tenant)).data
    try:
        return Response(200, await try_policy(table, asked.registry, asked.tenant, data, user), dict(_JSON))
    except PolicyError as error:
        raise refuse_as_scim(error) from None


async def _release(asked: Asked) -> Response:
    """POST: end a hold."""
    number = await release(asked.store.table, asked.registry, asked.tenant)
    return Response(200, {"tenant": asked.tenant, "released": number or 0, "held": number is not None}, dict(_JSON))


_Operation = Callable[[Asked], Awaitable[Response]]
_OPERATIONS: dict[str, dict[str, _Operation]] = {
    "why": {"GET": _why},
    "history": {"GET": _history},
    "status": {"GET": _status},
    "metrics.csv": {"GET": _metrics},
    "policy": {"GET": _read_policy, "PUT": _set_policy},
    "policy-test": {"POST": _try_policy},
    "release": {"POST": _release},
}


def _looking_up(tenant: str, security: Security) -> Callable[[Iterable[str]], Awaitable[list[Connection]]]:
    """Look up connections that were heard of: the app cannot list them."""

    async def look_up(names: Iterable[str]) -> list[Connection]:
        found = [await security.connections.get(name, lambda _: True) for name in names]
        return [each for each in found if each is not None and each.tenant == tenant]

    return look_up
