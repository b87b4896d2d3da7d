"""An app on a table in memory that records who is refused, with an operator's connection beside the customers'."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from multidict import CIMultiDict

from dev.credentials import SEALS, new_key
from dev.host import Answer
from scim.app import Application
from scim.http import Request
from scim.settings import Settings
from tests.store.memory import MemoryTable
from tests.support import Client, Response

ORIGIN = "http://scim.test"
TENANT = "contoso"
NOW = datetime.now(UTC)
CUSTOMERS: dict[str, dict[str, Any]] = {
    "contoso": {},
    "contoso-expired": {"expires": (NOW - timedelta(days=3)).isoformat()},
    "contoso-paused": {"paused": (NOW - timedelta(hours=2)).isoformat()},
    "contoso-reader": {"access": "read"},
}
OPERATORS = {
    "manager": {"tenants": "*", "rights": ["manage"]},
    "reader": {"tenants": "*", "rights": ["read", "feed"]},
    "others": {"tenants": ["fabrikam"], "rights": ["manage"]},
}
KEYS = {name: new_key(name) for name in (*CUSTOMERS, *OPERATORS, "fabrikam")}


class Place:
    """Stands where a Host would; `table` is where it all goes."""

    def __init__(self, table: MemoryTable | None = None, **more: str) -> None:
        self.table = table or MemoryTable()
        connections: dict[str, Any] = {
            name: {"tenant": TENANT, "keys": [KEYS[name]], **members} for name, members in CUSTOMERS.items()
        }
        connections["fabrikam"] = {"tenant": "fabrikam", "keys": [KEYS["fabrikam"]]}
        connections |= {name: {"operator": each, "keys": [KEYS[name]]} for name, each in OPERATORS.items()}
        settings = {
            "SCIM_TABLE_CONNECTION_STRING": "none",
            "SCIM_CONNECTIONS": json.dumps(connections),
            "SCIM_SEALS": SEALS,
            "SCIM_TENANT_RATE": "0",
            "SCIM_ADDRESS_REFUSALS": "0",
            "SCIM_USAGE_MINUTES": "0",
            "SCIM_TENANT_RESOURCES": "0",
            "SCIM_TENANT_MEMBERS": "0",
            "SCIM_TENANT_MEGABYTES": "0",
            "SCIM_FEED_SECONDS": "0",
            "SCIM_INSIGHT_SECONDS": "300",
            **more,
        }
        known = {f"SCIM_{name.upper()}" for name in Settings.model_fields}
        self.application = Application(
            Settings.from_environment({name: value for name, value in settings.items() if name in known}),
            table=self.table,
        )

    def client(self, connection: str = TENANT) -> Client:
        """The identity provider of a connection."""
        return Client(self, TENANT, KEYS[connection])  # type: ignore[arg-type]

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        await asyncio.sleep(0.002)  # times are kept by the millisecond, and no two requests of an admin share one
        lower = {name.lower(): value for name, value in headers.items()}
        response = await self.application.handle(Request(method, url, lower, body))
        return Answer(response.status, CIMultiDict(response.headers), response.encoded())

    async def manage(self, path: str, who: str = "manager", method: str = "GET") -> Response:
        """What an operator is answered; `path` follows /manage."""
        answer = await self.request(method, f"{ORIGIN}/manage{path}", {"Authorization": f"Bearer {KEYS[who]}"}, b"")
        return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)

    async def settle(self) -> None:
        """Have everything written that waits behind responses."""
        await asyncio.sleep(0)
        recorder = self.application._observer._recorder or self.application._observer._find_recorder()
        assert recorder is not None
        await recorder.settle()

    def rows(self, kind: str) -> list[str]:
        """The keys of a kind of rows, unread."""
        return [row.key for row in self.table.rows(TENANT) if row.key.startswith(f"{kind} ")]
