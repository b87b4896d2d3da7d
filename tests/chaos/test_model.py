"""The checks of a chaos run see what they are for: each is shown something that must not be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dev.chaos import intents
from dev.chaos.model import MEMBERS, Finding, State, Thing, group_view, members_of, user_view
from dev.chaos.plan import Report
from dev.chaos.report import text
from dev.chaos.requests import ERROR, TYPE, judged
from dev.chaos.verify import compare

STATE: dict[str, Any] = {
    "userName": "ada@x",
    "externalId": "ada",
    "displayName": "Ada",
    "title": None,
    "active": True,
    "marks": ["one"],
}


def user(*candidates: State) -> Thing:
    return Thing("t", "/Users", "ada", user_view, list(candidates or [STATE]), id="u-1")


def team(*members: str, also: State = None) -> Thing:
    state = {"displayName": "Team", "externalId": "team", MEMBERS: sorted(members)}
    return Thing("t", "/Groups", "team", group_view, [state] if also is None else [state, also], id="g-1")


def resource(state: dict[str, Any], id: str = "u-1") -> dict[str, Any]:
    """What the app would show of a user in that state."""
    plain = {name: value for name, value in state.items() if name != "marks" and value is not None}
    return {"id": id, **plain, "phoneNumbers": [{"value": mark} for mark in state["marks"]]}


def group(*members: str) -> dict[str, Any]:
    return {"id": "g-1", "displayName": "Team", "externalId": "team", MEMBERS: [{"value": one} for one in members]}


def kinds(*findings: Finding | None) -> list[str]:
    return [finding.kind for finding in findings if finding is not None]


def test_what_was_acknowledged_and_is_there_is_no_finding() -> None:
    thing = user(None)
    assert thing.acknowledge(intents.create("/Users", STATE).effect) is None
    assert thing.acknowledge(intents.add_mark("two").effect) is None
    assert kinds(*compare("t", [thing], {"/Users": [resource({**STATE, "marks": ["one", "two"]})]})) == []


def test_a_resource_that_is_gone_is_a_lost_write() -> None:
    assert kinds(*compare("t", [user()], {"/Users": []})) == ["acknowledged write lost"]


def test_a_value_that_is_gone_is_a_lost_write() -> None:
    assert kinds(user().observe({**STATE, "marks": []})) == ["acknowledged write lost"]


def test_a_value_that_is_there_twice_was_applied_twice() -> None:
    assert kinds(user().observe({**STATE, "marks": ["one", "one"]})) == ["applied twice"]


def test_a_resource_that_is_there_twice_was_applied_twice() -> None:
    found = [resource(STATE), resource(STATE, "u-2")]
    assert kinds(*compare("t", [user()], {"/Users": found})) == ["applied twice"]


def test_a_resource_that_was_made_anew_was_applied_twice() -> None:
    assert kinds(*compare("t", [user()], {"/Users": [resource(STATE, "u-2")]})) == ["applied twice"]


def test_a_resource_that_nobody_made_is_a_finding() -> None:
    assert kinds(*compare("t", [], {"/Users": [resource(STATE)]})) == ["nobody's resource"]


@pytest.mark.parametrize(("after", "expected"), [(STATE, []), (None, []), ({**STATE, "title": "x"}, ["half a write"])])
def test_an_unknown_outcome_is_either_way_and_nothing_between(after: State, expected: list[str]) -> None:
    thing = user()
    thing.doubt(intents.delete().effect)
    assert kinds(thing.observe(after)) == expected


def test_half_a_change_of_members_is_a_finding() -> None:
    thing = team("a")
    thing.doubt(intents.change_members([f"m{n}" for n in range(60)], ["a"]).effect)
    for members, expected in ((["a"], []), ([f"m{n}" for n in range(60)], []), (["a", "m1"], ["half a write"])):
        copy = Thing(thing.tenant, thing.path, thing.name, thing.view, list(thing.candidates), thing.id)
        assert kinds(*compare("t", [copy], {"/Groups": [group(*members)]})) == expected


def test_a_read_decides_between_candidates_and_holds_from_then_on() -> None:
    thing = user()
    thing.doubt(intents.add_mark("two").effect)
    assert kinds(thing.observe(STATE), thing.observe({**STATE, "marks": ["one", "two"]})) == ["acknowledged write lost"]


def test_success_on_what_cannot_be_there_is_a_finding() -> None:
    assert kinds(user(None).acknowledge(intents.add_mark("two").effect)) == ["impossible success"]
    assert kinds(user().acknowledge(intents.create("/Users", STATE).effect)) == ["impossible success"]


def test_a_deleted_user_must_be_out_of_every_group() -> None:
    gone = user(None)
    for members, expected in ((["x"], []), (["u-1", "x"], ["acknowledged write lost"])):
        assert kinds(*compare("t", [gone, team("u-1", "x")], {"/Users": [], "/Groups": [group(*members)]})) == expected


def test_a_user_that_is_there_must_be_in_its_groups() -> None:
    found = {"/Users": [resource(STATE)], "/Groups": [group("x")]}
    assert kinds(*compare("t", [user(), team("u-1", "x")], found)) == ["acknowledged write lost"]


def test_each_writer_sees_its_own_part_of_a_shared_group() -> None:
    mine = Thing("t", "/Groups", "team", members_of("c1-"), [{MEMBERS: ["c1-a"]}], "g-1", shared=True)
    assert kinds(mine.observe(mine.view(group("c1-a", "c2-b")))) == []
    assert kinds(mine.observe(mine.view(group("c2-b")))) == ["acknowledged write lost"]


ERROR_BODY = {"schemas": [ERROR], "status": "503", "detail": "Send again later."}


@pytest.mark.parametrize(
    ("status", "content_type", "body", "expected"),
    [
        (204, "", None, []),
        (503, TYPE, ERROR_BODY, []),
        (500, TYPE, {**ERROR_BODY, "status": "500"}, ["answered 500"]),
        (400, TYPE, {**ERROR_BODY, "status": "400"}, ["answered 400"]),
        (503, TYPE, None, ["no SCIM error"]),
        (503, "text/html", ERROR_BODY, ["no SCIM error"]),
        (503, TYPE, {**ERROR_BODY, "status": "500"}, ["no SCIM error"]),
        (503, TYPE, {**ERROR_BODY, "detail": ""}, ["no SCIM error"]),
        (503, TYPE, {**ERROR_BODY, "schemas": []}, ["no SCIM error"]),
        (503, TYPE, [ERROR_BODY], ["no SCIM error"]),
    ],
)
def test_an_answer_that_no_client_may_see_is_a_finding(
    status: int, content_type: str, body: object, expected: list[str]
) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    assert kinds(judged("here", status, content_type, content)) == expected


def test_the_report_says_what_was_found() -> None:
    report = Report(7)
    assert "nothing was found" in text(report)
    report.log.say(user().observe(None))
    assert "FOUND 1: acknowledged write lost 1" in text(report)
    assert "t/Users/ada (u-1)" in text(report)


@pytest.mark.parametrize(("members", "long"), [(49, False), (50, True)])
def test_what_takes_several_transactions(members: int, long: bool) -> None:
    ids = [f"m{n}" for n in range(members)]
    state = {"displayName": "Team", "externalId": "team", MEMBERS: ids}
    assert intents.create("/Groups", state).long == long
    assert intents.replace("/Groups", state).long == long
    assert intents.change_members(ids, [], {"displayName": "x"}).long == long
    assert intents.change_members([], ids).long == long
    assert not intents.delete().long
    assert not intents.create("/Users", STATE).long
