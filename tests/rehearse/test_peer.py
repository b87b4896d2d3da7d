"""Somebody else's server, played against as ours is: what it really gets wrong is what the report must name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from dev.azurite import free_port
from dev.rehearse.auth import SecretToken
from dev.rehearse.client import Client
from dev.rehearse.rehearsal import rehearse
from dev.rehearse.stage import Options

pytestmark = pytest.mark.long


@pytest.fixture
def peer() -> Iterator[str]:
    """scim2-server with an empty store, in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "scim2_server.testserver.cli", "--port", str(port), "--bearer-token", "secret"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    try:
        deadline = time.monotonic() + 30
        while True:
            assert process.poll() is None and time.monotonic() < deadline
            try:
                httpx.get(f"http://127.0.0.1:{port}/Users", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


async def test_what_scim2_server_gets_wrong_is_named(peer: str) -> None:
    client = Client(peer, SecretToken("secret"), rate=0, parallel=2)
    try:
        report = await rehearse(client, Options(users=12, groups=2, cycles=1), [])
    finally:
        await client.close()
    titles = [title for finding in report.findings() for title in (finding.problem.title, *finding.others)]
    for expected in (
        "Set a manager: answered 400",  # as a plain string
        "Ask whether manager has a value: answered 400",
        "Add attributes: answered 400, expected 200 or 204 (no value of 'emails' matches the path filter)",
        "Create a user: answered 400, expected 201 or 200 (Extra inputs are not permitted",  # displayName of a role
        "Create a group: answered 400, expected 201 or 200 (Unknown extension schemas",
        "Create a group whose displayName is taken: answered 201, expected 409",
        "PATCH without operations: answered 400",
        "Replace a manager with nothing: answered 400",
    ):
        assert any(title.startswith(expected) for title in titles), (expected, titles)
    passed = {scenario.name for scenario in report.scenarios if scenario.status == "passed"}
    assert {"test-connection", "account-discovery", "restart", "clean-up"} <= passed
    assert report.verdict and report.verdict.escrow and not report.verdict.quarantine
    assert report.left == []
