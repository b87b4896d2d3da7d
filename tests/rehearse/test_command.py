"""The command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dev.rehearse.auth import ClientCredentials, Federation, SecretToken
from dev.rehearse.command import parse

URL = "https://app.example/scim"


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCIM_TOKEN", raising=False)
    monkeypatch.delenv("SCIM_CLIENT_SECRET", raising=False)


def test_url_and_token() -> None:
    command = parse([URL, "secret"])
    assert command.url == URL and command.credentials == SecretToken("secret")
    assert command.rate == 25 and command.options.dialects == ("legacy", "flag") and not command.i_know


def test_secrets_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIM_TOKEN", "from outside")
    assert parse([URL]).credentials == SecretToken("from outside")
    monkeypatch.setenv("SCIM_CLIENT_SECRET", "s")
    credentials = parse([URL, "--token-endpoint", "https://t", "--client-id", "c", "--credentials", "both"]).credentials
    assert isinstance(credentials, ClientCredentials)
    assert (credentials.secret, credentials.how) == ("s", "both")
    assert "'s'" not in repr(credentials)


def test_oauth_is_found_beside_the_tenant_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIM_CLIENT_SECRET", "s")
    credentials = parse(["https://app.example/scim/", "--oauth", "--client-id", "c"]).credentials
    assert isinstance(credentials, ClientCredentials)
    assert credentials.endpoint == "https://app.example/oauth2/token"


def test_federation() -> None:
    command = parse([URL, "--token-endpoint", "https://t", "--client-id", "c", "--assertion-file", "jwt"])
    assert isinstance(command.credentials, Federation) and command.credentials.assertion_file == Path("jwt")


@pytest.mark.parametrize(
    ("arguments", "dialects"),
    [
        ([f"{URL}?aadOptscim062020"], ("flag",)),
        ([f"{URL}/?AADOPTSCIM062020=true"], ("flag",)),
        ([f"{URL}?aadOptscim062020", "--dialect", "both"], ("legacy", "flag")),
        ([URL, "--dialect", "legacy"], ("legacy",)),
    ],
)
def test_dialects(arguments: list[str], dialects: tuple[str, ...]) -> None:
    assert parse([arguments[0], "secret", *arguments[1:]]).options.dialects == dialects


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "URL is missing"),
        (["app.example/scim", "t"], "URL must begin with https://"),
        ([URL], "SCIM_TOKEN"),
        ([URL, "Bearer t"], "without the word Bearer"),
        ([URL, "--client-id", "c"], "need --token-endpoint"),
        ([URL, "--token-endpoint", "https://t"], "needs --client-id"),
        ([URL, "--token-endpoint", "https://t", "--client-id", "c"], "SCIM_CLIENT_SECRET"),
        ([URL, "t", "--token-endpoint", "https://t", "--client-id", "c"], "exclude each other"),
        (["https://app.example/v2", "--oauth", "--client-id", "c"], "ends with /scim"),
        ([URL, "t", "--users", "0"], "must be 1 or more"),
        ([URL, "t", "--scenario", "unknown"], "invalid choice"),
    ],
)
def test_what_is_wrong_is_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--list"])
    assert ended.value.code == 0
    assert "initial-cycle" in capsys.readouterr().out


def test_the_rehearsal_knows_nothing_of_our_server() -> None:
    script = "import sys, dev.rehearse.__main__; print([name for name in sys.modules if name.split('.')[0] == 'scim'])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
