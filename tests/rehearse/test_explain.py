"""What an answer means to an admin."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from dev.rehearse.client import Answer
from dev.rehearse.explain import log_text, refused
from dev.rehearse.results import Exchange


def answer(status: int, text: str = "", data: object = None, error: str = "") -> Answer:
    exchange = Exchange("update user", "PATCH", "/Users/1", "{}", status, text or error, 1.0)
    return Answer(status, httpx.Headers(), text, data, exchange, error)


def test_the_log_shows_the_body_of_the_target_as_it_is() -> None:
    text = log_text(answer(400, '{"detail":"no"}'), datetime(2026, 1, 27, 21, 9, 50, tzinfo=UTC))
    assert text == (
        "StatusCode: BadRequest\n"
        "Message: Processing of the HTTP request resulted in an exception. Please see the HTTP response returned by "
        "the 'Response' property of this exception for details.\n"
        'Web Response:\n{"detail":"no"}. This operation was retried 0 times. '
        "It will be retried again after this date: 2026-01-27T21:49:50.0000000Z UTC"
    )


@pytest.mark.parametrize(
    ("status", "search", "code"),
    [
        (400, False, "SystemForCrossDomainIdentityManagementServiceIncompatible"),
        (400, True, "SystemForCrossDomainIdentityManagementServiceIncompatibleFiltering"),
        (401, False, "Unauthorized"),
        (403, False, "InsufficientRights"),
        (404, False, "InvalidAnchor"),
        (404, True, "EncounteredQuarantineException"),
        (405, False, "MethodNotAllowed"),
        (409, False, "EntryConflict"),
        (422, False, "UnprocessableEntity"),
        (429, False, "TooManyRequests"),
        (500, False, "InternalServerError"),
        (503, True, "InternalServerError"),
        (0, False, "WebExceptionProtocolError"),
        (302, False, "SystemForCrossDomainIdentityManagementServiceIncompatible"),
        (299, False, "SystemForCrossDomainIdentityManagementServiceIncompatible"),
    ],
)
def test_codes(status: int, search: bool, code: str) -> None:
    problem = refused("Do", answer(status, error="" if status else "gone"), "200", search=search)
    assert problem.code == code and problem.effect and problem.remedy and problem.admin


def test_a_timeout_is_told_from_a_broken_connection() -> None:
    assert refused("Do", answer(0, error="no answer within 30 seconds"), "200").code == "Timeout"


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("userName 'anna.7@x' already exists (id u-4bqkmbbpgss12345)", "userName '…' already exists (id …"),
        (
            "Extra inputs are not permitted: roles[0].displayName",
            "Extra inputs are not permitted: roles[0].displayName",
        ),
        ("no value of 'emails' matches", "no value of 'emails' matches"),
        ("anna.7@x is taken", "… is taken"),
    ],
)
def test_the_same_problem_of_two_objects_is_one_problem(detail: str, said: str) -> None:
    assert (
        refused("Do", answer(409, data={"detail": detail}), "200").title == f"Do: answered 409, expected 200 ({said})"
    )


def test_what_is_refused_as_invalid_gets_advice_for_what_was_wanted() -> None:
    advice = {what: refused(what, answer(400), "200").remedy for what in ("Set a manager", "Add members", "Do")}
    assert "plain string" in advice["Set a manager"] and "several members" in advice["Add members"]
    assert len(set(advice.values())) == 3
    assert "plain string" not in refused("Set a manager", answer(500), "200").remedy


@pytest.mark.parametrize(
    ("body", "detail", "said"),
    [
        ({"schemas": ["urn:x:Group"], "displayName": "a"}, "unknown schema urn:x:Group", "Nothing helps"),
        ({"schemas": ["urn:x:User"], "nickName": "a"}, "nickName is not in the schema", "take nickName out"),
        ({"emails": [{"value": 5}]}, "emails.value must be a string", "take emails out"),
        ({"Operations": [{"op": "Add", "value": {"title": "a"}}]}, "Each operation needs a path", "Nothing helps"),
        ({"Operations": [{"op": "Add", "path": "title", "value": "a"}]}, "title is read-only", "take title out"),
        ({"Operations": [{"op": "Add", "path": "urn:x:2.0:User:badge"}]}, "badge is unknown", "take badge out"),
    ],
)
def test_only_what_is_in_a_mapping_is_taken_out_of_it(body: object, detail: str, said: str) -> None:
    refusal = answer(400, data={"detail": detail})
    refusal = replace(refusal, exchange=replace(refusal.exchange, body=json.dumps(body)))
    assert said in refused("Do", refusal, "200").admin
