"""Searches by GET and by POST, on a type and on the root: order, limits, and what a response carries (RFC 7644 §3.4.2,
§3.4.3, §3.9)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest

import function_app
from dev.host import Host
from scim.app import Application
from scim.settings import Settings
from tests.support import BASE, ENTERPRISE, USER, Client, Response, Wire

SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"

USERS: list[dict[str, Any]] = [
    {
        "userName": "delta",
        "externalId": "b",
        "displayName": "Zoe",
        "name": {"givenName": "zoe", "familyName": "Adler"},
        "active": True,
        "emails": [{"type": "home", "value": "z@x"}, {"type": "work", "value": "a@x", "primary": True}],
        "roles": [{"value": "reader"}, {"value": "admin"}],
        ENTERPRISE: {"department": "it", "employeeNumber": "10"},
    },
    {
        "userName": "Bravo",
        "externalId": "B",
        "displayName": "yan",
        "name": {"givenName": "Anna"},
        "active": False,
        "emails": [{"type": "work", "value": "M@x"}, {"type": "home", "value": "b@x"}],
        ENTERPRISE: {"department": "Finance", "employeeNumber": "9"},
    },
    {"userName": "charlie", "externalId": "C", "displayName": "émil", "emails": [{"type": "work", "value": "c@x"}]},
    {"userName": "alpha", "active": True, "name": {"familyName": "zach"}, "roles": [{"value": "Builder"}]},
    {"userName": "echo", "externalId": "a", "displayName": "ZOE", "active": False},
]
"""In the order in which they were created, a day after each other; bravo was changed last of all."""

GROUPS = {"Yaks": ["delta", "echo"], "ants": []}

NAMES = [user["userName"] for user in USERS]


@dataclass(frozen=True)
class Library:
    """The above in one tenant that no test changes; `ids` by userName or displayName."""

    client: Client
    ids: dict[str, str]


@pytest.fixture(scope="module")
async def library(host: Host, unused: Iterator[tuple[str, str]]) -> Library:
    client = Client(host, *next(unused))
    ids: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        for day, user in enumerate(USERS, 1):
            patch.setattr("scim.store.resources.now", lambda day=day: f"2026-03-{day:02}T08:00:00.000Z")
            ids[user["userName"]] = (await client.new_user(**{**user, "user_name": user["userName"]}))["id"]
        for day, (name, members) in enumerate(GROUPS.items(), 11):
            patch.setattr("scim.store.resources.now", lambda day=day: f"2026-03-{day:02}T08:00:00.000Z")
            body = {"displayName": name, "members": [{"value": ids[member]} for member in members]}
            ids[name] = (await client.post("/Groups", body)).json["id"]
        patch.setattr("scim.store.resources.now", lambda: "2026-04-01T08:00:00.000Z")
        change = {"op": "add", "path": "title", "value": "changed"}
        assert (await client.patch(f"/Users/{ids['Bravo']}", change)).status == 200
    return Library(client, ids)


def names(response: Response) -> list[str]:
    """The names of the resources found, in their order."""
    assert response.status == 200, response.body
    return [resource.get("userName") or resource["displayName"] for resource in response.json["Resources"]]


async def by_get(client: Client, path: str, **parameters: object) -> Response:
    texts = {n: ",".join(v) if isinstance(v, list) else v for n, v in parameters.items()}
    return await client.get(f"{path}?{urlencode(texts, quote_via=quote_plus)}")


async def by_post(client: Client, path: str, **parameters: object) -> Response:
    return await client.post(f"{path.rstrip('/')}/.search", {"schemas": [SEARCH], **parameters})


def expect_error(response: Response, scim_type: str, named: str = "") -> None:
    assert (response.status, response.json.get("scimType")) == (400, scim_type), response.body
    assert named in response.json["detail"]


# GET and POST.

SAME: dict[str, dict[str, object]] = {
    "nothing": {},
    "a filter": {"filter": 'displayName sw "Z" or displayName sw "y"'},
    "an order": {"sortBy": "displayName", "sortOrder": "descending"},
    "a page": {"startIndex": 2, "count": 2},
    "a page of an order": {"sortBy": "meta.created", "startIndex": 2, "count": 1},
    "numbers as text": {"startIndex": "2", "count": "1"},
    "only the number": {"count": 0},
    "attributes": {"attributes": ["displayName", "name.familyName", "members.value"]},
    "one attribute as text": {"attributes": "displayName"},
    "excluded attributes": {"excludedAttributes": ["meta", "emails.type", f"{ENTERPRISE}:department"]},
    "names in any case": {"FILTER": "displayName pr", "SORTBY": "DISPLAYNAME", "Count": 3},
    "what it does not know": {"color": "blue", "count": 2},
}


@pytest.mark.parametrize("path", ["/Users", "/Groups", "/"])
@pytest.mark.parametrize("parameters", SAME.values(), ids=SAME)
async def test_get_and_post_give_the_same(library: Library, path: str, parameters: dict[str, object]) -> None:
    got = await by_get(library.client, path, **parameters)
    assert got.status == 200, got.body
    assert got.json["schemas"] == [LIST]
    assert got.headers["content-type"] == "application/scim+json"
    assert (await by_post(library.client, path, **parameters)).json == got.json


@pytest.mark.parametrize("path", ["/Users/.search", "/users/.SEARCH", "/Users/.search/"])
async def test_post_searches_in_any_case(library: Library, path: str) -> None:
    response = await library.client.post(path, {"filter": 'userName eq "echo"'})
    assert names(response) == ["echo"]


BODIES: dict[str, tuple[object, str]] = {
    "an array": ([], "invalidSyntax"),
    "a count that is no number": ({"count": "many"}, "invalidValue"),
    "a count with a fraction": ({"count": 1.5}, "invalidValue"),
    "a count that is true": ({"count": True}, "invalidValue"),
    "a filter that is a number": ({"filter": 5}, "invalidValue"),
    "attributes that are an object": ({"attributes": {}}, "invalidValue"),
    "attributes with a number": ({"attributes": ["id", 1]}, "invalidValue"),
    "a filter that is none": ({"filter": "userName eq"}, "invalidFilter"),
}


@pytest.mark.parametrize(("body", "scim_type"), BODIES.values(), ids=BODIES)
async def test_a_body_that_is_no_search_is_refused(library: Library, body: object, scim_type: str) -> None:
    for path in ("/Users/.search", "/.search"):
        expect_error(await library.client.post(path, body), scim_type)


@pytest.mark.parametrize(("method", "allow"), [("GET", "POST"), ("PUT", "POST"), ("DELETE", "POST")])
async def test_search_is_for_post_alone(library: Library, method: str, allow: str) -> None:
    for path in ("/.search", "/Groups/.search"):
        response = await library.client.request(method, path)
        assert (response.status, response.headers["allow"]) == (405, allow)


async def test_null_in_a_body_is_not_there(library: Library) -> None:
    body = {name: None for name in ("filter", "sortBy", "sortOrder", "count", "cursor", "attributes", "startIndex")}
    assert (await library.client.post("/Users/.search", body)).json == (await library.client.get("/Users")).json


# Order. Those without a value come last ascending, first descending, in any order among themselves.

ORDERS: dict[str, tuple[str, str, set[str]]] = {
    "userName": ("alpha Bravo charlie delta echo", "", set()),
    "USERNAME": ("alpha Bravo charlie delta echo", "", set()),
    f"{USER}:userName": ("alpha Bravo charlie delta echo", "", set()),
    "externalId": ("Bravo charlie echo delta", "alpha", set()),
    "displayName": ("Bravo delta echo charlie", "alpha", {"delta echo"}),
    "name.givenName": ("Bravo delta", "charlie alpha echo", set()),
    f"{USER}:name.familyName": ("delta alpha", "Bravo charlie echo", set()),
    "active": ("Bravo echo delta alpha", "charlie", {"Bravo echo", "delta alpha"}),
    "emails": ("delta charlie Bravo", "alpha echo", set()),
    "emails.value": ("delta charlie Bravo", "alpha echo", set()),
    "emails.type": ("delta Bravo charlie", "alpha echo", {"delta Bravo charlie"}),
    "roles.value": ("alpha delta", "Bravo charlie echo", set()),
    "meta.created": ("delta Bravo charlie alpha echo", "", set()),
    "meta.lastModified": ("delta charlie alpha echo Bravo", "", set()),
    "department": ("Bravo delta", "charlie alpha echo", set()),
    f"{ENTERPRISE}:department": ("Bravo delta", "charlie alpha echo", set()),
    f"{ENTERPRISE.upper()}:EMPLOYEENUMBER": ("delta Bravo", "charlie alpha echo", set()),
}
"""By sortBy: those with a value in their order, those without one, and which of them are equal, in any order."""


@pytest.mark.parametrize("filter", [None, "userName pr"], ids=["all", "filtered"])
@pytest.mark.parametrize("order", ["", "ascending", "descending", "Descending"])
@pytest.mark.parametrize("attribute", ORDERS)
async def test_order(library: Library, attribute: str, order: str, filter: str | None) -> None:
    valued, rest, equal = ORDERS[attribute]
    parameters = {
        "sortBy": attribute,
        **({"sortOrder": order} if order else {}),
        **({"filter": filter} if filter else {}),
    }
    found = names(await by_get(library.client, "/Users", **parameters))
    descending = order.lower() == "descending"
    ordered = found[len(rest.split()) :] if descending else found[: len(valued.split())]
    missing = found[: len(rest.split())] if descending else found[len(valued.split()) :]
    if descending:
        ordered.reverse()
    for group in equal:
        at = ordered.index(next(name for name in ordered if name in group.split()))
        assert set(ordered[at : at + len(group.split())]) == set(group.split())
        ordered[at : at + len(group.split())] = group.split()
    assert ordered == valued.split()
    assert sorted(missing) == sorted(rest.split())


@pytest.mark.parametrize("sort", ["userName", "displayName", "emails", "active"])
async def test_an_order_in_pages_is_the_order(library: Library, sort: str) -> None:
    """Also where several have no value or the same."""
    for order in ("ascending", "descending"):
        whole = names(await by_get(library.client, "/Users", sortBy=sort, sortOrder=order))
        pages = [
            await by_get(library.client, "/Users", sortBy=sort, sortOrder=order, startIndex=start, count=2)
            for start in (1, 3, 5, 7)
        ]
        assert [name for page in pages for name in names(page)] == whole
        assert [page.json["totalResults"] for page in pages] == [5, 5, 5, 5]
        assert [page.json["startIndex"] for page in pages] == [1, 3, 5, 7]


async def test_everything_in_an_order(library: Library) -> None:
    """A type that does not have the attribute has no value."""
    client = library.client
    created = [*NAMES, *GROUPS]
    assert names(await by_get(client, "/", sortBy="meta.created")) == created
    assert names(await by_get(client, "/", sortBy="meta.created", sortOrder="descending")) == created[::-1]
    shown = names(await by_get(client, "/", sortBy="displayName"))
    assert (shown[:3], sorted(shown[3:5]), shown[5:]) == (
        ["ants", "Yaks", "Bravo"],
        ["delta", "echo"],
        ["charlie", "alpha"],
    )
    shown = names(await by_get(client, "/", sortBy="userName"))
    assert (shown[:5], sorted(shown[5:])) == (["alpha", "Bravo", "charlie", "delta", "echo"], ["Yaks", "ants"])
    shown = names(await by_get(client, "/", sortBy="userName", sortOrder="descending"))
    assert (sorted(shown[:2]), shown[2:]) == (["Yaks", "ants"], ["echo", "delta", "charlie", "Bravo", "alpha"])


UNSORTABLE = [
    "name",
    "addresses",
    "meta",
    "groups",
    "groups.value",
    "nothing",
    "name.nothing",
    "userName.first",
    ENTERPRISE,
    f"{ENTERPRISE}:nothing",
    "urn:example:undeclared:2.0:User:x",
    'emails[type eq "work"].value',
    "displayName,userName",
    "\x00",
]


@pytest.mark.parametrize("attribute", UNSORTABLE)
async def test_what_cannot_be_sorted_by_is_refused(library: Library, attribute: str) -> None:
    for path in ("/Users", "/"):
        expect_error(await by_get(library.client, path, sortBy=attribute), "invalidValue", "sortBy")


async def test_members_cannot_be_sorted_by(library: Library) -> None:
    expect_error(await by_get(library.client, "/Groups", sortBy="members"), "invalidValue", "sortBy")


@pytest.mark.parametrize("order", ["up", "asc", "ascending,descending", "1"])
async def test_an_order_is_ascending_or_descending(library: Library, order: str) -> None:
    for search in (by_get, by_post):
        response = await search(library.client, "/Users", sortBy="userName", sortOrder=order)
        expect_error(response, "invalidValue", "sortOrder")


@pytest.mark.parametrize("order", ["ascending", "descending"])
async def test_an_order_by_a_required_unique_value_is_read_off_its_index(
    library: Library, wire: Wire, order: str
) -> None:
    """One trip for the values and one for each resource shown: no other resource is read."""
    shown = {"sortOrder": order, "startIndex": 2, "count": 2}
    found = await by_get(library.client, "/Users", sortBy="userName", excludedAttributes="groups", **shown)
    assert names(found) == (["Bravo", "charlie"] if order == "ascending" else ["delta", "charlie"])
    assert len(wire.trips) == 1 + 2, wire.trips
    wire.reset()
    found = await by_get(library.client, "/Groups", sortBy="displayName", excludedAttributes="members", count=1)
    assert names(found) == ["ants"]
    assert len(wire.trips) == 1 + 1, wire.trips


# Limits.


@pytest.fixture
async def limits(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """The application with the limits that a test gives."""
    application = Application(settings.model_copy(update=request.param))
    monkeypatch.setattr(function_app, "application", application)
    yield
    await application.close()


@pytest.mark.parametrize("limits", [{"sort_limit": 3}], indirect=True)
async def test_sorting_has_a_limit(library: Library, limits: None) -> None:
    client = library.client
    expect_error(await by_get(client, "/Users", sortBy="displayName"), "tooMany", "More than 3")
    expect_error(await by_get(client, "/Users", sortBy="displayName", count=1), "tooMany")
    expect_error(await by_get(client, "/Users", sortBy="userName", filter="userName pr"), "tooMany")
    expect_error(await by_get(client, "/", sortBy="meta.created"), "tooMany")
    assert len(names(await by_get(client, "/Users", sortBy="userName"))) == 5
    assert len(names(await by_get(client, "/Groups", sortBy="meta.created"))) == 2
    assert len(names(await by_get(client, "/Users", sortBy="displayName", filter="displayName pr and active pr"))) == 3


@pytest.mark.parametrize("limits", [{"scan_limit": 4}], indirect=True)
async def test_scanning_has_a_limit(library: Library, limits: None) -> None:
    client = library.client
    for search in (by_get, by_post):
        for path in ("/Users", "/"):
            expect_error(await search(client, path, filter='displayName co "z"'), "tooMany", "4")
            expect_error(await search(client, path, filter='displayName co "z"', count=1), "tooMany")
        expect_error(await search(client, "/Users", filter="active pr", sortBy="userName"), "tooMany")
    assert names(await by_get(client, "/Users", filter='userName eq "echo" and displayName co "z"')) == ["echo"]
    assert len(names(await by_get(client, "/Users", filter='displayName sw "z"'))) == 2
    assert len(names(await by_get(client, "/Groups", filter='displayName co "a"'))) == 2
    assert len(names(await by_get(client, "/Users"))) == 5
    assert len(names(await by_get(client, "/"))) == 7


@pytest.mark.parametrize("limits", [{"scan_limit": 5, "sort_limit": 5}], indirect=True)
async def test_what_is_within_a_limit_is_not_beyond_it(library: Library, limits: None) -> None:
    assert len(names(await by_get(library.client, "/Users", filter='userName co "l"'))) == 3
    assert len(names(await by_get(library.client, "/Users", sortBy="displayName"))) == 5


@pytest.mark.parametrize("limits", [{"page_size": 2, "max_page_size": 3}], indirect=True)
@pytest.mark.parametrize(
    "more", [{}, {"filter": "userName pr"}, {"sortBy": "displayName"}], ids=["all", "scan", "order"]
)
async def test_pages_have_a_size(library: Library, limits: None, more: dict[str, object]) -> None:
    for count, size in [({}, 2), ({"count": 1}, 1), ({"count": 3}, 3), ({"count": 4}, 3), ({"count": 10**9}, 3)]:
        for search in (by_get, by_post):
            found = await search(library.client, "/Users", **count, **more)
            assert (found.json["itemsPerPage"], len(names(found)), found.json["totalResults"]) == (size, size, 5)


# startIndex and count.

PAGES: dict[str, tuple[str, tuple[int, int]]] = {
    "nothing said": ("", (1, 5)),
    "nothing in it": ("startIndex=&count=", (1, 5)),
    "from 0": ("startIndex=0", (1, 5)),
    "from below 0": ("startIndex=-7", (1, 5)),
    "from the second": ("startIndex=2", (2, 4)),
    "from +2": ("startIndex=%2B2", (2, 4)),
    "from the last": ("startIndex=5", (5, 1)),
    "from beyond": ("startIndex=6", (6, 0)),
    "from far beyond": ("startIndex=1000000000000", (1000000000000, 0)),
    "none": ("count=0", (1, 0)),
    "none from the third": ("count=0&startIndex=3", (3, 0)),
    "fewer than none": ("count=-1", (1, 0)),
    "two": ("count=2", (1, 2)),
    "two of the last one": ("startIndex=5&count=2", (5, 1)),
    "more than there are": ("count=1000", (1, 5)),
    "more than a page": ("count=100000", (1, 5)),
}


@pytest.mark.parametrize(
    "more",
    [
        "",
        "&filter=userName%20pr",
        "&filter=meta.created%20gt%202020-01-01T00:00:00Z&sortBy=userName",
        "&sortBy=userName",
    ],
)
@pytest.mark.parametrize(("asked", "page"), PAGES.values(), ids=PAGES)
async def test_start_index_and_count(library: Library, asked: str, page: tuple[int, int], more: str) -> None:
    """totalResults is what there is, whatever the page."""
    found = (await library.client.get(f"/Users?{asked}{more}")).json
    start, number = page
    assert (found["startIndex"], found["itemsPerPage"], found["totalResults"]) == (start, number, 5)
    whole = (await library.client.get(f"/Users?{more.lstrip('&')}")).json["Resources"]
    assert found["Resources"] == whole[start - 1 :][:number]


@pytest.mark.parametrize("path", ["/", "/Groups"])
async def test_pages_of_everything_and_of_groups(library: Library, path: str) -> None:
    whole = (await library.client.get(path)).json["Resources"]
    for start in range(1, len(whole) + 2):
        found = (await library.client.get(f"{path}?startIndex={start}&count=3")).json
        assert found["Resources"] == whole[start - 1 :][:3]
        assert found["totalResults"] == len(whole)


@pytest.mark.parametrize("value", ["many", "1.5", "1e2", "0x1", "\u0661", "1 2", "9" * 30])
@pytest.mark.parametrize("name", ["startIndex", "count"])
async def test_what_is_no_number_is_refused(library: Library, name: str, value: str) -> None:
    for search in (by_get, by_post):
        expect_error(await search(library.client, "/Users", **{name: value}), "invalidValue", name)


# What a response carries.


def whole(library: Library) -> dict[str, Any]:
    """What a search shows of delta beside schemas, id and meta."""
    group = library.ids["Yaks"]
    groups = [{"value": group, "$ref": f"{BASE}/Groups/{group}", "type": "direct"}]
    return {**USERS[0], "groups": groups}


async def delta(library: Library, **parameters: object) -> dict[str, Any]:
    """Delta as a search shows it, without what it always shows."""
    response = await by_get(library.client, "/Users", filter='userName eq "delta"', **parameters)
    assert response.status == 200, response.body
    (resource,) = response.json["Resources"]
    assert resource.pop("id") == library.ids["delta"]
    assert resource.pop("schemas") == [USER, ENTERPRISE]
    return resource  # type: ignore[no-any-return]


def only(resource: dict[str, Any], name: str, *subs: str) -> dict[str, Any]:
    """One attribute, with these of its sub-attributes or all."""
    value = resource[name]
    if subs and isinstance(value, list):
        return {name: [kept for e in value if (kept := {sub: e[sub] for sub in subs if sub in e})]}
    return {name: {sub: value[sub] for sub in subs} if subs else value}


ATTRIBUTES: dict[str, list[tuple[str, ...]]] = {
    "userName": [("userName",)],
    "USERNAME,displayname": [("userName",), ("displayName",)],
    " userName , displayName ,": [("userName",), ("displayName",)],
    "name": [("name",)],
    "name.familyName": [("name", "familyName")],
    "name.familyName,name": [("name",)],
    "name,name.familyName": [("name",)],
    "Name.FamilyName,name.givenName": [("name", "familyName", "givenName")],
    "name.middleName": [],
    "emails.value": [("emails", "value")],
    "emails.primary": [("emails", "primary")],
    "emails.type,emails.primary": [("emails", "type", "primary")],
    "groups": [("groups",)],
    "groups.value": [("groups", "value")],
    f"{USER}:displayName": [("displayName",)],
    f"{USER.lower()}:NAME.givenName": [("name", "givenName")],
    ENTERPRISE: [(ENTERPRISE,)],
    f"{ENTERPRISE}:department": [(ENTERPRISE, "department")],
    f"{ENTERPRISE.upper()}:DEPARTMENT,active": [(ENTERPRISE, "department"), ("active",)],
    "department": [(ENTERPRISE, "department")],
    "id": [],
    "schemas": [],
    "title": [],
    "nothing": [],
    "nothing,active": [("active",)],
    "password": [],
}


@pytest.mark.parametrize("asked", ATTRIBUTES)
async def test_attributes(library: Library, asked: str) -> None:
    expected: dict[str, Any] = {}
    for name, *subs in ATTRIBUTES[asked]:
        expected |= only(whole(library), name, *subs)
    assert await delta(library, attributes=asked) == expected


async def test_attributes_of_meta(library: Library) -> None:
    meta = (await delta(library, attributes="meta"))["meta"]
    assert set(meta) == {"resourceType", "created", "lastModified", "location", "version"}
    assert await delta(library, attributes="meta.created") == {"meta": {"created": "2026-03-01T08:00:00.000Z"}}


EXCLUDED: dict[str, dict[str, list[str]]] = {
    "": {},
    "displayName": {"displayName": []},
    "DISPLAYNAME,name": {"displayName": [], "name": []},
    "name.givenName": {"name": ["givenName"]},
    "name.givenName,name.familyName": {"name": []},
    "emails.type": {"emails": ["type"]},
    "emails.type,emails": {"emails": []},
    "emails.value,emails.type,emails.primary": {"emails": []},
    "groups": {"groups": []},
    "groups.$ref,groups.type": {"groups": ["$ref", "type"]},
    f"{USER}:displayName": {"displayName": []},
    f"{USER}:name.givenName": {"name": ["givenName"]},
    ENTERPRISE: {ENTERPRISE: []},
    f"{ENTERPRISE}:department": {ENTERPRISE: ["department"]},
    f"{ENTERPRISE}:department,employeeNumber": {ENTERPRISE: []},
    "department": {ENTERPRISE: ["department"]},
    "id,schemas": {},
    "nothing": {},
}


@pytest.mark.parametrize("excluded", EXCLUDED)
async def test_excluded_attributes(library: Library, excluded: str) -> None:
    expected = whole(library)
    for name, subs in EXCLUDED[excluded].items():
        value = expected.pop(name)
        if subs and isinstance(value, list):
            expected[name] = [{sub: item for sub, item in e.items() if sub not in subs} for e in value]
        elif subs:
            expected[name] = {sub: item for sub, item in value.items() if sub not in subs}
    found = await delta(library, excludedAttributes=excluded)
    assert found.pop("meta")["resourceType"] == "User"
    assert found == expected


async def test_attributes_and_excluded_attributes_exclude_each_other(library: Library) -> None:
    for search in (by_get, by_post):
        for path in ("/Users", "/"):
            response = await search(library.client, path, attributes="userName", excludedAttributes="name")
            expect_error(response, "invalidValue", "excludedAttributes")


ROOT_ATTRIBUTES: dict[str, tuple[set[str], set[str]]] = {
    "userName": ({"userName"}, set()),
    "members.value": (set(), {"members"}),
    "userName,members": ({"userName"}, {"members"}),
    "displayName": ({"displayName"}, {"displayName"}),
    f"{USER}:displayName": ({"displayName"}, set()),
    f"{ENTERPRISE}:department": ({ENTERPRISE}, set()),
}
"""What users and what groups show, where they have it."""


@pytest.mark.parametrize("asked", ROOT_ATTRIBUTES)
async def test_attributes_of_one_type_on_the_root(library: Library, asked: str) -> None:
    """The other type shows what it always does."""
    resources = (await by_get(library.client, "/", attributes=asked)).json["Resources"]
    assert len(resources) == 7
    shown: dict[str, set[str]] = {"u": set(), "g": set()}
    for resource in resources:
        shown[resource["id"][0]] |= set(resource) - {"id", "schemas"}
    assert (shown["u"], shown["g"]) == ROOT_ATTRIBUTES[asked]


async def test_excluded_attributes_of_one_type_on_the_root(library: Library) -> None:
    resources = (await by_get(library.client, "/", excludedAttributes="members,name.givenName")).json["Resources"]
    assert len(resources) == 7
    assert not any("members" in resource or "givenName" in resource.get("name", {}) for resource in resources)
    assert sum("groups" in resource for resource in resources) == 2
    assert sum("name" in resource for resource in resources) == 2


async def test_the_root_by_type(library: Library) -> None:
    """The example of RFC 7644 §3.4.2.1."""
    for search in (by_get, by_post):
        users = await search(library.client, "/", filter='meta.resourceType eq "User"', sortBy="userName")
        assert names(users) == ["alpha", "Bravo", "charlie", "delta", "echo"]
        groups = await search(library.client, "/", filter="(meta.resourceType eq Group)")
        assert sorted(names(groups)) == ["Yaks", "ants"]
        both = await search(library.client, "/", filter="(meta.resourceType eq User) or (meta.resourceType eq Group)")
        assert len(names(both)) == both.json["totalResults"] == 7
