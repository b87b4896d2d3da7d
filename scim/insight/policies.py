"""What a tenant's policy has to do with somebody: a seat that is waited for, a change that is held back, protection."""

from __future__ import annotations

from typing import Literal, NamedTuple

from scim.feed.sequencer import Head
from scim.policy.guard import is_protected
from scim.policy.kept import make_policy, read_policy
from scim.policy.offering import find_unknown
from scim.policy.owners import TOLD, is_held
from scim.policy.seats import ASSIGNED, find_place, parse_holder
from scim.policy.state import TOTAL, State
from scim.schema.registry import Registry
from scim.store import keys
from scim.store.resource_rows import Stored
from scim.store.table import Partition, Table

_RAISE = "Raise the limit in the policy, or wait until somebody who has one is disabled or deleted."
_OWN = "Name an owner who is an active user here, or have one of its owners come back."
_OFFER = (
    "Offer it (the file of the catalog in schemas/, or `offers` in the policy), or take it out of the app roles or "
    "mappings in Entra."
)
_RELEASE = (
    "Look what the identity provider did; the operator then ends it (in the console, or with policy release {tenant})."
)


class Explained(NamedTuple):
    """What a policy has to do with somebody. `verdict` is None if it is no reason why they are not there."""

    verdict: Literal["waiting", "held"] | None
    text: str
    remedy: str = ""


async def explain_policy(table: Table, registry: Registry, tenant: str, stored: Stored) -> Explained | None:
    """Return what the policy has to do with a user or group; None for nothing. One trip for a tenant without a policy.
    Raises TableUnavailable."""
    partition = Partition(table, tenant)
    head = await Head.read(table, tenant)
    state = State.load(head.policy if head else "")
    if state.hold is not None and await partition.read(keys.withheld_key(stored.id)) is not None:
        since = state.hold.since[:16].replace("T", " ")
        text = f"What changed is held back since {since} UTC, with {state.hold.number} changes in all."
        return Explained("held", text, _RELEASE.format(tenant=tenant))
    if (until := state.ownerless.get(stored.id)) is not None:
        since = ", and it is held" if is_held(until) else f", and it is held from {until[:16].replace('T', ' ')} UTC"
        return Explained(None, f"Nobody active owns it{'' if until == TOLD else since}.", _OWN)
    if state.limits and (seat := await partition.read(keys.seat_key(stored.id))) is not None:
        for licence, place in parse_holder(seat.values).seats.items():
            if place != ASSIGNED and licence in state.limits:
                number = await find_place(partition, licence, int(place))
                what = "a seat" if licence == TOTAL else f"a seat of {licence}"
                used, limit = state.used.get(licence, 0), state.limits[licence]
                text = f"Waiting for {what}, {_ordinal(number)} in line: {used} of {limit} are taken."
                return Explained("waiting", text, _RAISE)
    if not state.version and not registry.catalogs:
        return None
    resource_type = registry.by_id(stored.id)
    policy = make_policy(await read_policy(table, tenant), registry, tenant)
    if unknown := find_unknown(policy, registry, stored.document):
        named = ", ".join(f"{', '.join(values)} ({attribute})" for attribute, values in unknown.items())
        return Explained(None, f"Some of what it was given is not offered here: {named}.", _OFFER)
    if policy and resource_type and is_protected(policy, resource_type.name, stored.id, stored.document):
        return Explained(None, "It is protected by the policy: SCIM cannot disable, rename or delete it.")
    return None


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
