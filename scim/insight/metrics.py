"""What connections did by the minute, as CSV for other tools: one line for each connection and minute, in UTC."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

from scim.counters import LATENCIES
from scim.insight import counts
from scim.store.table import Table

DAYS = 30
COLUMNS = (
    *("requests", "matches", "reads", "writes", "creates", "updates", "disables", "deletes", "added", "removed"),
    *("failedWrites", "refused", *(f"ms{limit}" for limit in LATENCIES), "over"),
)


async def read_metrics(table: Table, tenant: str, now: datetime | None = None) -> str:
    """Return the minutes of 30 days. The last column has the failures by scimType or status, such as
    `uniqueness=3 404=1`."""
    since = (now or datetime.now(UTC)) - timedelta(days=DAYS)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["minute", "connection", *COLUMNS, "failures"])
    for connection, minutes in (await counts.read_minutes(table, tenant, since)).items():
        for number, counted in minutes.items():
            failed = {name[7:]: each for name, each in counted.items() if name.startswith("failed_")}
            failures = " ".join(f"{name}={each}" for name, each in sorted(failed.items()))
            minute = counts.time_of_minute(number).strftime("%Y-%m-%dT%H:%MZ")
            writer.writerow([minute, connection, *(counted.get(name, 0) for name in COLUMNS), failures])
    return text.getvalue()
