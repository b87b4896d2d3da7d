"""Events: log lines that a query or an alert finds, each one JSON object in one line.

`event` names it; the rest are its fields. Never a secret, and never the value of an attribute of a person.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

log = logging.getLogger("scim")


def log_event(name: str, fields: Mapping[str, object], level: int = logging.INFO) -> None:
    """Log one event."""
    log.log(level, "%s", json.dumps({"event": name, **fields}, separators=(",", ":"), default=str))
