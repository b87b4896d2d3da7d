"""`why` and `status` as commands, on a real table: what is read, and the exit codes."""

from __future__ import annotations

from datetime import UTC, datetime

from scim.counters import Minute
from scim.insight import counts
from scim.insight.failures import Failure
from scim.store.table import Table
from tests.operate.conftest import Operator
from tests.support import Client


async def test_what_an_operator_types_at_night(operator: Operator, client: Client, table: Table) -> None:
    tenant, now = client.tenant, datetime.now(UTC)
    operator.connect("entra", tenant)
    user = await client.new_user("adele@contoso.example")
    group = (await client.post("/Groups", {"displayName": "Sales"})).json
    time = f"{now:%Y-%m-%dT%H:%M:%S}.000Z"
    failure = Failure("User", "diego", time, "POST Users", 400, "userName is wrong (request 1).", "1", "entra")
    minute = Minute(tenant, "entra", int(now.timestamp() // 60))
    counted = {"requests": 9, "writes": 4, "creates": 3, "failedWrites": 1}
    await table.commit(tenant, [failure.write(), counts.build_minute(minute, counted, "p")])

    code, out, _ = await operator.command("why", tenant, "diego")
    assert (code, "diego is not here" in out, "What to do: " in out) == (1, True, True)
    assert f"User adele@contoso.example is here since {user['meta']['created'][:10]}" in await operator.run(
        "why", tenant, "ADELE@contoso.example"
    )
    code, out, _ = await operator.command("why", tenant, "adele@contoso.example", "--in", "Sales")
    assert (code, "is not a member of Sales" in out) == (1, True)
    await client.patch(f"/Groups/{group['id']}", {"op": "add", "path": "members", "value": [{"value": user["id"]}]})
    assert "is a member of Sales" in await operator.run("why", tenant, "adele@contoso.example", "--in", "Sales")
    assert "Group Sales is here" in await operator.run("why", tenant, "sales", "--group")
    assert "two questions" in await operator.refused("why", tenant, "x", "--group", "--in", "Sales")

    found = await operator.tool("why", tenant, "nobody", code=1)
    assert (found["verdict"], found["connections"][0]["name"]) == ("never-tried", "entra")
    out = await operator.run("status", tenant, "--expect", "900")
    assert "9 requests, 3 created, 1 failed (25 % of the changes failed)." in out
    assert "1 such as diego: userName is wrong" in out
    assert (await operator.tool("status"))[0]["tenant"] == tenant
