"""What several writers did and what is there: scripted histories, each with its verdict."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from dev.chaos import changes, judge
from dev.chaos.changes import Change
from dev.chaos.contest import Contest, Request, Subject
from dev.chaos.model import Finding
from dev.chaos.requests import Outcome

DONE, CREATED, NONE = Outcome(200, {}), Outcome(201, {"id": "g-1"}), Outcome(204)
MISSING, TAKEN, AWAY, LOST = Outcome(404), Outcome(409), Outcome(503), Outcome()
MANY = [f"m{number:03}" for number in range(200)]


class Played:
    """A contest whose clock a test turns: each moment is one second later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        moments = itertools.count(1)
        monkeypatch.setattr("dev.chaos.contest.time.monotonic", lambda: float(next(moments)))
        self.contest = Contest("t", {"/Groups": ["Contested"]}, set())
        self.slot = self.contest.slots[0]

    def begin(self, subject: Subject, change: Change) -> Request:
        return self.contest.begin(change.name, change.method, subject, change.writes)

    def do(self, subject: Subject, change: Change, outcome: Outcome = DONE) -> None:
        self.contest.end(self.begin(subject, change), outcome)

    def post(self, *members: str, outcome: Outcome = CREATED, name: str = "Contested") -> Subject:
        subject = self.contest.conceive("/Groups", self.slot)
        self.do(subject, changes.whole_group("POST", subject, name, members), outcome)
        return subject

    def made(self, *members: str) -> Subject:
        """A group from before a rest."""
        subject = self.post(*members)
        assert self.settle(group(subject, *members)) == []
        return subject

    def read(self, subject: Subject, name: str | None, modified: str = "") -> None:
        body = {"displayName": name, "meta": {"lastModified": modified}} if name else {}
        request = self.contest.begin("GET", "GET", subject)
        self.contest.end(request, Outcome(200, body) if name else MISSING)

    def settle(self, *groups: dict[str, Any]) -> list[str]:
        return [finding.kind for finding in self.findings(*groups)]

    def findings(self, *groups: dict[str, Any]) -> list[Finding]:
        return judge.settle(self.contest, {"/Groups": list(groups)})


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    return Played(monkeypatch)


def group(subject: Subject, *members: str, name: str = "Contested", id: str | None = None) -> dict[str, Any]:
    listed = [{"value": member} for member in members]
    return {"id": id or subject.id or "g-1", "externalId": subject.tag, "displayName": name, "members": listed}


def put(subject: Subject, *members: str, name: str = "Contested") -> Change:
    return changes.whole_group("PUT", subject, name, members)


def test_one_after_another(played: Played) -> None:
    subject = played.post("a")
    played.do(subject, put(subject, "b"))
    played.do(subject, changes.add_members(["c"]))
    played.do(subject, changes.remove_members(["b"]), AWAY)
    assert played.settle(group(subject, "b", "c")) == []


def test_the_state_at_a_rest_is_where_the_next_requests_begin(played: Played) -> None:
    subject = played.made("a")
    played.do(subject, changes.add_members(["b"]))
    assert played.settle(group(subject, "a", "b")) == []
    assert played.settle(group(subject, "a")) == ["acknowledged change lost"]
    assert played.settle(group(subject, "a")) == []  # it is said once


@pytest.mark.parametrize("older", [DONE, AWAY])
def test_a_put_mixed_with_an_older_change(played: Played, older: Outcome) -> None:
    """Review H1: PUT of [b] was acknowledged, and b and 150 others are there."""
    subject = played.made()
    long = played.begin(subject, changes.add_members(MANY))
    played.do(subject, put(subject, "b"))
    played.contest.end(long, older)
    assert played.settle(group(subject, "b", *MANY[:150])) == ["mixture"]


def test_a_put_beside_an_older_change(played: Played) -> None:
    subject = played.made()
    long = played.begin(subject, changes.add_members(MANY))
    played.do(subject, put(subject, "b"))
    played.contest.end(long, DONE)
    assert played.settle(group(subject, "b", *MANY)) == []


def test_the_members_of_a_new_group_are_lost(played: Played) -> None:
    """Review H2: the POST was never acknowledged, another client found the group and changed it."""
    subject = played.contest.conceive("/Groups", played.slot)
    post = played.begin(subject, changes.whole_group("POST", subject, "Contested", MANY))
    assert played.contest.meet(group(subject)) is subject
    played.do(subject, changes.add_members(["x"]))
    played.contest.end(post, AWAY)
    again = played.post("a", outcome=TAKEN)
    assert played.settle(group(subject)) == ["acknowledged change lost"]
    assert again.id is None


def test_a_refused_group_is_nowhere(played: Played) -> None:
    subject = played.post("a")
    other = played.post("b", outcome=TAKEN)
    assert played.settle(group(subject, "a"), group(other, "b", id="g-2")) == [
        "unique value given twice",
        "refused and done",
    ]


def test_a_group_that_was_made_twice(played: Played) -> None:
    subject = played.post("a")
    found = played.settle(group(subject, "a"), group(subject, "a", id="g-2"))
    assert "applied twice" in found


def test_a_deletion(played: Played) -> None:
    subject = played.made("a")
    played.do(subject, changes.add_members(["b"]))
    played.do(subject, changes.delete(), NONE)
    played.do(subject, put(subject, "c"), MISSING)
    played.do(subject, changes.delete(), MISSING)
    assert played.settle() == []


def test_a_deletion_that_nobody_knows_of(played: Played) -> None:
    subject = played.made("a")
    played.do(subject, changes.delete(), LOST)
    played.do(subject, put(subject, "c"))  # the deletion came later
    assert played.settle() == []


def test_a_deletion_undone(played: Played) -> None:
    subject = played.made("a")
    played.do(subject, changes.delete(), NONE)
    assert played.settle(group(subject, "a")) == ["deletion undone"]


def test_a_group_that_comes_back_after_a_rest(played: Played) -> None:
    subject = played.made("a")
    played.do(subject, changes.delete(), NONE)
    assert played.settle() == []
    assert played.settle(group(subject, "a")) == ["deletion undone"]


def test_a_success_after_the_deletion(played: Played) -> None:
    subject = played.made("a")
    played.do(subject, changes.delete(), NONE)
    played.do(subject, put(subject, "c"))
    assert played.settle() == ["success after the deletion"]
    played.do(subject, put(subject, "c"))
    assert played.settle() == ["success after the deletion"]


def test_a_404_before_the_deletion(played: Played) -> None:
    subject = played.made("a")
    played.read(subject, None)
    played.do(subject, changes.delete(), NONE)
    assert played.settle() == ["success after the deletion"]


def test_a_404_on_what_is_there(played: Played) -> None:
    subject = played.made("a")
    played.read(subject, None)
    assert played.settle(group(subject, "a")) == ["false 404"]


def test_a_group_is_gone_and_nobody_deleted_it(played: Played) -> None:
    played.made("a")
    assert played.settle() == ["acknowledged resource lost"]


def test_an_unknown_post_may_have_come_to_nothing(played: Played) -> None:
    played.post("a", outcome=AWAY)
    assert played.settle() == []


def test_two_deletions(played: Played) -> None:
    subject = played.made("a")
    played.do(subject, changes.delete(), NONE)
    played.do(subject, changes.delete(), NONE)
    assert played.settle() == ["deleted twice"]


def test_a_409_while_somebody_has_the_name(played: Played) -> None:
    subject = played.made("a")
    played.post("b", outcome=TAKEN)
    played.do(subject, changes.assign({"displayName": "Other"}))
    assert played.settle(group(subject, "a", name="Other")) == []


def test_a_409_beside_a_post_without_an_answer(played: Played) -> None:
    played.post("a", outcome=LOST)
    played.post("b", outcome=TAKEN)
    assert played.settle() == []


@pytest.mark.parametrize("change", [changes.delete(), changes.assign({"displayName": "Other"})])
def test_a_409_when_nobody_has_the_name_any_more(played: Played, change: Change) -> None:
    subject = played.made("a")
    played.do(subject, change)
    played.post("b", outcome=TAKEN)
    there = [] if change.method == "DELETE" else [group(subject, "a", name="Other")]
    assert played.settle(*there) == ["false conflict"]


def test_a_name_given_to_a_second_one(played: Played) -> None:
    first = played.made("a")
    second = played.post("b", outcome=Outcome(201, {"id": "g-2"}))
    played.do(first, changes.assign({"displayName": "Other"}))
    there = [group(first, "a", name="Other"), group(second, "b")]
    assert played.settle(*there) == ["unique value given twice"]


def test_a_name_given_on(played: Played) -> None:
    first = played.made("a")
    renaming = played.begin(first, changes.assign({"displayName": "Other"}))
    second = played.post("b", outcome=Outcome(201, {"id": "g-2"}))
    played.contest.end(renaming, AWAY)
    assert played.settle(group(first, "a", name="Other"), group(second, "b")) == []


def test_a_read_may_show_what_is_being_written(played: Played) -> None:
    subject = played.made("a")
    renaming = played.begin(subject, changes.assign({"displayName": "Other"}))
    played.read(subject, "Other")
    played.contest.end(renaming, DONE)
    assert played.settle(group(subject, "a", name="Other")) == []


def test_a_read_must_not_show_what_was_replaced(played: Played) -> None:
    subject = played.made("a")
    played.do(subject, changes.assign({"displayName": "Other"}))
    played.read(subject, "Contested")
    assert played.settle(group(subject, "a", name="Other")) == ["old state shown"]


def test_last_modified_does_not_go_back(played: Played) -> None:
    subject = played.made("a")
    played.read(subject, "Contested", "2026-01-01T00:00:02Z")
    played.read(subject, "Contested", "2026-01-01T00:00:02Z")
    assert played.settle(group(subject, "a")) == []
    played.read(subject, "Contested", "2026-01-01T00:00:01.999Z")
    assert played.settle(group(subject, "a")) == ["lastModified went back"]


def test_a_resource_that_no_post_made(played: Played) -> None:
    found = {"id": "g-9", "externalId": "contested-group-77", "displayName": "x"}
    assert played.settle(found) == ["nobody's resource"]


VALUES = {"userName": "contested@x", "displayName": "one", "title": "one", "nickName": None}


def user(subject: Subject, mark: str, **values: str) -> dict[str, Any]:
    return {"id": "u-1", "externalId": subject.tag, **VALUES, **values, "phoneNumbers": [{"value": mark}]}


def one_user(contest: Contest) -> Subject:
    """A user from before a rest."""
    subject = contest.conceive("/Users", contest.slots[0])
    first = changes.whole_user("POST", subject, VALUES, ["1"])
    contest.end(contest.begin("POST", "POST", subject, first.writes), Outcome(201, {"id": "u-1"}))
    assert judge.settle(contest, {"/Users": [user(subject, "1")]}) == []
    return subject


def test_a_users_attributes_of_two_requests() -> None:
    contest = Contest("t", {"/Users": ["contested@x"]}, set())
    subject = one_user(contest)
    change = changes.whole_user("PUT", subject, {**VALUES, "displayName": "two", "title": "two"}, ["2"])
    contest.end(contest.begin("PUT", "PUT", subject, change.writes), DONE)
    found = judge.settle(contest, {"/Users": [user(subject, "2", displayName="two")]})
    assert [finding.kind for finding in found] == ["half an acknowledged change"]


@pytest.mark.parametrize(("others", "kinds"), [(0, []), (1, ["condition ignored"])])
def test_a_condition(others: int, kinds: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    moments = itertools.count(1)
    monkeypatch.setattr("dev.chaos.contest.time.monotonic", lambda: float(next(moments)))
    contest = Contest("t", {"/Users": ["contested@x"]}, set())
    subject = one_user(contest)
    read = contest.begin("GET", "GET", subject)
    contest.end(read, Outcome(200, user(subject, "1"), "v1"))
    for _ in range(others):
        contest.end(contest.begin("PATCH", "PATCH", subject, changes.assign({"title": "two"}).writes), DONE)
    conditional = contest.begin("PATCH", "PATCH", subject, changes.assign({"title": "three"}).writes, read)
    contest.end(conditional, DONE)
    found = judge.settle(contest, {"/Users": [user(subject, "1", title="three")]})
    assert [finding.kind for finding in found] == kinds
