"""The budget of a request: it ends, it gives way, it is paid for. And each dear request ends within it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Generator, Iterator

import pytest

from scim import budget
from scim.budget import Budget, TooDear, Work, at_once, charge, grant, in_turns, pause, run_apart
from scim.errors import TOO_MANY
from scim.limits import TenantLimits
from tests.budget.dear import DEAR, There, prepare
from tests.core import refused
from tests.store.memory import Door, MemoryTable
from tests.support import Client


def test_work_beyond_the_budget_is_refused_and_stays_refused() -> None:
    with grant(Budget(100)):
        charge(100, Work.FILTER)
        for _ in range(2):
            with refused(TOO_MANY, "too much work, and nothing of it was done: the filter compares"):
                charge(1, Work.FILTER)
    charge(10**9, Work.FILTER)  # where there is no budget nothing is counted


def test_a_step_that_is_too_long_is_refused_and_the_rest_goes_on() -> None:
    with grant(Budget(10 * budget.STEP)) as mine:
        with pytest.raises(TooDear) as error:
            charge(budget.STEP + 1, Work.OPERATIONS)
        assert not error.value.is_used_up
        charge(budget.STEP, Work.OPERATIONS)
        assert mine.spent == budget.STEP


def work(slices: int, done: list[str], name: str) -> Generator[None, None, int]:
    for _ in range(slices):
        charge(budget.SLICE, Work.FILTER)
        done.append(name)
        yield
    return slices


async def test_of_all_dear_requests_one_goes_on_in_each_turn_and_the_tenants_take_turns() -> None:
    done: list[str] = []

    async def request(tenant: str, name: str) -> None:
        with grant(Budget(budget.MOST, tenant)):
            assert await in_turns(work(20, done, name)) == 20

    async def others() -> None:
        for _ in range(40):
            await asyncio.sleep(0)
            done.append("-")

    await asyncio.gather(*(request("dear", f"d{n}") for n in range(5)), request("other", "o"), others())
    turns = "".join(one[0] for one in done[6:]).split("-")[1:40]
    assert max(map(len, turns)) == 1  # between two looks of the loop one slice is done
    first = [one for one in done[6:] if one != "-"][:30]
    assert first.count("o") >= 14  # five of one tenant take as many turns as one of another


async def test_a_request_that_was_given_up_keeps_nobody_waiting() -> None:
    done: list[str] = []

    async def request(name: str) -> None:
        with grant(Budget(budget.MOST, name)):
            await in_turns(work(10, done, name))

    tasks = [asyncio.create_task(request(name)) for name in "abc"]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    await tasks[2]
    assert done.count("c") == 10 and done.count("a") == 1


async def test_what_is_apart_runs_beside_the_loop_and_in_the_same_budget() -> None:
    def long() -> str:
        for _ in range(100):
            charge(budget.STEP // 50, Work.VALUES)
        return threading.current_thread().name

    with grant(Budget(budget.MOST)) as mine:
        assert (await run_apart(long)).startswith("budget")
        assert (mine.spent, mine.since, mine.longest) == (2 * budget.STEP, 0, 0)
        with pytest.raises(TooDear):
            await run_apart(charge, budget.APART + 1, Work.VALUES)
        charge(1, Work.VALUES)
    assert await run_apart(lambda: threading.current_thread().name) == threading.main_thread().name


async def test_work_is_paid_for_once_and_what_was_refused_is_not() -> None:
    paid: list[int] = []
    with pytest.raises(TooDear), grant(Budget(5_000, "t", paid.append)):
        charge(3_000, Work.FILTER)
        await pause()
        assert paid == [3_000]
        charge(1_000, Work.FILTER)
        charge(2_000, Work.FILTER)
    assert sum(paid) == 4_000


def test_dear_requests_take_from_the_rate_of_their_tenant() -> None:
    now = 0.0
    limits = TenantLimits(10, clock=lambda: now)
    limits.check("a")
    limits.pay("a", 60)  # of 20 at once, 19 were left
    with pytest.raises(Exception, match="requests that take as much work") as error:
        limits.check("a")
    assert error.value.headers["Retry-After"] == "5"  # type: ignore[attr-defined]
    limits.check("b")
    now = 4.2
    limits.check("a")


async def test_a_dear_request_rests_while_others_have_something_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        rests.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    slices = 2 * budget.DEAR // budget.SLICE
    with grant(Budget(budget.MOST, "dear")):
        await in_turns(work(slices, [], "d"))
        assert rests == []
        with grant(Budget(budget.MOST, "other")):
            await in_turns(work(budget.DEAR // budget.SLICE, [], "o"))
        assert rests == []
    with grant(Budget(budget.MOST, "other")), grant(Budget(budget.MOST, "dear")):
        await in_turns(work(slices, [], "d"))
    assert len(rests) == slices // 2 and min(rests) > 0


def test_without_pauses_a_generator_gives_the_same() -> None:
    assert at_once(work(3, [], "x")) == 3


# Each dear request, on a table in memory.


@pytest.fixture(scope="module")
async def small() -> tuple[Client, There]:
    client = Door(MemoryTable()).client
    return client, await prepare(client, 10)


@pytest.fixture
def budgets(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Budget]]:
    """The budgets of the requests from now on, a tenth of what they usually are."""
    made: list[Budget] = []

    class Watched(Budget):
        def __init__(self, most: int, *more: object) -> None:
            super().__init__(most // 10, *more)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(budget, "Budget", Watched)
    yield made


@pytest.mark.parametrize("name", DEAR)
async def test_a_dear_request_ends_within_its_budget(
    name: str, small: tuple[Client, There], budgets: list[Budget]
) -> None:
    """After a bounded number of units, in steps that are bounded; and a refusal says what to do."""
    client, there = small
    method, path, body = DEAR[name](there)
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    answer = await client.request(method, path, content=content)
    assert answer.status < 500, answer.body[:500]
    (mine,) = budgets
    assert mine.longest <= budget.STEP
    assert mine.spent <= mine.most
    if answer.status >= 400:
        assert len(answer.body) < 5_000 and answer.json["detail"]
