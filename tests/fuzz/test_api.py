"""schemathesis against the service: every operation of its own OpenAPI document, with data that fits and data that does
not, and walks along the links from what was made. No 5xx, and no answer that the document does not have.

What a client may leave undone is not tried: the service reads more than it documents, so a body that does not fit the
document need not be refused.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
import requests
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.openapi import from_dict

from scim.app import Application
from scim.http import Response
from scim.service import resources
from scim.service.context import Context
from tests.fuzz.shim import connected, served
from tests.store.memory import MemoryTable

pytestmark = pytest.mark.long

TENANT = "tried"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
"""What the Functions host passes on; it answers TRACE itself."""


class Tried:
    """What came of a run: failures, statuses of the answers, phases that came to their end, and the operations that
    were tried, beside those that are documented."""

    def __init__(self, document: dict[str, Any]) -> None:
        paths = document["paths"].items()
        self.documented = {f"{name.upper()} {path}" for path, item in paths for name in item if name != "parameters"}
        self.failures: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.operations: set[str] = set()
        self.phases: set[str] = set()

    def take(self, event: events.EngineEvent) -> None:
        if isinstance(event, events.NonFatalError | events.FatalError):
            self.failures.append(str(event))
        elif isinstance(event, events.PhaseFinished) and event.status in (Status.SUCCESS, Status.FAILURE):
            self.phases.add(event.phase.name.value.lower())
        elif isinstance(event, events.ScenarioFinished):
            self.operations.add(event.recorder.label)
            for interaction in event.recorder.interactions.values():
                if interaction.response is not None:
                    self.statuses[interaction.response.status_code] += 1
            for check in (check for checks in event.recorder.checks.values() for check in checks):
                if (info := check.failure_info) is not None:
                    self.failures.append(f"{check.name}: {info.failure}\n{info.code_sample}")


def run(origin: str, token: str, examples: int, *, phases: tuple[str, ...], only: str | None = None) -> Tried:
    """Try the operations of the document that is served there, or those of one path."""
    headers = {"Authorization": f"Bearer {token}"}
    document = requests.get(f"{origin}/scim/openapi.json", headers=headers, timeout=30).json()
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        if isinstance(operation, dict) and "requestBody" in operation:  # both names of JSON would be the same twice
            del operation["requestBody"]["content"]["application/json"]
    if only is not None:
        document["paths"] = {only: document["paths"][only]}
    config: dict[str, Any] = {
        "base-url": f"{origin}/scim",
        "headers": headers,
        "seed": 1,
        "generation": {
            "deterministic": "FUZZ_EXAMPLES" not in os.environ,
            "max-examples": examples,
            "with-security-parameters": False,
            "database": "none",
        },
        "phases": {name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")},
        "checks": {"negative_data_rejection": {"enabled": False}, "positive_data_acceptance": {"enabled": False}},
    }
    config["phases"]["coverage"]["unexpected-methods"] = METHODS
    tried = Tried(document)
    for event in from_schema(from_dict(document, config=SchemathesisConfig.from_dict(config))).execute():
        tried.take(event)
    return tried


def test_every_operation_answers_as_the_document_says() -> None:
    settings, token = connected(TENANT, SCIM_SCHEMAS_FOLDER="none")
    phases = ("examples", "coverage", "fuzzing", "stateful")
    with served(Application(settings, table=MemoryTable())) as origin:
        tried = run(origin, token, EXAMPLES, phases=phases)
    assert tried.failures == []
    assert tried.phases >= set(phases)
    assert {200, 201, 204, 400, 404, 405, 409, 412, 415} <= set(tried.statuses)
    assert tried.documented <= tried.operations


@pytest.mark.parametrize("path", ["/Users", "/Devices", "/Devices/{id}"])
def test_so_do_those_of_added_schemas(path: str) -> None:
    settings, token = connected(TENANT)
    with served(Application(settings, table=MemoryTable())) as origin:
        tried = run(origin, token, 4 * EXAMPLES, phases=("fuzzing",), only=path)
    assert tried.failures == []
    assert tried.phases >= {"fuzzing"}


async def _fails(context: Context, id: str) -> Response:
    raise RuntimeError("broken on purpose")


async def _undocumented(context: Context, id: str) -> Response:
    return Response(200, {"schemas": [], "id": id, "userName": 5})


@pytest.mark.parametrize(("broken", "told"), [(_fails, "server_error"), (_undocumented, "response_schema_conformance")])
def test_a_broken_route_is_found(monkeypatch: pytest.MonkeyPatch, broken: Any, told: str) -> None:
    monkeypatch.setattr(resources, "read", broken)
    settings, token = connected(TENANT)
    with served(Application(settings, table=MemoryTable())) as origin:
        tried = run(origin, token, 2, phases=("fuzzing",), only="/Users/{id}")
    assert any(told in failure for failure in tried.failures)
