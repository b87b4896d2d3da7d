"""Kept answers of a source: how long they hold, what is asked anew, and what guesses cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from scim.security.cached import LASTING, SECONDS, Bucket, Cached
from scim.security.secrets import SecretsUnavailable


class Source:
    """A source of texts by name, with a clock of its own. It counts its reads, and fails or waits when told to."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.reads: list[str] = []
        self.now = 1000.0
        self.down = False
        self.gate: asyncio.Event | None = None
        self.held: asyncio.Event | None = None
        self.cached = Cached(self.read, clock=lambda: self.now)

    async def read(self, name: str) -> str | None:
        self.reads.append(name)
        value = self.values.get(name)
        if self.held is not None:
            self.values[name] = "new"  # the moment after it was read
            self.held.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise SecretsUnavailable("down")
        return value

    async def get(self, name: str, *accepted: str) -> str | None:
        """The answer for a caller that is content with any value, or with the accepted ones."""
        return await self.cached.get(name, lambda value: not accepted or value in accepted)

    async def unavailable(self, name: str, *accepted: str) -> bool:
        try:
            await self.get(name, *accepted)
        except SecretsUnavailable:
            return True
        return False


async def settled(source: Source) -> list[str]:
    """What was read, when what runs behind the callers has run."""
    for _ in range(5):
        await asyncio.sleep(0)
    return source.reads


@pytest.fixture
def source() -> Source:
    return Source()


async def test_one_read_a_minute_however_many_ask(source: Source) -> None:
    source.values["a"] = "1"
    for minute in range(1, 4):
        for _ in range(200):
            assert await source.get("a", "1") == "1"
            source.now += SECONDS / 200
        assert len(source.reads) == minute


async def test_what_changes_or_goes_is_seen_within_a_minute(source: Source) -> None:
    source.values["a"] = "1"
    assert await source.get("a") == "1"
    source.values["a"] = "2"
    source.now += SECONDS - 0.01
    assert await source.get("a") == "1"
    source.now += 0.01
    assert await source.get("a") == "2"
    del source.values["a"]
    source.now += SECONDS
    assert await source.get("a") is None


async def test_what_is_new_is_seen_at_once(source: Source) -> None:
    """A connection that was just made, though its name was asked for before."""
    assert await source.get("a") is None
    source.values["a"] = "1"
    assert await source.get("a") == "1"


async def test_second_value_is_seen_at_once_while_the_first_is_kept(source: Source) -> None:
    source.values["a"] = "old"
    assert await source.get("a", "old") == "old"
    source.values["a"] = "old and new"
    assert await source.get("a", "old") == "old"
    assert await source.get("a", "old and new") == "old and new"
    assert source.reads == ["a", "a"]


async def test_name_that_is_none_costs_few_reads(source: Source) -> None:
    for _ in range(1000):
        assert await source.get("a") is None
    assert len(source.reads) <= 6


async def test_wrong_guesses_at_a_kept_name_cost_few_reads(source: Source) -> None:
    source.values["a"] = "1"
    for number in range(1000):
        assert await source.get("a", f"guess {number}") == "1"
    assert len(source.reads) <= 6
    for _ in range(60):
        source.now += 1.0
        await source.get("a", "guess")
    assert len(source.reads) <= 6 + 60 * 0.2 + 1
    assert await source.get("a", "1") == "1"


async def test_names_that_are_none_push_nobody_out(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scim.security.cached.KEPT", 3)
    monkeypatch.setattr("scim.security.cached._KEPT_NONE", 3)
    source.values |= {name: name for name in "abc"}
    for name in "abc":
        await source.get(name)
    for number in range(1000):
        assert await source.get(f"none-{number}") is None
    source.reads.clear()
    assert [await source.get(name) for name in "abc"] == ["a", "b", "c"]
    assert source.reads == []
    assert len(source.cached._none) == 3
    source.values["none-999"] = "1"
    assert await source.get("none-999") == "1"
    assert await source.get("a") == "a"


async def test_names_that_are_none_take_nothing_from_others(source: Source) -> None:
    """No budget is shared: whoever comes with a name that was issued is looked up, however many were before."""
    for number in range(5000):
        assert await source.get(f"none-{number}") is None
    source.values["a"] = "1"
    assert await source.get("a", "1") == "1"


async def test_names_that_are_some_do_not_count_as_invented(source: Source) -> None:
    source.values |= {f"a-{number}": "1" for number in range(500)}
    for name in source.values:
        assert await source.get(name) == "1"


async def test_callers_at_the_same_time_share_one_read(source: Source) -> None:
    source.values["a"] = "1"
    source.gate = asyncio.Event()
    callers = [asyncio.create_task(source.get("a", "1")) for _ in range(50)]
    await asyncio.sleep(0)
    callers[0].cancel()  # one that goes away takes nothing from the others
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*callers[1:]) == ["1"] * 49
    assert source.reads == ["a"]
    assert callers[0].cancelled()


async def test_callers_of_different_names_do_not_wait_for_each_other(source: Source) -> None:
    source.values |= {"a": "1", "b": "2"}
    assert await source.get("b") == "2"
    source.gate = asyncio.Event()
    waiting = asyncio.create_task(source.get("a"))
    await asyncio.sleep(0)
    assert await source.get("b") == "2"
    assert not waiting.done()
    source.gate.set()
    assert await waiting == "1"


async def test_everybody_gone_while_the_source_fails(source: Source) -> None:
    """A failure that nobody waits for is no unhandled one, and the next caller asks anew."""
    source.gate, source.down = asyncio.Event(), True
    waiting = asyncio.create_task(source.get("a"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    source.gate.set()
    for _ in range(3):
        await asyncio.sleep(0)
    source.down, source.values["a"] = False, "1"
    assert await source.get("a") == "1"
    assert source.reads == ["a", "a"]


class TestDown:
    """The source does not answer."""

    async def test_what_was_never_asked_is_not_known(self, source: Source) -> None:
        source.down = True
        assert await source.unavailable("a")
        source.down, source.values["a"] = False, "1"
        assert await source.get("a") == "1"

    async def test_what_is_kept_goes_on(self, source: Source) -> None:
        source.values["a"] = "1"
        await source.get("a")
        source.down = True
        for _ in range(4 * 60 - 1):
            source.now += SECONDS
            assert await source.get("a", "1") == "1"

    @pytest.mark.parametrize("lasting", [60.0, 600.0, LASTING])
    @pytest.mark.parametrize("step", [1.0, 61.0, 1e9])
    async def test_what_is_kept_ends_while_it_cannot_be_asked_for(
        self, source: Source, lasting: float, step: float
    ) -> None:
        """What was withdrawn since must end, too, whether requests come all the time or once in a while."""
        source.cached = Cached(source.read, lasting=lasting, clock=lambda: source.now)
        source.values["a"] = "1"
        began = source.now
        assert await source.get("a", "1") == "1"
        source.down = True
        while source.now - began + step < lasting:
            source.now += step
            assert await source.get("a", "1") == "1"
        source.now = max(source.now + step, began + lasting)
        assert await source.unavailable("a", "1")
        source.down = False
        source.now += 10.0
        assert await source.get("a", "1") == "1"

    async def test_nobody_waits_for_a_source_that_was_down_a_moment_ago(self, source: Source) -> None:
        source.values["a"] = "1"
        await source.get("a")
        source.down, source.now = True, source.now + SECONDS
        assert await source.get("a", "1") == "1"
        source.gate, source.now = asyncio.Event(), source.now + 10.0
        assert await asyncio.wait_for(source.get("a", "1"), 1) == "1"
        assert source.reads == ["a"] * 3 or await settled(source) == ["a"] * 3
        source.gate.set()

    async def test_an_outage_that_is_long_over_is_none(self, source: Source) -> None:
        """A client that comes once in 40 minutes: what was withdrawn after a short outage has ended."""
        source.values["a"] = "1"
        await source.get("a")
        source.down, source.now = True, source.now + SECONDS
        assert await source.get("a", "1") == "1"
        source.down, source.now = False, source.now + 2400.0
        del source.values["a"]
        assert await source.get("a", "1") is None

    async def test_a_kept_answer_is_tried_anew_every_ten_seconds(self, source: Source) -> None:
        source.values["a"] = "1"
        await source.get("a")
        source.down = True
        source.now += SECONDS
        for _ in range(100):
            await source.get("a", "1")
            await settled(source)
            source.now += 1.0
        assert len(source.reads) == 1 + 10
        source.down, source.values["a"] = False, "2"
        source.now += 10.0
        await source.get("a")
        await settled(source)
        assert await source.get("a") == "2"
        assert not await source.unavailable("a", "1")

    async def test_who_is_not_in_a_kept_answer_is_not_known(self, source: Source) -> None:
        """It may be a key that was made since: the caller must not hear that it is wrong."""
        source.values["a"] = "1"
        await source.get("a")
        source.down = True
        assert await source.unavailable("a", "new")
        assert await source.unavailable("a", "new")
        assert await source.get("a", "1") == "1"
        source.down, source.values["a"] = False, "new"
        source.now += 10.0
        assert await source.get("a", "new") == "new"

    async def test_that_there_was_none_is_not_known_any_more(self, source: Source) -> None:
        assert await source.get("a") is None
        source.down = True
        source.now += SECONDS
        assert await source.unavailable("a")
        source.down = False
        assert await source.get("a") is None


async def test_what_is_kept_is_bounded(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scim.security.cached.KEPT", 3)
    source.values |= {name: name for name in "abcd"}
    for name in "abca":
        await source.get(name)
    assert source.reads == ["a", "b", "c"]
    await source.get("d")  # b is the one that nobody asked for of late
    await source.get("a")
    assert source.reads == ["a", "b", "c", "d"]
    await source.get("b")
    assert source.reads == ["a", "b", "c", "d", "b"]


def test_bucket() -> None:
    bucket = Bucket(3, 0.5)

    def taken(at: float) -> int:
        return sum(bucket.take(at) for _ in range(10))

    levels: list[Callable[[], int]] = [lambda at=at: taken(at) for at in (0, 0, 1, 2, 8, 1e6)]  # type: ignore[misc]
    assert [level() for level in levels] == [3, 0, 0, 1, 3, 3]
    bucket.give_back()
    assert taken(1e6) == 1
    for _ in range(10):
        bucket.give_back()
    assert taken(1e6) == 3


async def test_many_callers_with_what_is_new_share_one_question(source: Source) -> None:
    """A rotation under load: all of a client's requests change to the new key in the same moment."""
    source.values["a"] = "old"
    assert await source.get("a", "old") == "old"
    source.values["a"] = "new"
    assert await asyncio.gather(*(source.get("a", "new") for _ in range(50))) == ["new"] * 50
    assert len(source.reads) == 2


async def test_question_that_began_too_early_is_asked_again(source: Source) -> None:
    source.values["a"] = "old"
    assert await source.get("a", "old") == "old"
    source.now += SECONDS
    source.gate = asyncio.Event()
    began = source.held = asyncio.Event()
    early = asyncio.create_task(source.get("a", "old"))
    await began.wait()
    late = [asyncio.create_task(source.get("a", "new")) for _ in range(20)]
    await asyncio.sleep(0)
    source.gate.set()
    assert await early == "old"
    assert await asyncio.gather(*late) == ["new"] * 20
