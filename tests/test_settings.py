"""Settings: defaults, what is refused, and errors that name the setting and never show a secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dev.credentials import SEALS, new_key
from scim.security.connections import Credential
from scim.security.seals import create_seal, write_seals
from scim.security.signing_keys import SigningKey, rotate, write_signing_keys
from scim.settings import BODY_LIMIT, Settings, SettingsError, find_body_limit_problem
from tests.core import cases

KEY = new_key("contoso")
STORAGE = "AccountName=x;AccountKey=c2VjcmV0"
REFERENCE = "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/storage)"
CONTOSO: dict[str, Any] = {"tenant": "t-1", "keys": [KEY]}


def read(**environment: str) -> Settings:
    return Settings.from_environment({"SCIM_TABLE_CONNECTION_STRING": STORAGE, **environment})


def connections(**by_name: Any) -> str:
    return json.dumps(by_name)


def test_defaults() -> None:
    settings = read()
    assert settings.table_connection_string == STORAGE
    assert (settings.table_name, settings.connections, settings.public_url) == ("scim", {}, None)
    assert (settings.max_body_bytes, settings.max_json_depth, settings.max_patch_operations) == (2**20, 32, 1000)
    assert (settings.max_filter_length, settings.max_filter_depth) == (65536, 32)
    assert (settings.page_size, settings.max_page_size) == (100, 1000)


def test_values() -> None:
    settings = read(
        SCIM_TABLE_NAME="Users2",
        SCIM_PUBLIC_URL="https://contoso.example/api/scim",
        SCIM_MAX_BODY_BYTES="2048",
        SCIM_CONNECTIONS=connections(contoso={**CONTOSO, "access": "read", "expires": "2030-01-31T08:00:00Z"}),
        SCIM_SEALS=SEALS,
        SOMETHING_ELSE="x",
    )
    assert (settings.table_name, settings.public_url) == ("Users2", "https://contoso.example/api/scim")
    assert settings.max_body_bytes == 2048
    connection = settings.connections["contoso"]
    assert (connection.name, connection.tenant, connection.access, connection.keys) == (
        "contoso",
        "t-1",
        "read",
        (Credential(value=KEY),),
    )


@pytest.mark.parametrize(
    "url", ["http://localhost:7071/scim", "http://127.0.0.1:7071/api/scim", "https://x.example/scim"]
)
def test_public_url(url: str) -> None:
    assert read(SCIM_PUBLIC_URL=url).public_url == url


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_blank_settings_are_not_set(blank: str) -> None:
    assert read(SCIM_CONNECTIONS=blank, SCIM_PAGE_SIZE=blank, SCIM_PUBLIC_URL=blank) == read()


def test_settings_come_from_the_process_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIM_TABLE_CONNECTION_STRING", STORAGE)
    monkeypatch.setenv("SCIM_PAGE_SIZE", "7")
    assert Settings.from_environment().page_size == 7


NO_TABLE = "SCIM_TABLE_ENDPOINT or SCIM_TABLE_CONNECTION_STRING must be set."
VAULT = {"SCIM_KEY_VAULT_URL": "https://vault.example"}
ROOT = write_signing_keys(rotate(()))
(ROOT_KEY,) = (key.key for key in read(SCIM_SIGNING_KEYS=ROOT).signing_keys)

FAULTS: dict[str, tuple[dict[str, str], str]] = {
    "no storage": ({"SCIM_TABLE_CONNECTION_STRING": " "}, NO_TABLE),
    "unresolved reference as storage": ({"SCIM_TABLE_CONNECTION_STRING": REFERENCE}, "SCIM_TABLE_CONNECTION_STRING"),
    "Cosmos DB as storage": (
        {"SCIM_TABLE_CONNECTION_STRING": STORAGE + ";TableEndpoint=https://x.table.cosmos.azure.com:443/"},
        "SCIM_TABLE_CONNECTION_STRING names Cosmos DB, which orders and limits keys otherwise",
    ),
    "table name with a hyphen": ({"SCIM_TABLE_NAME": "my-table"}, "SCIM_TABLE_NAME must "),
    "table name that is too short": ({"SCIM_TABLE_NAME": "ab"}, "SCIM_TABLE_NAME must "),
    "word as a number": ({"SCIM_PAGE_SIZE": "many"}, "SCIM_PAGE_SIZE must "),
    "number that is too large": ({"SCIM_PAGE_SIZE": "1001"}, "SCIM_PAGE_SIZE must "),
    "number that is too small": ({"SCIM_MAX_BODY_BYTES": "0"}, "SCIM_MAX_BODY_BYTES must "),
    "public URL without scim": ({"SCIM_PUBLIC_URL": "https://x.example"}, "SCIM_PUBLIC_URL must "),
    "public URL with a slash": ({"SCIM_PUBLIC_URL": "https://x.example/scim/"}, "SCIM_PUBLIC_URL must "),
    "public URL with a query": ({"SCIM_PUBLIC_URL": "https://x.example/?a/scim"}, "SCIM_PUBLIC_URL must "),
    "no JSON": ({"SCIM_CONNECTIONS": "contoso=" + KEY}, "SCIM_CONNECTIONS is not JSON"),
    "JSON with a fault": ({"SCIM_CONNECTIONS": connections(contoso=CONTOSO)[:-1]}, "SCIM_CONNECTIONS is not JSON"),
    "array": ({"SCIM_CONNECTIONS": json.dumps([CONTOSO])}, "SCIM_CONNECTIONS must be a JSON object of connections"),
    "key for a connection": ({"SCIM_CONNECTIONS": connections(contoso=KEY)}, "SCIM_CONNECTIONS must be a JSON object"),
    "unresolved reference": ({"SCIM_CONNECTIONS": REFERENCE}, "SCIM_CONNECTIONS is a Key Vault reference that was not"),
    "unresolved reference as a key": (
        {"SCIM_CONNECTIONS": connections(contoso={**CONTOSO, "keys": [REFERENCE]})},
        "SCIM_CONNECTIONS (contoso.keys.0.value) holds a Key Vault reference that was not resolved.",
    ),
    "no tenant": ({"SCIM_CONNECTIONS": connections(contoso={"keys": [KEY]})}, "SCIM_CONNECTIONS (contoso): tenant"),
    "no keys": (
        {"SCIM_CONNECTIONS": connections(contoso={"tenant": "t"})},
        "SCIM_CONNECTIONS (contoso): keys: one or two are needed.",
    ),
    "keys as text": (
        {"SCIM_CONNECTIONS": connections(contoso={**CONTOSO, "keys": KEY})},
        "SCIM_CONNECTIONS (contoso.keys)",
    ),
    "number as a key": (
        {"SCIM_CONNECTIONS": connections(contoso={**CONTOSO, "keys": [5]})},
        "SCIM_CONNECTIONS (contoso.keys.0)",
    ),
    "key of another connection": ({"SCIM_CONNECTIONS": connections(fabrikam=CONTOSO)}, "SCIM_CONNECTIONS (fabrikam)"),
    "key as the tenant": (
        {"SCIM_CONNECTIONS": connections(contoso={**CONTOSO, "tenant": KEY})},
        "SCIM_CONNECTIONS (contoso.tenant)",
    ),
    "key as the connection's name": ({"SCIM_CONNECTIONS": connections(**{KEY: CONTOSO})}, "SCIM_CONNECTIONS"),
    "key as a member": (
        {"SCIM_CONNECTIONS": connections(contoso={**CONTOSO, KEY: True})},
        "SCIM_CONNECTIONS (contoso.",
    ),
    "another name inside": (
        {"SCIM_CONNECTIONS": connections(fabrikam={**CONTOSO, "name": "contoso"})},
        "SCIM_CONNECTIONS (fabrikam",
    ),
    "one name twice": (
        {"SCIM_CONNECTIONS": f'{{"contoso": {json.dumps(CONTOSO)}, "contoso": {json.dumps(CONTOSO)}}}'},
        "SCIM_CONNECTIONS",
    ),
    "table and its key": (
        {"SCIM_TABLE_ENDPOINT": "https://x.table.example"},
        "SCIM_TABLE_ENDPOINT or SCIM_TABLE_CONNECTION_STRING: only one of them may be set.",
    ),
    "table without TLS": ({"SCIM_TABLE_ENDPOINT": "http://x.table.example"}, "SCIM_TABLE_ENDPOINT must "),
    "table with a path": ({"SCIM_TABLE_ENDPOINT": "https://x.table.example/scim"}, "SCIM_TABLE_ENDPOINT must "),
    "vault without TLS": ({"SCIM_KEY_VAULT_URL": "http://vault.example"}, "SCIM_KEY_VAULT_URL must "),
    "vault with a path": ({"SCIM_KEY_VAULT_URL": "https://vault.example/secrets/x"}, "SCIM_KEY_VAULT_URL must "),
    "vault and connections": (
        {**VAULT, "SCIM_CONNECTIONS": connections(contoso=CONTOSO)},
        "SCIM_KEY_VAULT_URL or SCIM_CONNECTIONS: only one of them may be set.",
    ),
    "vault and signing keys": (
        {**VAULT, "SCIM_SIGNING_KEYS": ROOT},
        "SCIM_KEY_VAULT_URL or SCIM_SIGNING_KEYS: only one of them may be set.",
    ),
    "signing keys that are no JSON": ({"SCIM_SIGNING_KEYS": ROOT[:-1]}, "SCIM_SIGNING_KEYS is no list of signing keys"),
    "signing key as text": ({"SCIM_SIGNING_KEYS": json.dumps([ROOT_KEY])}, "SCIM_SIGNING_KEYS is no list"),
    "signing key that is too short": ({"SCIM_SIGNING_KEYS": ROOT.replace(ROOT_KEY, ROOT_KEY[:40])}, "32 bytes"),
    "signing key with another member": (
        {"SCIM_SIGNING_KEYS": ROOT.replace('"id"', '"x": 1, "id"')},
        "SCIM_SIGNING_KEYS is no list of signing keys",
    ),
    "unresolved reference as signing keys": ({"SCIM_SIGNING_KEYS": REFERENCE}, "SCIM_SIGNING_KEYS is a Key Vault"),
    "access tokens that are over at once": ({"SCIM_TOKEN_MINUTES": "4"}, "SCIM_TOKEN_MINUTES must "),
    "no seals for a key": (
        {"SCIM_CONNECTIONS": connections(contoso=CONTOSO)},
        "SCIM_CONNECTIONS (contoso.keys): a key",
    ),
    "other seals": (
        {"SCIM_CONNECTIONS": connections(contoso=CONTOSO), "SCIM_SEALS": write_seals((create_seal(),))},
        "SCIM_CONNECTIONS (contoso.keys): a key was not made with SCIM_SEALS",
    ),
    "seals that are no JSON": ({"SCIM_SEALS": SEALS[:-1]}, "SCIM_SEALS is no list of seals"),
    "seals beside a vault": ({**VAULT, "SCIM_SEALS": SEALS}, "SCIM_KEY_VAULT_URL or SCIM_SEALS: only one of them"),
    "an outage of a week": ({"SCIM_OUTAGE_MINUTES": "10080"}, "SCIM_OUTAGE_MINUTES must "),
    "keys of Entra without TLS": ({"SCIM_ENTRA_KEYS_URL": "http://x.example/keys"}, "SCIM_ENTRA_KEYS_URL must "),
    "public URL without TLS": ({"SCIM_PUBLIC_URL": "http://x.example/scim"}, "SCIM_PUBLIC_URL must "),
    "public URL without TLS that begins as this machine": (
        {"SCIM_PUBLIC_URL": "http://localhost.example/scim"},
        "SCIM_PUBLIC_URL must ",
    ),
    "proxies that are none": ({"SCIM_PROXIES": "-1"}, "SCIM_PROXIES must "),
    "access tokens of more than six hours": ({"SCIM_TOKEN_MINUTES": "361"}, "SCIM_TOKEN_MINUTES must "),
    "uses noted less than daily": ({"SCIM_USAGE_MINUTES": "1441"}, "SCIM_USAGE_MINUTES must "),
    "uses noted in the past": ({"SCIM_USAGE_MINUTES": "-1"}, "SCIM_USAGE_MINUTES must "),
    "half a provider": (
        {"SCIM_CONSOLE_OPERATORS_ISSUER": "https://login.example"},
        "SCIM_CONSOLE_OPERATORS_ISSUER and SCIM_CONSOLE_OPERATORS_CLIENT_ID: set both, or neither.",
    ),
    "a provider of everybody's for operators": (
        {
            "SCIM_CONSOLE_OPERATORS_ISSUER": "https://login.microsoftonline.com/organizations/v2.0",
            "SCIM_CONSOLE_OPERATORS_CLIENT_ID": "x",
        },
        "SCIM_CONSOLE_OPERATORS_ISSUER must be the issuer of your own directory",
    ),
    "a provider without TLS": (
        {"SCIM_CONSOLE_CUSTOMERS_ISSUER": "http://127.0.0.1.example", "SCIM_CONSOLE_CUSTOMERS_CLIENT_ID": "x"},
        "SCIM_CONSOLE_CUSTOMERS_ISSUER must ",
    ),
    "a directory without a tenant": (
        {"SCIM_CONSOLE_DIRECTORIES": "contoso=aaaa,bbbb"},
        "SCIM_CONSOLE_DIRECTORIES must be TENANT=DIRECTORY",
    ),
    "a directory of two tenants": (
        {"SCIM_CONSOLE_DIRECTORIES": "a=7F3D2F6E-0000-4000-8000-000000000001,b=7f3d2f6e-0000-4000-8000-000000000001"},
        "SCIM_CONSOLE_DIRECTORIES: names a",
    ),
    "a directory of a tenant that cannot be one": (
        {"SCIM_CONSOLE_DIRECTORIES": "~=aaaa"},
        "_DIRECTORIES must be TENANT",
    ),
    "second connection": (
        {"SCIM_CONNECTIONS": connections(contoso=CONTOSO, fabrikam={**CONTOSO, "access": "all"})},
        "SCIM_CONNECTIONS (fabrikam.access)",
    ),
}


@pytest.mark.parametrize(("environment", "mention"), cases(FAULTS))
def test_fault_is_named_on_one_line_without_the_value(environment: dict[str, str], mention: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**environment)
    text = str(caught.value)
    assert mention in text
    assert "\n" not in text
    assert not any(secret in text for secret in (KEY, STORAGE, "c2VjcmV0", ROOT_KEY, ROOT_KEY[:40]))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_missing_settings_are_named() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({})
    assert str(caught.value) == NO_TABLE


def test_table_by_identity_is_enough() -> None:
    settings = Settings.from_environment({"SCIM_TABLE_ENDPOINT": "https://x.table.example/", **VAULT})
    assert (settings.table_endpoint, settings.table_connection_string) == ("https://x.table.example/", None)
    assert (settings.key_vault_url, settings.identity_client_id) == ("https://vault.example", None)


def test_vault_with_empty_connections_and_signing_keys() -> None:
    """What is in a template and says nothing is no second source."""
    settings = read(**VAULT, SCIM_CONNECTIONS="{}", SCIM_SIGNING_KEYS="[]")
    assert (settings.connections, settings.signing_keys) == ({}, ())


def test_signing_keys() -> None:
    keys = rotate(rotate(()))
    settings = read(SCIM_SIGNING_KEYS=write_signing_keys(keys), SCIM_TOKEN_MINUTES="360", SCIM_USAGE_MINUTES="0")
    assert settings.signing_keys == keys
    assert all(isinstance(key, SigningKey) for key in keys)
    assert (settings.token_minutes, settings.usage_minutes) == (360, 0)


def test_the_sample_has_the_limit_that_the_defaults_want() -> None:
    sample = json.loads((Path(__file__).parent.parent / "local.settings.sample.json").read_text())["Values"]
    assert int(sample[BODY_LIMIT]) == Settings(table_endpoint="https://x").wanted_body_limit() == 2**23 + 2**16


@pytest.mark.parametrize("setting", ["SCIM_MAX_BODY_BYTES", "SCIM_MAX_GROUP_BODY_BYTES", "SCIM_MAX_BULK_BYTES"])
def test_a_limit_of_the_host_below_ours_is_told(setting: str) -> None:
    settings = read(**{setting: str(2**24)})
    assert find_body_limit_problem({}, settings) is None
    assert find_body_limit_problem({BODY_LIMIT: str(2**24 + 2**16)}, settings) is None
    problem = find_body_limit_problem({BODY_LIMIT: "8454144"}, settings)
    assert problem is not None and setting in problem and problem.endswith("Set it to 16842752.")
