"""The rows of failures and counters: each must be readable, and stand where it says."""

from __future__ import annotations

from scim.insight.counts import parse_counts
from scim.insight.failures import parse_failure
from scim.operate.checking import rules
from scim.store import keys
from scim.store.table import Row


def find_insight_fault(row: Row) -> str:
    """Return what is wrong with a row of failures or counters; "" if nothing is."""
    if row.key.startswith(f"{keys.FAILURE} "):
        try:
            failure = parse_failure(row)
        except (ValueError, TypeError, AttributeError):
            return "is a failure that cannot be read"
        if row.key != failure.key:
            return "is a failure of another subject than its key says"
        return "" if rules.parse_time(failure.first) and rules.parse_time(failure.last) else "is a failure at no time"
    try:
        _, minutes = parse_counts(row)
        sound = all(isinstance(number, int) for counts in minutes.values() for number in counts.values())
    except (ValueError, TypeError, AttributeError):
        sound = False
    return "" if sound else "are counters that cannot be read"
