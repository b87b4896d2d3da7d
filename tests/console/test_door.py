"""The console's door: who gets in, what each may see and do, and what the audit says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import function_app
from dev.host import Host
from scim.app import Application
from scim.clock import format_time
from scim.console.routes import ROUTES, Route
from scim.feed.sequencer import Sequencer
from scim.operate.access.audit import Audit
from scim.operate.access.sessions import Sessions
from scim.schema.loading import load
from scim.store import shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import TableUnavailable, Write
from tests.console.site import ORIGIN, Browser, Site
from tests.core import REGISTRY
from tests.support import Client


async def fill(site: Site, client: Client) -> tuple[str, str]:
    """Some of everything: the ids of a user and a group."""
    user = await client.new_user("adele@contoso.example")
    group = (await client.post("/Groups", {"displayName": "Sales", "members": [{"value": user["id"]}]})).json
    await client.patch(f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": "<b>Dr</b>"})
    await client.post("/Users", {"userName": "adele@contoso.example"})
    await Sequencer(site.application.table, REGISTRY).run("contoso")
    await site.application._observer.settle()
    return user["id"], group["id"]


# Who gets in ----------------------------------------------------------------------------------------------------------


async def test_a_link_lets_in_once(site: Site) -> None:
    stranger = Browser(site.host)
    assert (await stranger.get("/console")).status == 401
    page = await stranger.get("/console/invitation")
    assert page.status == 200 and "Sign in" in page.words
    token = await site.link("operator")
    first = await stranger.post("/console/invitation", token=f"https://x/console/invitation#{token}", follow=False)
    assert (first.status, first.headers["location"]) == (303, "/console")
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("__Host-scim=") and re.fullmatch(r"__Host-scim=[\w-]+; Path=/; HttpOnly; .*Secure", cookie)
    assert "Tenants" in (await stranger.get("/console")).words
    other = Browser(site.host)
    again = await other.post("/console/invitation", token=token)
    assert again.status == 403 and "not good any more" in again.words
    assert (await Browser(site.host, "__Host-scim=made-up").get("/console")).status == 401
    out = await stranger.post("/console/sign-out", follow=False)
    assert out.headers["set-cookie"].startswith("__Host-scim=;")
    stranger.cookie = cookie.partition(";")[0]
    assert (await stranger.get("/console")).status == 401


async def test_sessions_and_links_end(site: Site) -> None:
    table = site.application.table
    token = await site.link("reader")
    browser = await site.enter("reader")
    for start, name in ((shared_keys.invitations_range(), "until"), (shared_keys.sessions_range(), "seen")):
        async for page in table.pages(SHARED, *start):
            past = format_time(datetime.now(UTC) - timedelta(hours=2))
            for row in page:
                await table.commit(SHARED, [Write("merge", row.key, {name: past})])
    assert (await browser.get("/console")).status == 401
    assert (await Browser(site.host).post("/console/invitation", token=token)).status == 403
    await site.application.housekeep()
    assert [link async for link in Sessions(table).links()] == []
    assert [row async for page in table.pages(SHARED, *shared_keys.invitations_range()) for row in page] == []


async def test_a_console_on_a_host_of_its_own(site: Site, client: Client) -> None:
    """It is reached there, makes links there, and shows the tenant URL of the endpoint."""
    elsewhere = {"public_url": "https://api.test/scim", "console_url": f"{ORIGIN}/console"}
    before = site.application
    function_app.application = Application(before._built().settings.model_copy(update=elsewhere), table=before.table)
    try:
        browser = await site.enter("operator")
        links = await browser.post("/console/invite", role="reader")
        assert f"{ORIGIN}/console/invitation#" in links.text and "api.test/console" not in links.text
        browser.extra = {"Host": "stranger.test"}
        assert (await browser.get("/console")).status == 421
    finally:
        function_app.application = before  # the table is the site's


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": ORIGIN}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
        ({"Origin": ORIGIN}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
    ],
)
async def test_forms_of_other_sites_do_nothing(site: Site, said: dict[str, str], status: int) -> None:
    browser = await site.enter("operator")
    headers = {"Host": "console.test", "Cookie": browser.cookie, **said}
    answer = await site.host.request("POST", f"{ORIGIN}/console/sign-out", headers, b"x=1")
    assert answer.status == status


async def test_the_console_is_off_unless_it_is_turned_on(host: Host, application: Application) -> None:
    answer = await host.request("GET", "http://scim.test/console", {"Host": "scim.test"}, b"")
    assert (answer.status, b"tenant URL ends with /scim" in answer.body) == (404, True)


# What each may see ----------------------------------------------------------------------------------------------------


async def test_every_answer_has_the_headers(site: Site, client: Client) -> None:
    user, group = await fill(site, client)
    browser = await site.enter("operator")
    here = "/console/tenants/contoso"
    pages = (
        "/status",
        "/connections",
        "/connections/add",
        "/connections/contoso",
        "/log",
        "/users",
        "/groups",
        "/policy",
    )
    every = [here + each for each in (*pages, "/feed", "/audit", f"/users/{user}", f"/groups/{group}")]
    for path in ("/console/tenants", "/console/audit", *every):
        page = await browser.get(path)
        assert page.status == 200, (path, page.text)
        assert len(page.text) < 30_000, path
        assert page.headers["content-security-policy"].startswith("default-src 'none'; ")
        assert page.headers["cache-control"] == "no-store" and page.headers["referrer-policy"] == "same-origin"
        for name in set(re.findall(r"/console/static/[^\"]+", page.text)):
            file = await browser.get(name)
            assert file.status == 200 and "immutable" in file.headers["cache-control"]
    for path in ("/console/static/x/console.css", "/console/static/x/..%2Fconsole.py", "/console/nothing"):
        assert (await browser.get(path)).status == 404


VALUES = {"tenant": "contoso", "name": "contoso", "id": "u-x", "people": "users", "kind": "User"}


def address(route: Route) -> str:
    return "/console/" + re.sub(r"\{([^}]+)\}", lambda match: VALUES[match[1]], route.pattern)


async def test_an_admin_sees_one_tenant(site: Site, client: Client) -> None:
    await fill(site, client)
    admin = await site.enter("admin", "fabrikam")
    assert (await admin.get("/console")).words.count("contoso") == 0
    before = site.kept()
    for route in ROUTES:
        path = address(route)
        seen = await (admin.get(path) if route.method == "GET" else admin.post(path))
        if "{tenant}" in route.pattern:
            assert seen.status == 404 and "contoso" not in seen.text.replace(path, ""), path
        elif route.pattern:
            assert seen.status in (403, 404) or "contoso" not in seen.text, path
    assert (await admin.get("/console/tenants/fabrikam/connections/contoso")).status == 404
    assert (await admin.post("/console/tenants/fabrikam/connections/contoso/rotate")).status == 404
    for name in ("policy", "feed"):
        assert (await admin.get(f"/console/tenants/fabrikam/{name}")).status == 404
    assert site.kept() == before


async def test_a_reader_changes_nothing(site: Site) -> None:
    reader = await site.enter("reader")
    before = site.kept()
    for route in ROUTES:
        if route.method == "POST" and not route.pattern.endswith("/try"):
            assert (await reader.post(address(route), typed="contoso")).status == 403, route.pattern
    assert (await reader.get("/console/tenants/contoso/status")).status == 200
    assert site.kept() == before


# What they do ---------------------------------------------------------------------------------------------------------


async def test_an_admin_makes_a_key_and_the_audit_says_so(site: Site) -> None:
    admin = await site.enter("admin", "fabrikam")
    here = "/console/tenants/fabrikam/connections"
    form = await admin.get(f"{here}/add")
    assert form.status == 200
    made = await admin.post(f"{here}/add", name="fabrikam", kind="api-key", expires="90d")
    (secret,) = set(re.findall(r"scim_fabrikam_[0-9A-Za-z_]+", made.words))
    assert "https://console.test/scim" in made.words and "fabrikam" in site.kept()
    page = await admin.get(f"{here}/fabrikam")
    assert secret not in page.text
    assert (await admin.post(f"{here}/fabrikam/pause")).status == 200
    deeds = await Audit(site.application.table).read("fabrikam")
    assert [deed.what for deed in reversed(deeds)][:3] == [
        "signed in by a link",
        "added a connection",
        "paused a connection",
    ]
    assert secret not in json.dumps([deed.about for deed in deeds])
    assert "added a connection" in (await admin.get("/console/tenants/fabrikam/audit")).words


async def test_what_ends_access_asks_for_a_fresh_sign_in(site: Site) -> None:
    admin = await site.enter("admin", "contoso")
    table = site.application.table
    async for page in table.pages(SHARED, *shared_keys.sessions_range()):
        for row in page:
            past = format_time(datetime.now(UTC) - timedelta(minutes=20))
            await table.commit(SHARED, [Write("merge", row.key, {"began": past})])
    before = site.kept()
    seen = await admin.post("/console/tenants/contoso/connections/contoso/revoke", typed="contoso")
    assert (seen.status, "within the last 15 minutes" in seen.words, site.kept()) == (403, True, before)
    assert (await admin.get("/console/tenants/contoso/status")).status == 200


async def test_nothing_is_done_that_the_audit_cannot_hold(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = await site.enter("admin", "contoso")

    async def fail(*_: object, **__: object) -> None:
        raise TableUnavailable("away")

    monkeypatch.setattr(Audit, "write", fail)
    before = site.kept()
    seen = await admin.post("/console/tenants/contoso/connections/contoso/pause")
    assert (seen.status, site.kept()) == (503, before)


async def test_an_operator_invites_and_takes_back(site: Site, client: Client) -> None:
    operator = await site.enter("operator")
    invited = await operator.post("/console/tenants/contoso/invite")
    (token,) = set(re.findall(r"/console/invitation#([\w-]+)", invited.words))
    page = await operator.get("/console/audit")
    (link,) = re.findall(r"/console/links/(\w+)/take-back", page.text)
    assert "invited an admin" in page.words
    await operator.post(f"/console/links/{link}/take-back")
    assert (await Browser(site.host).post("/console/invitation", token=token)).status == 403
    colleague = await operator.post("/console/invite", role="reader")
    (token,) = set(re.findall(r"/console/invitation#([\w-]+)", colleague.words))
    reader = Browser(site.host)
    assert (await reader.post("/console/invitation", token=token)).status == 200
    assert "Make a link" not in (await reader.get("/console/audit")).words


async def test_a_type_that_is_loaded_stands_beside_users(site: Site, client: Client) -> None:
    """Agents have a tab, pages, history and why; a type that is not loaded has none."""
    folder = Path(__file__).parents[2] / "optional-schemas" / "agents"
    before = site.application
    settings = before._built().settings.model_copy(update={"schemas_folder": str(folder)})
    function_app.application = Application(settings, table=before.table)
    try:
        owner = await client.new_user("ada@contoso.example")
        made = await client.post("/Agents", {"agentUserName": "support-bot", "owners": [{"value": owner["id"]}]})
        agent = made.json["id"]
        group = await client.post("/Groups", {"displayName": "Bots", "members": [{"value": agent}]})
        await Sequencer(before.table, load(folder)).run("contoso")
        browser = await site.enter("admin", "contoso")
        assert "Agents" in (await browser.get("/console/tenants/contoso/status")).words
        listed = await browser.get("/console/tenants/contoso/agents?find=support")
        assert listed.status == 200 and f"/tenants/contoso/agents/{agent}" in listed.text
        page = await browser.get(f"/console/tenants/contoso/agents/{agent}")
        assert "support-bot" in page.words and "agent.created" in page.words and "Bots" in page.words
        members = await browser.get(f"/console/tenants/contoso/groups/{group.json['id']}")
        assert f"/tenants/contoso/agents/{agent}" in members.text
        why = await browser.get("/console/tenants/contoso/agents/why?name=support-bot")
        assert "is here since" in why.words
        for nothing in ("devices", "Agents", f"users/{agent}"):
            assert (await browser.get(f"/console/tenants/contoso/{nothing}")).status == 404
    finally:
        function_app.application = before
