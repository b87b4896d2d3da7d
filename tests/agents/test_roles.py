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


async def test_a_remedy_for_a_role_does_not_hide_that_for_who_is_disabled(agents: Agents) -> None:
    ada = await agents.make_user("ada", roles=[{"value": "czar"}])
    assert "Offer it" in (await agents.why().ask("ada")).remedy
    await agents.enable(ada, active=False)
    answer = await agents.why().ask("ada")
    assert (answer.verdict, "czar (roles)" in answer.text) == ("disabled", True)
    assert answer.remedy.startswith("The identity provider switched it off") and "Offer it" in answer.remedy
