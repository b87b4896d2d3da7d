"""Sign-in at a real OpenID provider: who gets in, who does not and hears why, and what the audit says."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import aiohttp
import pytest

from dev.azurite import Azurite
from dev.host import Host
from scim.clock import format_time
from scim.console.sign_in import ROLES, WHO, choose_page
from scim.operate.access.audit import Audit, Deed
from scim.operate.access.directories import Directories
from scim.security.openid import EXCHANGE
from scim.store import shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import Write
from tests.console.conftest import ROOT
from tests.console.openid import CONTOSO, ELSEWHERE, FABRIKAM, HOME, Visitor, running, settings
from tests.console.site import ORIGIN, Browser, Site, opened


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with running() as found:
        yield found


@pytest.fixture
async def site(
    azurite: Azurite, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, issuer: str
) -> AsyncIterator[Site]:
    monkeypatch.chdir(tmp_path)
    async with opened(azurite, host, tmp_path, SCIM_ADDRESS_REFUSALS="0", **settings(issuer)) as made:
        yield made


@pytest.fixture
async def visit(site: Site) -> AsyncIterator[Callable[[], Visitor]]:
    """Makes visitors, each with a browser of their own."""
    made: list[aiohttp.ClientSession] = []

    def new() -> Visitor:
        made.append(aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)))
        return Visitor(Browser(site.host), made[-1])

    yield new
    for session in made:
        await session.close()


Visit = Callable[[], Visitor]


async def read_deeds(site: Site) -> list[Deed]:
    return [*reversed(await Audit(site.application.table).read())]


def change(address: str, **query: str | None) -> str:
    """An address with other values in its query."""
    parts = urlsplit(address)
    found = {name: values[0] for name, values in parse_qs(parts.query).items()} | query
    return parts._replace(query=urlencode({name: value for name, value in found.items() if value is not None})).geturl()


# Who gets in ----------------------------------------------------------------------------------------------------------


async def test_an_operator_signs_in_and_comes_to_the_page_that_was_wanted(site: Site, visit: Visit) -> None:
    olga = visit()
    wanted = "/console/tenants/contoso/log?find=ad%C3%A8le"
    stranger = await olga.browser.get(wanted)
    assert stranger.status == 401
    way = next(each for each in re.findall(r'href="([^"]+)"', stranger.text) if "operators" in each)
    query = {name: values[0] for name, values in parse_qs(urlsplit(unescape(way)).query).items()}
    assert query == {"to": wanted}
    seen = await olga.sign_in("operators", "olga", follow=False, to=urlencode({"": query["to"]})[1:])
    assert (seen.status, seen.headers["location"]) == (303, wanted)
    assert re.fullmatch(r"__Host-scim=[\w-]+; Path=/; HttpOnly; .*Secure", seen.headers["set-cookie"])
    page = await olga.browser.get("/console/tenants")
    assert page.status == 200 and "Olga Operator · Operator" in page.words
    (deed,) = await read_deeds(site)
    assert (deed.who, deed.name, deed.what, deed.tenant) == (f"{HOME}/o-1", "Olga Operator", "signed in", "")


@pytest.mark.parametrize(("login", "role"), [("rita", "Reader"), ("both", "Operator"), ("fast", "Operator")])
async def test_the_role_says_what_somebody_is(visit: Visit, login: str, role: str) -> None:
    """And a clock that is 45 seconds ahead does no harm."""
    visitor = visit()
    seen = await visitor.sign_in("operators", login)
    assert seen.status == 200 and f"· {role}" in seen.words
    wanted = 200 if role == "Operator" else 403
    assert (await visitor.browser.get("/console/tenants/add")).status == wanted


async def test_an_admin_of_a_known_directory_has_that_tenant_alone(site: Site, visit: Visit) -> None:
    frank = visit()
    seen = await frank.sign_in("customers", "frank")
    assert seen.status == 200 and "fabrikam" in seen.words and "Frank Fabrikam · Admin" in seen.words
    for path in ("tenants/contoso/status", "tenants/contoso/connections", "tenants", "audit"):
        page = await frank.browser.get(f"/console/{path}")
        assert page.status == 404 or "contoso" not in page.text, path
    assert [(each.what, each.tenant) for each in await read_deeds(site)] == [("signed in", "fabrikam")]


REFUSED = {
    "without a role": ("operators", "norman", "you have no role here", "no_role"),
    "an admin's role at the operators' door": ("operators", "ada", "Operator or Reader", "no_role"),
    "an operator's role at the customers' door": (
        "customers",
        "olga",
        f"{HOME}, belongs to no customer",
        "unknown_directory",
    ),
    "another role": ("customers", "uma", f"{CONTOSO}, belongs to no customer", "unknown_directory"),
    "an unknown directory": ("customers", "eve", f"{ELSEWHERE}, belongs to no customer", "unknown_directory"),
    "no directory": ("customers", "no-tid", "needs the claims tid and oid", "no_identity"),
    "no object id": ("customers", "no-oid", "needs the claims tid and oid", "no_identity"),
    "a directory that looks like another": ("customers", "slash", "needs the claims tid and oid", "no_identity"),
    "another nonce": ("operators", "nonce", "nonce is not the one of this sign-in", "token its nonce"),
    "no nonce": ("operators", "no-nonce", "nonce is not the one of this sign-in", "token its nonce"),
    "another audience": ("operators", "audience", "audience (aud) is another application", "token its audience"),
    "a second audience": ("operators", "audiences", "audience (aud) is another application", "token its audience"),
    "another party": ("operators", "party", "issued to another application (azp)", "token it was issued"),
    "another issuer": ("operators", "issuer", "issuer (iss) is another one", "token its issuer"),
    "expired": ("operators", "expired", "it has expired", "token it has expired"),
    "a clock five minutes ahead": ("operators", "ahead", "compare the clocks", "token it is not valid yet"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_who_is_refused_hears_why_and_the_audit_knows(site: Site, visit: Visit, case: str) -> None:
    who, login, said, noted = REFUSED[case]
    visitor = visit()
    seen = await visitor.sign_in(who, login, follow=False)
    assert seen.status == 403 and said in seen.words, seen.words
    assert "set-cookie" not in seen.headers and "<b>Nobody" not in seen.text
    assert (await visitor.browser.get("/console/tenants")).status == 401
    (deed,) = await read_deeds(site)
    assert deed.what == "was refused at sign-in" and deed.about.startswith(noted)


async def test_whoever_is_refused_may_come_as_somebody_else(visit: Visit) -> None:
    visitor = visit()
    refused = await visitor.sign_in("customers", "eve", to="/console/tenants/fabrikam/log")
    (way,) = re.findall(r'href="(/console/sign-in/[^"]+)"', refused.text)
    assert "or as somebody else" in refused.words
    seen = await visitor.browser.get(unescape(way), follow=False)
    async with visitor.session.get(seen.headers["location"]) as answer:
        assert 'name="login"' in await answer.text()  # though the provider knows Eve
    back = await visitor.come_back(seen.headers["location"], "frank")
    seen = await visitor.arrive(back, follow=False)
    assert (seen.status, seen.headers["location"]) == (303, "/console/tenants/fabrikam/log")


async def test_a_clock_half_a_minute_behind_does_no_harm(visit: Visit) -> None:
    assert (await visit().sign_in("operators", "slow")).status == 200


async def test_a_code_works_in_the_browser_that_asked_for_it_and_once(site: Site, visit: Visit) -> None:
    olga, mallory = visit(), visit()
    back = await olga.come_back(await olga.begin("operators"), "olga")
    await mallory.begin("operators")
    for wrong in (back, change(back, state="made-up"), change(back, state=None)):
        seen = await mallory.arrive(wrong)
        assert (seen.status, "not begun in this browser" in seen.words) == (403, True)
    assert (await visit().arrive(back)).status == 403  # without any cookie
    other_door = back.replace("/callback/operators", "/callback/customers")
    assert (await olga.arrive(other_door)).status == 403
    assert "another provider" in (await olga.arrive(change(back, iss="https://another.example"))).words
    assert "another provider" in (await olga.arrive(change(back, iss=None))).words
    assert (await olga.arrive(back)).status == 200
    cookie = olga.browser.cookie
    seen = await olga.arrive(back)
    assert (seen.status, "used already" in seen.words) == (403, True)
    assert (await Browser(site.host, cookie).get("/console/tenants")).status == 200
    assert [each.about.split()[0] for each in await read_deeds(site) if each.what.startswith("was refused")] == [
        *["stale"] * 5,
        *["token"] * 2,
        "used",
    ]


async def test_a_sign_in_that_somebody_changed_is_none(visit: Visit) -> None:
    """Its cookie says where it leads and how fresh it must be; with another word in it the state is another one."""
    olga = visit()
    back = await olga.come_back(await olga.begin("operators", fresh="1"), "olga")
    assert ".100." in olga.browser.cookie
    olga.browser.cookie = olga.browser.cookie.replace(".100.", ".000.")
    assert "not begun in this browser" in (await olga.arrive(back)).words
    olga.browser.cookie = re.sub(r"\.(\d{10})\.", lambda found: f".{int(found[1]) - 700}.", olga.browser.cookie)
    assert "more than ten minutes ago" in (await olga.arrive(back)).words


async def test_whoever_cancels_is_told_so(visit: Visit) -> None:
    olga = visit()
    address = await olga.begin("operators")
    async with olga.session.get(address) as answer:
        (abort,) = re.findall(r'href="([^"]+/abort)"', await answer.text())
        page = str(answer.url)
    back = await olga.come_back(urljoin(page, abort), "olga")
    seen = await olga.arrive(back)
    assert (seen.status, "was cancelled" in seen.words, "aborted" in seen.words) == (403, True, True)
    assert "/console/sign-in/operators" in seen.text


async def test_an_address_that_tries_all_the_time_is_stopped(site: Site, visit: Visit) -> None:
    """Each answer would have the provider asked; and the audit does not fill up with what strangers send."""
    stranger, olga = Browser(site.host, extra={"X-Forwarded-For": "192.0.2.1"}), visit()
    seen = [await stranger.get("/console/callback/operators?code=x&state=y") for _ in range(61)]
    assert [each.status for each in seen] == [403] * 60 + [429]
    assert "Too many sign-ins" in seen[-1].words and seen[-1].headers["retry-after"] == "60"
    assert 30 <= len(await read_deeds(site)) <= 40
    olga.browser.extra = {"X-Forwarded-For": "192.0.2.2"}
    assert (await olga.sign_in("operators", "olga")).status == 200


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example",
        "//evil.example/console",
        "/console/../x",
        "/console\\x",
        "/consoles",
        "/console/a\r\nb: c",
    ],
)
def test_a_sign_in_leads_nowhere_else(wanted: str) -> None:
    assert choose_page(wanted) == "/console"


# A first sign-in by a link ------------------------------------------------------------------------------------------


async def test_a_link_s_customer_names_their_directory(site: Site, visit: Visit) -> None:
    ada = visit()
    before = await ada.sign_in("customers", "ada")
    assert (before.status, "belongs to no customer" in before.words) == (403, True)
    page = await ada.browser.post("/console/invitation", token=await site.link("admin", "contoso"))
    assert "/console/sign-in/customers?bind=1" in page.text
    seen = await ada.sign_in("customers", "ada", bind="1")
    assert seen.status == 200 and "Ada Admin · Admin" in seen.words and "bind=1" not in seen.text
    deeds = [(each.what, each.about, each.tenant) for each in await read_deeds(site)][-2:]
    assert deeds == [("named their directory", CONTOSO, "contoso"), ("signed in", "", "contoso")]
    again = visit()
    assert "contoso" in (await again.sign_in("customers", "ada")).words
    uma = visit()
    seen = await uma.sign_in("customers", "uma")
    assert (seen.status, "assign the role Admin" in seen.words) == (403, True)


async def test_a_link_s_customer_reaches_no_other_tenant(site: Site, visit: Visit) -> None:
    """Neither by a directory that is another tenant's, nor by a second one for theirs, nor without a link."""
    frank, eve, ada = visit(), visit(), visit()
    await frank.browser.post("/console/invitation", token=await site.link("admin", "contoso"))
    seen = await frank.sign_in("customers", "frank", bind="1")
    assert (seen.status, f"{FABRIKAM}, cannot be the one of contoso" in seen.words) == (403, True)
    await ada.browser.post("/console/invitation", token=await site.link("admin", "contoso"))
    assert (await ada.sign_in("customers", "ada", bind="1")).status == 200
    await eve.browser.post("/console/invitation", token=await site.link("admin", "contoso"))
    seen = await eve.sign_in("customers", "eve", bind="1")
    assert (seen.status, f"{ELSEWHERE}, cannot be the one of contoso" in seen.words) == (403, True)
    without = visit()
    assert "that has ended" in (await without.sign_in("customers", "eve", bind="1")).words
    operator = visit()
    await operator.browser.post("/console/invitation", token=await site.link("operator"))
    assert "that has ended" in (await operator.sign_in("customers", "eve", bind="1")).words
    directories = Directories(site.application.table, {})
    assert [each async for each in directories.list()] == [("contoso", CONTOSO)]
    assert not await directories.bind(CONTOSO, "other") and not await directories.bind(ELSEWHERE, "contoso")
    assert await directories.release("contoso") and await directories.find_tenant(CONTOSO) is None


async def test_another_site_cannot_have_a_directory_named(site: Site, visit: Visit) -> None:
    ada = visit()
    await ada.browser.post("/console/invitation", token=await site.link("admin", "contoso"))
    ada.browser.site = "cross-site"
    assert (await ada.browser.get("/console/sign-in/customers?bind=1", follow=False)).status == 403
    ada.browser.extra = {"Sec-Fetch-Site": "none"}
    assert (await ada.browser.get("/console/sign-in/customers?bind=1", follow=False)).status == 403


# Fresh sign-ins, and signing out ------------------------------------------------------------------------------------


async def test_what_ends_access_asks_who_somebody_is_even_if_the_provider_knows(site: Site, visit: Visit) -> None:
    olga = visit()
    await olga.sign_in("operators", "olga")
    page = "/console/tenants/contoso/connections/contoso"
    olga.browser.extra = {"Referer": f"{ORIGIN}{page}"}
    seen = await olga.browser.post(f"{page}/revoke", typed="contoso")
    assert (seen.status, "showed who you are within the last 15 minutes" in seen.words) == (403, True)
    (way,) = re.findall(r'href="(/console/sign-in/[^"]+)"', seen.text)
    assert unescape(way) == f"/console/sign-in/operators?{urlencode({'to': page, 'fresh': '1'})}"
    address = await olga.begin("operators", fresh="1", to=page)
    assert parse_qs(urlsplit(address).query)["prompt"] == ["login"]
    async with olga.session.get(address) as answer:
        assert 'name="login"' in await answer.text()  # though she has a session there
    back = await olga.arrive(await olga.come_back(address, "olga"), follow=False)
    assert back.headers["location"] == page
    assert (await olga.browser.post(f"{page}/revoke", typed="contoso")).status == 200
    revoked = site.kept()["contoso"]
    assert isinstance(revoked, dict) and revoked["revoked"]


@pytest.mark.parametrize(
    ("login", "said"), [("stale", "did not ask who you are"), ("silent", "has no claim auth_time")]
)
async def test_a_provider_must_say_that_it_asked(site: Site, visit: Visit, login: str, said: str) -> None:
    visitor = visit()
    seen = await visitor.sign_in("operators", login, fresh="1")
    assert (seen.status, said in seen.words, "optional claim auth_time" in seen.words) == (403, True, True)


async def test_a_fresh_sign_in_is_over_after_15_minutes(site: Site, visit: Visit) -> None:
    olga = visit()
    await olga.sign_in("operators", "olga", fresh="1")
    table = site.application.table
    async for page in table.pages(SHARED, *shared_keys.sessions_range()):
        for row in page:
            past = format_time(datetime.now(UTC) - timedelta(minutes=16))
            await table.commit(SHARED, [Write("merge", row.key, {"proven": past})])
    seen = await olga.browser.post("/console/tenants/contoso/connections/contoso/revoke", typed="contoso")
    assert seen.status == 403 and "revoked" not in str(site.kept())


async def test_signing_out_ends_the_session_here_and_at_the_provider(site: Site, visit: Visit) -> None:
    olga = visit()
    await olga.sign_in("operators", "olga")
    before = olga.browser.cookie
    seen = await olga.browser.post("/console/sign-out", follow=False)
    assert seen.headers["set-cookie"].startswith("__Host-scim=;")
    (address,) = {unescape(each) for each in re.findall(r'(?:href|url)="?=?(http://127[^"]+)"', seen.text)}
    assert (await Browser(site.host, before).get("/console/tenants")).status == 401
    async with olga.session.get(address) as answer:
        page = await answer.text()
        (form,) = re.findall(r'action="([^"]+)"', page)
        (xsrf,) = re.findall(r'name="xsrf" value="([^"]+)"', page)
    data = {"xsrf": xsrf, "logout": "yes"}
    async with olga.session.post(urljoin(address, form), data=data, allow_redirects=False) as answer:
        assert answer.headers["Location"] == f"{ORIGIN}/console"
    async with olga.session.get(await olga.begin("operators")) as answer:
        assert 'name="login"' in await answer.text()  # the provider asks who she is
    assert [each.what for each in await read_deeds(site)] == ["signed in", "signed out"]


# Without a provider ---------------------------------------------------------------------------------------------------


async def test_a_provider_that_is_away_is_told(
    azurite: Azurite, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And links go on."""
    monkeypatch.chdir(tmp_path)
    async with opened(azurite, host, tmp_path, **settings("http://127.0.0.1:9")) as site:
        seen = await Browser(site.host).get("/console/sign-in/operators", follow=False)
        assert (seen.status, "identity provider is away" in seen.words) == (503, True)
        admin = await site.enter("admin", "contoso")
        seen = await admin.get("/console")
        assert seen.status == 200


# What the documentation says ----------------------------------------------------------------------------------------


def test_the_commands_that_register_the_console_make_what_it_asks_for() -> None:
    """The files that docs/console.md has written are JSON, and name the roles and the claim that are looked for."""
    text = (ROOT / "docs" / "console.md").read_text()
    files = re.findall(r"^cat > (\w+)\.json <<'?END'?\n(.*?)\nEND$", text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["claims", "credential", "roles", "roles"]
    claims, credential, operators, customers = (json.loads(content) for _, content in files)
    assert [each["name"] for each in claims["idToken"]] == ["auth_time"]
    assert credential["audiences"] == [EXCHANGE.removesuffix("/.default")]
    assert [{role["value"] for role in roles} for roles in (operators, customers)] == [{*ROLES[who]} for who in WHO]
    for who in WHO:
        assert f"$URL/callback/{who} $URL " in text
