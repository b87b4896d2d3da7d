"""Refused callers: how many of one address get their refusal, and how many leave a line in the log.

Strangers may come at any rate, so what a refusal costs is bounded: its memory here, and its lines. Only refusals are
counted, after the credential was looked at: whoever has a good one is never stopped because of others at the same
address (an office, or Entra's own, from which everybody's provisioning comes).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from scim.address import find_network
from scim.errors import TOO_MANY_REQUESTS, ScimError
from scim.limits import Bucket, forget_oldest

RETRY_AFTER = 60
"""Seconds after which an address that was refused too often may try again."""
_ADDRESSES = 10_000
"""Addresses that are counted at a time; the one that was refused longest ago is forgotten for another."""
_LINES, _LINES_A_SECOND = 60.0, 1.0
"""Log lines of refusals: how many at once, then how many a second, for each connection that is named and for all that
name none together."""


class AddressLimits:
    """`rate` refusals a minute for each address (of IPv6, each /64), as many at once; no limit if it is 0."""

    def __init__(self, rate: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def check(self, address: str) -> None:
        """Count a refusal of that address. Raises 429 with Retry-After in its place if there were too many."""
        if not self._rate:
            return
        network = find_network(address)
        bucket = self._buckets.get(network)
        if bucket is None:
            bucket = self._buckets[network] = Bucket(self._rate, self._rate / 60)
            forget_oldest(self._buckets, _ADDRESSES)
        self._buckets.move_to_end(network)
        if not bucket.take(self._clock()):
            raise ScimError(
                TOO_MANY_REQUESTS,
                f"More than {self._rate} requests of your address were refused within a minute: mend the credential, "
                "then send again. Requests with a good one are answered all the same.",
                {"Retry-After": str(RETRY_AFTER)},
                reason="over-budget",
            )


@dataclass(slots=True)
class _Lines:
    bucket: Bucket
    left_out: int = 0


class Sample:
    """Which refusals leave a line in the log, and how many each line stands for."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: OrderedDict[tuple[str | None, str | None], _Lines] = OrderedDict()

    def count(self, connection: str | None, claimed: str | None) -> int:
        """Count a refusal of a caller of that connection, or of one that claims it, or neither. Return how many
        refusals its line stands for, itself and those before it that left none; 0 if it leaves none."""
        key = connection, claimed
        lines = self._lines.get(key)
        if lines is None:
            lines = self._lines[key] = _Lines(Bucket(_LINES, _LINES_A_SECOND))
            forget_oldest(self._lines, _ADDRESSES)
        self._lines.move_to_end(key)
        if not lines.bucket.take(self._clock()):
            lines.left_out += 1
            return 0
        stands_for, lines.left_out = lines.left_out + 1, 0
        return stands_for
