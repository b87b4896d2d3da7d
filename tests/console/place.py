"""A console on a table in memory, with a tenant that users were provisioned to, and pages as HTML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dev.credentials import SEALS
from scim.console.rendering import render
from scim.console.routes import find_route
from scim.console.visit import Answer, Deed, Download, Fragment, NotThere, Page, Parts, Person, Visit
from scim.counters import Minute
from scim.feed.sequencer import Sequencer
from scim.insight.counts import build_minute, write_minutes
from scim.operate.connections.secret_store import SettingsSecretStore
from scim.store.credentials import Credentials
from tests.core import REGISTRY
from tests.insight.place import CUSTOMERS, KEYS, ORIGIN, Place
from tests.store.memory import MemoryTable

OPERATOR = Person("home/1", "Olga Operator", "operator", fresh=True)
READER = Person("home/2", "Rita Reader", "reader", fresh=True)
ADMIN = Person("customer/3", "Ada Admin", "admin", "contoso", fresh=True)
STRANGER = Person("customer/4", "Frank Fabrikam", "admin", "fabrikam", fresh=True)
NOW = datetime.now(UTC)


class DeedsInMemory:
    """Stands for the audit."""

    def __init__(self, deeds: Sequence[Deed] = ()) -> None:
        self.deeds = list(deeds)

    async def read(self, tenant: str | None, before: str, most: int) -> Sequence[Deed]:
        found = [each for each in self.deeds if tenant in (None, each.tenant) and (not before or each.time < before)]
        return found[:most]


class Console:
    """Pages of one deployment, asked for as somebody."""

    def __init__(self, folder: Path, *, empty: bool = False) -> None:
        self.place = Place(MemoryTable())
        file = folder / "local.settings.json"
        values = {"SCIM_SEALS": SEALS, "SCIM_CONNECTIONS": "{}" if empty else json.dumps(_connections())}
        file.write_text(json.dumps({"Values": values}))
        self.deeds = DeedsInMemory()
        table = self.place.table
        self.parts = Parts(table, REGISTRY, SettingsSecretStore(file), Credentials(table), ORIGIN, self.deeds)

    async def provision(self) -> None:
        """Have some users and groups arrive, two be refused, and 30 days be counted."""
        client = self.place.client()
        names = ["adele.vance", "alex.wilber", "diego.siciliani", "grady.archie", "isaiah.langer"]
        ids = []
        for number, name in enumerate(names):
            given, _, family = name.title().partition(".")
            user = {"userName": f"{name}@contoso.example", "externalId": f"ext-{number}", "active": number != 3}
            user |= {"displayName": f"{given} {family}", "name": {"givenName": given, "familyName": family}}
            user |= {"emails": [{"value": f"{name}@contoso.example", "type": "work", "primary": True}]}
            ids.append((await client.post("/Users", user)).json["id"])
        members = [{"value": each} for each in ids[:3]]
        await client.post("/Groups", {"displayName": "Sales", "members": members})
        await client.patch(f"/Users/{ids[0]}", {"op": "replace", "path": "title", "value": "Head of Sales"})
        await client.post("/Users", {"userName": "alex.wilber@contoso.example"})
        await client.post("/Users", {"userName": "=cmd|' /C calc'!A0", "active": "perhaps"})
        await self.place.settle()
        table = self.place.table
        await Sequencer(table, self.parts.registry).run("contoso")
        await write_minutes(table, "contoso", [*_count()])
        now = NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.deeds.deeds = [
            Deed(now, OPERATOR.id, OPERATOR.name, "signed in", "", "", "192.0.2.7"),
            Deed(now, ADMIN.id, ADMIN.name, "showed a secret", "contoso", "contoso", "198.51.100.4"),
        ]

    async def ask(
        self, person: Person, url: str, form: Mapping[str, str] | None = None
    ) -> tuple[int, Answer | None, str]:
        """Return status, answer and text of an address below /console; 404 without an answer if it is none."""
        parts = urlsplit(url)
        path = parts.path.removeprefix("/console")
        found = find_route("GET" if form is None else "POST", path)
        if found is None:
            return 404, None, ""
        route, values = found
        visit = Visit(person, self.parts, values, dict(parse_qsl(parts.query)), form or {})
        try:
            answer = await route.handler(visit)
        except NotThere:
            return 404, None, ""
        if isinstance(answer, Page):
            return answer.status, answer, render(answer.template, answer.values, person, _static).decode()
        if isinstance(answer, Fragment):
            return 200, answer, render(answer.template, answer.values, person, _static).decode()
        if isinstance(answer, Download):
            return 200, answer, answer.content.decode("utf-8-sig")
        return 303, answer, answer.to

    async def read(self, url: str, person: Person = OPERATOR, form: Mapping[str, str] | None = None) -> str:
        """Return the text of a page that is there."""
        status, _, text = await self.ask(person, url, form)
        assert status in (200, 303), (url, status, text)
        return text


class Reading(HTMLParser):
    """What a page has of what the policy and people with screen readers care for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def list_all(self, *tags: str) -> list[dict[str, Any]]:
        return [attributes for tag, attributes in self.tags if tag in tags]


def _static(name: str) -> str:
    return f"/console/static/0/{name}"


def _connections() -> dict[str, Any]:
    made = {name: {"tenant": "contoso", "keys": [KEYS[name]], **members} for name, members in CUSTOMERS.items()}
    made["fabrikam"] = {"tenant": "fabrikam", "keys": [KEYS["fabrikam"]]}
    made["manager"] = {"operator": {"tenants": "*", "rights": ["manage"]}, "keys": [KEYS["manager"]]}
    return made


def _count() -> Any:
    """What was counted in 30 days: cycles in most hours, some with failures."""
    now = int(NOW.timestamp() // 60)
    for hour in range(1, 24 * 30, 5):
        failed = 4 if hour % 35 == 1 else 0
        writes = 10 + (hour * 7) % 23
        counts = {"requests": writes + 2, "writes": writes, "updates": writes - failed, "failedWrites": failed}
        yield build_minute(Minute("contoso", "contoso", now - hour * 60), counts, "test")


def find_ids(text: str, where: str) -> list[str]:
    """Return the ids that a page leads to."""
    return re.findall(rf'/console/tenants/contoso/{where}/([\w-]+)"', text)


YESTERDAY = NOW - timedelta(days=1)
