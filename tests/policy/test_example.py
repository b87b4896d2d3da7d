"""docs/policies.md: its policy and requests end with what it shows, in the database of examples/consumer.py."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scim.service.steering import list_standings
from tests.core import REGISTRY
from tests.feed.test_examples import load
from tests.policy.tenant import Tenant

DOCS = Path(__file__).parents[2] / "docs" / "policies.md"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def blocks() -> list[Any]:
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", DOCS.read_text(), re.DOTALL)]


class Pages:
    """The feed, as the consumer asks for it. Without answers nothing is asked."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def get(self, path: str, **query: object) -> Any:
        return self._answers[path.rpartition("/")[2]]

    def types(self, tenant: str) -> list[tuple[str, str]]:
        return [("User", "Users"), ("Group", "Groups")]

    def resources(self, tenant: str, what: str) -> Any:
        return self._answers[what]


async def steps(tenant: Tenant, requests: list[dict[str, Any]]) -> None:
    ids: dict[str, str] = {}
    for request in requests:
        if name := request.get("create"):
            more: dict[str, Any] = {}
            if "department" in request:
                more[ENTERPRISE] = {"department": request["department"]}
            if "role" in request:
                more["roles"] = [{"value": request["role"]}]
            ids[name] = await tenant.create(name, **more)
        elif name := request.get("group"):
            ids[name] = await tenant.create_group(name, *(ids[member] for member in request["members"]))
        elif name := request.get("rename"):
            rename = {"op": "Replace", "path": "displayName", "value": request["to"]}
            await tenant.patch(f"/Groups/{ids[name]}", rename)
        else:
            await tenant.patch(
                f"/Users/{ids[request['disable']]}", {"op": "Replace", "path": "active", "value": "False"}
            )


def pages(events: list[Any], size: int) -> Iterator[list[Any]]:
    for at in range(0, len(events), size):
        yield events[at : at + size]


async def test_the_worked_example_ends_as_it_says(tmp_path: Path) -> None:
    policy, requests, outcome = blocks()
    for run, split in enumerate((1000, 1)):
        tenant = Tenant()
        await tenant.set(**policy)
        await steps(tenant, requests)
        copy = load("consumer").Copy(str(tmp_path / f"copy{run}.sqlite"))
        for some in pages(await tenant.events(), split):
            copy.apply(Pages(), tenant.name, {"events": some, "next": str(some[-1]["seq"])})
        assert copy.entitle(tenant.name) == outcome
        copy.database.close()


async def test_an_application_that_begins_anew_ends_with_the_same(tmp_path: Path) -> None:
    policy, requests, outcome = blocks()
    tenant = Tenant()
    await tenant.set(**policy)
    await steps(tenant, requests)
    await tenant.sequence()
    resources = {name: (await tenant.client.get(f"/{name}")).json["Resources"] for name in ("Users", "Groups")}
    standings = await list_standings(tenant.table, REGISTRY, tenant.name)
    assert standings["next"] is None
    copy = load("consumer").Copy(str(tmp_path / "anew.sqlite"))
    copy.begin_anew(Pages(tenant={"next": "now"}, seats=standings, **resources), tenant.name)
    assert copy.entitle(tenant.name) == outcome
    copy.database.close()
    rest = await list_standings(tenant.table, REGISTRY, tenant.name, standings["users"][0]["user"])
    assert len(rest["users"]) == len(standings["users"]) - 1 and "grants" not in rest
