"""A tenant's life through the command line, on Azurite: counted, exported, imported, restored, moved, erased."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta

import pytest

from scim.operate.check import examine, list_problems
from scim.operate.tenants.dump import FORMAT
from scim.store.shared_keys import SHARED
from scim.store.table import Table
from tests.conftest import NewClient
from tests.core import REGISTRY
from tests.operate.conftest import Operator, answers, everything, fill
from tests.support import Client

# List and size.


async def test_list_and_size(operator: Operator, client: Client, table: Table) -> None:
    ids = await fill(client)
    listed = {each["tenant"]: each for each in await operator.tool("tenants", "list")}
    mine = listed[client.tenant]
    kept = await everything(table, client.tenant)
    assert mine["resources"] == {"User": 12, "Group": 4}
    assert mine["memberships"] == sum(key.startswith("m ") for key in kept) == 3 + 72 + 1
    assert mine["rows"] == len(kept)
    assert mine["kinds"]["resources"]["rows"] == len(ids)
    assert sum(kind["rows"] for kind in mine["kinds"].values()) == len(kept)
    assert mine["bytes"] == sum(kind["bytes"] for kind in mine["kinds"].values()) > 12 * 2 * 40_000
    last = datetime.fromisoformat(mine["lastChange"])
    assert timedelta(0) <= datetime.now(UTC) - last < timedelta(minutes=5)
    assert await operator.tool("tenants", "size", client.tenant) == mine
    assert SHARED not in listed
    assert client.tenant in await operator.tool("tenants", "list", "--names")
    lines = (await operator.run("tenants", "list")).splitlines()
    assert lines[0].split() == ["TENANT", "RESOURCES", "MEMBERSHIPS", "ROWS", "SIZE", "LAST", "CHANGE"]
    [line] = [line for line in lines if line.split()[0] == client.tenant]
    assert "4 Group, 12 User" in line and "MiB" in line
    assert "rows: index" in await operator.run("tenants", "size", client.tenant)


async def test_size_of_nobody(operator: Operator) -> None:
    assert "There is no row of a tenant nobody" in await operator.refused("tenants", "size", "nobody")


# Export and import.


async def test_export_and_import_give_the_same_answers(operator: Operator, new_client: NewClient, table: Table) -> None:
    one, other = new_client(), new_client()
    ids = await fill(one)
    printed = await operator.run("tenants", "export", one.tenant, "a.jsonl")
    assert "no snapshot" in printed and "12 User" in printed and "76 memberships" in printed
    file = operator.folder / "a.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not (operator.folder / "a.jsonl.part").exists()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert (lines[0]["format"], lines[0]["tenant"]) == (FORMAT, one.tenant)
    assert "urn:ietf:params:scim:schemas:core:2.0:User" in lines[0]["schemas"]
    assert lines[-1]["resources"] == {"User": 12, "Group": 4} and lines[-1]["memberships"] == 76
    assert len(lines) == 1 + 16 + 76 + 1
    made = await operator.tool("tenants", "import", "a.jsonl", "--tenant", other.tenant)
    assert (made["made"], made["there"], made["problems"]) == (16, 0, [])
    assert (made["resources"], made["memberships"]) == (lines[-1]["resources"], 76)
    assert await answers(other, ids) == await answers(one, ids)
    assert await list_problems(table, other.tenant, REGISTRY) == []
    again = await operator.run("tenants", "import", "a.jsonl", "--tenant", other.tenant)
    assert "0 resources were made, 16 were there and equal" in again and "as the file does" in again


async def test_unique_values_and_searches_work_after_an_import(operator: Operator, new_client: NewClient) -> None:
    one, other = new_client(), new_client()
    user = await one.new_user("Ada", externalId="e")
    await operator.run("tenants", "export", one.tenant, "a.jsonl")
    await operator.run("tenants", "import", "a.jsonl", "--tenant", other.tenant)
    assert (await other.post("/Users", {"userName": "ADA"})).status == 409
    for filter in ("userName+eq+%22ada%22", "externalId+eq+%22e%22"):
        assert (await other.get(f"/Users?filter={filter}")).json["Resources"][0]["id"] == user["id"]


async def test_import_goes_into_an_empty_tenant(operator: Operator, new_client: NewClient) -> None:
    one, other = new_client(), new_client()
    await one.new_user("ada")
    there = await other.new_user("grace")
    await operator.run("tenants", "export", one.tenant, "a.jsonl")
    error = await operator.refused("tenants", "import", "a.jsonl", "--tenant", other.tenant)
    # What will be done is told on the way, so the refusal is what matters here.
    assert "holds 1 resources that a.jsonl does not" in error and there["id"] in error
    assert (await other.get("/Users")).json["totalResults"] == 1


async def test_import_beside_a_change_says_what_differs(operator: Operator, new_client: NewClient) -> None:
    one, other = new_client(), new_client()
    user = await one.new_user("ada")
    await operator.run("tenants", "export", one.tenant, "a.jsonl")
    await operator.run("tenants", "import", "a.jsonl", "--tenant", other.tenant)
    await other.patch(f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": "Dr"})
    made = await operator.tool("tenants", "import", "a.jsonl", "--tenant", other.tenant, code=1)
    assert [user["id"] in problem and "differs" in problem for problem in made["problems"]] == [True]
    assert (await other.get(f"/Users/{user['id']}")).json["title"] == "Dr"


async def test_export_of_nobody(operator: Operator) -> None:
    assert "There is no row of a tenant nobody" in await operator.refused("tenants", "export", "nobody", "a.jsonl")
    assert not (operator.folder / "a.jsonl").exists() and not (operator.folder / "a.jsonl.part").exists()


async def test_export_replaces_no_file(operator: Operator, client: Client) -> None:
    await client.new_user("ada")
    (operator.folder / "a.jsonl").write_text("mine")
    assert "is there already" in await operator.refused("tenants", "export", client.tenant, "a.jsonl")
    assert (operator.folder / "a.jsonl").read_text() == "mine"


# Restore.


@pytest.fixture
async def backed_up(operator: Operator, client: Client) -> list[str]:
    """The ids of a tenant whose file a.jsonl is there."""
    ids = await fill(client)
    await operator.run("tenants", "export", client.tenant, "a.jsonl")
    return ids


def only(*ids: str) -> list[str]:
    return [argument for id in ids for argument in ("--only", id)]


async def test_deleted_user_comes_back_in_its_groups(
    operator: Operator, client: Client, backed_up: list[str], table: Table
) -> None:
    user, some, many = backed_up[0], backed_up[13], backed_up[14]
    before = (await client.get(f"/Users/{user}")).json
    await client.delete(f"/Users/{user}")
    assert len((await client.get(f"/Groups/{some}")).json["members"]) == 2
    printed = await operator.run("tenants", "import", "a.jsonl", *only(user))
    assert f"{user} (User): is gone, comes back with 0 members, in 2 groups" in printed
    assert "1 came back, 0 were replaced, 0 problems" in printed
    after = (await client.get(f"/Users/{user}")).json
    del before["meta"]["version"], after["meta"]["version"]
    assert after == before
    for group, number in ((some, 3), (many, 72)):
        members = (await client.get(f"/Groups/{group}")).json["members"]
        assert len(members) == number
        assert [member["display"] for member in members if member["value"] == user] == ["Number 0"]
    assert await list_problems(table, client.tenant, REGISTRY) == []


async def test_deleted_group_comes_back_with_those_who_are_there(
    operator: Operator, client: Client, backed_up: list[str], table: Table
) -> None:
    user, many = backed_up[0], backed_up[14]
    before = (await client.get(f"/Groups/{many}")).json
    for path in (f"/Users/{user}", f"/Groups/{many}"):
        assert (await client.delete(path)).status == 204
    printed = await operator.run("tenants", "import", "a.jsonl", *only(many))
    assert "comes back with 71 members" in printed and "1 members in the file have gone" in printed
    after = (await client.get(f"/Groups/{many}")).json
    assert after["members"] == [member for member in before["members"] if member["value"] != user]
    assert after["meta"]["lastModified"] == before["meta"]["lastModified"]
    report = await examine(table, client.tenant, REGISTRY)
    assert (report.problems, report.strangers) == ([], {})


async def test_overwritten_resources_are_replaced(
    operator: Operator, client: Client, backed_up: list[str], table: Table
) -> None:
    user, some = backed_up[1], backed_up[13]
    wanted = await answers(client, backed_up)
    await client.put(f"/Users/{user}", {"userName": "somebody else"})
    await client.patch(f"/Groups/{some}", {"op": "replace", "path": "members", "value": [{"value": backed_up[5]}]})
    printed = await operator.run("tenants", "import", "a.jsonl", *only(user, some))
    assert f"{user} (User): is there, is replaced in" in printed and "userName" in printed
    assert f"{some} (Group): is there, is replaced in 4 members" in printed
    found = await answers(client, backed_up)
    for path in (f"/Users/{user}", f"/Groups/{some}"):
        before, after = (
            json.loads(body.replace(b",}", b"}").replace(b"{,", b"{")) for body in (wanted[path], found[path])
        )
        assert after["meta"].pop("lastModified") > before["meta"].pop("lastModified")
        assert after == before
    assert await list_problems(table, client.tenant, REGISTRY) == []
    assert "0 came back, 0 were replaced" in await operator.run("tenants", "import", "a.jsonl", *only(backed_up[2]))


async def test_unique_value_that_is_taken_names_who_has_it(
    operator: Operator, client: Client, backed_up: list[str], table: Table
) -> None:
    one, other = backed_up[:2]
    name = (await client.get(f"/Users/{other}")).json["userName"]
    for id in (one, other):
        await client.delete(f"/Users/{id}")
    taker = await client.new_user(name.upper())
    before = await everything(table, client.tenant)
    error = await operator.refused("tenants", "import", "a.jsonl", *only(one, other))
    assert error.startswith(f"{other} cannot come back: its userName") and taker["id"] in error
    assert await everything(table, client.tenant) == before


async def test_restore_of_what_the_file_does_not_hold(operator: Operator, client: Client, backed_up: list[str]) -> None:
    error = await operator.refused("tenants", "import", "a.jsonl", *only(backed_up[0], "u-nobody"))
    assert "a.jsonl does not hold u-nobody" in error


# Files that are none.


async def test_files_that_are_none(operator: Operator, client: Client, backed_up: list[str]) -> None:
    whole = (operator.folder / "a.jsonl").read_bytes().splitlines(keepends=True)
    membership = next(at for at, line in enumerate(whole) if line.startswith(b'{"group"'))
    broken = {
        "has no end": whole[:-1],
        "line 3": [*whole[:2], whole[2][:40]],
        "line 1: it does not say": whole[1:],
        "does not hold what its last line counts": [*whole[:5], *whole[6:]],
        "is there twice": [*whole[:3], whole[2], *whole[3:]],
        "stands behind the end": [*whole, whole[2]],
        "not where the members of": [*whole[:-1], whole[membership], whole[-1]],
        "no resource and no membership": [*whole[:3], b'{"id": 5}\n', *whole[3:]],
        "its type is one that no schema here has": [
            whole[0],
            b'{"type":"Car","id":"car-a","created":"","modified":"","document":{}}\n',
            b'{"resources":{"Car":1},"memberships":0,"finished":""}\n',
        ],
    }
    for mention, lines in broken.items():
        (operator.folder / "b.jsonl").write_bytes(b"".join(lines))
        code, _, err = await operator.command("tenants", "import", "b.jsonl", "--tenant", "nobody")
        assert (code, mention in err, len(err.splitlines())) == (1, True, 1), (mention, err)
    assert "No such file" in await operator.refused("tenants", "import", "c.jsonl")
    assert "nobody" not in await operator.tool("tenants", "list", "--names")


async def test_part_of_another_tenant_is_not_continued(operator: Operator, new_client: NewClient) -> None:
    one, other = new_client(), new_client()
    for client in (one, other):
        await client.new_user("ada")
    await operator.run("tenants", "export", one.tenant, "a.jsonl")
    (operator.folder / "a.jsonl").rename(operator.folder / "b.jsonl.part")
    error = await operator.refused("tenants", "export", other.tenant, "b.jsonl")
    assert "is no beginning of an export of" in error
