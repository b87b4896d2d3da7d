"""Rows that follow from decisions, as one run of the sequencer sees them: what it has written already is read back.

A run decides step by step. What a step writes is `pending` until it is known to fit into the transaction that is open;
then it is accepted, and once the transaction is done, it is what the table has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scim.store.table import Partition, Write

Values = Mapping[str, Any]


class Rows:
    """The derived rows of one tenant. `accepted` are those of the open transaction: None for one that goes."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.accepted: dict[str, Values | None] = {}
        self._pending: dict[str, Values | None] = {}
        self._stored: dict[str, Values | None] = {}

    async def read(self, key: str) -> Values | None:
        """Return what a row holds; None if there is none."""
        for layer in (self._pending, self.accepted, self._stored):
            if key in layer:
                return layer[key]
        row = await self.partition.read(key)
        self._stored[key] = None if row is None else row.values
        return self._stored[key]

    def put(self, key: str, values: Values, *, is_new: bool = False) -> None:
        """Write a row; `is_new` if its key was never used."""
        if is_new:
            self._stored.setdefault(key, None)
        self._pending[key] = values

    def remove(self, key: str) -> None:
        """Take away a row that was read before, or put as a new one: a row that is not there cannot be removed."""
        self._pending[key] = None

    def changed(self) -> dict[str, Values | None]:
        """Return the rows that are written and not in the table yet, by key."""
        return {**self.accepted, **self._pending}

    def count(self) -> int:
        """Return how many rows the open transaction and the step at hand write."""
        return len(self.accepted.keys() | self._pending.keys())

    def measure(self) -> int:
        """Return about how many bytes the step at hand writes."""
        return sum(500 + sum(len(str(value)) for value in (values or {}).values()) for values in self._pending.values())

    def accept(self) -> None:
        """The step at hand is part of the open transaction."""
        self.accepted |= self._pending
        self._pending = {}

    def build(self) -> list[Write]:
        """Return the writes of the open transaction. A row that came and went in it is none."""
        writes = []
        for key, values in self.accepted.items():
            if values is not None:
                writes.append(Write("upsert", key, values))
            elif self._stored.get(key, values) is not None or key not in self._stored:
                writes.append(Write("delete", key))
        return writes

    def commit(self) -> None:
        """The open transaction is done."""
        self._stored |= self.accepted
        self.accepted = {}
