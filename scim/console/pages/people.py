"""Users and groups: pages of them, found by the beginning of any indexed value; one with its document, what it is
linked to, and what happened; and why somebody is not there."""

from __future__ import annotations

import asyncio
from typing import Any

from scim.console.pages.looking import looking_up
from scim.console.rendering import link
from scim.console.visit import Answer, NotThere, Page, Visit
from scim.console.words import WORDS
from scim.ids import is_id
from scim.insight.finding import MOST, find_name_of, read_resource
from scim.insight.history import Change, History
from scim.insight.why import Why
from scim.schema.registry import Index, Registry, ResourceType
from scim.store import keys
from scim.store.resource_rows import Stored, parse_stored
from scim.store.table import PARALLEL_READS

_PAGE = 25
_LINKED = 50


async def show_people(visit: Visit) -> Answer:
    """A page of users or groups, or those that have a value which begins so."""
    tenant, resource_type, find = visit.tenant, _type(visit), visit.ask("find")
    found = await _find(visit, resource_type, find) if find else await _read_page(visit, resource_type)
    shown = found if find else found[:_PAGE]
    more = None if find or len(found) <= _PAGE else shown[-1].id
    values = {
        **_about(visit, tenant),
        "find": find,
        "rows": [_describe(each, resource_type) for each in shown],
        "next": more,
    }
    return Page("people.html", values)


async def show_person(visit: Visit) -> Answer:
    """One user or group, there or gone. Who it is linked to and what happened are a trip each
    for the list, and then one for each of the first, all at the same time."""
    tenant, id, resource_type = visit.tenant, visit.path["id"], _type(visit)
    if not is_id(id) or visit.parts.registry.by_id(id) is not resource_type:
        raise NotThere(id)
    after = visit.ask("after", 100)
    stored, (linked, more), changes = await asyncio.gather(
        read_resource(visit.parts.table, tenant, id),
        _read_linked(visit, resource_type, id, after),
        History(visit.parts.table, tenant).read(id),
    )
    if stored is None and not changes:
        raise NotThere(id)
    here = (tenant, visit.path["people"], id)
    values = {
        **_about(visit, tenant),
        "id": id,
        "name": find_name_of(stored, resource_type)
        if stored
        else next((each.name for each in reversed(changes) if each.name), id),
        "document": _show_document(stored, resource_type) if stored else None,
        "linked": linked,
        "more": link("tenants", *here, after=more) if more else None,
        "changes": [_describe_change(each) for each in reversed(changes)],
    }
    return Page("person.html", values)


async def show_why(visit: Visit) -> Answer:
    """Why somebody is not there."""
    tenant, asked = visit.tenant, visit.ask("name")
    parts = visit.parts
    why = Why(parts.table, parts.registry, tenant, looking_up(parts, tenant))
    groups = bool(_type(visit).members)
    answer = await why.ask(asked, groups=groups) if asked else None
    return Page("why.html", {**_about(visit, tenant), "asked": asked, "it": answer})


async def _read_page(visit: Visit, resource_type: ResourceType) -> list[Stored]:
    """Read the resources of a page and one more."""
    after = visit.ask("after", 100)
    start = keys.id_after(after) if is_id(after) else None
    found: list[Stored] = []
    async for page in visit.parts.table.pages(visit.tenant, *keys.resource_range(resource_type, start), size=_PAGE + 1):
        found += [parse_stored(row) for row in page]
        if len(found) > _PAGE:
            break
    return found[: _PAGE + 1]


async def _find(visit: Visit, resource_type: ResourceType, text: str) -> list[Stored]:
    """Find resources by the beginning of a value: a trip for each index, all at the same time, then one for each that
    was found."""
    if is_id(text):
        stored = await read_resource(visit.parts.table, visit.tenant, text)
        return [stored] if stored and visit.parts.registry.by_id(text) is resource_type else []
    indexes = [each for each in resource_type.indexes.values() if not each.attribute.is_reference]
    lists = await asyncio.gather(*(_look(visit, resource_type, index, text) for index in indexes))
    ids = list(dict.fromkeys(id for ids in lists for id in ids))[:MOST]
    read = await asyncio.gather(*(read_resource(visit.parts.table, visit.tenant, id) for id in ids))
    return [each for each in read if each is not None]


async def _look(visit: Visit, resource_type: ResourceType, index: Index, text: str) -> list[str]:
    start, end = keys.prefix_range(resource_type, index, text)
    async for page in visit.parts.table.pages(visit.tenant, start, end, size=MOST):
        return [str(row.values.get("id") or keys.parse_linked_id(row.key)) for row in page]
    return []


async def _read_linked(
    visit: Visit, resource_type: ResourceType, id: str, after: str
) -> tuple[list[dict[str, str]], str | None]:
    """Read the members of a group, or the groups of a user: so many behind one, and the last if there are more. The
    first of them are read for their names, all at the same time."""
    start = keys.id_after(after) if is_id(after) else None
    start_key, end = keys.linked_range(id, start, None, of_group=bool(resource_type.members))
    displays: dict[str, str] = {}
    async for page in visit.parts.table.pages(visit.tenant, start_key, end, size=_LINKED + 1):
        displays |= {keys.parse_linked_id(row.key): str(row.values.get("display") or "") for row in page}
        if len(displays) > _LINKED:
            break
    shown = list(displays)[:_LINKED]
    named = [other for other in shown if is_id(other)][:PARALLEL_READS]
    read = await asyncio.gather(*(read_resource(visit.parts.table, visit.tenant, other) for other in named))
    registry = visit.parts.registry
    names = {one.id: find_name_of(one, registry.by_id(one.id)) for one in read if one is not None}
    linked = [_link_to(visit, other, names.get(other) or displays[other] or other) for other in shown]
    return linked, shown[-1] if len(displays) > _LINKED else None


def _link_to(visit: Visit, id: str, name: str) -> dict[str, str]:
    resource_type = visit.parts.registry.by_id(id)
    where = find_tab(resource_type) if resource_type is not None else "users"
    return {"name": name, "address": link("tenants", visit.tenant, where, id)}


def find_tab(resource_type: ResourceType) -> str:
    """Return what the pages of a type are called in addresses: users, groups, agents."""
    return resource_type.document.endpoint.strip("/").lower()


def list_others(registry: Registry) -> list[tuple[str, str]]:
    """Return the types that have pages beside users and groups: what they are called in addresses, and their titles."""
    types = [each for each in registry.resource_types if find_tab(each) not in WORDS.tabs]
    return [(find_tab(each), each.document.endpoint.strip("/")) for each in types]


def _type(visit: Visit) -> ResourceType:
    found = visit.parts.registry.by_endpoint(visit.path["people"])
    if found is None or find_tab(found) != visit.path["people"]:
        raise NotThere(visit.path["people"])
    return found


def _about(visit: Visit, tenant: str) -> dict[str, Any]:
    tab, resource_type = visit.path["people"], _type(visit)
    title = WORDS.tabs.get(tab) or resource_type.document.endpoint.strip("/")
    return {"tenant": tenant, "tab": tab, "tab_title": title, "groups": bool(resource_type.members)}


def _show_document(stored: Stored, resource_type: ResourceType) -> dict[str, Any]:
    times = {"created": stored.created, "lastModified": stored.modified}
    return {"id": stored.id, **stored.document, "meta": {"resourceType": resource_type.name, **times}}


def _describe(stored: Stored, resource_type: ResourceType) -> dict[str, Any]:
    document = stored.document
    return {
        "id": stored.id,
        "name": find_name_of(stored, resource_type),
        "external": document.get("externalId", ""),
        "active": document.get("active", True),
        "modified": stored.modified,
    }


def _describe_change(change: Change) -> dict[str, Any]:
    lines = [WORDS.people.changed.format(name, _short(before), _short(after)) for name, before, after in change.changed]
    lines += [WORDS.people.added.format(", ".join(change.added))] if change.added else []
    lines += [WORDS.people.removed.format(", ".join(change.removed))] if change.removed else []
    return {"type": change.type, "time": change.time, "connection": change.connection, "lines": lines}


def _short(value: Any) -> str:
    text = WORDS.people.nothing_of if value is None else str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
