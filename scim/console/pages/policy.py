"""A tenant's policy: what it came to (seats, who waits, what is held), the document to edit, and a try on a user."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from scim.console.pages.people import find_tab
from scim.console.rendering import link, show_json
from scim.console.visit import Answer, Page, Redirect, Visit
from scim.console.words import WORDS
from scim.errors import ScimError
from scim.insight.finding import find_name_of, read_resource
from scim.policy.kept import Kept
from scim.service.steering import PolicyError, Stale, release, set_policy, show_policy, try_policy

_MOST_AGENTS = 16
"""Agents without an owner that are shown."""
_USER = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
    "userName": "adele.vance@contoso.example",
    "active": True,
}


async def show(visit: Visit) -> Answer:
    """The policy, and what it came to."""
    return await _page(visit)


async def save(visit: Visit) -> Answer:
    """Keep a policy, unless somebody else has changed it since it was shown."""
    try:
        data = _parse(visit.sent("policy"), WORDS.policy.edit)
        version = visit.sent("version", 200)
        await set_policy(visit.parts.table, visit.parts.registry, visit.tenant, data, visit.person.name, version)
    except PolicyError as error:
        return await _page(visit, str(error))
    except Stale:
        return await _page(visit, WORDS.policy.stale)
    return Redirect(link("tenants", visit.tenant, "policy"))


async def test(visit: Visit) -> Answer:
    """What would become of a user under the policy as it stands in the form; nothing is written."""
    try:
        data = _parse(visit.sent("policy"), WORDS.policy.edit)
        user = _parse(visit.sent("user"), WORDS.policy.user)
        tried = await try_policy(visit.parts.table, visit.parts.registry, visit.tenant, data, user)
    except PolicyError as error:
        return await _page(visit, str(error))
    except ScimError as error:
        return await _page(visit, error.detail)
    return await _page(visit, tried=tried)


async def end_hold(visit: Visit) -> Answer:
    """Let what is held go into the feed."""
    await release(visit.parts.table, visit.parts.registry, visit.tenant)
    return Redirect(link("tenants", visit.tenant, "policy"))


async def _page(visit: Visit, wrong: str = "", tried: Mapping[str, Any] | None = None) -> Page:
    kept, state = await show_policy(visit.parts.table, visit.tenant)
    values = {
        "tenant": visit.tenant,
        "tab": "policy",
        "tab_title": WORDS.tabs["policy"],
        "wrong": wrong,
        "may": visit.person.role == "operator",
        "tried": tried,
        "text": visit.sent("policy") or show_json(kept.data),
        "user": visit.sent("user") or show_json(_USER),
        **_describe(kept),
        "seats": [{"license": "", **each} for each in state["seats"]],
        "hold": state["hold"],
        "ownerless": await _list_ownerless(visit, state["ownerless"]),
        "ownerless_more": max(len(state["ownerless"]) - _MOST_AGENTS, 0),
    }
    return Page("policy.html", values, 400 if wrong else 200)


async def _list_ownerless(visit: Visit, every: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the first of the agents that nobody owns, with their names: a trip for each, all at the same time."""
    shown = every[:_MOST_AGENTS]
    read = await asyncio.gather(*(read_resource(visit.parts.table, visit.tenant, one["agent"]) for one in shown))
    rows = []
    for one, stored in zip(shown, read, strict=True):
        resource_type = visit.parts.registry.by_id(one["agent"])
        where = find_tab(resource_type) if resource_type is not None else "users"
        name = find_name_of(stored, resource_type) if stored is not None else one["agent"]
        address = link("tenants", visit.tenant, where, one["agent"])
        rows.append({"name": name, "until": "", **one, "address": address})
    return rows


def _describe(kept: Kept) -> dict[str, str]:
    return {"version": kept.version, "changed": kept.changed, "by": kept.by}


def _parse(text: str, what: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise PolicyError(WORDS.policy.no_json.format(what, error)) from None
    if not isinstance(data, dict):
        raise PolicyError(WORDS.policy.no_json.format(what, "it must be an object, such as {}"))
    return data
