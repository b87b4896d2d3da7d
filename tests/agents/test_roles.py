"""Who else reads /Roles: the vendor's own application, and connections for some types alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agents.place import Agents
from tests.insight.place import KEYS, ORIGIN, TENANT


@pytest.fixture
def agents(tmp_path: Path) -> Agents:
    return Agents(tmp_path, "roles")


async def test_an_application_reads_what_the_policy_offers(agents: Agents) -> None:
    await agents.make_user("ada")
    await agents.set(offers={"Role": [{"id": "editor", "displayName": "Editor"}]})
    headers = {"Authorization": f"Bearer {KEYS['reader']}"}
    for method, path, body in (("GET", "/Roles", b""), ("POST", "/Roles/.search", b"{}")):
        answer = await agents.place.request(method, f"{ORIGIN}/tenants/{TENANT}/scim{path}", headers, body)
        assert (answer.status, b'"editor"' in answer.body, b'"admin"' in answer.body) == (200, True, False), path
