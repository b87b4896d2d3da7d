"""How often something may happen: so much at once, then so much a second; and how much of it is remembered."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, MutableMapping
from typing import Any

from scim.errors import TOO_MANY_REQUESTS, ScimError


class Bucket:
    """`burst` at once, then `rate` a second."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._level, self._at = burst, -math.inf

    def take(self, now: float) -> bool:
        """Return whether one more may go at this moment (seconds)."""
        if now > self._at:
            self._level = min(self._burst, self._level + (now - self._at) * self._rate)
            self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def spend(self, number: float) -> None:
        """Count more that went, whether or not it might: until it is made up for, nothing may."""
        self._level -= number

    @property
    def wait(self) -> float:
        """Seconds until one more may go, from the last look on."""
        return max(1 - self._level, 0.0) / self._rate

    def give_back(self) -> None:
        """Give back what was taken and turned out not to count."""
        self._level = min(self._burst, self._level + 1)


class Seldom:
    """Lets each key through once in `seconds` seconds, of up to `most` keys."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds, self._most = seconds, most
        self._last: dict[Hashable, float] = {}

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._last)

    def take(self, key: Hashable, now: float) -> bool:
        """Return whether the key may go at this moment (seconds)."""
        if now - self._last.get(key, -math.inf) < self._seconds:
            return False
        self._last.pop(key, None)
        self._last[key] = now
        forget_oldest(self._last, self._most)
        return True


def forget_oldest(remembered: MutableMapping[Any, Any], most: int) -> None:
    """Leave up to `most` of what is remembered, those that were put there last."""
    while len(remembered) > most:
        del remembered[next(iter(remembered))]


class TenantLimits:
    """`rate` requests a second for each tenant in this process, twice as many at once; none if it is 0. An
    operator's connection has an account of its own, as if it were a tenant.

    A request that takes much work counts as several, when that is known: those after it wait.

    Far above what an identity provider sends: it keeps one tenant's runaway client from slowing the others down."""

    def __init__(self, rate: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def check(self, tenant: str) -> None:
        """Count a request of the tenant. Raises 429 with Retry-After."""
        if not self._rate:
            return
        bucket = self._bucket(tenant)
        if not bucket.take(self._clock()):
            raise ScimError(
                TOO_MANY_REQUESTS,
                f"You send more than {self._rate} requests a second, or requests that take as much work: slow down. "
                "Nothing was done; send again.",
                {"Retry-After": str(math.ceil(bucket.wait) or 1)},
                reason="over-budget",
            )

    def pay(self, tenant: str, requests: float) -> None:
        """Count work of a tenant as that many requests."""
        if self._rate:
            self._bucket(tenant).spend(requests)

    def _bucket(self, tenant: str) -> Bucket:
        bucket = self._buckets.get(tenant)
        if bucket is None:
            bucket = self._buckets[tenant] = Bucket(2.0 * self._rate, self._rate)
        return bucket
