"""What a run prints while it serves: one readable line for each request, or the app's events as they are.

The app logs a request as an event, one JSON object (scim.request_log); the host logs it too, with its path and those
that never reach the app. Both become one line.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from dev.host import TOLD

_TOLD_BY_THE_LINE = ("request", "token", "change")
_LEVELS = {"WARNING": "WARNING ", "ERROR": "ERROR ", "CRITICAL": "ERROR "}


def set_up_logging(*, as_json: bool) -> None:
    """Send requests to standard output, as lines for people or as the app's events; all else to standard error."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("azure", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)  # they log each request, each lock at INFO
    requests, app = logging.getLogger("dev.host.requests"), logging.getLogger("scim")
    requests.propagate = False
    app.addHandler(_Events(as_json=as_json))
    app.propagate = False
    if not as_json:
        lines = logging.StreamHandler(sys.stdout)
        lines.setFormatter(_RequestLine("%(asctime)s", "%H:%M:%S"))
        requests.addHandler(lines)


class _Events(logging.Handler):
    """Keeps what the app says of a request for its line, and prints everything else."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._lines = logging.StreamHandler(sys.stderr)
        self._lines.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        self._objects = logging.StreamHandler(sys.stdout)

    def emit(self, record: logging.LogRecord) -> None:
        fields = _read_event(record)
        if fields is not None and self._as_json:
            self._objects.emit(record)
        elif fields is not None and fields["event"] in _TOLD_BY_THE_LINE:
            told = TOLD.get()
            if told is not None and fields["event"] != "change":
                told |= fields
        else:
            level = _LEVELS.get(record.levelname, "")
            text = record.getMessage() if fields is None else _write_event(fields)
            plain = logging.makeLogRecord({**record.__dict__, "msg": f"{level}{text}", "args": None})
            self._lines.emit(plain)


class _RequestLine(logging.Formatter):
    """Time, tenant, method and path, status, milliseconds, and why it was refused."""

    def format(self, record: logging.LogRecord) -> str:
        args = record.args if isinstance(record.args, tuple) else ()
        method, path, status, milliseconds = args
        told = TOLD.get() or {}
        who = told.get("tenant") or told.get("connection") or told.get("claimed") or "-"
        line = (
            f"{self.formatTime(record, self.datefmt)} {who} {method} {path} {status} {float(str(milliseconds)):.0f} ms"
        )
        why = _explain(told) if int(str(status)) >= 400 else ""
        return f"{line}  {why}" if why else line


def _explain(told: dict[str, Any]) -> str:
    """Return why a request was refused, in the words of the log: scimType, attribute, rule, reason."""
    words = (told.get(name) for name in ("error", "reason", "scimType", "attribute", "rule"))
    return " ".join(str(word) for word in words if word)


def _read_event(record: logging.LogRecord) -> dict[str, Any] | None:
    """Return the fields of an event; None if the record is a line of text."""
    text = record.getMessage()
    if not text.startswith('{"event":'):
        return None
    try:
        fields: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    return fields


def _write_event(fields: dict[str, Any]) -> str:
    name = fields.pop("event")
    return " ".join([str(name), *(f"{key}={value}" for key, value in fields.items() if value not in (None, "", []))])
