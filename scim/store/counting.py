"""How many resources there are, and which of them is the n-th: by keys alone, of which none is kept.

Table Storage does not count: it gives 1,000 keys a trip. Ids are random, so equal parts of their space hold about as
many each, and parts are read at once. What was counted is remembered for a minute in this process, unless it is little.
"""

from __future__ import annotations

import asyncio
import bisect
from itertools import pairwise
from time import monotonic
from typing import NamedTuple
from weakref import WeakValueDictionary

from scim import deadline
from scim.limits import forget_oldest
from scim.schema.registry import ResourceType
from scim.store import keys
from scim.store.table import PAGE_ROWS, PARALLEL_READS, Partition

_SECONDS = 60.0
"""How long a count is remembered."""
_MOST = 256
"""Counts that are remembered at once; the oldest goes first."""
_PAGES = 4
"""Pages that a part should have at least: the last page of each is a trip for few keys."""

_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
"""What ids are written in after their prefix (base32), in the order of keys."""
_DIGITS = 6
_SPACE = len(_ALPHABET) ** _DIGITS


class Part(NamedTuple):
    """A part of the ids of a type, with how many resources are in it."""

    start: str | None
    """The first id; None is the first of the type."""
    end: str | None
    """The id behind the last; None is the end of the type."""
    number: int
    """How many resources are in it."""


class Count(NamedTuple):
    """How many resources there are in all, and in which parts of the ids."""

    total: int
    parts: tuple[Part, ...]

    def find_part(self, skip: int) -> tuple[Part, int]:
        """Return the part that holds the resource behind `skip` others, and behind how many of its own it is."""
        for part in self.parts:
            if skip < part.number:
                return part, skip
            skip -= part.number
        raise IndexError(skip)


class CountMemory:
    """What a process remembers of counts, by tenant and resource type: of up to 256, and who counts just now."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], tuple[float, Count]] = {}
        self.locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()


class Counts:
    """Counts of a tenant. Every method raises TableUnavailable if the table does not answer."""

    def __init__(self, partition: Partition, memory: CountMemory) -> None:
        self._partition = partition
        self._memory = memory

    async def count(self, resource_type: ResourceType) -> Count:
        """Return how many resources of the type there are: exact up to 1,000, and at most a minute old beyond. A trip
        for 1,000 of them; up to 16 at once."""
        return (await self._count_with_ids(resource_type))[0]

    async def find(self, resource_type: ResourceType, skip: int) -> tuple[int, str | None]:
        """Return how many resources there are, and the id of the one behind `skip` others; None if there are no
        more."""
        count, ids = await self._count_with_ids(resource_type)
        if skip < len(ids):
            return count.total, ids[skip]
        return count.total, await self._find(resource_type, count, skip) if skip < count.total else None

    async def _count_with_ids(self, resource_type: ResourceType) -> tuple[Count, list[str]]:
        """Return the count, and the first ids if they had to be read for it."""
        if count := self.find_known(resource_type):
            return count, []
        ids, ends = await self._read_first(resource_type, None, None)
        if ends:
            return Count(len(ids), (Part(None, None, len(ids)),)), ids
        lock = self._memory.locks.setdefault(self._key(resource_type), asyncio.Lock())
        async with lock:  # others who ask meanwhile need not count too
            count = self.find_known(resource_type)
            if count is None:
                count = await self._count_rest(resource_type, ids, None, None)
                self._remember(resource_type, count)
        return count, ids

    async def _find(self, resource_type: ResourceType, count: Count, skip: int) -> str | None:
        """Return what was counted leads to a part of the ids, which is counted in smaller parts until keys can be
        looked through. Some may have gone since: then what comes behind the part."""
        part, skip = count.find_part(skip)
        while part.number > _PAGES * PAGE_ROWS and part.number < count.total / 2:  # else parts do not part these ids
            count = await self._count_within(resource_type, part)
            if skip >= count.total:
                return part.end
            part, skip = count.find_part(skip)
        key_range = keys.resource_range(resource_type, part.start, part.end)
        async for page in self._partition.pages(*key_range, keys_only=True):
            deadline.check()
            if skip < len(page):
                return keys.parse_id(page[skip].key)
            skip -= len(page)
        return part.end

    async def _count_within(self, resource_type: ResourceType, part: Part) -> Count:
        """Return the resources of a part, in parts of its own."""
        ids, ends = await self._read_first(resource_type, part.start, part.end)
        if ends:
            return Count(len(ids), (Part(part.start, part.end, len(ids)),))
        return await self._count_rest(resource_type, ids, part.start, part.end)

    async def _read_first(
        self, resource_type: ResourceType, start: str | None, end: str | None
    ) -> tuple[list[str], bool]:
        """Return the first 1,000 ids of a range, and whether these are all."""
        ids: list[str] = []
        key_range = keys.resource_range(resource_type, start, end)
        async for page in self._partition.pages(*key_range, keys_only=True):
            ids += [keys.parse_id(row.key) for row in page]
            if len(ids) >= PAGE_ROWS:
                return ids, False
        return ids, True

    async def _count_rest(
        self, resource_type: ResourceType, ids: list[str], start: str | None, end: str | None
    ) -> Count:
        """Return all resources of a range whose first ids have been read, in as many parts as the rest is worth."""
        prefix = f"{resource_type.id_prefix}-"
        first = Part(start, keys.id_after(ids[-1]), len(ids))
        began, here = _compute_place(ids[0], prefix), _compute_place(ids[-1], prefix)
        stop = _compute_place(end, prefix) if end else _SPACE
        expected = first.number * (stop - here) // max(here - began, 1)
        number = max(1, min(PARALLEL_READS, expected // (_PAGES * PAGE_ROWS)))
        places = [here + (stop - here) * n // number for n in range(1, number)]
        bounds = [
            first.end,
            *(_make_id_at(place, prefix) for place in dict.fromkeys(places) if here < place < stop),
            end,
        ]
        ranges = list(pairwise(bounds))
        numbers = await asyncio.gather(*(self._count_range(resource_type, *ends) for ends in ranges))
        parts = (first, *(Part(*ends, number) for ends, number in zip(ranges, numbers, strict=True)))
        return Count(sum(part.number for part in parts), parts)

    async def _count_range(self, resource_type: ResourceType, start: str | None, end: str | None) -> int:
        number = 0
        key_range = keys.resource_range(resource_type, start, end)
        async for page in self._partition.pages(*key_range, keys_only=True):
            deadline.check()
            number += len(page)
        return number

    def _key(self, resource_type: ResourceType) -> tuple[str, str]:
        return self._partition.name, resource_type.id_prefix

    def find_known(self, resource_type: ResourceType) -> Count | None:
        """Return the count that is remembered, which is one above 1,000."""
        at, count = self._memory.counts.get(self._key(resource_type), (0.0, None))
        return count if count and monotonic() - at < _SECONDS else None

    def _remember(self, resource_type: ResourceType, count: Count) -> None:
        if count.total <= PAGE_ROWS:
            return
        key = self._key(resource_type)
        self._memory.counts.pop(key, None)
        self._memory.counts[key] = (monotonic(), count)
        forget_oldest(self._memory.counts, _MOST)


def _compute_place(id: str, prefix: str) -> int:
    """Return about where an id stands among all that there can be; one of another form stands beside those of ours."""
    place = 0
    text = id.removeprefix(prefix)[:_DIGITS]
    for character in text.ljust(_DIGITS, _ALPHABET[0]):
        place = place * len(_ALPHABET) + min(bisect.bisect_left(_ALPHABET, character), len(_ALPHABET) - 1)
    return place


def _make_id_at(place: int, prefix: str) -> str:
    """Return the first id at a place."""
    text = ""
    for _ in range(_DIGITS):
        place, digit = divmod(place, len(_ALPHABET))
        text = _ALPHABET[digit] + text
    return prefix + text
