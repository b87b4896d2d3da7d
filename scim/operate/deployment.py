"""Whether a deployment answers: asks its /health for some minutes, and says what an answer means and what to do.

Nothing but the standard library, since azd's hook runs it on whatever Python there is; `python -m scim deployment
check` is the same for people. The host's own answers have no body: docs/operate.md has the table.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

PAUSE = 5.0
"""Seconds between two questions."""
PATIENCE = 300.0
"""Seconds that a new deployment may take: the code is fetched, and roles begin to work."""
_SECONDS = 30.0
"""What one answer may take."""
_MOST_BYTES, _MOST_SHOWN = 65_536, 500
"""Bytes of an answer that are read, and characters of a text in it that are shown."""
_PARTS = {
    "table": (
        "the app cannot read its table. Its identity needs the role Storage Table Data Contributor on the account, "
        "which works up to ten minutes after it was given; with the private network, the account's private endpoint "
        "and its DNS zone must be there"
    ),
    "connections": (
        "the app cannot read its vault. Its identity needs the role Key Vault Secrets User on it, which works up to "
        "ten minutes after it was given; with the private network, the vault's private endpoint must be there"
    ),
}
"""What it means that a part of the app fails."""


@dataclass(frozen=True)
class Answer:
    """What came back: `status` 0 if nothing did, and then `body` says why not."""

    status: int
    body: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body; empty if there is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def works(self) -> bool:
        """Whether the app answers, and all its parts work."""
        return self.status == 200 and self.document.get("status") == "ok"


def check(
    url: str,
    *,
    patience: float = PATIENCE,
    ask: Callable[[str], Answer] | None = None,
    pause: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    progress: TextIO | None = None,
) -> Answer:
    """Ask until the app works or patience ends; the last answer. `url` is the tenant URL or the app's own."""
    ask, progress = ask or _ask, progress or sys.stderr
    address, started, live = find_health(url), clock(), progress.isatty()
    before = ""
    while True:
        answer = ask(address)
        waited = clock() - started
        text = f"{address}: {describe(answer)}"
        if live:
            print(f"\r\033[K{text}, {waited:.0f} of {patience:.0f} s", end="", file=progress, flush=True)
        elif text != before:
            print(text, file=progress, flush=True)
        before = text
        if answer.works or waited + PAUSE > patience:
            if live:
                print(file=progress)
            return answer
        pause(PAUSE)


def find_health(url: str) -> str:
    """The address of /health for a tenant URL or any other of the app. ValueError if it is no URL."""
    try:
        parts = urllib.parse.urlsplit(url if "://" in url else f"https://{url}")
        is_one = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and url.isprintable()
    except ValueError:  # brackets or a port that cannot be
        is_one = False
    if not is_one or " " in url:
        raise ValueError(f"{url!r} is no address; give the tenant URL, such as https://NAME.azurewebsites.net/scim")
    path = parts.path.rstrip("/").removesuffix("/health").removesuffix("/scim")
    return f"{parts.scheme}://{parts.netloc}{path}/health"


def describe(answer: Answer) -> str:
    """An answer in a few words."""
    if answer.works:
        return "200, everything works"
    if answer.status == 0:
        return _make_printable(answer.body)
    failing = [name for name, state in answer.document.items() if state == "failing" and name != "status"]
    return f"{answer.status}" + (f", failing: {_make_printable(', '.join(failing))}" if failing else "")


def explain(answer: Answer, app: str = "NAME") -> str:
    """What an answer that is not the wanted one means, and what to do. `app` is the name of the function app."""
    known, document = _KNOWN.get(answer.status), answer.document
    failing = [text for name, text in _PARTS.items() if document.get(name) == "failing"]
    if failing:
        return "503: " + "; and ".join(failing) + "."
    if answer.status in (500, 503) and document.get("detail"):
        return f"{answer.status}: {_make_printable(str(document['detail']))}"
    if known is not None:
        return f"{answer.status or 'No answer'}: {known.format(app=app, body=_make_printable(answer.body))}"
    return f"{answer.status}: something else than this app answers at that address; is it the right one?"


_KNOWN = {
    0: "{body}. A new host name can take minutes to be known. Is the URL right, and is the app started?",
    403: (
        "the app is not open to this address (SCIM_ENTRA_ONLY, or an access restriction), or it is stopped. Ask from "
        "an allowed address, or look at the metric Http 2xx in the portal."
    ),
    404: (
        "the host runs, but found no functions. Either the code is not there yet (azd deploy), or it was built for "
        "another Python. Look for --platform-version in the deployment's log: it must be 3.13 (in the portal: {app}, "
        "Deployment Center, Logs). If it is not, deploy again."
    ),
    500: "the worker failed before the app could answer. Application Insights says why, under exceptions.",
    502: "the platform starts the app, or cannot. Wait a minute; else see the log stream of {app}.",
    503: "the host does not run yet, or cannot start. Wait a little; else see Diagnose and solve problems of {app}.",
}
"""What an answer of the host or the platform means, by its status; they have no body of ours."""


def _make_printable(text: str) -> str:
    """What somebody sent, as far as it may stand in a terminal or a log: whoever answers there may be anybody."""
    return "".join(character if character.isprintable() else "?" for character in text[:_MOST_SHOWN])


def _ask(address: str) -> Answer:
    try:
        try:
            response = urllib.request.urlopen(address, timeout=_SECONDS)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            return Answer(response.status, _read(response).decode("utf-8", "replace"))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(0, str(getattr(error, "reason", error)) or type(error).__name__)


def _read(response: Any) -> bytes:
    """The body, as much of it as comes in the time that an answer may take."""
    until, body = time.monotonic() + _SECONDS, b""
    while len(body) < _MOST_BYTES and time.monotonic() < until and (part := response.read1(_MOST_BYTES)):
        body += part
    return body
