"""Finishes what was cut short, removes old bookmarks and forgets expired assertions: the timer's work.

Idempotent, however often it is killed."""

from __future__ import annotations

import logging

from scim.store import rows
from scim.store.credentials import Credentials
from scim.store.gateway import Gateway, Refused, Unavailable
from scim.store.members import Members
from scim.store.pending import Job, Pending
from scim.store.positions import Positions

log = logging.getLogger("scim.housekeeping")


class Housekeeping:
    """Looks through the pending rows of all tenants."""

    def __init__(
        self, gateway: Gateway, members: Members, pending: Pending, positions: Positions, credentials: Credentials
    ) -> None:
        self._gateway = gateway
        self._members = members
        self._pending = pending
        self._positions = positions
        self._credentials = credentials

    async def run(self, *, everything: bool = False) -> int:
        """Finish the pending rows that are due, or all of them where nobody else works on them; how many there were.

        Raises Unavailable where the table does not answer: the next run goes on."""
        done = 0
        await self._credentials.tidy()
        async for tenant in self._pending.tenants():
            await self._positions.tidy(tenant)
            async for job in self._pending.due(tenant, everything=everything):
                try:
                    await self._finish(tenant, job)
                    done += 1
                except Refused as refused:  # somebody changed the same rows: the next run looks again
                    log.warning("pending %s of %s was refused: %s", job.content["kind"], tenant, refused)
                except Unavailable:
                    raise
                except Exception:
                    log.exception("pending row %s of %s cannot be finished", job.key, tenant)  # and stops no other
        return done

    async def _finish(self, tenant: str, job: Job) -> None:
        if job.content["kind"] == "change":
            await self._members.resume(tenant, job)
            return
        id = job.content["id"]
        gone = await self._gateway.read(tenant, rows.resource_key(id)) is None
        if not gone or await self._members.detach(tenant, id, has_members=job.content["members"]):
            await self._pending.done(tenant, job.key)
