"""What a deployment sets by default is what the app starts with by default."""

from __future__ import annotations

import re

import pytest

from dev.bicep.settings import LOCAL_ONLY, read_app_settings
from dev.bicep.snapshots import read_snapshots
from scim.settings import BODY_LIMIT, PREFIX, Settings, find_body_limit_problem
from tests.infra.conftest import ROOT

KNOWN_TO_AZURE = {
    "SCIM_TABLE_ENDPOINT": "https://stscimx.table.core.windows.net",
    "SCIM_KEY_VAULT_URL": "https://kv-x.vault.azure.net",
    "SCIM_IDENTITY_CLIENT_ID": "5d0f7c1e-0000-4000-8000-000000000000",
    "SCIM_PUBLIC_URL": "https://func-x.azurewebsites.net/scim",
}
"""What stands for a value that only a deployment makes."""
SNAPSHOTS = {snapshot.name: snapshot for snapshot in read_snapshots(ROOT / "infra")}


def environment(name: str = "default", service: str = "api") -> dict[str, str]:
    """The app settings of a service in a snapshot."""
    found = read_app_settings(SNAPSHOTS[name], service)
    known = KNOWN_TO_AZURE | {
        "SCIM_DOORBELL_ENDPOINT": "https://stscimx.queue.core.windows.net",
        "SCIM_CONSOLE_OPERATORS_ISSUER": "https://login.microsoftonline.com/x/v2.0",
        "SCIM_CONSOLE_CUSTOMERS_ISSUER": "https://login.microsoftonline.com/organizations/v2.0",
        "SCIM_CONSOLE_URL": "https://func-console-x.azurewebsites.net/console",
    }
    return {name: known.get(name, value) if value.startswith("[") else value for name, value in found.items()}


def test_the_app_starts_with_what_the_templates_set() -> None:
    settings = Settings.from_environment(environment())
    given = {name.removeprefix(PREFIX).lower(): value for name, value in KNOWN_TO_AZURE.items()}
    assert {name: getattr(settings, name) for name in given} == given
    expected = Settings(table_endpoint="https://x").model_dump(exclude=set(given))
    assert settings.model_dump(exclude=set(given)) == expected


def test_every_setting_is_set_but_local_ones() -> None:
    assert {name for name in environment() if name.startswith(PREFIX)} | set(LOCAL_ONLY) == {
        PREFIX + name.upper() for name in Settings.model_fields
    }


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_the_host_refuses_what_the_app_would(name: str) -> None:
    settings = Settings.from_environment(environment(name))
    assert int(environment(name)[BODY_LIMIT]) == settings.wanted_body_limit()
    assert find_body_limit_problem(environment(name), settings) is None


def test_people_sign_in_to_the_console_s_app_without_a_secret() -> None:
    """Its identity stands for one; and the app that answers Entra has no console."""
    console, api = (Settings.from_environment(environment("closed", service)) for service in ("console", "api"))
    assert (console.console, api.console) == (True, False)
    for who in ("operators", "customers"):
        assert getattr(console, f"console_{who}_issuer").startswith("https://login.microsoftonline.com/")
        assert getattr(console, f"console_{who}_client_id") and getattr(console, f"console_{who}_client_secret") is None
    assert console.identity_client_id and console.console_directories == {
        "contoso": "44444444-4444-4444-8444-444444444444"
    }
    assert environment("closed", "console")["PYTHON_SCRIPT_FILE_NAME"] == "console_app.py"


def test_links_begin_with_a_url_of_ours() -> None:
    """Else a stranger's Host header would decide what an answer links to."""
    site = r"reference\(.*Microsoft\.Web/sites/func-scim-\w+', '[\d-]+'\)\.defaultHostName"
    found = read_app_settings(SNAPSHOTS["default"])["SCIM_PUBLIC_URL"]
    assert re.fullmatch(rf"\[format\('https://\{{0\}}/scim', {site}\)\]", found)
    assert environment("closed")["SCIM_PUBLIC_URL"] == "https://scim.example.com/scim"
