"""What an identity provider may send at the most is far from its budget: it takes half of it at most."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from scim import budget
from scim.budget import Budget
from tests.service.test_bounds import with_members, with_users
from tests.store.memory import Door, MemoryTable
from tests.support import ENTERPRISE, PATCH, Response

WORDS = {
    "displayName": "Adele Vance",
    "title": "Director",
    "emails": [{"type": "work", "value": "adele@contoso.example", "primary": True}],
    "addresses": [{"type": "work", "locality": "Bellevue", "country": "United States"}],
    ENTERPRISE: {"department": "Sales", "employeeNumber": "12345"},
}


@pytest.fixture
def budgets(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Budget]]:
    """The budgets of the requests from now on."""
    made: list[Budget] = []

    class Watched(Budget):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(budget, "Budget", Watched)
    yield made


def fits(answer: Response, budgets: list[Budget], status: int) -> None:
    assert answer.status == status, answer.body[:500]
    assert max(one.spent / one.most for one in budgets) <= 0.5, [one.spent for one in budgets]
    assert max(one.longest for one in budgets) <= budget.STEP


@pytest.mark.long
async def test_a_thousand_creations_in_bulk(budgets: list[Budget]) -> None:
    client = Door(MemoryTable()).client
    posts = [
        {"method": "POST", "path": "/Users", "bulkId": str(n), "data": {"userName": f"user-{n}", **WORDS}}
        for n in range(1_000)
    ]
    answer = await client.post("/Bulk", {"Operations": posts})
    assert {one["status"] for one in answer.json["Operations"]} == {"201"}
    fits(answer, budgets, 200)


@pytest.mark.long
async def test_many_members(budgets: list[Budget]) -> None:
    client = Door(MemoryTable()).client
    members = [{"value": f"u-{n:024}", "display": f"Member {n}"} for n in range(44_000)]
    made = await client.post("/Groups", {"displayName": "many", "members": members})
    fits(made, budgets, 201)
    path = f"/Groups/{made.json['id']}"
    few = [{"value": f"u-x{n:023}"} for n in range(10_000)]
    fits(await client.patch(path, {"op": "add", "path": "members", "value": few}), budgets, 204)
    fits(await client.patch(path, {"op": "remove", "path": "members", "value": few[:5_000]}), budgets, 204)
    fits(
        await client.patch(path, *({"op": "Add", "path": "members", "value": [one]} for one in few[:500])), budgets, 204
    )
    fits(await client.put(path, {"displayName": "many", "members": few}), budgets, 200)


@pytest.mark.long
async def test_a_group_of_a_hundred_thousand(budgets: list[Budget]) -> None:
    table = MemoryTable()
    group = with_members(table, range(100_000))
    client = Door(table).client
    answer = await client.get(f"/Groups/{group}")
    fits(answer, budgets, 200)
    assert len(answer.json["members"]) == 100_000
    fits(await client.get("/Groups"), budgets, 200)
    one = {"op": "Add", "path": "members", "value": [{"value": "u-" + "b" * 24}]}
    fits(await client.patch(f"/Groups/{group}", one), budgets, 204)
    answer = await client.get(f"/Groups/{group}")
    assert (answer.status, answer.json["scimType"]) == (400, "tooMany")
    assert "excludedAttributes=members" in answer.json["detail"]
    answer = await client.request(
        "PATCH", f"/Groups/{group}?attributes=members", {"schemas": [PATCH], "Operations": [one]}
    )
    assert answer.status == 204  # it is done, although it cannot be shown


@pytest.mark.long
async def test_a_user_with_all_the_values_that_one_may_have(budgets: list[Budget]) -> None:
    client = Door(MemoryTable()).client
    values = {
        name: [{"type": f"t{n}", "value": f"{name}{n}"} for n in range(1_000)]
        for name in ("phoneNumbers", "ims", "photos", "entitlements", "roles")
    }
    made = await client.post("/Users", {"userName": "adele", **WORDS, **values})
    fits(made, budgets, 201)
    operations = [
        {"op": "replace", "path": f'{name}[type eq "t{n}"].value', "value": f"new {n}"}
        for name in values
        for n in range(40)
    ]
    fits(await client.patch(f"/Users/{made.json['id']}", *operations), budgets, 200)


@pytest.mark.long
@pytest.mark.parametrize(
    "query",
    [
        'filter=active ne true and (title co "x" or emails[type eq "work" and value ew "@fabrikam.example"])',
        "count=1000&sortBy=displayName",
    ],
)
async def test_a_search_that_reads_as_much_as_it_may(query: str, budgets: list[Budget]) -> None:
    client = Door(with_users(10_000 if "sortBy" in query else 100_000, **WORDS)).client
    name, _, value = query.partition("=")
    fits(await client.get(f"/Users?{name}={quote(value, safe='&=')}"), budgets, 200)
