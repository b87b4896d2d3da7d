"""App settings: what the templates set against what the app reads, both ways, with defaults and bounds; none that Flex
Consumption refuses; and main.parameters.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic.fields import FieldInfo

from dev.bicep.source import (
    Declaration,
    Finding,
    Node,
    Template,
    arguments,
    called,
    properties,
    scalar,
    text_of,
    walk,
)

PREFIX = "SCIM_"
LOCAL_ONLY = ("SCIM_TABLE_CONNECTION_STRING", "SCIM_CONNECTIONS", "SCIM_SIGNING_KEYS")
"""What holds secrets, for a machine without Azure. In Azure there are identities and a vault instead."""

REFUSED = {
    "AzureWebJobsStorage": "set AzureWebJobsStorage__accountName, __credential and __clientId",
    "AzureWebJobsDashboard": "remove it",
    "APPINSIGHTS_INSTRUMENTATIONKEY": "set APPLICATIONINSIGHTS_CONNECTION_STRING",
    "FUNCTIONS_WORKER_RUNTIME": "say so in functionAppConfig.runtime",
    "FUNCTIONS_WORKER_RUNTIME_VERSION": "say so in functionAppConfig.runtime",
    "FUNCTIONS_EXTENSION_VERSION": "remove it: Flex Consumption has one",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY": "say so in functionAppConfig.scaleAndConcurrency.triggers",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT": "say so in functionAppConfig.scaleAndConcurrency",
    "WEBSITE_RUN_FROM_PACKAGE": "say so in functionAppConfig.deployment",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING": "remove it: there is no content share",
    "WEBSITE_CONTENTSHARE": "remove it: there is no content share",
    "WEBSITE_CONTENTOVERVNET": "remove it: there is no content share",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION": "remove it: there is no content share",
    "WEBSITE_VNET_ROUTE_ALL": "remove it: it is always so",
    "WEBSITE_TIME_ZONE": "remove it: times are UTC",
    "TZ": "remove it: times are UTC",
    "SCM_DO_BUILD_DURING_DEPLOYMENT": "ask for a remote build when deploying",
    "ENABLE_ORYX_BUILD": "ask for a remote build when deploying",
    "linuxFxVersion": "say so in functionAppConfig.runtime",
    "alwaysOn": "set functionAppConfig.scaleAndConcurrency.alwaysReady",
    "dailyMemoryTimeQuota": "remove it",
}
"""Settings, and properties of a site, that Flex Consumption ignores or refuses; and what to do instead."""

Fields = Mapping[str, FieldInfo]


def check(templates: list[Template], fields: Fields) -> Iterator[Finding]:
    known = {PREFIX + name.upper(): field for name, field in fields.items()}
    main = next((template for template in templates if template.path.name == "main.bicep"), None)
    found: set[str] = set()
    for template in templates:
        for name, key, value in _settings(template):
            if name in REFUSED:
                yield template.at(key, f"{name} is refused or ignored by Flex Consumption; {REFUSED[name]}")
            elif not name.startswith(PREFIX):
                continue
            elif name in LOCAL_ONLY:
                yield template.at(key, f"{name} is for local use: it holds secrets; remove it")
            elif name not in known:
                yield template.at(key, f"{name} is no setting of the app; remove it or correct the name")
            else:
                found.add(name)
                yield from _param(template, name, value, known[name])
    for name in known if main is not None else ():
        if name not in found and name not in LOCAL_ONLY:
            yield Finding(
                main.name if main else "", 1, f"{name}, which the app reads, is not set; add it to the app's settings"
            )


def _settings(template: Template) -> Iterator[tuple[str, Node, Node]]:
    for node in walk(template.root):
        if node.type == "object":
            for name, key, value in properties(node):
                if name is not None:
                    yield name, key, value


def _param(template: Template, name: str, value: Node, field: FieldInfo) -> Iterator[Finding]:
    """The parameter behind a setting: the app's default and bounds are its own."""
    if called(value) == "string" and arguments(value):
        value = arguments(value)[0]
    declared = template.named(text_of(value), "param") if value.type == "identifier" else None
    if declared is None:
        return
    default = scalar(declared.value)
    wanted = "" if field.default is None else field.default
    if default != wanted or isinstance(default, bool) != isinstance(wanted, bool):
        yield template.at(
            declared.node, f"the default of {declared.name} is {default!r}, of {name} {wanted!r}; take that"
        )
    for decorator, bound in (("minValue", "ge"), ("maxValue", "le")):
        limit = next((getattr(each, bound) for each in field.metadata if hasattr(each, bound)), None)
        call = declared.decorators.get(decorator)
        given = scalar(arguments(call)[0]) if call is not None else None
        if limit != given:
            shown = "no bound" if limit is None else f"@{decorator}({limit})"
            yield template.at(declared.node, f"{name} has {shown}, {declared.name} @{decorator}({given}); take that")


def check_parameters(main: Template, path: Path) -> Iterator[Finding]:
    """main.parameters.json: real parameters only, all without a default, and `${NAME=default}` with their default."""
    name = f"{path.parent.name}/{path.name}"
    text = path.read_text(encoding="utf-8")
    try:
        given = json.loads(text)["parameters"]
    except (ValueError, KeyError) as error:
        yield Finding(name, getattr(error, "lineno", 1), f"is no parameters file ({error}); correct it")
        return
    declared = {param.name: param for param in main.of("param")}
    for key, entry in given.items():
        line = next((n for n, row in enumerate(text.splitlines(), 1) if f'"{key}"' in row), 1)
        if key not in declared:
            yield Finding(name, line, f"{main.name} has no param {key}; remove it or correct the name")
        else:
            yield from (Finding(name, line, text) for text in _entry(declared[key], entry.get("value")))
    for param in declared.values():
        if param.value is None and param.name not in given:
            yield Finding(name, 1, f"param {param.name} has no default and no value; add it")


def _entry(param: Declaration, value: object) -> Iterator[str]:
    found = re.fullmatch(r"\$\{(\w+)(?:=(.*))?\}", value) if isinstance(value, str) else None
    if found is None or param.value is None:
        return
    default = scalar(param.value)
    wanted = str(default).lower() if isinstance(default, bool) else str(default)
    if (found[2] or "") != wanted:
        yield f"{found[1]} has another default than param {param.name}; write ${{{found[1]}={wanted}}}"
    snake = re.sub("(?<=[a-z])(?=[A-Z])", "_", param.name).upper()
    if found[1] not in (PREFIX + snake, "AZURE_" + snake):
        yield f"param {param.name} comes from {found[1]}; call it {PREFIX}{snake}, as the setting is called"
