"""Many users disabled or deleted within an hour are an event."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest

from scim.mass_changes import MassChanges
from scim.trace import Deed, Trace
from tests.core import cases
from tests.store.memory import Door, MemoryTable
from tests.test_accounts import change
from tests.test_request_log import lines


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.mark.parametrize("in_bulk", [False, True], ids=["one by one", "in bulk"])
async def test_many_that_are_disabled_or_deleted(caplog: pytest.LogCaptureFixture, in_bulk: bool) -> None:
    client = Door(MemoryTable(), SCIM_MASS_CHANGES="4").client
    users = [f"/Users/{(await client.new_user(f'user-{n}', active=True))['id']}" for n in range(6)]
    off = {"Operations": [change("replace", "active", False)]}
    asked: list[tuple[str, str, object]] = [("PATCH", user, off) for user in users[:3]]
    asked += [
        ("PATCH", users[0], off),
        ("DELETE", users[5], None),
        ("DELETE", users[5], None),
        ("DELETE", users[4], None),
    ]
    if in_bulk:
        operations = [{"method": method, "path": path, "data": body} for method, path, body in asked]
        await client.post("/Bulk", {"Operations": operations})
    else:
        for method, path, body in asked:
            await client.request(method, path, body)
    (told,) = lines(caplog, "mass_change")
    assert told["disabled"] + told["deleted"] == (5 if in_bulk else 4) and told["limit"] == 4
    assert (told["tenant"], told["connection"]) == (client.tenant, client.tenant)
    assert told["credential"] == lines(caplog)[-1]["credential"]


CASES: dict[str, tuple[list[tuple[float, int, int, int]], int]] = {
    "too few": ([(0, 9, 0, 200)], 0),
    "enough at once": ([(0, 4, 6, 200)], 1),
    "within an hour": ([(0, 5, 0, 200), (3000, 0, 5, 204)], 1),
    "over two hours": ([(0, 5, 0, 200), (3700, 0, 5, 204)], 0),
    "refused": ([(0, 50, 0, 409)], 0),
    "may have happened": ([(0, 50, 0, 503)], 1),
    "told once an hour": ([(0, 49, 0, 200), (10, 50, 0, 200)], 1),
    "ten times as many": ([(0, 10, 0, 200), (10, 0, 89, 200), (20, 0, 1, 200), (30, 0, 800, 200)], 2),
    "a hundred times as many": ([(0, 10, 0, 200), (20, 0, 90, 200), (30, 0, 900, 200)], 3),
    "many at once": ([(0, 0, 1000, 200), (10, 50, 0, 200), (3590, 10, 0, 200)], 1),
    "told again": ([(0, 50, 0, 200), (4000, 50, 0, 200)], 2),
}


@pytest.mark.parametrize(("changes", "times"), cases(CASES))
def test_an_hour(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    changes: list[tuple[float, int, int, int]],
    times: int,
) -> None:
    counted = MassChanges(10)
    for at, disabled, deleted, status in changes:
        monkeypatch.setattr("scim.mass_changes.time", SimpleNamespace(monotonic=lambda at=at: 50_000.0 + at))
        counted.count(Trace("r", tenant="a", deed=Deed(disabled=disabled, deleted=deleted)), status)
        counted.count(Trace("r", tenant="b", deed=Deed(disabled=disabled // 20)), status)
    assert [line["tenant"] for line in lines(caplog, "mass_change")] == ["a"] * times


def test_tenants_that_are_counted_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    counted = MassChanges(1)
    for number in range(3000):
        counted.count(Trace("r", tenant=f"t-{number}", deed=Deed(deleted=1)), 204)
    assert (len(counted._done), len(counted._told)) == (1000, 1000)
    assert len([text for text in caplog.messages if json.loads(text)["event"] == "mass_change"]) == 3000
