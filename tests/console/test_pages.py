"""Every page: who sees it, that it is whole, small, escaped and within its trips, and works without a script."""

from __future__ import annotations

import hashlib
import html
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

import scim.console
from scim.console.rendering import link
from scim.console.routes import ROUTES, Route
from scim.console.visit import Download, Page, Redirect
from scim.feed.log import Log
from scim.feed.sequencer import Sequencer
from tests.console.place import ADMIN, OPERATOR, READER, STRANGER, Console, Reading, find_ids

CONTOSO = "/console/tenants/contoso"
HTMX = "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
ADD = {"kind": "api-key", "expires": "365d"}
PAGES = [
    "/console/tenants",
    "/console/tenants?find=con",
    "/console/tenants?find=nobody",
    "/console/tenants/add",
    "/console/audit",
    f"{CONTOSO}/status",
    f"{CONTOSO}/status?expect=6000",
    f"{CONTOSO}/connections",
    f"{CONTOSO}/connections/add",
    f"{CONTOSO}/connections/contoso",
    f"{CONTOSO}/connections/contoso-paused",
    f"{CONTOSO}/log",
    f"{CONTOSO}/log?person=alex&operation=POST&since=2026-01-01",
    f"{CONTOSO}/log?result=done",
    f"{CONTOSO}/log?result=done&person=adele&operation=created",
    f"{CONTOSO}/log/User?subject=alex.wilber%40contoso.example",
    f"{CONTOSO}/users",
    f"{CONTOSO}/users?find=ad",
    f"{CONTOSO}/users?find=zzz",
    f"{CONTOSO}/users/why?name=alex.wilber%40contoso.example",
    f"{CONTOSO}/groups",
    f"{CONTOSO}/policy",
    f"{CONTOSO}/feed",
    f"{CONTOSO}/audit",
]
LONGER = {f"{CONTOSO}/users?find=ad": 9, f"{CONTOSO}/users?find=zzz": 6}
"""A search asks every index at the same time; why reads more by its nature."""


@pytest.fixture
async def console(tmp_path: Path) -> Console:
    made = Console(tmp_path)
    await made.provision()
    return made


async def test_pages_are_whole_small_and_need_no_script(console: Console) -> None:
    for url in PAGES:
        console.place.table.reset()
        text = await console.read(url)
        trips = len(console.place.table.trips)
        assert trips <= LONGER.get(url, 5) or "/why" in url, (url, trips, console.place.table.trips)
        assert len(text.encode()) <= 30_000, (url, len(text.encode()))
        page = Reading(text)
        assert [each for _, each in page.tags if "style" in each or any(name.startswith("on") for name in each)] == []
        assert page.list_all("style") == []
        assert all(each.get("src") for each in page.list_all("script")), url
        ids = [each["id"] for _, each in page.tags if each.get("id")]
        assert len(ids) == len(set(ids)), url
        labelled = {each.get("for") for each in page.list_all("label")}
        fields = [each for each in page.list_all("input", "select", "textarea") if each.get("type") != "hidden"]
        assert all(each.get("id") in labelled or each.get("type") in ("radio", "checkbox") for each in fields), url


async def test_every_address_of_a_tenant_is_404_for_the_admin_of_another(console: Console) -> None:
    user = find_ids(await console.read(f"{CONTOSO}/users"), "users")[0]
    tried = 0
    for route in ROUTES:
        path = route.pattern.replace("{tenant}", "contoso").replace("{name}", "contoso").replace("{id}", user)
        url = "/console/" + path.replace("{people}", "users").replace("{kind}", "User")
        if route.pattern == "":
            continue
        form = {"typed": "contoso", "tenant": "contoso", "policy": "{}", "sink": "crm", **ADD}
        status, answer, _ = await console.ask(STRANGER, url, form if route.method == "POST" else None)
        assert (status, answer) == (404, None), route
        tried += 1
    assert tried == len(ROUTES) - 1
    assert (await console.parts.commands().show("contoso")).connection.revoked is None


@pytest.mark.parametrize("tenant", ["~", "%7E", "..", "a%2Fb", "a%00", "CONTOSO", "%20", "a" * 64, "%F0%9F%98%80"])
async def test_what_is_no_tenants_name_is_404_for_everybody(console: Console, tenant: str) -> None:
    """The table has partitions that are no tenant's."""
    for page in ("status", "connections", "log", "users", "policy", "feed", "audit", "log.csv"):
        assert (await console.ask(OPERATOR, f"/console/tenants/{tenant}/{page}"))[0] == 404


@pytest.mark.parametrize(
    "text", ["\x00", "\x00" * 300, "/\\#?", "\U0001f600" * 250, "\ud800", "'", "%", "a b", "9" * 250]
)
async def test_whatever_is_asked_for_is_answered(console: Console, text: str) -> None:
    value = quote(text, errors="surrogatepass")
    asked = [
        f"log?person={value}&operation={value}&since={value}",
        f"log?from={value}",
        f"log?result=done&before={value}",
    ]
    asked += [f"log?result=done&person={value}", f"users?find={value}", f"users?after={value}", f"groups?find={value}"]
    asked += [f"users/why?name={value}", f"status?expect={value}", f"audit?before={value}"]
    for url in asked:
        assert (await console.ask(OPERATOR, f"{CONTOSO}/{url}"))[0] == 200, url
    for url in (f"log/{value}?subject=x", f"log/User?subject={value}", f"users/{value}", f"connections/{value}"):
        assert (await console.ask(OPERATOR, f"{CONTOSO}/{url}"))[0] == 404, url
    for url in (f"tenants?find={value}", f"tenants?after={value}"):
        assert (await console.ask(OPERATOR, f"/console/{url}"))[0] == 200, url


def test_who_may_do_what() -> None:
    """A reader changes nothing; a customer's admin changes what is theirs, and nothing that an operator decides."""
    changes = {(route.method, route.pattern) for route in ROUTES if route.method == "POST"}
    reading = {(route.method, route.pattern) for route in ROUTES if route.admits(READER)}
    assert changes & reading == {("POST", "tenants/{tenant}/policy/try")}
    assert all(route.admits(OPERATOR) for route in ROUTES)
    refused = {route.pattern for route in ROUTES if not route.admits(ADMIN)}
    assert refused == {
        "invite",
        "links/{id}/take-back",
        "tenants/add",
        "tenants/{tenant}/invite",
        "tenants/{tenant}/policy",
        "tenants/{tenant}/policy/try",
        "tenants/{tenant}/policy/release",
        "tenants/{tenant}/feed",
        "tenants/{tenant}/feed/replay",
        "tenants/{tenant}/feed/{name}/resume",
    }
    unaudited = {pattern for method, pattern in changes if not _find(method, pattern).audited}
    assert unaudited == {"tenants/{tenant}/policy/try"}
    assert all(
        route.fresh for route in ROUTES if route.pattern.rpartition("/")[2] in ("reveal", "revoke", "revoke-old")
    )


def _find(method: str, pattern: str) -> Route:
    return next(route for route in ROUTES if (route.method, route.pattern) == (method, pattern))


async def test_another_tenants_connection_is_404_below_ones_own_tenant(console: Console) -> None:
    for act in ("", "/reveal", "/rotate", "/revoke-old", "/revoke", "/pause", "/resume"):
        url = f"/console/tenants/fabrikam/connections/contoso{act}"
        assert (await console.ask(STRANGER, url, {"typed": "contoso"} if act else None))[0] == 404


async def test_an_admin_begins_at_their_own_tenant(console: Console) -> None:
    assert (await console.ask(ADMIN, "/console/"))[1] == Redirect("/console/tenants/contoso/status")
    assert "/console/audit" not in await console.read(f"{CONTOSO}/status", ADMIN)
    assert "sign-out" in await console.read(f"{CONTOSO}/status", ADMIN)


async def test_full_pages_are_small_and_lead_on_to_the_others(console: Console) -> None:
    client = console.place.client()
    for number in range(60):
        await client.post("/Users", {"userName": f"refused.user{number:02}@contoso.example", "active": "perhaps"})
        await client.post("/Users", {"userName": f"some.user{number:02}@contoso.example", "externalId": f"e-{number}"})
    await console.place.settle()
    await Sequencer(console.parts.table, console.parts.registry).run("contoso")
    deeds = console.deeds.deeds
    console.deeds.deeds = [replace(deeds[1], time=f"2026-11-01T10:{number:02}:00.000Z") for number in range(59, -1, -1)]
    changes = await Log(console.parts.table).head("contoso")
    shown = {"log": 62, "log?result=done": changes, "users": 65, "audit": 60}
    for page, number in shown.items():
        url, rows, pages = f"{CONTOSO}/{page}", 0, 0
        while url:
            text = await console.read(url)
            assert len(text.encode()) <= 30_000, (url, len(text.encode()))
            rows, pages = rows + text.count("<tr>") - 1, pages + 1
            further = re.findall(r'<p><a class="button" href="([^"]+)">(?:Older|Next page)</a></p>', text)
            url = html.unescape(further[0]) if further else ""
        assert (rows, pages > 1) == (number, True), page


async def test_a_key_is_made_shown_once_rotated_and_revoked(console: Console) -> None:
    status, made, text = await console.ask(ADMIN, f"{CONTOSO}/connections/add", {"name": "second", **ADD})
    assert status == 200
    assert isinstance(made, Page)
    assert made.secret
    secret = made.values["fields"]["Secret Token"]
    assert secret in text
    assert "This is the only time" in text
    shown = await console.read(f"{CONTOSO}/connections/second", ADMIN)
    assert secret not in shown
    assert "nobody can show it" in shown
    assert (await console.ask(ADMIN, f"{CONTOSO}/connections/second/reveal", {}))[0] == 400

    rotated = await console.read(f"{CONTOSO}/connections/second/rotate", ADMIN, {"recoverable": "yes"})
    assert "show the secret again" in rotated
    shown = await console.read(f"{CONTOSO}/connections/second", ADMIN)
    assert "Not yet" in shown
    assert "Select to show value" in shown
    newest = re.findall(r'id="secret-token">([^<]+)<', rotated)[0]
    assert newest not in shown
    assert newest in await console.read(f"{CONTOSO}/connections/second/reveal", ADMIN, {})
    status, _, text = await console.ask(ADMIN, f"{CONTOSO}/connections/second/revoke-old", {})
    assert status == 400
    assert "not yet" in text
    await console.read(f"{CONTOSO}/connections/second/revoke-old", ADMIN, {"force": "yes"})

    status, _, text = await console.ask(OPERATOR, f"{CONTOSO}/connections/second/revoke", {"typed": "sec"})
    assert status == 400
    assert "nothing was revoked" in text
    await console.read(f"{CONTOSO}/connections/second/revoke", OPERATOR, {"typed": "second"})
    assert "revoked for good" in await console.read(f"{CONTOSO}/connections/second")


async def test_a_customer_is_added_paused_and_resumed(console: Console) -> None:
    await console.read("/console/tenants/add", OPERATOR, {"tenant": "Wingtip", **ADD})
    assert "wingtip" in await console.read("/console/tenants")
    assert "Nothing has arrived yet" in await console.read("/console/tenants/wingtip/status")
    wingtip = "/console/tenants/wingtip/connections/wingtip"
    await console.read(f"{wingtip}/pause", OPERATOR, {})
    assert "Paused since" in await console.read(wingtip)
    await console.read(f"{wingtip}/resume", OPERATOR, {})
    assert "Paused since" not in await console.read(wingtip)
    for wrong in ({"tenant": "wing tip"}, {"tenant": ""}, {"tenant": "contoso"}, {"kind": "entra"}, {"expires": "9d"}):
        status, _, text = await console.ask(OPERATOR, "/console/tenants/add", {"tenant": "other", **ADD, **wrong})
        assert status == 400, wrong
        assert 'role="alert"' in text


async def test_the_log_says_who_was_refused_and_what_to_do(console: Console) -> None:
    text = await console.read(f"{CONTOSO}/log", ADMIN)
    assert "alex.wilber@contoso.example" in text
    assert "Provision on demand" in text
    assert "alex.wilber" not in await console.read(f"{CONTOSO}/log?person=adele")
    assert "alex.wilber" not in await console.read(f"{CONTOSO}/log?operation=PATCH")
    assert "alex.wilber" not in await console.read(f"{CONTOSO}/log?until=2026-01-01")
    done = await console.read(f"{CONTOSO}/log?result=done&person=adele")
    assert "user.created" in done
    assert "title" in done
    assert "diego" not in done
    _, answer, csv = await console.ask(ADMIN, f"{CONTOSO}/log.csv?result=failed")
    assert isinstance(answer, Download)
    assert "'=cmd" in csv
    assert not re.search(r'(^|,)"?=', csv)


async def test_a_person_has_document_groups_and_history(console: Console) -> None:
    found = await console.read(f"{CONTOSO}/users?find=ADELE")
    [id] = find_ids(found, "users")
    text = await console.read(f"{CONTOSO}/users/{id}")
    assert "Head of Sales" in text
    assert ">Sales</a>" in text
    assert "title from nothing to Head of Sales" in text
    assert find_ids(await console.read(f"{CONTOSO}/users?find=ext-0"), "users") == [id]
    [group] = find_ids(await console.read(f"{CONTOSO}/groups"), "groups")
    members = await console.read(f"{CONTOSO}/groups/{group}")
    assert f'/users/{id}">adele.vance@contoso.example</a>' in members
    assert (await console.ask(OPERATOR, f"{CONTOSO}/groups/{id}"))[0] == 404
    assert (await console.ask(OPERATOR, f"{CONTOSO}/users/{id[:-1]}0"))[0] == 404


async def test_a_policy_is_tried_then_set_and_not_over_somebody_elses(console: Console) -> None:
    tried = await console.read(f"{CONTOSO}/policy/try", READER, {"policy": "{}", "user": '{"userName": "new@x.test"}'})
    assert "user.created" in tried
    before = re.findall(r'name="version" value="([^"]*)"', await console.read(f"{CONTOSO}/policy"))[0]
    sent = {"policy": '{"defaults": {"title": "Guest"}}', "version": before}
    assert (await console.ask(OPERATOR, f"{CONTOSO}/policy", sent))[0] == 303
    assert "Guest" in await console.read(f"{CONTOSO}/policy")
    status, _, text = await console.ask(OPERATOR, f"{CONTOSO}/policy", sent)
    assert status == 400
    assert "changed meanwhile" in text
    for wrong in ("{", "[]", '{"nonsense": 1}'):
        assert (await console.ask(OPERATOR, f"{CONTOSO}/policy", {"policy": wrong}))[0] == 400


async def test_what_others_wrote_is_escaped(console: Console) -> None:
    name = '<script>alert(1)</script>"@x.test'
    await console.place.client().post("/Users", {"userName": name, "active": "perhaps"})
    await console.place.settle()
    for url in (f"{CONTOSO}/log", f"{CONTOSO}/users?find={link('x', find=name).partition('=')[2]}"):
        text = await console.read(url)
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text


async def test_empty_states_say_what_to_do_next(tmp_path: Path) -> None:
    console = Console(tmp_path, empty=True)
    assert "Add customer" in await console.read("/console/tenants")
    for page in ("status", "connections", "log", "users", "groups", "policy", "feed", "audit"):
        assert await console.read(f"/console/tenants/nobody/{page}")


def test_the_library_is_the_one_that_was_published() -> None:
    """htmx 4.0.1's dist/htmx.min.js, whose last line named a source map that we do not serve."""
    content = (Path(scim.console.__file__).parent / "static" / "htmx.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == HTMX
