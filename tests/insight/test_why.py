"""What an operator reads who asks why somebody is not there: planted situations, through GET /manage/{tenant}/why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.insight.place import KEYS, Place
from tests.support import ENTERPRISE

ADELE = {"userName": "adele@contoso.example", "externalId": "e-adele", "displayName": "Adele Vance"}
_OFF = {"op": "replace", "path": "active", "value": False}


async def ask(place: Place, **asked: str) -> dict[str, Any]:
    await place.settle()
    answer = await place.manage(f"/contoso/why?{urlencode(asked)}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def taken(place: Place) -> None:
    await place.client().new_user("diego@contoso.example", externalId="e-adele")
    await place.client().new_user("adele@contoso.example", externalId="e-old")
    assert (await place.client().post("/Users", ADELE)).status == 409


async def wrong_type(place: Place) -> None:
    body = {**ADELE, "emails": [{"value": "adele.v@contoso.example"}], "active": "perhaps"}
    assert (await place.client().post("/Users", body)).status == 400


async def without_name(place: Place) -> None:
    assert (await place.client().post("/Users", {"displayName": "Adele Vance", "externalId": "e-adele"})).status == 400


async def there(place: Place) -> None:
    await wrong_type(place)
    await place.client().new_user(**{**ADELE, "user_name": ADELE["userName"]})  # type: ignore[arg-type]


async def made(place: Place) -> str:
    answer = await place.client().post("/Users", ADELE)
    return str(answer.json["id"])


async def disabled(place: Place) -> None:
    assert (await place.client().patch(f"/Users/{await made(place)}", _OFF)).status == 200


async def change_refused(place: Place) -> None:
    id = await made(place)
    await place.client().patch(f"/Users/{id}", {"op": "replace", "path": "active", "value": "perhaps"})
    await place.client().patch(f"/Users/{id}", {"op": "replace", "path": f"{ENTERPRISE}:manager", "value": [1, 2]})


async def expired(place: Place) -> None:
    assert (await place.client("contoso-expired").get("/Users")).status == 401


async def paused(place: Place) -> None:
    assert (await place.client("contoso-paused").get("/Users")).status == 503


async def read_only(place: Place) -> None:
    assert (await place.client("contoso-reader").post("/Users", ADELE)).status == 403


async def nobody_calls(place: Place) -> None:
    await place.manage("/contoso/status")


async def others_come(place: Place) -> None:
    await place.client().new_user("diego@contoso.example")


Plant = Callable[[Place], Awaitable[None]]
SITUATIONS: list[tuple[str, Plant, dict[str, str], str, list[str]]] = [
    (
        "the userName is taken by somebody who is there",
        taken,
        {"user": "adele@contoso.example"},
        "refused",
        ["is here since", "last change was refused", "already taken", "match on an attribute"],
    ),
    (
        "a value of the wrong type",
        wrong_type,
        {"user": "Adele@Contoso.example"},
        "refused",
        ["adele@contoso.example is not here", "active must be", "Attribute mapping", "active is mapped", "on demand"],
    ),
    ("the same, asked by externalId", wrong_type, {"user": "e-adele"}, "refused", ["active must be"]),
    ("the same, asked by e-mail", wrong_type, {"user": "adele.v@contoso.example"}, "refused", ["active must be"]),
    ("the same, asked by displayName", wrong_type, {"user": "adele vance"}, "refused", ["active must be"]),
    ("the same, asked by its beginning", wrong_type, {"user": "adele@"}, "refused", ["active must be"]),
    (
        "no userName is mapped",
        without_name,
        {"user": "Adele Vance"},
        "refused",
        ["userName is required", "never empty"],
    ),
    ("it was refused, and then went well", there, {"user": "adele@contoso.example"}, "there", ["User adele@", "since"]),
    ("it is there, asked by externalId", there, {"user": "e-adele"}, "there", ["User adele@contoso.example is here"]),
    ("it was switched off", disabled, {"user": "Adele Vance"}, "disabled", ["It is disabled", "still assigned"]),
    (
        "it is there, but a change is refused",
        change_refused,
        {"user": "adele@contoso.example"},
        "refused",
        ["is here since", "But the last change was refused", "manager"],
    ),
    (
        "the credential has expired",
        expired,
        {"user": "adele@contoso.example"},
        "connection",
        ["contoso-expired expired on", "connections rotate contoso-expired"],
    ),
    (
        "the connection is paused",
        paused,
        {"user": "adele@contoso.example"},
        "connection",
        ["contoso-paused is paused since", "connections resume contoso-paused"],
    ),
    (
        "the connection may only read",
        read_only,
        {"user": "adele@contoso.example"},
        "connection",
        ["contoso-reader is refused since", "may only read", "one that may write"],
    ),
    (
        "no identity provider calls",
        nobody_calls,
        {"user": "adele@contoso.example"},
        "nobody-calls",
        ["No identity provider has sent a request", "quarantine"],
    ),
    (
        "Entra never tried",
        others_come,
        {"user": "adele@contoso.example"},
        "never-tried",
        ["Entra never tried", "connection contoso was heard of", "not assigned", "scoping filter", "Default Access"],
    ),
    ("an id that is nobody's", others_come, {"user": f"u-{'a' * 24}"}, "never-tried", ["Nothing with the id"]),
    ("a group that nobody sent", others_come, {"group": "Sales"}, "never-tried", ["never tried"]),
]


@pytest.mark.parametrize(
    ("plant", "asked", "verdict", "words"), [each[1:] for each in SITUATIONS], ids=[each[0] for each in SITUATIONS]
)
async def test_each_situation_is_explained(plant: Plant, asked: dict[str, str], verdict: str, words: list[str]) -> None:
    place = Place()
    await plant(place)
    answer = await ask(place, **asked)
    read = f"{answer['text']} {answer.get('remedy', '')}"
    assert answer["verdict"] == verdict, read
    assert [word for word in words if word not in read] == [], read


async def test_a_name_that_is_the_beginning_of_several_names_them() -> None:
    place = Place()
    await others_come(place)
    await place.client().new_user("diego.b@contoso.example")
    answer = await ask(place, user="diego")
    assert (answer["verdict"], answer["others"]) == ("several", ["diego.b@contoso.example", "diego@contoso.example"])


async def grouped(place: Place) -> tuple[str, str]:
    user = await made(place)
    group = (await place.client().post("/Groups", {"displayName": "Sales", "externalId": "e-sales"})).json["id"]
    return user, group


async def test_why_a_user_is_not_in_a_group() -> None:
    place = Place()
    user, group = await grouped(place)
    names = {"user": "adele@contoso.example", "group": "sales"}
    answer = await ask(place, **names)
    assert answer["verdict"] == "not-a-member"
    assert "the group itself is assigned" in answer["remedy"]
    await place.client().patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": user}]})
    assert (await ask(place, **names))["verdict"] == "member"
    missing = await ask(place, user="nobody@contoso.example", group="Sales")
    assert (missing["verdict"], missing["asked"]) == ("never-tried", "nobody@contoso.example")
    missing = await ask(place, user="adele@contoso.example", group="Legal")
    assert (missing["verdict"], missing["asked"]) == ("never-tried", "Legal")


async def test_the_last_change_of_the_group_was_refused() -> None:
    place = Place()
    _, group = await grouped(place)
    await place.client().patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"display": "Adele"}]})
    await place.settle()
    answer = await ask(place, user="adele@contoso.example", group="Sales")
    assert answer["verdict"] == "refused"
    assert "is not a member of sales" in answer["text"].lower()
    assert "members" in answer["text"]


async def test_an_answer_takes_up_to_five_trips() -> None:
    place = Place()
    await change_refused(place)
    await place.settle()
    place.table.reset()
    assert (await ask(place, user="adele@contoso.example"))["verdict"] == "refused"
    assert len(place.table.trips) <= 5, place.table.trips


@pytest.mark.parametrize("path", ["/contoso/why?user=adele", "/contoso/status", "/contoso/metrics.csv", "/contoso", ""])
async def test_a_customer_finds_nothing_at_manage(path: str) -> None:
    place = Place()
    for who in ("contoso", "fabrikam"):
        assert (await place.manage(path, who)).status == 404


@pytest.mark.parametrize(
    ("who", "method", "path", "status", "word"),
    [
        ("reader", "GET", "/contoso/why?user=a", 403, "connections grant reader --rights"),
        ("others", "GET", "/contoso/status", 403, "--add-tenants contoso"),
        ("manager", "GET", "/contoso/why", 400, "?user=<name>"),
        ("manager", "GET", "/contoso/status?expect=many", 400, "whole number"),
        ("manager", "GET", "/contoso/where", 404, "/manage/<tenant>/why"),
        ("manager", "GET", "/Con%20toso/status", 404, "No tenant is called"),
        ("manager", "DELETE", "/contoso/status", 405, "use GET"),
    ],
)
async def test_what_is_asked_wrongly_is_told(who: str, method: str, path: str, status: int, word: str) -> None:
    answer = await Place().manage(path, who, method)
    assert (answer.status, word in answer.json["detail"]) == (status, True), answer.body


async def test_no_key_is_in_an_answer() -> None:
    place = Place()
    await expired(place)
    await place.settle()
    for path in ("/contoso/why?user=a", "/contoso/status"):
        text = (await place.manage(path)).body.decode()
        assert not any(key in text for key in KEYS.values())
