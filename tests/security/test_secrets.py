"""The life of a secret: how long it lives, what is kept of it, where it is printed, and that a revoked one stays so."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from azure.core.exceptions import ServiceRequestError

from dev.azurite import Azurite
from dev.credentials import new_key
from scim.security.connections import MOST_REVOKED, Connection, Revoked, read_connection
from scim.security.keys import digest, fingerprint
from scim.security.secrets import SecretsUnavailable
from scim.store.credentials import Credentials
from tests.core import cases
from tests.security.conftest import Deployment
from tests.security.test_tool import FEDERATION, TENANT_ID

YEAR = timedelta(days=365)


def lifetimes(connection: Connection) -> list[timedelta | None]:
    """How long each secret lives, in whole days."""
    return [
        key.expires and key.created and timedelta(days=round((key.expires - key.created) / timedelta(days=1)))
        for key in connection.keys
    ]


LIFETIMES: dict[str, tuple[tuple[str, ...], tuple[str, ...], list[timedelta | None]]] = {
    "a year unless told otherwise": ((), (), [YEAR, YEAR]),
    "as long as the one before": (("--expires", "30d"), (), [timedelta(days=30)] * 2),
    "for ever as the one before": (("--expires", "never"), (), [None, None]),
    "otherwise than the one before": (("--expires", "never"), ("--expires", "90d"), [None, timedelta(days=90)]),
    "for ever at last": ((), ("--expires", "never"), [YEAR, None]),
}


@pytest.mark.parametrize(("add", "rotate", "expected"), cases(LIFETIMES))
async def test_lifetime(
    deployment: Deployment, add: tuple[str, ...], rotate: tuple[str, ...], expected: list[timedelta | None]
) -> None:
    """What is printed says it: the day, or loudly that there is none."""
    name = deployment.name()
    printed = [await deployment.run("add", name, *add), await deployment.run("rotate", name, *rotate)]
    connection = read_connection(name, deployment.kept(name))
    assert lifetimes(connection) == expected
    for text, key in zip(printed, connection.keys, strict=True):
        assert f"credential {key.id}" in text
        assert ("NEVER ends by itself" in text) == (key.expires is None)
        assert key.expires is None or f"ends on {key.expires:%Y-%m-%d %H:%M}Z, in" in text


KEPT: dict[str, tuple[list[Any], timedelta | None]] = {
    "one without dates": ([new_key("contoso")], None),
    "one whose beginning nobody knows": (
        [{"value": new_key("contoso"), "expires": (datetime.now(UTC) + timedelta(days=3)).isoformat()}],
        YEAR,
    ),
    "one that was over before it began": (
        [{"value": new_key("contoso"), "created": "2026-01-02T00:00:00Z", "expires": "2026-01-01T00:00:00Z"}],
        YEAR,
    ),
}


@pytest.mark.parametrize(("keys", "expected"), cases(KEPT))
async def test_lifetime_after_a_secret_that_was_written_by_hand(
    deployment: Deployment, keys: list[Any], expected: timedelta | None
) -> None:
    deployment.keep("contoso", {"tenant": "contoso", "keys": keys})
    await deployment.run("rotate", "contoso")
    assert lifetimes(read_connection("contoso", deployment.kept("contoso")))[-1] == expected


async def test_connection_without_a_secret_ends_when_it_is_told_to(deployment: Deployment) -> None:
    name = deployment.name()
    assert "NEVER" not in await deployment.run("add", name, *FEDERATION)
    assert read_connection(name, deployment.kept(name)).expires is None


@pytest.mark.parametrize("command", ["add", "rotate"])
async def test_digest_alone_is_kept_unless_told_otherwise(deployment: Deployment, command: str) -> None:
    name = deployment.name()
    if command == "rotate":
        await deployment.run("add", name)
    secret = (await deployment.tool(command, name))["enter"]["Secret Token"]
    assert secret not in json.dumps(deployment.kept(name))
    refusal = await deployment.refused("show", name, "--print-secret")
    assert "digest alone is kept" in refusal and f"rotate {name} makes a new one" in refusal
    assert f"kept as a digest, so nobody can print it: rotate {name} makes a new one" in await deployment.run(
        "show", name
    )
    recoverable = (await deployment.tool("add", f"{name}-b", "--recoverable"))["enter"]["Secret Token"]
    assert recoverable not in await deployment.run("show", f"{name}-b")
    deployment.terminal = False
    assert await deployment.tool("show", f"{name}-b", "--print-secret") == {fingerprint(recoverable): recoverable}


@pytest.mark.parametrize("command", ["add", "rotate"])
@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
async def test_no_secret_without_a_terminal(deployment: Deployment, command: str, as_json: tuple[str, ...]) -> None:
    """Nothing is made, and the command to run in a terminal is told; a flag prints it all the same."""
    name = deployment.name()
    if command == "rotate":
        await deployment.run("add", name)
    before = dict(deployment.cloud.vault.secrets)
    deployment.terminal = False
    refusal = await deployment.refused(command, name, "--expires", "30d", *as_json)
    assert f"python -m scim connections {command} {name} --expires 30d" in refusal
    assert deployment.cloud.vault.secrets == before
    assert f"scim_{name}_" in await deployment.run(command, name, "--print-secret", *as_json)


async def test_connection_without_a_secret_needs_no_terminal(deployment: Deployment) -> None:
    deployment.terminal = False
    await deployment.run("add", deployment.name(), *FEDERATION)
    assert "--print-secret is about a secret" in await deployment.refused("add", "x", *FEDERATION, "--print-secret")


def test_real_terminal(tmp_path: Path) -> None:
    """The tool in a process of its own, through a pipe and on a terminal."""
    (tmp_path / "local.settings.json").write_text('{"Values": {}}')
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "scim", "connections", "add", "contoso"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    piped = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (piped.returncode, piped.stdout) == (1, "")
    terminal, other_end = pty.openpty()
    try:
        done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=other_end, stderr=other_end, check=False)
        printed = os.read(terminal, 10_000).decode()
    finally:
        os.close(terminal)
        os.close(other_end)
    assert (done.returncode, "scim_contoso_" in printed) == (0, True), printed


ENTRA = ("add", "--kind", "entra", "--tenant-id", TENANT_ID, "--tenant", "t-1")


async def test_tokens_of_entra_that_others_can_replay(deployment: Deployment) -> None:
    refusal = await deployment.refused(*ENTRA)
    assert "each of them can use it here" in refusal and "--read-only" in refusal and "--accept-replay" in refusal
    assert [*deployment.cloud.vault.secrets] == ["credential-seals"]
    warned = await deployment.run(*ENTRA, "--read-only")
    assert "WARNING: Entra sends the same token to every application" in warned
    warned = await deployment.run(*ENTRA, "--accept-replay", "--replace")
    assert "WARNING: Entra sends the same token to every application" in warned
    assert "--accept-replay is for --kind entra" in await deployment.refused("add", "x", "--accept-replay")


# A revoked secret stays revoked.


@pytest.fixture
def with_table(deployment: Deployment, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool knows the table, too."""
    monkeypatch.setenv("SCIM_TABLE_CONNECTION_STRING", azurite.connection_string)


async def calls(deployment: Deployment, name: str, secret: str) -> tuple[int, bool]:
    """What a caller with that secret gets, and whether it is told that the secret was revoked."""
    answer = await deployment.client(name, secret).get("/Users?filter=userName+eq+%22nobody%22")
    return answer.status, b"was revoked on" in answer.body


async def test_older_version_of_the_vaults_secret_brings_no_revoked_one_back(
    deployment: Deployment, with_table: None
) -> None:
    name = deployment.name()
    leaked = (await deployment.tool("add", name))["enter"]["Secret Token"]
    good = (await deployment.tool("rotate", name))["enter"]["Secret Token"]
    older = deployment.kept(name)
    assert await calls(deployment, name, leaked) == (200, False)
    await deployment.run("revoke", name, "--credential", fingerprint(leaked))
    deployment.later(60)
    assert await calls(deployment, name, leaked) == (401, True)
    deployment.keep(name, older)
    deployment.later(60)
    assert [await calls(deployment, name, each) for each in (leaked, good)] == [(401, True), (200, False)]
    shown = await deployment.tool("show", name)
    assert [key["id"] for key in shown["keys"]] == [fingerprint(good)]
    assert [each["id"] for each in shown["revokedCredentials"]] == [fingerprint(leaked)]
    await deployment.run("rotate", name)
    assert digest(leaked) in [each["value"] for each in deployment.kept(name)["revoked_keys"]]


async def test_app_marks_what_an_operator_could_not(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever revokes may not write to the table, and is told so; the next request makes up for it."""
    name = deployment.name()
    leaked = (await deployment.tool("add", name))["enter"]["Secret Token"]
    good = (await deployment.tool("rotate", name))["enter"]["Secret Token"]
    older = deployment.kept(name)
    with monkeypatch.context() as context:
        context.setattr("scim.store.table.azure.TRIP_SECONDS", 0.3)
        nowhere = ("--table", "https://127.0.0.1:1")
        code, _, err = await deployment.command("revoke", name, "--credential", fingerprint(leaked), *nowhere)
    assert (code, "the app makes the mark at the next request" in err) == (0, True)
    notes = Credentials(deployment.application.table)
    assert await notes.read_revoked(name) == []
    assert await calls(deployment, name, good) == (200, False)
    await deployment.settle()
    assert [each.value for each in await notes.read_revoked(name)] == [digest(leaked)]
    deployment.keep(name, older)
    deployment.later(60)
    assert await calls(deployment, name, leaked) == (401, True)


async def test_mark_alone_ends_a_secret(deployment: Deployment, with_table: None) -> None:
    """The vault fails while an operator revokes: the table has the mark already, and the same command ends the rest."""
    name = deployment.name()
    leaked = (await deployment.tool("add", name))["enter"]["Secret Token"]
    await deployment.run("rotate", name)
    assert await calls(deployment, name, leaked) == (200, False)

    async def fail(token: str, request: Any) -> None:
        deployment.cloud.vault.fault = 500 if request.path.endswith("/versions") else None

    deployment.cloud.vault.turn = fail
    command = ("revoke", name, "--credential", fingerprint(leaked))
    assert (await deployment.command(*command))[0] == 2
    deployment.cloud.vault.turn = deployment.cloud.vault.fault = None
    assert "revoked_keys" not in deployment.kept(name)
    deployment.later(60)
    assert await calls(deployment, name, leaked) == (401, True)
    await deployment.run(*command)
    assert [each["value"] for each in deployment.kept(name)["revoked_keys"]] == [digest(leaked)]


async def test_replacing_a_connection_ends_its_secrets_for_good(deployment: Deployment) -> None:
    name = deployment.name()
    old = (await deployment.tool("add", name))["enter"]["Secret Token"]
    older = deployment.kept(name)
    await deployment.run("add", name, "--replace")
    assert await calls(deployment, name, old) == (401, True)
    await deployment.settle()
    deployment.keep(name, older)
    deployment.later(60)
    assert await calls(deployment, name, old) == (401, True)


@pytest.mark.parametrize("kind", [(), FEDERATION], ids=["secret", "federation"])
async def test_connection_that_was_revoked_as_a_whole_stays_so(
    deployment: Deployment, with_table: None, kind: tuple[str, ...]
) -> None:
    """Also one that has no secret of ours; the one that is made in its place is another."""
    name = deployment.name()
    await deployment.run("add", name, *kind)
    older = deployment.kept(name)
    connections = deployment.application._built().security.connections
    await deployment.run("revoke", name, "--all")
    deployment.keep(name, older)
    deployment.later(60)
    kept = await connections.get(name, lambda _: True)
    assert kept is not None and kept.revoked is not None and kept.keys == ()
    assert (await deployment.tool("show", name))["state"].startswith("revoked on")
    await deployment.run("add", name, *kind, "--replace")
    deployment.later(60)
    kept = await connections.get(name, lambda _: True)
    assert kept is not None and kept.revoked is None and bool(kept.keys) == (not kind)
    assert (await deployment.tool("show", name))["state"] == "active"


async def test_a_document_names_no_more_revoked_credentials_than_fit(deployment: Deployment, with_table: None) -> None:
    """Rotated for years: the marks in the table hold those that the document names no more."""
    name = deployment.name()
    first = (await deployment.tool("add", name))["enter"]["Secret Token"]
    document = deployment.kept(name)
    secrets = [new_key(name) for _ in range(3 * MOST_REVOKED)]
    revoked = [
        Revoked(value=digest(each), at=datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number))
        for number, each in enumerate(secrets)
    ]
    deployment.keep(name, {**document, "revoked_keys": [each.model_dump(mode="json") for each in revoked]})
    for secret in (secrets[0], secrets[-1]):
        assert await calls(deployment, name, secret) == (401, True)
    await deployment.settle()  # the app has marked them, as it does with those that only the document names
    added = (await deployment.tool("rotate", name))["enter"]["Secret Token"]
    await deployment.tool("revoke", name, "--credential", fingerprint(first))
    named = [each["value"] for each in deployment.kept(name)["revoked_keys"]]
    assert len(named) == MOST_REVOKED and {digest(first), digest(secrets[-1])} <= set(named)
    assert digest(secrets[0]) not in named
    deployment.later(60)
    for secret in (secrets[0], first):
        assert await calls(deployment, name, secret) == (401, True)
    deployment.keep(name, {**deployment.kept(name), "keys": [secrets[0], added]})
    deployment.later(60)
    assert [await calls(deployment, name, each) for each in (secrets[0], added)] == [(401, True), (200, False)]


def test_revoked_wins_in_one_document() -> None:
    """Whatever writes it back."""
    key, other = new_key("contoso"), new_key("contoso")
    revoked = [{"value": digest(key).upper().replace("SHA", "sha"), "at": "2026-01-01T00:00:00Z"}]
    for keys in ([key, other], [digest(key), other]):
        connection = read_connection("contoso", {"tenant": "t", "keys": keys, "revoked_keys": revoked})
        assert [each.value for each in connection.keys] == [other]
    assert read_connection("contoso", {"tenant": "t", "keys": [key], "revoked_keys": revoked}).keys == ()


async def test_marks_that_cannot_be_read_let_nobody_in_who_is_not_known(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told that a secret is wrong (Entra would stop its job), and who was let in before goes on."""
    monkeypatch.setattr("scim.store.table.azure.TRIP_SECONDS", 0.3)
    warm, warm_key = deployment.connect()
    cold, cold_key = deployment.connect()
    assert await calls(deployment, warm, warm_key) == (200, False)

    def fail(request: Any) -> Exception | None:
        url = unquote(request.http_request.url)
        return ServiceRequestError("away") if "'~'" in url and "'v " in url else None

    deployment.table.before = fail
    deployment.later(60)
    assert await calls(deployment, warm, warm_key) == (200, False)
    assert await calls(deployment, cold, cold_key) == (503, False)
    deployment.table.before = None
    assert await calls(deployment, cold, cold_key) == (200, False)


async def test_what_the_vault_says_counts_while_marks_cannot_be_read(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revoked, paused and marked before: a table that does not tell its marks keeps nobody in."""
    monkeypatch.setattr("scim.store.table.azure.TRIP_SECONDS", 0.3)
    marked, leaked, good = (new_key("marks-away") for _ in range(3))
    document = {"tenant": "marks-away", "keys": [marked, leaked, good]}
    await Credentials(deployment.application.table).mark_revoked(
        "marks-away", [Revoked(value=digest(marked), at=datetime.now(UTC))]
    )
    deployment.keep("marks-away", document)
    assert await calls(deployment, "marks-away", leaked) == (200, False)
    deployment.table.before = lambda request: (
        ServiceRequestError("away") if "'v " in unquote(request.http_request.url) else None
    )
    revoked = [{"value": digest(leaked), "at": "2026-01-01T00:00:00Z"}]
    deployment.keep("marks-away", {**document, "revoked_keys": revoked})
    deployment.later(61)
    assert [await calls(deployment, "marks-away", key) for key in (good, leaked, marked)] == [
        (200, False),
        (401, True),
        (401, True),
    ]
    deployment.keep("marks-away", {**document, "revoked_keys": revoked, "paused": "2026-01-01T00:00:00Z"})
    deployment.later(61)
    assert (await deployment.client("marks-away", good).get("/Users")).status == 503
    deployment.table.before = None


async def test_marks_that_were_known_end_with_the_time_of_an_outage(deployment: Deployment) -> None:
    """Without a look at the marks a connection goes on no longer than without one at the vault."""
    name, key = deployment.connect()
    source = deployment.application._built().security._in_vault
    assert await calls(deployment, name, key) == (200, False)
    source._lasting = 0.0
    deployment.table.before = lambda request: (
        ServiceRequestError("away") if "'v " in unquote(request.http_request.url) else None
    )
    with pytest.raises(SecretsUnavailable):
        await source.read(name)
    deployment.table.before = None
