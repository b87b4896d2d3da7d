"""A tenant's life through the command line, on Azurite: counted, exported, imported, restored, moved, erased."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dev.azurite import Azurite
from scim.app import Application
from scim.operate.check import examine, problems
from scim.operate.connections.kept import KeptInVault
from scim.operate.errors import CommandError
from scim.operate.tenants.dump import FORMAT
from scim.operate.tenants.erasing import require_quiet
from scim.operate.tool.tenants import group as tenants
from scim.security.connections import read_connection
from scim.security.keys import new_key
from scim.security.usage import Used
from scim.store import rows
from scim.store.credentials import Credentials
from scim.store.gateway import Gateway, TableGateway
from scim.store.pending import TENANTS, Pending
from tests.conftest import NewClient
from tests.core import REGISTRY
from tests.operate.conftest import NOW, Operator, answers, fill
from tests.support import Client

VERBS = ("list", "size", "export", "import", "move", "erase")


@pytest.fixture
def gateway(application: Application) -> Gateway:
    return application.gateway


async def everything(gateway: Gateway, tenant: str) -> dict[str, dict[str, object]]:
    """All rows of a tenant, by key."""
    return {row.key: row.values async for page in gateway.pages(tenant, "", "\uffff") for row in page}


# List and size.


async def test_list_and_size(operator: Operator, client: Client, gateway: Gateway) -> None:
    ids = await fill(client)
    listed = {each["tenant"]: each for each in await operator.tool("tenants", "list")}
    mine = listed[client.tenant]
    kept = await everything(gateway, client.tenant)
    assert mine["resources"] == {"User": 12, "Group": 4}
    assert mine["memberships"] == sum(key.startswith("m ") for key in kept) == 3 + 72 + 1
    assert mine["rows"] == len(kept)
    assert mine["kinds"]["resources"]["rows"] == len(ids)
    assert sum(kind["rows"] for kind in mine["kinds"].values()) == len(kept)
    assert mine["bytes"] == sum(kind["bytes"] for kind in mine["kinds"].values()) > 12 * 2 * 40_000
    last = datetime.fromisoformat(mine["lastChange"])
    assert timedelta(0) <= datetime.now(UTC) - last < timedelta(minutes=5)
    assert await operator.tool("tenants", "size", client.tenant) == mine
    assert TENANTS not in listed
    assert client.tenant in await operator.tool("tenants", "list", "--names")
    lines = (await operator.run("tenants", "list")).splitlines()
    assert lines[0].split() == ["TENANT", "RESOURCES", "MEMBERSHIPS", "ROWS", "SIZE", "LAST", "CHANGE"]
    [line] = [line for line in lines if line.split()[0] == client.tenant]
    assert "4 Group, 12 User" in line and "MiB" in line
    assert "rows: index" in await operator.run("tenants", "size", client.tenant)


async def test_size_of_nobody(operator: Operator) -> None:
    assert "There is no row of a tenant nobody" in await operator.refused("tenants", "size", "nobody")


# Export and import.


async def test_export_and_import_give_the_same_answers(
    operator: Operator, new_client: NewClient, gateway: Gateway
) -> None:
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
    assert await problems(gateway, other.tenant, REGISTRY) == []
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
    operator: Operator, client: Client, backed_up: list[str], gateway: Gateway
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
    assert await problems(gateway, client.tenant, REGISTRY) == []


async def test_deleted_group_comes_back_with_those_who_are_there(
    operator: Operator, client: Client, backed_up: list[str], gateway: Gateway
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
    report = await examine(gateway, client.tenant, REGISTRY)
    assert (report.problems, report.strangers) == ([], {})


async def test_overwritten_resources_are_replaced(
    operator: Operator, client: Client, backed_up: list[str], gateway: Gateway
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
    assert await problems(gateway, client.tenant, REGISTRY) == []
    assert "0 came back, 0 were replaced" in await operator.run("tenants", "import", "a.jsonl", *only(backed_up[2]))


async def test_unique_value_that_is_taken_names_who_has_it(
    operator: Operator, client: Client, backed_up: list[str], gateway: Gateway
) -> None:
    one, other = backed_up[:2]
    name = (await client.get(f"/Users/{other}")).json["userName"]
    for id in (one, other):
        await client.delete(f"/Users/{id}")
    taker = await client.new_user(name.upper())
    before = await everything(gateway, client.tenant)
    error = await operator.refused("tenants", "import", "a.jsonl", *only(one, other))
    assert error.startswith(f"{other} cannot come back: its userName") and taker["id"] in error
    assert await everything(gateway, client.tenant) == before


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
        "a type that no schema here has": [
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


# Erase.


async def note(gateway: Gateway, tenant: str, connection: str) -> list[str]:
    """What the shared partition notes of a tenant and a connection; the keys."""
    now = datetime.now(UTC)
    await Credentials(gateway).write(connection, Used("cafecafe", now, now))
    await Pending(gateway).announce(tenant)
    return [rows.tenant_key(tenant), rows.usage_key(connection, "cafecafe")]


async def test_erase_leaves_nothing(operator: Operator, new_client: NewClient, gateway: Gateway) -> None:
    one, other = new_client(), new_client()
    await fill(one)
    await other.new_user("ada")
    mine = await note(gateway, one.tenant, one.tenant) + await note(gateway, one.tenant, f"{one.tenant}-b")
    others = await note(gateway, other.tenant, other.tenant)
    operator.connect(one.tenant, one.tenant, paused=NOW)
    operator.connect(f"{one.tenant}-b", one.tenant, keys=[], revoked=NOW)
    operator.connect(other.tenant, other.tenant)
    kept, untouched = await everything(gateway, one.tenant), await everything(gateway, other.tenant)
    erased = await operator.tool("tenants", "erase", one.tenant, "--confirm", one.tenant)
    assert (erased["rows"], erased["shared"], erased["left"]) == (len(kept), 3, 0)
    assert erased["connections"] == [one.tenant, f"{one.tenant}-b"]
    assert await everything(gateway, one.tenant) == {}
    assert [await gateway.read(TENANTS, key) for key in mine] == [None] * 4
    assert await everything(gateway, other.tenant) == untouched
    assert None not in [await gateway.read(TENANTS, key) for key in others]
    again = await operator.run("tenants", "erase", one.tenant, "--confirm", one.tenant)
    assert "Removing 0 rows" in again and "A last look found 0 left." in again
    assert (await one.get("/Users")).json["totalResults"] == 0


async def test_erase_and_import_bring_back_everything(operator: Operator, client: Client, gateway: Gateway) -> None:
    ids = await fill(client)
    before = await answers(client, ids)
    await operator.run("tenants", "export", client.tenant, "a.jsonl")
    await operator.run("tenants", "erase", client.tenant, "--confirm", client.tenant)
    await operator.run("tenants", "import", "a.jsonl")
    assert await answers(client, ids) == before


async def test_erase_refuses(operator: Operator, client: Client, gateway: Gateway) -> None:
    await client.new_user("ada")
    before = await everything(gateway, client.tenant)
    confirmed = ("tenants", "erase", client.tenant, "--confirm", client.tenant)
    operator.connect("paused", client.tenant, paused=NOW)
    operator.connect("writes", client.tenant)
    assert "Connection writes may still write: run connections pause writes" in await operator.refused(*confirmed)
    operator.connect("writes", client.tenant, expires="2020-01-01T00:00:00Z")
    assert "give --confirm" in await operator.refused("tenants", "erase", client.tenant)
    assert "Nothing was removed: x is not" in await operator.refused(
        "tenants", "erase", client.tenant, "--confirm", "x"
    )
    operator.connect("broken", client.tenant, keys=["hunter2"])
    error = await operator.refused(*confirmed)
    assert "connection broken" in error and "hunter2" not in error
    assert await everything(gateway, client.tenant) == before


@pytest.mark.parametrize("typed", ["right", "wrong"])
async def test_erase_asks_on_a_terminal(
    operator: Operator, client: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    await client.new_user("ada")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{client.tenant if typed == 'right' else 'x'}\n"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    code, _, err = await operator.command("tenants", "erase", client.tenant)
    assert "Type the tenant's name to go on" in err
    assert (code, bool(await everything(gateway, client.tenant))) == ((0, False) if typed == "right" else (1, True))


@pytest.mark.parametrize("tenant", ["~", "A", "a/b", ""])
async def test_erase_takes_tenants_only(operator: Operator, tenant: str) -> None:
    error = await operator.refused("tenants", "erase", tenant, "--confirm", tenant, code=2)
    assert "is no tenant's name" in error


@pytest.mark.parametrize(
    ("members", "minutes", "mention"),
    [
        ({"paused": 2}, 3, "requests of it may be under way until"),
        ({"paused": 4}, 3, None),
        ({"revoked": 2, "keys": []}, 3, "requests of it may be under way until"),
        ({"revoked": 4, "keys": []}, 3, None),
        ({"expires": 4}, 3, None),
        ({"expires": 2}, 3, "requests of it may be under way until"),
        ({"expires": -10}, 3, "may still write"),
        ({}, 3, "may still write"),
    ],
)
def test_a_pause_needs_time_to_work(members: dict[str, object], minutes: int, mention: str | None) -> None:
    now = datetime.now(UTC)
    dated = {
        name: (now - timedelta(minutes=value)).isoformat() if isinstance(value, int) else value
        for name, value in members.items()
    }
    connection = read_connection("a", {"tenant": "t", "keys": [new_key("a")], **dated})
    kept = KeptInVault(None)  # type: ignore[arg-type]
    if mention is None:
        require_quiet([connection], kept)
    else:
        with pytest.raises(CommandError, match=mention):
            require_quiet([connection], kept)


# Move.


async def test_move_to_another_table(
    operator: Operator,
    client: Client,
    gateway: Gateway,
    azurite: Azurite,
    other_table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await fill(client)
    monkeypatch.setenv("OTHER", azurite.connection_string)
    move = ("tenants", "move", client.tenant, "--to-connection-string-env", "OTHER", "--to-table", other_table)
    operator.connect("entra", client.tenant)
    assert "Connection entra may still write" in await operator.refused(*move)
    operator.connect("entra", client.tenant, paused=NOW)
    source = await everything(gateway, client.tenant)
    printed = await operator.run(*move)
    assert "12 User" in printed and f"tenants erase {client.tenant}" in printed
    assert await everything(gateway, client.tenant) == source
    target = TableGateway.with_key(azurite.connection_string, other_table)
    try:
        arrived = await everything(target, client.tenant)
        changing = ("write", "keys", "at")
        assert {key: {n: v for n, v in row.items() if n not in changing} for key, row in arrived.items()} == {
            key: {n: v for n, v in row.items() if n not in changing and v != ""}
            for key, row in source.items()
            if not key.startswith(("p ", "b "))
        }
        assert await problems(target, client.tenant, REGISTRY) == []
    finally:
        await target.close()
    again = await operator.tool(*move)
    assert (again["made"], again["there"], again["difference"]) == (0, 16, None)


async def test_move_into_the_same_table(
    operator: Operator, client: Client, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.new_user("ada")
    monkeypatch.setenv("OTHER", azurite.connection_string)
    error = await operator.refused("tenants", "move", client.tenant, "--to-connection-string-env", "OTHER")
    assert "it is the one that it would move from" in error


async def test_move_that_meets_something_else(
    operator: Operator, client: Client, azurite: Azurite, other_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await client.new_user("ada")
    monkeypatch.setenv("OTHER", azurite.connection_string)
    move = ("tenants", "move", client.tenant, "--to-connection-string-env", "OTHER", "--to-table", other_table)
    await operator.run(*move)
    await client.patch(f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": "Dr"})
    moved = await operator.tool(*move, code=1)
    assert user["id"] in moved["difference"] and moved["problems"]


# The command line.


async def test_progress_is_shown_on_a_terminal_alone(
    operator: Operator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.new_user("ada")
    steps = [
        (("export", client.tenant, "a.jsonl"), "Reading rows"),
        (("erase", client.tenant, "--confirm", client.tenant), "Removing rows"),
        (("import", "a.jsonl"), "Making resources"),
        (("list",), "Reading rows"),
    ]
    for arguments, label in steps:
        monkeypatch.setattr("scim.operate.tool.shown.watched", lambda: True)
        code, out, err = await operator.command("tenants", *arguments, "--json")
        assert (code, label in err) == (0, True), err
        json.loads(out)
    monkeypatch.setattr("scim.operate.tool.shown.watched", lambda: False)
    assert (await operator.command("tenants", "list"))[2] == ""


async def test_what_is_stopped_by_hand_says_so(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("scim.operate.tool.tenants.size.measure", stopped)
    code, out, err = await operator.command("tenants", "size", "t")
    assert (code, out, err.strip()) == (130, "", "Stopped.")


WRONG = [
    (("tenants", "move", "t"), "Give one of --to-endpoint and --to-connection-string-env"),
    (("tenants", "move", "t", "--to-endpoint", "https://x", "--to-connection-string-env", "Y"), "Give one of"),
    (("tenants", "move", "t", "--to-connection-string-env", "NOT_SET"), "The environment has no NOT_SET"),
    (("tenants", "export", "t"), "Missing argument 'FILE'"),
    (("tenants", "list", "--vault", "https://x", "--local", "y"), "are two places"),
    (("tenants", "list", "--vault", "https://x"), "Where is the table?"),
    (("tenants", "erase", "t", "--table", "https://x"), "Where are the connections that lead to that table?"),
    (("tenants", "frob"), "No such command 'frob'"),
    (("frob",), "No such command 'frob'"),
]


@pytest.mark.parametrize(("arguments", "mention"), WRONG)
async def test_command_line_that_is_none(
    operator: Operator, arguments: tuple[str, ...], mention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("IDENTITY_HEADER", "x")
    assert mention in await operator.refused(*arguments, code=2)


async def test_table_that_does_not_answer(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scim.store.gateway.TRIP_SECONDS", 0.3)
    away = "DefaultEndpointsProtocol=http;AccountName=x;AccountKey=eA==;TableEndpoint=http://127.0.0.1:9/x;"
    monkeypatch.setenv("SCIM_TABLE_CONNECTION_STRING", away)
    assert "The table does not answer" in await operator.refused("tenants", "list", code=2)


async def test_table_that_is_not_there(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIM_TABLE_NAME", "missing")
    assert "404 TableNotFound" in await operator.refused("tenants", "list", code=2)


async def test_connection_string_that_is_none(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIM_TABLE_CONNECTION_STRING", "hunter2")
    error = await operator.refused("tenants", "list", code=2)
    assert "its address is none" in error and "hunter2" not in error


@pytest.mark.parametrize("verb", ["", *VERBS])
async def test_help(operator: Operator, verb: str) -> None:
    out = await operator.run("tenants", *([verb] if verb else []), "--help")
    assert f"Usage: python -m scim tenants {verb}".strip() in out
    expected = (
        VERBS if not verb else [name for each in tenants.commands[verb].params for name in each.opts if name[0] == "-"]
    )
    assert expected and all(name in out for name in expected)


def test_tool_names_what_is_not_installed(tmp_path: Path) -> None:
    """On a machine that has the app's packages alone."""
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError('no click', name='click')")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "scim", "tenants", "list"],
        cwd=root,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "requirements-operate.txt" in done.stderr
