"""What the templates set by default is what the app starts with by default."""

from __future__ import annotations

from dev.bicep.settings import LOCAL_ONLY
from dev.bicep.source import arguments, body, called, member, properties, read_templates, scalar, text_of
from scim.settings import PREFIX, Settings
from tests.infra.conftest import ROOT

DEPLOYED = {
    "storage.outputs.tableEndpoint": "https://stscimx.table.core.windows.net",
    "vault.outputs.url": "https://kv-x.vault.azure.net",
    "identity.outputs.clientId": "5d0f7c1e-0000-4000-8000-000000000000",
}
"""What stands for a resource that only a deployment makes."""


def environment() -> dict[str, str]:
    """The app settings of a deployment with nothing but defaults, as Azure writes them: `string(false)` is False."""
    main = next(template for template in read_templates(ROOT / "infra") if template.path.name == "main.bicep")
    app = main.named("app", "module")
    assert app is not None
    settings = member(body(app), "params", "settings")
    assert settings is not None
    found = {}
    for name, _, value in properties(settings):
        source = arguments(value)[0] if called(value) == "string" else value
        param = main.named(text_of(source), "param")
        found[str(name)] = str(scalar(param.value)) if param is not None else DEPLOYED[text_of(source)]
    return found


def test_the_app_starts_with_what_the_templates_set() -> None:
    settings = Settings.from_environment(environment())
    assert settings.table_endpoint == DEPLOYED["storage.outputs.tableEndpoint"]
    assert settings.key_vault_url == DEPLOYED["vault.outputs.url"]
    assert settings.identity_client_id == DEPLOYED["identity.outputs.clientId"]
    given = {"table_endpoint", "key_vault_url", "identity_client_id"}
    assert settings.model_dump(exclude=given) == Settings(table_endpoint="https://x").model_dump(exclude=given)


def test_every_setting_is_set_but_local_ones() -> None:
    assert {*environment(), *LOCAL_ONLY} == {PREFIX + name.upper() for name in Settings.model_fields}
