"""Rows of the table, and what a transaction does to them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple


class Row(NamedTuple):
    """A row of the tenant's partition. `values` are its own properties; `etag` changes with every write."""

    key: str
    values: dict[str, Any]
    etag: str


class Write(NamedTuple):
    """One row's part in a transaction.

    insert fails with Refused 409 where the key is taken; replace and merge need the row (404) with that etag (412),
    `*` being any; delete likewise; upsert inserts the row or merges into it, and always succeeds."""

    kind: Literal["insert", "upsert", "replace", "merge", "delete"]
    key: str
    values: Mapping[str, Any] = MappingProxyType({})
    etag: str = "*"

    @property
    def needs_row(self) -> bool:
        """Whether the row has to be there already."""
        return self.kind not in ("insert", "upsert")
