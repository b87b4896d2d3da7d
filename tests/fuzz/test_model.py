"""The service against a model of SCIM, under clients that do anything in any order.

FUZZ_EXAMPLES is how many clients there are, each of some forty steps; without it so many as take seconds. FUZZ_SHRINK=1
has a failure made as short as it can be, which takes minutes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from scim.app import Application
from scim.filter.tree import Or
from scim.settings import Settings
from scim.store.plan import NOTHING, plan
from tests.fuzz.machine import Machine, NewClient
from tests.fuzz.shim import Direct, connected
from tests.store.memory import MemoryTable
from tests.support import Client

pytestmark = pytest.mark.long

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
SHRINK = "FUZZ_SHRINK" in os.environ
TENANT = "modelled"


def try_out(new_client: NewClient, examples: int, steps: int) -> None:
    """Run clients against the service, the same ones every time unless FUZZ_EXAMPLES asks for others."""
    machine = type("Client", (Machine,), {"new_client": staticmethod(new_client)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize="FUZZ_EXAMPLES" not in os.environ,
            database=None,
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def in_memory() -> Iterator[NewClient]:
    """Clients of one tenant in memory, which is emptied for each."""
    settings, token = connected(TENANT, SCIM_SCHEMAS_FOLDER="none")
    table = MemoryTable()
    direct = Direct(Application(settings, table=table))

    def new_client() -> tuple[Direct, Client]:
        table.clear(TENANT)
        return direct, Client(direct, TENANT, token)  # type: ignore[arg-type]

    yield new_client
    direct.close()


@pytest.fixture
def on_azurite(settings: Settings, unused: Iterator[tuple[str, str]]) -> Iterator[NewClient]:
    """Clients each of a tenant of their own, on a real table."""
    direct = Direct(Application(settings))
    yield lambda: (direct, Client(direct, *next(unused)))  # type: ignore[arg-type]
    direct.close()


def test_the_service_is_what_the_model_says(in_memory: NewClient) -> None:
    try_out(in_memory, EXAMPLES, 40)


def test_so_it_is_on_a_real_table(on_azurite: NewClient) -> None:
    try_out(on_azurite, 3, 12)


MISTAKES: dict[str, tuple[str, object]] = {
    "a plan that misses": (
        "scim.service.search.plan",
        lambda tree, t: NOTHING if isinstance(tree, Or) else plan(tree, t),
    ),
    "If-Match is not heard": ("scim.service.resources._require_match", lambda context, stored: None),
    "a version that stays": ("scim.service.representation.add_to_version", lambda version, groups: 'W/"1"'),
    "a page that begins late": ("scim.service.query.max", lambda *numbers: max(*numbers) + (numbers[1] == 1)),
}


@pytest.mark.parametrize(("name", "mistake"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found(in_memory: NewClient, monkeypatch: pytest.MonkeyPatch, name: str, mistake: object) -> None:
    monkeypatch.setattr(name, mistake, raising=False)
    with pytest.raises(AssertionError):
        try_out(in_memory, EXAMPLES, 40)
