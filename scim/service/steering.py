"""What an operator does with a policy: show it with what it came to, set it, end a hold, try it on a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from scim.feed.sequencer import Head, Sequencer
from scim.policy.binding import find_bound
from scim.policy.deciding import Decider
from scim.policy.document import Policy, PolicyError, parse_policy
from scim.policy.draft import Draft
from scim.policy.effects import join_grants
from scim.policy.guard import fill_defaults, require_domains
from scim.policy.kept import Kept, Stale, make_policy, read_policy, write_policy
from scim.policy.owners import HELD, TOLD, is_held
from scim.policy.seats import ASSIGNED, parse_holder
from scim.policy.state import TOTAL, State
from scim.schema.registry import Registry
from scim.schema.validation import make_canonical
from scim.store import keys
from scim.store.properties import join_document
from scim.store.table import Partition, Refused, Row, Table

__all__ = ["PolicyError", "Stale", "release", "set_policy", "show_policy", "try_policy"]

_TRIES = 5
_PAGE = 500


async def show_policy(table: Table, tenant: str) -> tuple[Kept, dict[str, Any]]:
    """Return a tenant's policy, and what it came to: seats taken and waiting, the hold, agents that nobody active owns.
    Raises TableUnavailable."""
    kept = await read_policy(table, tenant)
    state = await read_state(table, tenant)
    seats: list[dict[str, Any]] = []
    for licence, limit in state.limits.items():
        waiting = [user async for user in _list_waiting(table, tenant, licence)]
        used = state.used.get(licence, 0)
        told: dict[str, Any] = {"license": licence} if licence != TOTAL else {}
        seats.append({**told, "limit": limit, "used": used, "waiting": len(waiting), "line": waiting[:20]})
    hold = state.hold and {"hold": state.hold.kind, "since": state.hold.since, "until": state.hold.until}
    held = {**hold, "held": state.hold.number, "releasing": state.hold.releasing} if hold and state.hold else None
    owned = [{"agent": id, **_describe_ownerless(at)} for id, at in state.ownerless.items()]
    return kept, {"seats": seats, "hold": held, "ownerless": owned, "lostWithinAnHour": sum(state.recent.values())}


def _describe_ownerless(at: str) -> dict[str, str]:
    if is_held(at):
        return {"standing": HELD}
    return {"standing": TOLD} if at == TOLD else {"standing": "waiting", "until": at}


async def list_standings(table: Table, registry: Registry, tenant: str, after: str = "") -> dict[str, Any]:
    """Return what the policy makes of the users of a page, in the order of their ids, behind one if it is given: who
    has a seat or waits for one, and their effects and grants, as events tell them. On the first page, what groups give
    to their members, and which agents are held since nobody owns them. Raises TableUnavailable."""
    kept, state = await read_policy(table, tenant), await read_state(table, tenant)
    policy = make_policy(kept, registry, tenant) or Policy()
    decider = Decider(Partition(table, tenant), policy, kept.version, state, registry)
    users = registry.by_endpoint("users")
    assert users is not None
    rows: list[Row] = []
    async for page in table.pages(
        tenant, *keys.resource_range(users, keys.id_after(after) if after else None), size=_PAGE
    ):
        rows = page
        if page:
            break
    standings = [
        {"user": parse_id(row), **decider.describe(join_document(row.values), is_new=False, id=parse_id(row))}
        for row in rows
    ]
    seats = await _read_seats(table, tenant, rows) if rows else []
    given: dict[str, Any] = {}
    for grant in policy.grants if not after else ():
        if grant.group is not None and (group := find_bound(grant.group, state)) is not None:
            given[group] = join_grants([given.get(group, {}), grant.given()])
    following = parse_id(rows[-1]) if len(rows) == _PAGE else None
    told = {"users": [each for each in standings if len(each) > 1], "seats": seats, "next": following}
    held = [id for id, at in state.ownerless.items() if is_held(at)]
    return {"tenant": tenant, **told, **({"grants": given, "held": held} if not after else {})}


async def _read_seats(table: Table, tenant: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the seats of the users of a page, which stand in the same order."""
    first, last = keys.seat_key(parse_id(rows[0])), keys.id_after(keys.seat_key(parse_id(rows[-1])))
    found: list[dict[str, Any]] = []
    async for page in table.pages(tenant, first, last):
        for row in page:
            for licence, seat in parse_holder(row.values).seats.items():
                told = {"license": licence} if licence != TOTAL else {}
                standing = "assigned" if seat == ASSIGNED else "waiting"
                found.append({"user": row.key.partition(" ")[2], **told, "seat": standing})
    return found


def parse_id(row: Row) -> str:
    """Return the id in a user's row."""
    return keys.parse_id(row.key)


async def read_state(table: Table, tenant: str) -> State:
    """Return what was decided of a tenant. Raises TableUnavailable."""
    head = await Head.read(table, tenant)
    return State.load(head.policy if head else "")


async def read_seats(partition: Partition) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Return how many seats licences of a tenant have, and how many are taken. Raises TableUnavailable."""
    state = await read_state(partition.table, partition.name)
    return state.limits, state.used


async def _list_waiting(table: Table, tenant: str, licence: str) -> Any:
    async for page in table.pages(tenant, *keys.line_range(licence)):
        for row in page:
            yield str(row.values["user"])


async def set_policy(
    table: Table, registry: Registry, tenant: str, data: object, by: str, version: str | None = None
) -> Kept:
    """Keep a policy, and have it followed at once. Raises PolicyError, Stale if it is not at that version any more,
    TableUnavailable."""
    policy = parse_policy(data, registry)
    kept = await write_policy(
        table, tenant, policy.model_dump(mode="json", by_alias=True, exclude_unset=True), by, version
    )
    await Sequencer(table, registry).run(tenant, expected=True)
    return kept


async def release(table: Table, registry: Registry, tenant: str) -> int | None:
    """End a hold: what was held goes into the feed, in its order. Return how many changes those were; None if nothing
    is held. Raises TableUnavailable."""
    for _ in range(_TRIES):
        head = await Head.read(table, tenant)
        state = State.load(head.policy if head else "")
        if head is None or state.hold is None:
            return None
        number = state.hold.number
        ending = state.changed(hold=replace(state.hold, releasing=True))
        try:
            await table.commit(tenant, [head._replace(policy=ending.dump()).write()])
        except Refused:
            continue
        await Sequencer(table, registry).run(tenant, expected=True)
        return number
    return 0


async def try_policy(
    table: Table, registry: Registry, tenant: str, data: object, user: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a policy would make of a new user, without writing anything: the document with its defaults, and the
    events. Raises PolicyError; ScimError if the user would be refused; TableUnavailable."""
    policy: Policy = parse_policy(data, registry)
    users = registry.by_endpoint("users")
    assert users is not None
    document = make_canonical(dict(user), users)
    require_domains(policy, users, document)
    document = fill_defaults(policy, users, document)
    decider = Decider(Partition(table, tenant), policy, "", await read_state(table, tenant), registry)
    async for _ in decider.catch_up("2000-01-01T00:00:00.000Z"):
        break
    names = {name: document[name] for name in ("userName", "externalId", "displayName") if name in document}
    event: dict[str, Any] = {
        "time": "2000-01-01T00:00:00.000Z",
        "type": "user.created",
        "resource": {"type": "User", "id": f"{users.id_prefix}-new", **names},
        "data": document,
    }
    drafts = await decider.decide(Draft(event, ()))
    events = [{name: value for name, value in one.event.items() if name not in ("time", "data")} for one in drafts]
    return {"document": document, "events": events}
