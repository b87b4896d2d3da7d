"""The operator's tool: every command and kind, on a vault and on a settings file; refusals; and where secrets go."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest

import function_app
from dev.azurite import Azurite
from dev.host import Host
from scim.app import Application
from scim.operate.tool.connections import connections
from scim.security.connections import read_connection
from scim.security.keys import digest, fingerprint
from scim.security.usage import Used
from scim.settings import Settings
from scim.store.credentials import Credentials
from tests.cloud import Secret
from tests.conftest import TABLE
from tests.core import cases
from tests.security.conftest import TENANT_URL, Deployment
from tests.support import Client

TENANT_ID = "0a1b2c3d-1111-2222-3333-444455556666"
APP_ID = "5b8e3f6a-9c1d-4e2f-8a7b-6c5d4e3f2a1b"
SUBJECT = "d7c6b5a4-1234-4321-abcd-0123456789ab"
GOOGLE = "https://accounts.google.com"

FEDERATION = ("--kind", "federation", "--tenant-id", TENANT_ID, "--app-id", APP_ID, "--subject", SUBJECT)
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "api-key": ((), ("Tenant URL", "Secret Token")),
    "oauth": (("--kind", "oauth"), ("Tenant URL", "Token endpoint", "Client ID", "Client Secret", "Scope")),
    "federation": (FEDERATION, ("Tenant URL", "Token endpoint", "Client ID", "Scope")),
    "Google": (
        ("--kind", "federation", "--issuer", GOOGLE, "--audience", "a", "--subject", "s"),
        ("Tenant URL", "Token endpoint", "Client ID", "Scope"),
    ),
}


class Place:
    """Where the tool keeps connections."""

    def __init__(self, deployment: Deployment, *arguments: str) -> None:
        self.deployment, self.arguments = deployment, arguments
        self.name = deployment.name

    async def run(self, command: str, *arguments: str) -> str:
        return await self.deployment.run(command, *arguments, *self.arguments)

    async def tool(self, command: str, *arguments: str) -> Any:
        return await self.deployment.tool(command, *arguments, *self.arguments)

    async def refused(self, command: str, *arguments: str) -> str:
        return await self.deployment.refused(command, *arguments, *self.arguments)

    def documents(self) -> dict[str, Any]:
        """All that is kept, as JSON data."""
        return {
            name.removeprefix("connection-"): json.loads(secret.value)
            for name, secret in self.deployment.cloud.vault.secrets.items()
            if name != "credential-seals"
        }


@dataclass
class File:
    """A settings file."""

    path: Path

    @property
    def values(self) -> dict[str, str]:
        return dict(json.loads(self.path.read_text())["Values"])


class LocalPlace(Place):
    def __init__(self, deployment: Deployment, file: File) -> None:
        super().__init__(deployment, "--local", str(file.path))
        self._file = file

    def documents(self) -> dict[str, Any]:
        values = self._file.values
        found = dict(json.loads(values.get("SCIM_CONNECTIONS") or "{}"))
        if "SCIM_SIGNING_KEYS" in values:
            found["token-signing-keys"] = json.loads(values["SCIM_SIGNING_KEYS"])
        return found


@pytest.fixture
def file(tmp_path: Path, azurite: Azurite) -> File:
    values = {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
        "SCIM_TABLE_NAME": TABLE,
    }
    path = tmp_path / "settings" / "local.settings.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"IsEncrypted": False, "Values": values, "Host": {"LocalHttpPort": 7071}}))
    return File(path)


@pytest.fixture(params=["vault", "local"])
def place(request: pytest.FixtureRequest, deployment: Deployment, file: File) -> Place:
    return Place(deployment) if request.param == "vault" else LocalPlace(deployment, file)


@pytest.fixture
def local(deployment: Deployment, file: File) -> LocalPlace:
    return LocalPlace(deployment, file)


@pytest.mark.parametrize(("arguments", "fields"), cases(KINDS))
async def test_life_of_a_connection(place: Place, arguments: tuple[str, ...], fields: tuple[str, ...]) -> None:
    """Each command in turn; a secret is printed by the command that made it and by no other."""
    name = place.name()
    added = await place.tool("add", name, *arguments, "--tenant", "t-1", "--description", "Contoso")
    assert tuple(added["enter"]) == fields
    assert (added["name"], added["tenant"], added["description"], added["state"]) == (name, "t-1", "Contoso", "active")
    secrets = [value for field, value in added["enter"].items() if field in ("Secret Token", "Client Secret")]
    assert read_connection(name, place.documents()[name]).description == "Contoso"
    printed = [await place.run("show", name), await place.run("show", name, "--json"), await place.run("list")]
    assert name in printed[-1] and "Contoso" in printed[-1]
    paused = await place.tool("pause", name)
    assert paused["state"].startswith("paused since")
    assert (await place.tool("pause", name))["paused"] == paused["paused"]
    resumed = await place.tool("resume", name)
    assert (resumed["state"], "paused" in resumed) == ("active", False)
    if secrets:
        rotated = await place.tool("rotate", name)
        secrets.append(rotated["enter"][fields[1] if len(fields) == 2 else "Client Secret"])
        assert rotated["state"] == "rotating"
        assert [key["id"] for key in rotated["keys"]] == [fingerprint(secret) for secret in secrets]
        assert rotated["rotation"]["old"] == fingerprint(secrets[0])
        printed += [await place.run("show", name), await place.run("list", "--json")]
        printed.append(await place.run("revoke", name, "--old", "--force"))
        assert [key["id"] for key in (await place.tool("show", name))["keys"]] == [fingerprint(secrets[1])]
    printed += [json.dumps(paused), json.dumps(resumed), await place.run("revoke", name, "--all")]
    gone = await place.tool("show", name)
    assert gone["state"].startswith("revoked on")
    assert gone["keys"] == []
    printed += [json.dumps(gone), await place.run("list")]
    assert [secret for secret in secrets if any(secret in text for text in printed)] == []
    assert not any("sha256" in text for text in printed)
    assert len({*secrets}) == len(secrets)


PASTED: dict[str, tuple[str, ...]] = {
    "issuer and audience": (
        *("--issuer", f"https://login.microsoftonline.com/{TENANT_ID}/v2.0"),
        *("--audience", f"api://{APP_ID}/.default"),
    ),
    "issuer in capitals": (
        *("--issuer", f" https://login.microsoftonline.com/{TENANT_ID.upper()}/v2.0/ "),
        *("--audience", f"api://{APP_ID.upper()}"),
    ),
    "issuer of version 1": ("--issuer", f"https://sts.windows.net/{TENANT_ID}/", "--audience", APP_ID),
    "issuer and application": (
        *("--issuer", f"https://login.microsoftonline.com/{TENANT_ID}/v2.0", "--app-id", APP_ID),
        *("--audience", f"api://{APP_ID}"),
    ),
    "issuer and tenant": (
        *("--issuer", f"https://login.microsoftonline.com/{TENANT_ID}/v2.0", "--tenant-id", TENANT_ID.upper()),
        *("--audience", APP_ID),
    ),
    "ids, the application as an audience": ("--tenant-id", f" {TENANT_ID} ", "--app-id", f"api://{APP_ID}/.default"),
}


@pytest.mark.parametrize("values", PASTED.values(), ids=PASTED)
async def test_values_are_pasted_as_entras_page_shows_them(local: LocalPlace, values: tuple[str, ...]) -> None:
    """In any of their forms they pin the same: the tenant, too."""
    name, other = local.name(), local.name()
    await local.run("add", name, "--kind", "federation", "--subject", SUBJECT, *values)
    await local.run("add", other, *FEDERATION)
    assert local.documents()[name]["trust"] == local.documents()[other]["trust"]


@pytest.mark.parametrize("arguments", [("--kind", "entra"), ("--kind", "entra", "--audience", APP_ID)])
async def test_connection_for_entras_own_token(place: Place, arguments: tuple[str, ...]) -> None:
    added = await place.tool("add", *arguments, "--tenant-id", TENANT_ID.upper(), "--tenant", "t-1", "--read-only")
    name = f"entra-{TENANT_ID}"
    assert (added["name"], [*added["enter"]]) == (name, ["Tenant URL"])
    kept = read_connection(name, place.documents()[name])
    assert kept.trust is not None
    assert kept.trust.issuer == f"https://sts.windows.net/{TENANT_ID}/"
    assert kept.trust.audience == (APP_ID if len(arguments) > 2 else "8adf8e6e-67b2-4cf2-a259-e3dc5476c621")
    assert (kept.trust.tenant_id, kept.tenant) == (TENANT_ID, "t-1")
    assert "leave the secret token blank" in await place.run(
        "add", *arguments, "--tenant-id", TENANT_ID, "--tenant", "t-1", "--replace", "--accept-replay"
    )


async def test_what_is_printed_for_people(place: Place) -> None:
    name = place.name()
    text = await place.run("add", name, "--kind", "oauth", "--url", "https://x.example/scim")
    secret = re.search(r"scim_\S+", text)
    assert secret is not None
    assert re.search(r"^Tenant URL: +https://x.example/scim$", text, re.M)
    assert re.search(r"^Token endpoint: +https://x.example/oauth2/token$", text, re.M)
    assert re.search(rf"^Client ID: +{name}$", text, re.M)
    assert "shown this once" in text
    takes_effect = "started anew" if isinstance(place, LocalPlace) else "within a minute"
    assert takes_effect in text
    for command in ("rotate", "pause", "resume"):
        assert takes_effect in await place.run(command, name)
    pinned = await place.run("add", place.name(), *FEDERATION)
    assert all(value in pinned for value in (TENANT_ID, APP_ID, SUBJECT, "There is no secret"))


async def test_address_that_is_printed(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    async def printed(*arguments: str) -> str:
        added = await deployment.tool("add", deployment.name(), *arguments)
        return str(added["enter"]["Tenant URL"])

    assert await printed("--url", "https://x.example/scim") == "https://x.example/scim"
    assert await printed() == TENANT_URL
    monkeypatch.delenv("SCIM_TENANT_URL")
    monkeypatch.setenv("SCIM_PUBLIC_URL", "https://y.example/scim")
    assert await printed() == "https://y.example/scim"
    monkeypatch.delenv("SCIM_PUBLIC_URL")
    assert (await printed()).startswith("https://<")


async def test_access_and_mode(place: Place) -> None:
    name = place.name()
    added = await place.tool("add", name, "--read-only", "--strict")
    assert (added["access"], added["mode"]) == ("read", "strict")
    kept = read_connection(name, place.documents()[name])
    assert (kept.access, kept.mode, kept.tenant) == ("read", "strict", name)


async def test_nothing_there(place: Place) -> None:
    assert "no connections" in await place.run("list")
    assert await place.tool("list") == []


async def test_list_has_all_of_several_pages(place: Place) -> None:
    names = [place.name() for _ in range(5)]
    for name in names:
        await place.run("add", name, "--kind", "oauth")
    assert [view["name"] for view in await place.tool("list")] == sorted(names)
    lines = (await place.run("list")).splitlines()
    assert lines[0].split()[:3] == ["NAME", "TENANT", "KIND"]
    assert len(lines) == 6


EXPIRIES: dict[str, tuple[str, Any]] = {
    "never": ("never", None),
    "days": ("365d", timedelta(days=365)),
    "one day": ("1d", timedelta(days=1)),
    "date": ("2099-11-21", datetime(2099, 11, 21, tzinfo=UTC)),
    "moment": ("2099-11-21T08:30:00", datetime(2099, 11, 21, 8, 30, tzinfo=UTC)),
    "moment in UTC": ("2099-11-21T08:30:00Z", datetime(2099, 11, 21, 8, 30, tzinfo=UTC)),
    "moment elsewhere": ("2099-11-21T08:30:00+02:00", datetime(2099, 11, 21, 6, 30, tzinfo=UTC)),
}


@pytest.mark.parametrize("arguments", [(), FEDERATION])
@pytest.mark.parametrize(("text", "expected"), cases(EXPIRIES))
async def test_expiry(place: Place, text: str, expected: Any, arguments: tuple[str, ...]) -> None:
    """Of the secret; of the connection where there is none."""
    name = place.name()
    before = datetime.now(UTC).replace(microsecond=0)
    await place.run("add", name, *arguments, "--expires", text)
    kept = read_connection(name, place.documents()[name])
    expires = kept.expires if arguments else kept.keys[0].expires
    if isinstance(expected, timedelta):
        assert expires is not None and before + expected <= expires <= datetime.now(UTC) + expected
    else:
        assert expires == expected
    if not isinstance(place, LocalPlace):
        secret = place.deployment.cloud.vault.secrets[f"connection-{name}"]
        assert secret.expires == (None if expires is None else int(expires.timestamp()))
        assert (secret.tags["tenant"], secret.tags["kind"]) == (name, kept.kind)


async def test_vaults_own_expiry_is_that_of_the_last_credential(deployment: Deployment) -> None:
    name = deployment.name()
    await deployment.run("add", name, "--expires", "2099-01-01")
    secret = deployment.cloud.vault.secrets
    await deployment.run("rotate", name, "--expires", "2099-06-01")
    assert secret[f"connection-{name}"].expires == int(datetime(2099, 6, 1, tzinfo=UTC).timestamp())
    await deployment.run("revoke", name, "--old", "--force")
    await deployment.run("rotate", name, "--expires", "never")
    assert secret[f"connection-{name}"].expires is None


@pytest.mark.parametrize("text", ["tomorrow", "365", "d", "-1d", "1000000d", "2099-13-01", "", "1y", "2099-01-01T"])
async def test_expiry_that_is_none(place: Place, text: str) -> None:
    error = await place.refused("add", place.name(), f"--expires={text}")
    assert "--expires must be never, days such as 365d, or a date" in error
    assert place.documents() == {}


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "add what is there": (("add", "NAME"), "NAME is there already: rotate it, or give --replace"),
    "add without a name": (("add",), "Give the connection a name"),
    "add for Entra with a name": (
        ("add", "x", "--kind", "entra", "--tenant-id", TENANT_ID, "--tenant", "t"),
        "leave the name out",
    ),
    "add for Entra without a tenant": (("add", "--kind", "entra", "--tenant-id", TENANT_ID), "--tenant is missing"),
    "add for Entra without its tenant": (("add", "--kind", "entra", "--tenant", "t"), "--tenant-id is missing"),
    "add for Entra with a wrong id": (
        ("add", "--kind", "entra", "--tenant-id", "contoso.example", "--tenant", "t"),
        "--tenant-id must be the Entra tenant's id, such as",
    ),
    "federation without a tenant": (
        ("add", "new", "--kind", "federation", "--app-id", APP_ID, "--subject", "s"),
        "--tenant-id is missing",
    ),
    "federation without an application": (
        ("add", "new", "--kind", "federation", "--tenant-id", TENANT_ID, "--subject", "s"),
        "--app-id is missing",
    ),
    "federation without a subject": (
        ("add", "new", "--kind", "federation", "--tenant-id", TENANT_ID, "--app-id", APP_ID),
        "--subject is missing",
    ),
    "issuer without an audience": (
        ("add", "new", "--kind", "federation", "--issuer", GOOGLE, "--subject", "s"),
        "--audience is missing",
    ),
    "issuer without a subject": (
        ("add", "new", "--kind", "federation", "--issuer", GOOGLE, "--audience", "a"),
        "--subject is missing",
    ),
    "issuer whose keys are not known": (
        ("add", "new", "--kind", "federation", "--issuer", "https://x", "--audience", "a", "--subject", "s"),
        "give --jwks-uri, the address of its keys",
    ),
    "issuer without TLS": (
        (
            *("add", "new", "--kind", "federation", "--issuer", "http://x", "--audience", "a", "--subject", "s"),
            *("--jwks-uri", "https://x/keys"),
        ),
        "--issuer must be an address that begins with https://",
    ),
    "federation with a name for an application": (
        ("add", "new", "--kind", "federation", "--tenant-id", TENANT_ID, "--app-id", "app", "--subject", "s"),
        "--app-id must be an application's id, such as",
    ),
    "Entra's issuer and another tenant": (
        (
            *("add", "new", "--kind", "federation", "--issuer", f"https://login.microsoftonline.com/{APP_ID}/v2.0"),
            *("--tenant-id", TENANT_ID, "--app-id", APP_ID, "--subject", "s"),
        ),
        "--issuer is that of another Entra tenant than --tenant-id",
    ),
    "description that is too long": (
        ("add", "new", "--description", "x" * 201),
        "Connection new cannot be made: description: is too long: at most 200 characters.",
    ),
    "tenant that cannot be one": (
        ("add", "new", "--tenant", "Bad Tenant"),
        "Connection new cannot be made: tenant: must be a-z, 0-9 and inner hyphens, 63 characters at most.",
    ),
    "show what is not there": (("show", "new"), "There is no connection new that is in force: list shows all"),
    "rotate what is not there": (("rotate", "new"), "There is no connection new"),
    "revoke what is not there": (("revoke", "new", "--all"), "There is no connection new"),
    "pause what is not there": (("pause", "new"), "There is no connection new"),
    "resume what is not there": (("resume", "new"), "There is no connection new"),
    "rotate what has no secret": (("rotate", "FEDERATED"), "FEDERATED has no secret of ours"),
    "rotate what is revoked": (
        ("rotate", "REVOKED"),
        "REVOKED was revoked as a whole",
    ),
    "pause what is revoked": (("pause", "REVOKED"), "REVOKED was revoked as a whole"),
    "resume what is revoked": (("resume", "REVOKED"), "run: add REVOKED --replace --kind api-key --tenant REVOKED"),
    "rotate while rotating": (("rotate", "ROTATING"), "ROTATING has two credentials already"),
    "revoke the old one of one": (("revoke", "NAME", "--old"), "NAME has no second credential"),
    "revoke the old one of one by force": (("revoke", "NAME", "--old", "--force"), "has no second credential"),
    "revoke the old one too early": (("revoke", "ROTATING", "--old"), "Or give --force"),
    "revoke what it does not have": (("revoke", "NAME", "--credential", "cafecafe"), "no credential cafecafe"),
}


@pytest.fixture
async def known(place: Place) -> dict[str, str]:
    """Connections in each state."""
    names = {state: place.name() for state in ("NAME", "FEDERATED", "REVOKED", "ROTATING")}
    for state, name in names.items():
        await place.run("add", name, *(FEDERATION if state == "FEDERATED" else ()))
    await place.run("revoke", names["REVOKED"], "--all")
    await place.run("rotate", names["ROTATING"])
    return names


async def test_refusals_say_why_and_change_nothing(place: Place, known: dict[str, str]) -> None:
    before = place.documents()
    for case, (arguments, mention) in REFUSED.items():
        error = await place.refused(*(known.get(argument, argument) for argument in arguments))
        for state, name in known.items():
            mention = mention.replace(state, name)
        assert mention in error, (case, error)
        assert not any(key["value"] in error for each in before.values() if "keys" in each for key in each["keys"])
    assert place.documents() == before


USAGE = [
    (),
    ("remove",),
    ("add", "x", "--kind", "password"),
    ("add", "x", "y"),
    ("show",),
    ("revoke", "x"),
    ("revoke", "x", "--all", "--old"),
    ("revoke", "x", "--credential"),
    ("list", "x"),
    ("rotate-signing-keys", "x"),
]


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
async def test_command_line_that_is_none(deployment: Deployment, arguments: tuple[str, ...]) -> None:
    code, out, err = await deployment.command(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1 or not arguments
    assert "python -m scim connections" in err


@pytest.mark.parametrize(
    ("url", "mention"),
    [
        ("foo", "'foo' is no address that begins with https://."),
        ("http://x.example/scim", "begins with https://"),
        ("https://x.example", "must end with /scim, as the tenant URL does"),
        ("https://x.example/scim?a=b", "must have no ?"),
    ],
)
async def test_tenant_url_that_is_none(deployment: Deployment, url: str, mention: str) -> None:
    code, out, err = await deployment.command("add", deployment.name(), "--url", url)
    assert (code, out) == (2, "")
    assert mention in err


COMMANDS = (
    "add",
    "list",
    "show",
    "rotate",
    "revoke",
    "grant",
    "pause",
    "resume",
    "remove",
    "rotate-signing-keys",
    "seals",
    "rotate-seals",
)


def options() -> Iterator[tuple[str, click.Parameter]]:
    """Every option and argument of every command."""
    for name, command in connections.commands.items():
        yield from ((name, each) for each in command.params)


@pytest.mark.parametrize("command", ["", *COMMANDS])
async def test_help(deployment: Deployment, command: str) -> None:
    code, out, _ = await deployment.command(*([command] if command else []), "--help")
    assert (code, "Usage: python -m scim connections" in out) == (0, True)
    expected = (
        COMMANDS
        if not command
        else [
            name if isinstance(each, click.Option) else name.upper()
            for c, each in options()
            if c == command
            for name in each.opts
        ]
    )
    assert all(text in out for text in expected)
    assert {c for c, _ in options()} == {*COMMANDS}


def test_no_secret_is_given_on_the_command_line() -> None:
    """It would be in the shell's history and in everybody's list of processes."""
    taking = {name for _, each in options() for name in each.opts if not getattr(each, "is_flag", False)}
    assert not any(re.search("secret|password|token|key$|hash|value", name) for name in taking), taking


def test_tool_runs_as_a_module() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "scim", "connections", "--help"], cwd=root, capture_output=True, text=True, check=True
    )
    assert "rotate-signing-keys" in done.stdout


# Through the app.


async def status(client: Client) -> int:
    return (await client.get("/Users?filter=userName+eq+%22nobody%22")).status


@pytest.mark.parametrize("kind", ["api-key", "oauth"])
async def test_secrets_that_are_kept_as_digests(deployment: Deployment, kind: str) -> None:
    name, field = deployment.name(), "Secret Token" if kind == "api-key" else "Client Secret"

    async def works(secret: str) -> bool:
        if kind == "api-key":
            return await status(deployment.client(name, secret)) == 200
        form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
        return (await deployment.token(**form)).status == 200

    old = (await deployment.tool("add", name, "--kind", kind))["enter"][field]
    assert [key["value"] for key in deployment.kept(name)["keys"]] == [digest(old)]
    assert await works(old)
    new = (await deployment.tool("rotate", name))["enter"][field]
    assert [key["value"] for key in deployment.kept(name)["keys"]] == [digest(old), digest(new)]
    assert [await works(secret) for secret in (old, new, digest(new))] == [True, True, False]
    await deployment.run("revoke", name, "--old", "--force")
    deployment.later(60)
    assert [await works(secret) for secret in (old, new)] == [False, True]
    assert not any(secret in each.value for each in deployment.cloud.vault.secrets.values() for secret in (old, new))


async def test_revoked_secret_is_kept_as_a_digest(place: Place) -> None:
    name = place.name()
    old = (await place.tool("add", name))["enter"]["Secret Token"]
    await place.run("rotate", name)
    await place.run("revoke", name, "--credential", fingerprint(old))
    document = place.documents()[name]
    assert [each["value"] for each in document["revoked_keys"]] == [digest(old)]
    assert old not in json.dumps(document)


async def test_every_revoked_secret_is_remembered(place: Place) -> None:
    name = place.name()
    secrets = [(await place.tool("add", name))["enter"]["Secret Token"]]
    for _ in range(12):
        secrets.append((await place.tool("rotate", name))["enter"]["Secret Token"])
        await place.run("revoke", name, "--old", "--force")
    document = place.documents()[name]
    assert [each["value"] for each in document["revoked_keys"]] == [digest(secret) for secret in secrets[:12]]
    assert [key["value"] for key in document["keys"]] == [digest(secrets[12])]


async def test_connection_whose_last_credential_was_revoked_gets_a_new_one(place: Place) -> None:
    """It keeps tenant, kind and pause: a leak must not end in a connection that reaches other users."""
    name = place.name()
    secret = (await place.tool("add", name, "--tenant", "t-1", "--kind", "oauth"))["enter"]["Client Secret"]
    await place.run("pause", name)
    revoked = await place.tool("revoke", name, "--credential", fingerprint(secret).upper())
    assert revoked["state"] == "no credential in force: rotate makes one, paused"
    rotated = await place.tool("rotate", name)
    assert (rotated["tenant"], rotated["kind"], len(rotated["keys"])) == ("t-1", "oauth", 1)
    assert rotated["state"].startswith("paused since")


async def test_add_in_place_of_a_connection(deployment: Deployment) -> None:
    name = deployment.name()
    old = (await deployment.tool("add", name))["enter"]["Secret Token"]
    assert await status(deployment.client(name, old)) == 200
    await deployment.run("revoke", name, "--all")
    new = (await deployment.tool("add", name, "--replace"))["enter"]["Secret Token"]
    assert await status(deployment.client(name, new)) == 200
    assert await status(deployment.client(name, old)) == 401


async def test_signing_keys_are_made_once_and_rotate(place: Place) -> None:
    await place.run("add", place.name())
    assert "token-signing-keys" not in place.documents()
    await place.run("add", place.name(), "--kind", "oauth")
    first = place.documents()["token-signing-keys"]
    assert len(first) == 1
    await place.run("add", place.name(), *FEDERATION)
    assert place.documents()["token-signing-keys"] == first
    assert await place.tool("rotate-signing-keys") == {"rotated": True}
    both = place.documents()["token-signing-keys"]
    assert both[0] == first[0] and len(both) == 2
    printed = await place.run("rotate-signing-keys")
    assert not any(root["key"] in printed for root in place.documents()["token-signing-keys"])


# A vault that fails.


@pytest.mark.parametrize("fault", [400, 403, 500])
@pytest.mark.parametrize("command", [("list",), ("show", "x"), ("add", "x"), ("rotate-signing-keys",)], ids=" ".join)
async def test_vault_that_fails(deployment: Deployment, command: tuple[str, ...], fault: int) -> None:
    deployment.cloud.vault.fault = fault
    code, out, err = await deployment.command(*command)
    assert (code, out) == (2, "")
    assert f"Key Vault: HttpResponseError {fault}" in err
    assert "Traceback" not in err


async def test_vault_where_the_name_is_deleted_and_not_yet_purged(deployment: Deployment) -> None:
    """Whoever deleted it in the vault itself did not revoke it: it is not brought back, not even to be replaced."""
    deployment.cloud.vault.deleted["connection-gone"] = Secret("{}")
    error = await deployment.refused("add", "gone")
    assert "deleted in the vault itself" in error and "remove gone" in error
    assert [*deployment.cloud.vault.deleted] == ["connection-gone"]


async def test_identity_that_is_refused(deployment: Deployment) -> None:
    deployment.cloud.identity_fault = 400
    code, out, err = await deployment.command("list")
    assert (code, out, "Key Vault" in err, "Traceback" in err) == (2, "", True, False)


@pytest.mark.parametrize("command", ["show", "pause", "rotate"])
async def test_secret_that_holds_no_connection(deployment: Deployment, command: str) -> None:
    deployment.keep("broken", {"tenant": "t", "keys": ["hunter2"]})
    error = await deployment.refused(command, "broken")
    assert "secret connection-broken" in error and "mend or disable" in error
    assert "hunter2" not in error


async def test_signing_keys_that_are_none(place: Place, file: File) -> None:
    if isinstance(place, LocalPlace):
        document = json.loads(file.path.read_text())
        document["Values"]["SCIM_SIGNING_KEYS"] = "hunter2"
        file.path.write_text(json.dumps(document))
    else:
        await place.run("rotate-signing-keys")
        place.deployment.cloud.vault.secrets["token-signing-keys"].value = "hunter2"
    for command in (("rotate-signing-keys",), ("add", place.name(), "--kind", "oauth")):
        error = await place.refused(*command)
        assert "is no list of signing keys" in error and "hunter2" not in error


async def test_secret_that_is_disabled_is_not_written_over(deployment: Deployment) -> None:
    """Somebody disabled it in the portal, as a brake: the tool must not take that off by a slip."""
    name, key = deployment.connect()
    deployment.keep(name, deployment.kept(name), enabled=False)
    for options in ((), ("--replace",)):
        error = await deployment.refused("add", name, *options)
        assert f"enable the secret connection-{name} there first" in error
    assert [each["value"] if isinstance(each, dict) else each for each in deployment.kept(name)["keys"]] == [key]


# A settings file.


async def test_two_tools_at_once_lose_nothing(local: LocalPlace) -> None:
    name = local.name()
    await local.run("add", name)
    names = [local.name() for _ in range(6)]
    commands = [local.deployment.command("add", each, *local.arguments) for each in names]
    commands += [local.deployment.command("pause", name, *local.arguments)]
    commands += [local.deployment.command("rotate", name, *local.arguments)]
    await asyncio.gather(*commands)
    documents = local.documents()
    assert {name, *names} <= documents.keys()
    assert (len(documents[name]["keys"]), "paused" in documents[name]) == (2, True)


async def test_file_is_replaced_whole_and_for_its_owner_alone(
    local: LocalPlace, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chmod(file.path, 0o644)
    before = json.loads(file.path.read_text())
    with file.path.open() as kept:
        await local.run("add", local.name())
        assert json.load(kept) == before
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    after = json.loads(file.path.read_text())
    del after["Values"]["SCIM_CONNECTIONS"], after["Values"]["SCIM_SEALS"]
    assert after == before
    assert [each.name for each in file.path.parent.iterdir()] == [file.path.name]


async def test_write_that_fails_leaves_the_file(local: LocalPlace, file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scim.operate.connections.secret_store.os.replace", fail)
    error = await local.refused("add", local.name())
    assert str(file.path) in error and "No space left on device" in error
    assert file.path.read_bytes() == before
    assert [each.name for each in file.path.parent.iterdir()] == [file.path.name]


BROKEN = {
    "no JSON": ("hunter2", "must be a JSON object with Values"),
    "empty": ("", "must be a JSON object with Values"),
    "array": ("[]", "must be a JSON object with Values"),
    "no Values": ("{}", "must be a JSON object with Values"),
    "Values that are none": ('{"Values": "hunter2"}', "must be a JSON object with Values"),
    "no UTF-8": (b'{"Values": {"a": "\xff"}}', "must be a JSON object with Values"),
    "connections that are no JSON": (
        '{"Values": {"SCIM_CONNECTIONS": "hunter2"}}',
        "SCIM_CONNECTIONS is no JSON object",
    ),
    "connections in an array": ('{"Values": {"SCIM_CONNECTIONS": "[]"}}', "SCIM_CONNECTIONS is no JSON object"),
}
NO_CONNECTION = '{"Values": {"SCIM_CONNECTIONS": "{\\"x\\": {\\"tenant\\": \\"t\\", \\"keys\\": [\\"hunter2\\"]}}"}}'


@pytest.mark.parametrize(("content", "mention"), cases(BROKEN))
async def test_file_that_is_broken(local: LocalPlace, file: File, content: str | bytes, mention: str) -> None:
    file.path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for command in (("list",), ("show", "x"), ("add", "x"), ("pause", "x")):
        error = await local.refused(*command)
        assert str(file.path) in error and mention in error
        assert "hunter2" not in error
    assert file.path.read_bytes() == (content if isinstance(content, bytes) else content.encode())


async def test_connection_that_is_none(local: LocalPlace, file: File) -> None:
    """It is refused by name, and hides no other in the list."""
    file.path.write_text(NO_CONNECTION)
    for command in (("show", "x"), ("add", "x"), ("pause", "x")):
        error = await local.refused(*command)
        assert str(file.path) in error and "keys: each must be a key made for connection x" in error
        assert "hunter2" not in error
    listed = await local.run("list")
    assert "unreadable" in listed and "hunter2" not in listed


async def test_file_that_is_not_there(local: LocalPlace, file: File) -> None:
    file.path.unlink()
    error = await local.refused("add", "x")
    assert str(file.path) in error and "is not there: run make run once, or name a vault" in error
    assert not file.path.exists()


async def test_file_with_a_byte_order_mark(local: LocalPlace, file: File) -> None:
    file.path.write_bytes(b"\xef\xbb\xbf" + file.path.read_bytes())
    name = local.name()
    await local.run("add", name)
    assert [*local.documents()] == [name]


async def test_what_the_tool_writes_the_app_reads(local: LocalPlace, file: File, deployment: Deployment) -> None:
    """From the file's Values to users, with a secret token and with a client's."""
    name, other = local.name(), local.name()
    key = (await local.tool("add", name))["enter"]["Secret Token"]
    secret = (await local.tool("add", other, "--kind", "oauth"))["enter"]["Client Secret"]
    original, function_app.application = function_app.application, Application(Settings.from_environment(file.values))
    try:
        host = Host(function_app.app)
        assert await status(Client(host, name, key)) == 200
        answer = await deployment.token(grant_type="client_credentials", client_id=other, client_secret=secret)
        assert await status(Client(host, other, answer.json["access_token"])) == 200
    finally:
        await function_app.application.close()
        function_app.application = original


# Uses.


async def test_old_credential_that_is_in_use_is_not_revoked(local: LocalPlace, deployment: Deployment) -> None:
    """From the uses on the table to the advice, to the refusal, to the moment when it is safe."""
    name, log, now = local.name(), Credentials(deployment.application.table), datetime.now(UTC)
    old = fingerprint((await local.tool("add", name))["enter"]["Secret Token"])
    new = fingerprint((await local.tool("rotate", name))["enter"]["Secret Token"])

    async def used(credential: str, hours: float) -> None:
        moment = now - timedelta(hours=hours)
        await log.write_use(name, Used(credential, moment, moment))

    async def refusal() -> str:
        shown = await local.tool("show", name)
        assert (shown["rotation"]["safeToRevoke"], shown["rotation"]["old"]) == (False, old)
        assert shown["rotation"]["advice"] in await local.run("show", name)
        return await local.refused("revoke", name, "--old")

    assert "the new one was never used" in await refusal()
    await used(old, 1)
    assert "the new one was never used" in await refusal()
    await used(new, 0)
    assert "the old one was used not long ago" in await refusal()
    await used(old, 4)
    shown = await local.tool("show", name)
    assert shown["rotation"]["safeToRevoke"] is True
    assert shown["lastUsed"] == now.isoformat(timespec="seconds").replace("+00:00", "Z")
    assert [bool(key["lastUsed"]) for key in shown["keys"]] == [True, True]
    revoked = await local.tool("revoke", name, "--old")
    assert [key["id"] for key in revoked["keys"]] == [new]


async def test_uses_that_cannot_be_read(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands work, say that it is not known, and do not revoke on a guess."""
    monkeypatch.setattr("scim.store.table.azure.TRIP_SECONDS", 0.3)
    table = ("--table", "https://127.0.0.1:1")
    name = deployment.name()
    await deployment.run("add", name, *table)
    await deployment.run("rotate", name, *table)
    shown = await deployment.run("show", name, *table)
    assert "uses not known" in shown and "never used" not in shown
    assert re.search(r"^  new credential first used: not known$", shown, re.M)
    assert re.search(r"^  old credential last used: +not known$", shown, re.M)
    assert "not known" in await deployment.run("list", *table)
    assert "not known" in (await deployment.command("revoke", name, "--old", *table))[2]
    assert (await deployment.command("revoke", name, "--old", "--force", *table))[0] == 0


STATES: dict[str, tuple[dict[str, Any], str]] = {
    "active": ({}, "active"),
    "expires in a while": ({"expires": 31}, "active"),
    "expires soon": ({"expires": 13.5}, "expires in 14 days"),
    "expired": ({"expires": -1}, "expired"),
    "expired and paused": ({"expires": -1, "paused": -1}, "expired"),
    "paused": ({"paused": -1}, "paused since"),
    "revoked": ({"keys": [], "revoked": -1, "paused": -1}, "revoked on"),
}


@pytest.mark.parametrize(("members", "state"), cases(STATES))
async def test_state(deployment: Deployment, members: dict[str, Any], state: str) -> None:
    now = datetime.now(UTC)
    dated = {
        member: (now + timedelta(days=value)).isoformat() if isinstance(value, int | float) else value
        for member, value in members.items()
    }
    name, key = deployment.connect(**dated)
    assert (await deployment.tool("show", name))["state"].startswith(state)
    shown = await deployment.run("show", name)
    assert f"state: {state}" in shown and state in await deployment.run("list")
    assert key not in shown


async def test_list_with_a_secret_that_is_not_yet_valid(deployment: Deployment) -> None:
    good, _ = deployment.connect()
    early, _ = deployment.connect()
    deployment.keep(early, deployment.kept(early), not_before=int(time.time()) + 3600)
    assert good in await deployment.run("list")


async def test_list_with_a_broken_secret(deployment: Deployment) -> None:
    good, _ = deployment.connect()
    deployment.keep("broken", "{")
    text = await deployment.run("list")
    assert good in text and "broken" in text


@pytest.mark.parametrize("name", ["Bad Name", "a_b", "a/b", "-a"])
@pytest.mark.parametrize("command", ["add", "show", "pause", "rotate"])
async def test_name_that_cannot_be_one(deployment: Deployment, name: str, command: str) -> None:
    arguments = (command, "--description=x", "--", name) if command == "add" else (command, "--", name)
    code, _, err = await deployment.command(*arguments)
    assert code == 1
    assert "use a-z, 0-9 and inner hyphens" in err or "There is no connection" in err
    assert deployment.cloud.vault.reads == []


async def test_vault_that_fails_is_told_in_one_line(deployment: Deployment) -> None:
    deployment.cloud.vault.fault = 500
    code, out, err = await deployment.command("list")
    assert (code, out, len(err.splitlines())) == (2, "", 1)


@pytest.mark.parametrize("text", ["2020-01-01", "0d"])
async def test_expiry_in_the_past(deployment: Deployment, text: str) -> None:
    await deployment.refused("add", deployment.name(), f"--expires={text}")


async def test_two_places(deployment: Deployment, tmp_path: Any) -> None:
    (tmp_path / "settings.json").write_text('{"Values": {}}')
    code, _, _ = await deployment.command(
        "add", deployment.name(), "--local", str(tmp_path / "settings.json"), "--vault", deployment.cloud.vault_url
    )
    assert code in (1, 2)


async def test_pinned_claims_without_their_kind(deployment: Deployment) -> None:
    await deployment.refused("add", deployment.name(), "--issuer", "https://accounts.google.com", "--subject", "s")


async def test_name_of_the_other_kind(deployment: Deployment) -> None:
    await deployment.refused("add", "entra-0a1b2c3d-1111-2222-3333-444455556666")


async def test_a_connection_for_some_resource_types(deployment: Deployment) -> None:
    name = deployment.name()
    await deployment.tool("add", name, "--types", "User, Group")
    assert deployment.kept(name)["types"] == ["User", "Group"]
    for types, text in (("Robot", "there is no resource type Robot; there are User, Group"), ("a b", "with commas")):
        assert text in await deployment.refused("add", deployment.name(), "--types", types)
