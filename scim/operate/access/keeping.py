"""Housekeeping of the console, wherever that is served: what has ended lets nobody in, and is removed by and by."""

from __future__ import annotations

import logging

from scim.operate.access.audit import Audit
from scim.operate.access.sessions import Sessions
from scim.store.table import Table, TableUnavailable

log = logging.getLogger(__name__)


async def forget_ended(table: Table) -> None:
    """Remove sessions and links that have ended, and what the audit has for too long. Never raises."""
    try:
        await Sessions(table).forget_ended()
        await Audit(table).forget()
    except TableUnavailable as error:
        log.warning("the console is tidied later: %s", error)
