"""An app with optional schemas on a table in memory: requests, the sequencer, and what comes of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema

import scim.feed
from scim.console.pages.people import list_others
from scim.console.rendering import render
from scim.console.visit import Page, Parts, Visit
from scim.feed.log import Log
from scim.feed.sequencer import Sequencer
from scim.insight.why import Why
from scim.operate.connections.secret_store import SettingsSecretStore
from scim.schema.loading import load
from scim.service.steering import set_policy
from scim.store.credentials import Credentials
from tests.console.place import OPERATOR, DeedsInMemory
from tests.insight.place import ORIGIN, TENANT, Place
from tests.store.memory import MemoryTable
from tests.support import USER

OPTIONAL = Path(__file__).parents[2] / "optional-schemas"
AGENT = "urn:ietf:params:scim:schemas:core:2.0:Agent"
CHECK = jsonschema.Draft202012Validator(
    json.loads((Path(scim.feed.__path__[0]) / "event.schema.json").read_text(encoding="utf-8"))
)
Event = dict[str, Any]


class Agents:
    """A tenant of people and what else is loaded: `names` are folders of optional-schemas."""

    def __init__(self, folder: Path, *names: str) -> None:
        for name in names:
            for file in (OPTIONAL / name).glob("*.json"):
                shutil.copy(file, folder)
        self.registry = load(folder)
        self.table = MemoryTable()
        self.place = Place(self.table, SCIM_SCHEMAS_FOLDER=str(folder))
        self.client = self.place.client()
        self.seen = 0

    async def make_user(self, name: str, **more: Any) -> str:
        return await self._make("/Users", {"schemas": [USER], "userName": name, **more})

    async def make_agent(self, name: str, *owners: str, **more: Any) -> str:
        owned = [{"value": owner} for owner in owners]
        return await self._make("/Agents", {"schemas": [AGENT], "agentUserName": name, "owners": owned, **more})

    async def make_group(self, name: str, *members: str) -> str:
        return await self._make("/Groups", {"displayName": name, "members": [{"value": each} for each in members]})

    async def _make(self, path: str, body: dict[str, Any]) -> str:
        answer = await self.client.post(path, body)
        assert answer.status == 201, answer.body
        return str(answer.json["id"])

    async def enable(self, id: str, *, active: bool = True, path: str = "/Users") -> None:
        answer = await self.client.patch(f"{path}/{id}", {"op": "replace", "path": "active", "value": active})
        assert answer.status == 200, answer.body

    async def set(self, **policy: Any) -> None:
        await set_policy(self.table, self.registry, TENANT, policy, "tests")
        self.place.application._built().policies._read = None

    async def sequence(self) -> None:
        while await Sequencer(self.table, self.registry).run(TENANT, expected=True):
            pass

    async def events(self) -> list[Event]:
        """The events since the last call, each of which the JSON Schema allows."""
        await self.sequence()
        every = (await Log(self.table).read(TENANT)).events
        found = [each for each in every if each["seq"] > self.seen]
        self.seen = every[-1]["seq"] if every else 0
        for each in found:
            CHECK.validate(each)
        return found

    async def told(self) -> list[str]:
        return [each["type"] for each in await self.events()]

    async def settle(self) -> None:
        await self.place.settle()

    def why(self) -> Why:
        async def nobody(_: Any) -> list[Any]:
            return []

        return Why(self.table, self.registry, TENANT, nobody)


async def show(agents: Agents, page: object, **path: str) -> str:
    file = Path(agents.place.application._built().settings.schemas_folder).parent / "none.json"
    credentials, kept = Credentials(agents.table), SettingsSecretStore(file)
    parts = Parts(agents.table, agents.registry, kept, credentials, ORIGIN, DeedsInMemory())
    query = {name: path.pop(name) for name in ("name", "result") if name in path}
    answer = await page(Visit(OPERATOR, parts, {"tenant": TENANT, **path}, query))  # type: ignore[operator]
    assert isinstance(answer, Page)
    values = {"others": list_others(agents.registry), **answer.values}
    return render(answer.template, values, OPERATOR, str).decode()
