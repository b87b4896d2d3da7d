"""`policy` and `users` as commands, on a real table."""

from __future__ import annotations

import json

from scim.store.table import Table
from tests.operate.conftest import Operator
from tests.support import Client


async def test_an_operator_sets_a_policy_and_forgets_somebody(operator: Operator, client: Client, table: Table) -> None:
    tenant = client.tenant
    operator.connect("entra", tenant)
    user = await client.new_user("adele@contoso.example")
    file, wrong, other = (operator.folder / name for name in ("policy.json", "wrong.json", "user.json"))
    file.write_text(json.dumps({"seats": {"total": 1}, "massChange": {"hold": "all"}}))
    wrong.write_text(json.dumps({"seats": {"total": -1}}))
    other.write_text(json.dumps({"userName": "new@contoso.example"}))
    assert f"{tenant} has no policy" in await operator.run("policy", "show", tenant)
    assert "seats.total: must be 0 or more" in await operator.refused("policy", "set", tenant, str(wrong))
    assert "cannot be read" in await operator.refused("policy", "set", tenant, "nowhere.json")
    assert "is set" in await operator.run("policy", "set", tenant, str(file))
    shown = await operator.tool("policy", "show", tenant)
    assert shown["seats"] == [{"limit": 1, "used": 1, "waiting": 0, "line": []}]
    tried = await operator.tool("policy", "test", tenant, str(other))
    assert [event["type"] for event in tried["events"]] == ["user.created", "seat.waiting"]
    assert (await operator.tool("policy", "schema"))["title"] == "Policy"
    await client.patch(f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": "Dr"})
    await operator.command("policy", "release", tenant)
    code, out, _ = await operator.command("policy", "release", tenant)
    assert (code, "Nothing of" in out) == (1, True)
    assert "--confirm" in await operator.refused("users", "erase", tenant, user["id"])
    gone = await operator.tool("users", "erase", tenant, user["id"], "--confirm", user["id"])
    assert (gone["existed"], gone["left"]) == (True, [])
    assert "Nothing is kept" in await operator.refused("users", "restore", tenant, user["id"])
    assert "is no user's id" in await operator.refused("users", "restore", tenant, "g-abc")
