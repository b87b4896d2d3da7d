"""The optional types under python-scim's tester, over HTTP, as a deployer copies their files."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server
from scim2_tester.utils import CheckResult

import function_app
from scim.app import Application
from scim.settings import Settings
from tests.agents.place import OPTIONAL
from tests.support import Client

TYPES = {"agents": ["Agent"], "agents-abbey": ["AgenticApplication"], "devices": ["Device"]}


@pytest.mark.parametrize("name", sorted(TYPES))
async def test_tester_finds_nothing_wrong(
    name: str, settings: Settings, base_url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = Application(settings.model_copy(update={"schemas_folder": str(OPTIONAL / name)}))
    monkeypatch.setattr(function_app, "application", application)

    def check() -> list[CheckResult]:
        headers = {"Authorization": f"Bearer {client.token}"}
        with httpx2.Client(base_url=base_url, headers=headers, timeout=30) as http:
            return check_server(SyncSCIMClient(http), resource_types=TYPES[name])

    results = await asyncio.to_thread(check)
    await application.close()
    assert [f"{r.title}: {r.reason}" for r in results if r.status is not Status.SUCCESS] == []
    titles = Counter(result.title for result in results)
    assert titles["object_creation"] == titles["object_deletion"] == len(TYPES[name])
    assert titles["check_replace_attribute"] >= 2 * len(TYPES[name])
