"""`connections add --operator` and what comes after: from the tool to a tenant that is read, and to the end of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scim.operate.connections.merging import merge
from scim.security.connections import Connection, read_connection
from tests.core import cases
from tests.security.conftest import ORIGIN, Deployment
from tests.security.test_kinds import APP_ID, SUBJECT, TENANT_ID, assertion, printed
from tests.support import Response

FEDERATION = ("--kind", "federation", "--tenant-id", TENANT_ID, "--app-id", APP_ID, "--subject", SUBJECT)


@pytest.fixture
async def customer(deployment: Deployment) -> str:
    """A tenant with a user."""
    name, key = deployment.connect()
    await deployment.client(name, key).new_user(f"ada@{name}.example")
    return name


async def read(deployment: Deployment, token: str, tenant: str) -> Response:
    """The tenant's users."""
    url = f"{ORIGIN}/tenants/{tenant}/scim/Users"
    return await deployment.request("GET", url, {"Authorization": f"Bearer {token}"})


async def token_of(deployment: Deployment, fields: dict[str, str]) -> str:
    """What the application shows, from what `add` printed."""
    if "Bearer token" in fields:
        return fields["Bearer token"]
    form = {"grant_type": "client_credentials", "scope": fields["Scope"], "client_id": fields["Client ID"]}
    if "Client Secret" in fields:
        form["client_secret"] = fields["Client Secret"]
    else:
        form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        form["client_assertion"] = assertion(deployment)
    response = await deployment.token(fields["Token endpoint"], **form)
    assert response.status == 200, response.body
    return str(response.json["access_token"])


KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "api-key": ((), ("Base URL", "Bearer token")),
    "oauth": (("--kind", "oauth"), ("Base URL", "Token endpoint", "Client ID", "Client Secret", "Scope")),
    "federation": (FEDERATION, ("Base URL", "Token endpoint", "Client ID", "Scope")),
}


@pytest.mark.parametrize(("arguments", "fields"), cases(KINDS))
async def test_from_the_tool_to_a_tenant_that_is_read(
    deployment: Deployment, customer: str, arguments: tuple[str, ...], fields: tuple[str, ...]
) -> None:
    name = deployment.name()
    keys = ("--jwks-uri", deployment.cloud.jwks_uri) if "federation" in arguments else ()
    text = await deployment.run("add", name, "--operator", "--all-tenants", "--rights", "read", *arguments, *keys)
    entered = {field: value for field, value in printed(text).items() if field in fields}
    assert tuple(entered) == fields and entered["Base URL"] == f"{ORIGIN}/tenants/<tenant>/scim"
    assert f"Connection {name} " in text and "of your application: all tenants" in text
    token = await token_of(deployment, entered)
    found = await read(deployment, token, customer)
    assert (found.status, [user["userName"] for user in found.json["Resources"]]) == (200, [f"ada@{customer}.example"])
    assert (await deployment.client("", token).get("/Users")).status == 403
    await deployment.run("pause", name)
    deployment.later(61)
    paused = await read(deployment, token, customer)
    assert paused.status == 503 and int(paused.headers["retry-after"]) > 0
    await deployment.run("resume", name)
    deployment.later(61)
    assert (await read(deployment, token, customer)).status == 200
    await deployment.run("revoke", name, "--all")
    deployment.later(61)
    ended = await read(deployment, token, customer)
    assert ended.status == 401 and any(word in ended.json["detail"] for word in ("revoked", "is gone"))


async def test_somebody_elses_managed_identity(deployment: Deployment) -> None:
    """The signature is Entra's and good; tenant, subject and audience are not those that are pinned."""
    keys, name = ("--jwks-uri", deployment.cloud.jwks_uri), deployment.name()
    entered = (await deployment.tool("add", name, "--operator", "--all-tenants", *FEDERATION, *keys))["enter"]
    for claims in (
        {"sub": APP_ID},
        {"tid": APP_ID},
        {"aud": SUBJECT},
        {"iss": f"https://sts.windows.net/{TENANT_ID}/"},
    ):
        response = await deployment.token(
            entered["Token endpoint"],
            grant_type="client_credentials",
            client_id=entered["Client ID"],
            client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            client_assertion=assertion(deployment, **claims),
        )
        assert (response.status, response.json["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("arguments", [("--kind", "oauth"), FEDERATION])
async def test_an_access_token_of_a_customer_finds_no_door(
    deployment: Deployment, customer: str, arguments: tuple[str, ...]
) -> None:
    keys = ("--jwks-uri", deployment.cloud.jwks_uri) if "federation" in arguments else ()
    name = deployment.name()
    fields = (await deployment.tool("add", name, "--tenant", customer, *arguments, *keys))["enter"]
    token = await token_of(deployment, fields)
    assert (await deployment.client("", token).get("/Users")).status == 200
    answer = await read(deployment, token, customer)
    other = await deployment.request("GET", f"{ORIGIN}/nowhere", {"Authorization": f"Bearer {token}"})
    assert (answer.status, other.status) == (404, 404)
    assert answer.told["detail"].replace(f"/tenants/{customer}/scim/Users", "/nowhere") == other.told["detail"]


async def test_only_the_doors_that_it_may_open_are_printed(deployment: Deployment) -> None:
    doors = {"feed,read": ["Base URL", "Feed URL"], "feed": ["Feed URL"], "read": ["Base URL"], "manage": []}
    for rights, expected in doors.items():
        arguments = ("--operator", "--all-tenants", "--rights", rights)
        fields = (await deployment.tool("add", deployment.name(), *arguments))["enter"]
        assert [*fields] == [*expected, "Bearer token"]
        assert fields.get("Feed URL") in (None, f"{ORIGIN}/feed")


async def test_rotation(deployment: Deployment, customer: str) -> None:
    name = deployment.name()
    first = (await deployment.tool("add", name, "--operator", "--all-tenants"))["enter"]["Bearer token"]
    second = (await deployment.tool("rotate", name))["enter"]["Bearer token"]
    assert [(await read(deployment, token, customer)).status for token in (first, second)] == [200, 200]
    await deployment.run("revoke", name, "--old", "--force")
    deployment.later(61)
    assert [(await read(deployment, token, customer)).status for token in (first, second)] == [401, 200]
    kept = read_connection(name, deployment.kept(name))
    assert kept.operator is not None and kept.operator.rights == ("feed", "read")


async def test_what_is_shown_and_listed(deployment: Deployment) -> None:
    every, some = deployment.name(), deployment.name()
    await deployment.run("add", every, "--operator", "--all-tenants", "--description", "Billing")
    await deployment.run("add", some, "--operator", "--tenants", "fabrikam, contoso", "--rights", "READ,manage")
    shown = await deployment.tool("show", some)
    assert (shown["tenant"], shown["access"]) == (None, None)
    assert shown["operator"] == {"tenants": ["contoso", "fabrikam"], "rights": ["manage", "read"]}
    text = await deployment.run("show", some)
    assert "your application, api-key, manage, read, contoso and 1 more" in text
    assert "tenants: contoso, fabrikam" in text
    lines = {line.split()[0]: line for line in (await deployment.run("list")).splitlines() if line.strip()}
    assert "all tenants" in lines[every] and "feed, read" in lines[every] and "Billing" in lines[every]
    assert "contoso and 1 more" in lines[some]
    listed = {each["name"]: each for each in await deployment.tool("list")}
    assert listed[every]["operator"]["tenants"] == ["*"]


async def test_granting(deployment: Deployment, customer: str) -> None:
    """The credential stays, and what it may changes within a minute."""
    name = deployment.name()
    token = (await deployment.tool("add", name, "--operator", "--tenants", "contoso"))["enter"]["Bearer token"]
    expected: list[tuple[tuple[str, ...], int, dict[str, Any]]] = [
        (("--add-tenants", customer), 200, {"tenants": sorted(["contoso", customer]), "rights": ["feed", "read"]}),
        (("--rights", "feed"), 403, {"tenants": sorted(["contoso", customer]), "rights": ["feed"]}),
        (
            ("--all-tenants", "--rights", "read,feed,manage"),
            200,
            {"tenants": ["*"], "rights": ["feed", "manage", "read"]},
        ),
        (("--tenants", "contoso"), 403, {"tenants": ["contoso"], "rights": ["feed", "manage", "read"]}),
    ]
    assert (await read(deployment, token, customer)).status == 403
    for arguments, status, operator in expected:
        assert (await deployment.tool("grant", name, *arguments))["operator"] == operator
        deployment.later(61)
        assert (await read(deployment, token, customer)).status == status, arguments


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "no tenants": (("add", "new", "--operator"), "Give --all-tenants, or --tenants LIST"),
    "all and some": (("add", "new", "--operator", "--all-tenants", "--tenants", "a"), "contradict each other"),
    "a tenant of its own": (("add", "new", "--operator", "--tenant", "a"), "--tenant is a customer's"),
    "read-only": (("add", "new", "--operator", "--all-tenants", "--read-only"), "--read-only is a customer's"),
    "strict": (("add", "new", "--operator", "--all-tenants", "--strict"), "--strict is a customer's"),
    "rights without it": (("add", "new", "--rights", "read"), "--rights is for --operator"),
    "tenants without it": (("add", "new", "--tenants", "a"), "--tenants is for --operator"),
    "all without it": (("add", "new", "--all-tenants"), "--all-tenants is for --operator"),
    "unknown right": (("add", "new", "--operator", "--all-tenants", "--rights", "write"), "some of feed,read,manage"),
    "no right": (("add", "new", "--operator", "--all-tenants", "--rights", ","), "some of feed,read,manage"),
    "no name": (("add", "new", "--operator", "--tenants", "a,B"), "'B' is no name of a tenant"),
    "a star": (("add", "new", "--operator", "--tenants", "*"), "'*' is no name of a tenant"),
    "nothing listed": (("add", "new", "--operator", "--tenants", " , "), "--tenants names no tenant"),
    "too many": (
        ("add", "new", "--operator", "--tenants", ",".join(f"t-{number}" for number in range(201))),
        "A connection names 200 tenants at most",
    ),
    "Entra's own token": (
        ("add", "--operator", "--all-tenants", "--kind", "entra", "--tenant-id", TENANT_ID),
        "Entra's own token is anybody's",
    ),
    "in place of a customer's": (("add", "CUSTOMER", "--operator", "--all-tenants", "--replace"), "is a customer's"),
    "a customer's in its place": (("add", "OPERATOR", "--replace"), "is your own application's, and stays so"),
    "there already": (("add", "OPERATOR", "--operator", "--all-tenants"), "is there already"),
    "grant to a customer": (("grant", "CUSTOMER", "--rights", "read"), "is a customer's, of tenant CUSTOMER"),
    "grant to nobody": (("grant", "nobody-there", "--rights", "read"), "There is no connection"),
    "grant more than all": (("grant", "OPERATOR", "--add-tenants", "a"), "reaches all tenants already"),
    "grant to what is revoked": (
        ("grant", "REVOKED", "--rights", "read"),
        "add REVOKED --replace --kind api-key --operator --tenants a,b --rights feed,read",
    ),
}


@pytest.mark.parametrize("local", [False, True])
async def test_refusals_say_why_and_change_nothing(deployment: Deployment, tmp_path: Path, local: bool) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text('{"Values": {}}')
    where = ("--local", str(path)) if local else ()
    names = {state: deployment.name() for state in ("CUSTOMER", "OPERATOR", "REVOKED")}
    await deployment.run("add", names["CUSTOMER"], *where)
    await deployment.run("add", names["OPERATOR"], "--operator", "--all-tenants", *where)
    await deployment.run("add", names["REVOKED"], "--operator", "--tenants", "b,a", *where)
    await deployment.run("revoke", names["REVOKED"], "--all", *where)

    def kept() -> object:
        secrets = deployment.cloud.vault.secrets
        return path.read_text(), {name: secret.value for name, secret in secrets.items()}

    before = kept()
    for case, (arguments, mention) in REFUSED.items():
        error = await deployment.refused(*(names.get(each, each) for each in arguments), *where)
        for state, name in names.items():
            mention = mention.replace(state, name)
        assert mention in error, (case, error)
    assert kept() == before


@pytest.mark.parametrize(
    "arguments", [(), ("--add-tenants", "a", "--all-tenants"), ("--add-tenants", "a", "--tenants", "b")]
)
async def test_grants_that_say_nothing_or_too_much(deployment: Deployment, arguments: tuple[str, ...]) -> None:
    code, out, err = await deployment.command("grant", "x", *arguments)
    assert (code, out) == (2, "") and len(err.splitlines()) == 1


async def test_a_document_that_was_edited_into_both(deployment: Deployment, customer: str) -> None:
    """Somebody adds the member to a customer's document in the portal: nobody gets in by it, on either side."""
    document = deployment.kept(customer)
    name, key = deployment.connect()
    deployment.keep(name, {**deployment.kept(name), "operator": {"tenants": "*", "rights": ["read"]}})
    assert document["tenant"] == customer
    for answer in (await read(deployment, key, customer), await deployment.client(name, key).get("/Users")):
        assert answer.status == 503


def connection(**members: Any) -> Connection:
    key = {"value": "sha256:" + "0" * 64}
    operator = {"tenants": ["a"], "rights": ["read"]}
    return read_connection("x", {"operator": operator, "keys": [key], **members})


def test_two_who_grant_at_once() -> None:
    base = connection()
    ours = connection(operator={"tenants": ["a", "b"], "rights": ["read"]})
    for last in (True, False):
        assert merge(base, ours, base.change(description="theirs"), ours_is_last=last).operator == ours.operator
        assert merge(base, base.change(description="ours"), ours, ours_is_last=last).operator == ours.operator
