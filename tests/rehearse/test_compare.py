"""What counts as a difference, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from dev.rehearse.compare import group_differences, user_differences
from dev.rehearse.links import GroupLink, UserLink
from dev.rehearse.mapping import ENTERPRISE, Attributes, Roles

WRITTEN: Attributes = {
    "userName": "Anna@x",
    "active": False,
    "name.givenName": "Änna",
    'emails[type eq "work"].value': "a@x",
    'emails[type eq "home"].value': "b@x",
    f"{ENTERPRISE}:department": "R&D",
    "roles": Roles(("Admin", "User"), "complex"),
}


def user(**changes: Any) -> dict[str, Any]:
    return {
        "id": "u1",
        "userName": "Anna@x",
        "active": False,
        "Name": {"GivenName": "Änna", "formatted": "added by the server"},
        "emails": [{"type": "HOME", "value": "b@x"}, {"type": "work", "value": "a@x", "primary": True}],
        ENTERPRISE: {"department": "R&D", "manager": {"value": "m1", "displayName": "added"}},
        "roles": [{"value": "User"}, {"value": '{"id": "1", "value": "Admin", "displayName": "Admin"}'}],
        "meta": {"version": "1"},
        **changes,
    }


@pytest.fixture
def link() -> UserLink:
    return UserLink("u1", "Anna@x", WRITTEN, manager="m1")


def test_order_case_and_additions_do_not_matter(link: UserLink) -> None:
    assert user_differences(link, user()) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"userName": "anna@x"}, "userName"),
        ({"active": True}, "active"),
        ({"active": "False"}, "active"),
        ({"Name": {"givenName": "Anna"}}, "name.givenName"),
        ({"emails": [{"type": "work", "value": "a@x"}]}, 'emails[type eq "home"].value'),
        ({"emails": None}, 'emails[type eq "work"].value'),
        ({"emails": [*user()["emails"], {"type": "other", "value": "c@x"}]}, "emails (too many)"),
        ({"emails": [*user()["emails"], {"type": "work", "value": "a@x"}]}, 'emails[type eq "work"].value'),
        ({ENTERPRISE: {"manager": {"value": "m1"}}}, f"{ENTERPRISE}:department"),
        ({ENTERPRISE: {"department": "R&D", "manager": {"value": "m2"}}}, f"{ENTERPRISE}:manager"),
        ({ENTERPRISE: {"department": "R&D", "manager": "m1"}}, f"{ENTERPRISE}:manager"),
        ({ENTERPRISE: {"department": "R&D"}}, f"{ENTERPRISE}:manager"),
        ({"roles": [{"value": "User"}]}, "roles"),
        ({"roles": [*user()["roles"], {"value": "Owner"}]}, "roles"),
    ],
)
def test_each_difference_is_found(link: UserLink, changes: dict[str, Any], path: str) -> None:
    assert path in [difference.path for difference in user_differences(link, user(**changes))]


def test_after_a_lost_answer_old_and_new_are_both_right(link: UserLink) -> None:
    link.doubt({"active": True})
    assert user_differences(link, user()) == user_differences(link, user(active=True)) == []
    link.accept({"active": True}, "legacy")
    assert [each.path for each in user_differences(link, user())] == ["active"]


def test_added_roles_stay_beside_old_ones_and_replaced_ones_do_not(link: UserLink) -> None:
    link.accept({"roles": Roles(("Owner",), "complex")}, "legacy")
    assert [each.path for each in user_differences(link, user())] == ["roles"]
    assert not user_differences(link, user(roles=[{"value": name} for name in ("Admin", "User", "Owner")]))
    link.accept({"roles": Roles(("Auditor",), "assertive")}, "legacy")
    assert not user_differences(link, user(roles=[{"value": "Auditor"}]))
    assert user_differences(link, user(roles=[{"value": "Auditor"}, {"value": "Owner"}]))


def test_groups() -> None:
    link = GroupLink("g1", "Sales", "x1", members={"u1", "u2"})
    group = {"displayName": "Sales", "externalId": "x1"}

    def paths(members: set[str] | None, **changes: str) -> list[str]:
        return [each.path for each in group_differences(link, {**group, **changes}, members, {"gone"})]

    assert paths({"u1", "u2"}) == paths({"u1", "u2", "gone"}) == paths(None) == []
    assert paths({"u1"}) == ["members"]
    assert paths({"u1", "u2", "u3"}) == ["members (too many)"]
    assert paths(None, displayName="sales") == ["displayName"]
    assert paths(None, externalId="") == ["externalId"]
