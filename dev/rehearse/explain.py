"""What an answer means: the words of Entra's provisioning log, what follows from it, and what to do about it.

Codes are those of Entra's log where it has one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from dev.rehearse.client import Answer
from dev.rehearse.directory import DOMAIN
from dev.rehearse.results import Problem

CYCLE = timedelta(minutes=40)
"""From one incremental cycle to the next."""

_INCOMPATIBLE = "SystemForCrossDomainIdentityManagementServiceIncompatible"
_UNREADABLE = (
    "We are not able to deserialize the resource received from your SCIM endpoint because your SCIM endpoint is not "
    "fully compatible with the Azure Active Directory SCIM client."
)


@dataclass(frozen=True)
class Meaning:
    """What an answer of a kind does: Entra's code for it, its effect on the customer, and the remedy."""

    code: str
    effect: str
    remedy: str


_QUOTED = re.compile(r"""(['"])(?![\w:.\[\]]+\1).*?\1""")
"""Something quoted that is no name of an attribute or schema."""

_RETRIED = "Entra puts the object in escrow and tries it again in later cycles, more and more rarely, for 28 days."
_BY_STATUS = {
    400: Meaning(
        _INCOMPATIBLE,
        f"Nothing of the request is applied, not even what the target understands. {_RETRIED}",
        "Accept the request below as it is: every part of it is what Entra sends.",
    ),
    401: Meaning(
        "Unauthorized",
        "Entra takes the credentials for invalid. Where most calls are answered so, the job is quarantined at once.",
        "Check the token and its expiry date. Enter it without the word Bearer.",
    ),
    403: Meaning(
        "InsufficientRights",
        "Entra takes the credentials for invalid. Where most calls are answered so, the job is quarantined at once.",
        "Give the credentials the right to do this. A target that is paused must answer 503, never 403.",
    ),
    404: Meaning(
        "InvalidAnchor",
        "Entra lost the object that it had linked, and does not make it again until provisioning is restarted.",
        "Keep an id valid until DELETE, for disabled users too, and serve every path of the protocol.",
    ),
    405: Meaning("MethodNotAllowed", f"This can never succeed. {_RETRIED}", "Serve this method on this path."),
    409: Meaning(
        "EntryConflict",
        f"Entra does not look for the object by another attribute, so it stays unprovisioned. {_RETRIED}",
        "Make the filter on the matching attribute find every object that would conflict, whatever its case.",
    ),
    413: Meaning("PayloadTooLarge", f"The request is never split. {_RETRIED}", "Accept larger bodies."),
    422: Meaning("UnprocessableEntity", _RETRIED, "Accept the request below as it is."),
    429: Meaning(
        "TooManyRequests",
        "The object waits. Entra may slow down or quarantine the job: how it treats Retry-After is not documented.",
        "Serve at least 25 requests a second for each tenant before refusing any.",
    ),
    501: Meaning("NotImplemented", f"This can never succeed. {_RETRIED}", "Implement this operation."),
}
_NO_ANSWER = Meaning(
    "WebExceptionProtocolError",
    "Entra does not know whether the change was made, and tries again in 40 minutes.",
    "Answer every request, and within seconds.",
)
_REDIRECT = Meaning(
    _INCOMPATIBLE, f"Entra is not known to follow redirects. {_RETRIED}", "Serve the resource at the tenant URL itself."
)
_SERVER = Meaning(
    "InternalServerError",
    "Entra does not know whether the change was made, and tries again in 40 minutes.",
    "This is a defect of the target: its own log says more.",
)
_OTHER = Meaning(_INCOMPATIBLE, _RETRIED, "Answer with the status that is expected here.")
_SEARCH = {
    400: Meaning(
        "SystemForCrossDomainIdentityManagementServiceIncompatibleFiltering",
        "Entra cannot look for the object or its reference, and so neither create, link nor update it.",
        "Support this filter: eq and and, on id, manager, members and every attribute that may be chosen for matching.",
    ),
    404: Meaning(
        "EncounteredQuarantineException",
        "Entra takes this for a target that is not SCIM compliant and quarantines the whole job at once.",
        "Answer a search that finds nothing with 200 and a ListResponse of totalResults 0.",
    ),
}


_ADVICE = {
    "Create a user": "Ignore what is not known (meta, empty roles, displayName in a role); take any text as a value.",
    "Create a group": "Ignore schema URNs and attributes that are not known, and meta.",
    "Update a user": 'Where a path such as phoneNumbers[type eq "mobile"].value finds no element, create it. Take '
    "operations in any case, without a path and with dotted or URN names as keys, and roles as JSON in a string.",
    "Add attributes": 'Where a path such as emails[type eq "work"].value finds no element, create it; resolve dotted '
    "and URN names in an operation without a path.",
    "Disable or restore a user": 'Take "True" and "False" for booleans, operations in any case, and apply what is '
    "known even if something else in the request is not.",
    "Set a manager": "Take the manager's id as a plain string too, beside an object with value, and store an object.",
    "Remove a manager": "Take remove, and replace with an empty text, for removing the manager.",
    "Replace a manager with nothing": "Take an empty text for no manager.",
    "Add members": "Take several members at once, $ref: null beside them, and members that are there already.",
    "Remove members": 'Take both forms: remove with a list of values, and members[value eq "…"], one operation each.',
    "Clear attributes": "Take an empty text and null for no value.",
    "PATCH without operations": "Answer with success and change nothing.",
}
"""What usually helps where a request is refused as invalid, by what was wanted."""


_ADMIN_NOTHING = "Nothing helps there: report it to the vendor of the application, with the request and its answer."
_ADMIN_CREDENTIALS = (
    "Enter new credentials (Provisioning > Connectivity), press Test Connection, then Restart provisioning, which "
    "ends a quarantine."
)
_ADMIN = {
    400: "Until it is mended, take the attribute out of the mapping (Attribute mapping) and restart provisioning.",
    401: _ADMIN_CREDENTIALS,
    403: _ADMIN_CREDENTIALS,
    404: "Restart provisioning, so that the account is matched or created anew.",
    409: "Find the account of that name in the application and delete or rename it, or add a matching attribute that "
    "finds it (Attribute mapping).",
    422: "Until it is mended, take the attribute out of the mapping (Attribute mapping) and restart provisioning.",
    429: "Nothing at first: Entra tries again. If it goes on, ask the vendor for a higher limit.",
}
_ADMIN_SEARCH = {
    400: "Choose another matching attribute (Attribute mapping, match objects using this attribute).",
    404: "Check the tenant URL, press Test Connection, then Restart provisioning, which ends a quarantine.",
}


def refused(what: str, answer: Answer, expected: str, *, search: bool = False) -> Problem:
    """The problem where a request was answered with another status than those expected. `what` says what was wanted."""
    meaning = _meaning(answer.status, search)
    title = f"{what}: answered {answer.status}, expected {expected}"
    if answer.status == 0:
        title = f"{what}: {answer.error}"
        if "within" in answer.error:
            meaning = Meaning("Timeout", meaning.effect, meaning.remedy)
    elif detail := answer.object.get("detail"):
        title += f" ({_without_values(str(detail))})"
    cause = _without_values(str(answer.object.get("detail") or ""))
    remedy = meaning.remedy
    if answer.status in (400, 422, 501) and not search:
        remedy = next((advice for start, advice in _ADVICE.items() if what.startswith(start)), remedy)
    admin = _admin(answer.status, search)
    if answer.status in (400, 422) and cause and not search:
        admin = _unmap(answer)
    log = log_text(answer)
    return Problem(meaning.code, title, log, meaning.effect, remedy, answer.exchange, admin, cause=cause)


def unreadable(what: str, answer: Answer, why: str) -> Problem:
    """The problem where the status is right and the body cannot be used."""
    return Problem(
        _INCOMPATIBLE,
        f"{what}: {why}",
        f"StatusCode: {_status_name(answer.status)}\nMessage: {_UNREADABLE}",
        f"Entra cannot use the answer. {_RETRIED}",
        "Answer with a SCIM resource or ListResponse as RFC 7643 §3 and RFC 7644 §3.4.2 define them.",
        answer.exchange,
        _ADMIN_NOTHING,
    )


def wrong(code: str, title: str, effect: str, remedy: str, answer: Answer | None = None) -> Problem:
    """The problem of which Entra's log would say nothing: every status is right and something else is not."""
    return Problem(code, title, "", effect, remedy, answer.exchange if answer else None, _ADMIN_NOTHING)


def log_text(answer: Answer, now: datetime | None = None) -> str:
    """What Entra's provisioning log shows under Troubleshooting & Recommendations; the target's own body is in it."""
    again = (now or datetime.now(UTC)) + CYCLE
    tail = (
        f"This operation was retried {answer.tries - 1} times. "
        f"It will be retried again after this date: {again:%Y-%m-%dT%H:%M:%S.0000000Z} UTC"
    )
    if answer.status == 0:
        return f"Message: {answer.error}. {tail}"
    return (
        f"StatusCode: {_status_name(answer.status)}\n"
        "Message: Processing of the HTTP request resulted in an exception. Please see the HTTP response returned by "
        "the 'Response' property of this exception for details.\n"
        f"Web Response:\n{answer.exchange.answer}. {tail}"
    )


def _meaning(status: int, search: bool) -> Meaning:
    if search and status in _SEARCH:
        return _SEARCH[status]
    if status == 0:
        return _NO_ANSWER
    if 300 <= status < 400:
        return _REDIRECT
    return _BY_STATUS.get(status, _SERVER if status >= 500 else _OTHER)


def _admin(status: int, search: bool) -> str:
    if search and status in _ADMIN_SEARCH:
        return _ADMIN_SEARCH[status]
    if status == 0 or status in (500, 502, 503, 504):
        return "Nothing at first: Entra tries again. If it goes on, tell the vendor the time and the object."
    return _ADMIN.get(status, _ADMIN_NOTHING)


def _unmap(answer: Answer) -> str:
    """Return what the admin can take out of a mapping: an attribute that was sent and that the answer names.

    Schema URNs, and the parts of a PATCH, are in no mapping: nothing helps against their refusal.
    """
    try:
        names = _list_mapped(json.loads(answer.exchange.body or "null"))
    except ValueError:  # of a long body, a part is kept
        return _ADMIN[400]
    words = set(re.findall(r"[\w:.$-]*[\w$]", str(answer.object.get("detail")).casefold()))
    words |= {word.partition(".")[0] for word in words if not word.startswith("urn:")}
    words |= {word.rpartition(":")[2] for word in words if ":user:" in word}
    named = next((name for name in names if name.casefold() in words), "")
    if not named:
        return _ADMIN_NOTHING
    return f"Until it is mended, take {named} out of the mapping (Attribute mapping) and restart provisioning."


def _list_mapped(body: object) -> list[str]:
    """Return the names of the attributes in a resource or PATCH that a mapping of Entra may have."""
    if not isinstance(body, dict):
        return []
    names: list[str] = []
    for operation in body.get("Operations", [{"value": body}]):
        path, value = str(operation.get("path") or ""), operation.get("value")
        for name in [path, *(value if isinstance(value, dict) and not path else ())]:
            names.append(re.split(r"[.\[]", re.sub(r"^urn:.*:", "", name))[0])
    return [name for name in names if name not in ("", "schemas", "meta", "id")]


def _status_name(status: int) -> str:
    """A status as .NET names it: BadRequest."""
    try:
        return HTTPStatus(status).phrase.replace(" ", "").replace("-", "")
    except ValueError:
        return str(status)


def _without_values(detail: str) -> str:
    """A detail shortened, and without what differs between objects, so that the same problem is counted as one."""
    words = ["…" if _is_value(word) else word for word in _QUOTED.sub("'…'", detail).split()]
    return " ".join(words)[:160]


def _is_value(word: str) -> bool:
    """Whether a word looks like a value rather than like a name of the protocol."""
    if word.startswith(("urn:", "http")):
        return False
    return "@" in word or DOMAIN in word or sum(c.isdigit() for c in word) > 2 or word.strip("().,:").isdigit()
