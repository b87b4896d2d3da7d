"""The shape of a resource: which properties Azure Resource Manager knows, read from the models of its client packages.

The packages are generated from the service's own description in three manners: TypedDicts, classes with rest fields,
and older classes with an attribute map. All three become a Shape. Their API version is newer than the templates', so a
name that a template uses may still be missing from the older version; a name that is nowhere is found.
"""

from __future__ import annotations

import importlib
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from types import ModuleType, UnionType
from typing import Any, ForwardRef, get_args, get_origin


@dataclass(frozen=True)
class Shape:
    """`kind` is object, list, map, string, number, boolean or any. `fields` are an object's, `item` a list's or map's,
    `values` those of a string that may be one of a few, in lower case; empty for any string."""

    kind: str
    fields: Callable[[], Mapping[str, Shape]] | None = None
    item: Shape | None = None
    values: frozenset[str] = frozenset()


ANY = Shape("any")
STRING = Shape("string")
_SCALARS = {str: STRING, bool: Shape("boolean"), int: Shape("number"), float: Shape("number")}
_NAMES = {"str": STRING, "bool": Shape("boolean"), "int": Shape("number"), "float": Shape("number"), "object": ANY}

_MODELS = {
    "Microsoft.Web/sites": "azure.mgmt.web.types:Site",
    "Microsoft.Web/sites/config": "azure.mgmt.web.types:StringDictionary",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": (
        "azure.mgmt.web.types:CsmPublishingCredentialsPoliciesEntity"
    ),
    "Microsoft.Web/serverfarms": "azure.mgmt.web.types:AppServicePlan",
    "Microsoft.Storage/storageAccounts": "azure.mgmt.storage.types:StorageAccountCreateParameters",
    "Microsoft.Storage/storageAccounts/blobServices": "azure.mgmt.storage.types:BlobServiceProperties",
    "Microsoft.Storage/storageAccounts/blobServices/containers": "azure.mgmt.storage.types:BlobContainer",
    "Microsoft.Storage/storageAccounts/tableServices": "azure.mgmt.storage.types:TableServiceProperties",
    "Microsoft.Storage/storageAccounts/tableServices/tables": "azure.mgmt.storage.types:Table",
    "Microsoft.KeyVault/vaults": "azure.mgmt.keyvault.types:VaultCreateOrUpdateParameters",
    "Microsoft.Network/virtualNetworks": "azure.mgmt.network.types:VirtualNetwork",
    "Microsoft.Network/virtualNetworks/subnets": "azure.mgmt.network.types:Subnet",
    "Microsoft.Network/privateEndpoints": "azure.mgmt.network.types:PrivateEndpoint",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": "azure.mgmt.network.types:PrivateDnsZoneGroup",
    "Microsoft.Network/privateDnsZones": "azure.mgmt.privatedns.types:PrivateZone",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": "azure.mgmt.privatedns.types:VirtualNetworkLink",
    "Microsoft.OperationalInsights/workspaces": "azure.mgmt.loganalytics.models:Workspace",
    "Microsoft.Insights/components": "azure.mgmt.applicationinsights.v2020_02_02.models:ApplicationInsightsComponent",
    "Microsoft.Insights/workbooks": "azure.mgmt.applicationinsights.v2023_06_01.models:Workbook",
    "Microsoft.Insights/scheduledQueryRules": "azure.mgmt.monitor.models:ScheduledQueryRuleResource",
    "Microsoft.Insights/metricAlerts": "azure.mgmt.monitor.models:MetricAlertResource",
    "Microsoft.Insights/actionGroups": "azure.mgmt.monitor.models:ActionGroupResource",
}

_SMALL: dict[str, Any] = {
    "Microsoft.Resources/resourceGroups": {"location": "", "tags": {}, "managedBy": "", "properties": {}},
    "Microsoft.ManagedIdentity/userAssignedIdentities": {
        "location": "",
        "tags": {},
        "properties": {"isolationScope": ""},
    },
    "Microsoft.Authorization/roleAssignments": {
        "properties": dict.fromkeys(
            [
                "roleDefinitionId",
                "principalId",
                "principalType",
                "description",
                "condition",
                "conditionVersion",
                "delegatedManagedIdentityResourceId",
            ],
            "",
        )
    },
    "Microsoft.Insights/diagnosticSettings": {
        "properties": {
            **dict.fromkeys(
                [
                    "workspaceId",
                    "storageAccountId",
                    "serviceBusRuleId",
                    "eventHubAuthorizationRuleId",
                    "eventHubName",
                    "marketplacePartnerId",
                    "logAnalyticsDestinationType",
                ],
                "",
            ),
            "logs": [{"category": "", "categoryGroup": "", "enabled": True, "retentionPolicy": None}],
            "metrics": [{"category": "", "enabled": True, "timeGrain": "", "retentionPolicy": None}],
        }
    },
}
"""Types with a handful of properties, whose packages (where there are any) would be large: an example of each value."""


@lru_cache
def shape(resource_type: str) -> Shape | None:
    """The shape of a resource type; None where no model of it is known here."""
    if resource_type in _SMALL:
        return _example(_SMALL[resource_type])
    if resource_type not in _MODELS:
        return None
    module, _, name = _MODELS[resource_type].partition(":")
    return _model(getattr(importlib.import_module(module), name))


def _example(value: Any) -> Shape:
    if isinstance(value, dict):
        inner = {name: _example(item) for name, item in value.items()}
        return Shape("object", fields=lambda: inner) if inner else Shape("map", item=STRING)
    if isinstance(value, list):
        return Shape("list", item=_example(value[0]))
    return ANY if value is None else _SCALARS[type(value)]


@lru_cache(maxsize=4096)
def _model(cls: type) -> Shape:
    module = importlib.import_module(cls.__module__)
    if typing.is_typeddict(cls) or hasattr(cls, "__total__"):
        return Shape("object", fields=lru_cache(lambda: _typed(cls, module)))
    if hasattr(cls, "_attribute_map"):
        return Shape("object", fields=lru_cache(lambda: _mapped(cls)))
    return Shape("object", fields=lru_cache(lambda: _rest(cls, module)))


def _typed(cls: Any, module: ModuleType) -> Mapping[str, Shape]:
    enumerations = vars(importlib.import_module(module.__name__.rpartition(".")[0] + ".models"))
    names = {**enumerations, **vars(module)}
    return {name: _hint(hint, names) for name, hint in cls.__annotations__.items()}


def _rest(cls: Any, module: ModuleType) -> Mapping[str, Shape]:
    package = importlib.import_module(module.__name__.rpartition(".")[0])
    names = {**vars(module), "_models": package}
    found: dict[str, Shape] = {}
    for base in reversed(cls.__mro__):
        for attribute, hint in vars(base).get("__annotations__", {}).items():
            rest = vars(base).get(attribute)
            if rest is not None and hasattr(rest, "_rest_name_input"):
                found[rest._rest_name_input or attribute] = _hint(hint, names)
    return found


def _hint(hint: Any, names: Mapping[str, Any]) -> Shape:
    """The shape of a type hint, in which classes may be given by name."""
    if isinstance(hint, ForwardRef):
        hint = hint.__forward_arg__
    if isinstance(hint, str):
        if hint.isidentifier():
            hint = names.get(hint, str)
        else:
            hint = eval(hint, _Lenient({**vars(typing), **names}))  # the packages' own annotations
    origin, inner = get_origin(hint), get_args(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if origin in (list, typing.List):  # noqa: UP006
        return Shape("list", item=_hint(inner[0], names))
    if origin in (dict, typing.Dict):  # noqa: UP006
        return Shape("map", item=_hint(inner[1], names))
    if origin in (typing.Union, UnionType):
        return _merged([_hint(part, names) for part in inner if part is not type(None)])
    if origin is typing.Literal:
        return STRING
    if inner and origin is not None:  # Required, NotRequired
        return _hint(inner[0], names)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Shape("string", values=frozenset(str(each.value).lower() for each in hint))
    if isinstance(hint, type) and (hasattr(hint, "__total__") or hasattr(hint, "_is_model")):
        return _model(hint)
    return ANY


class _Lenient(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        return str


def _merged(shapes: Iterable[Shape]) -> Shape:
    """One of several: an object has the fields of all of them."""
    known = list(shapes)
    objects = [found for found in known if found.kind == "object"]
    if objects and len(objects) == len(known):
        fields = [found.fields for found in objects if found.fields is not None]
        return Shape("object", fields=lambda: {name: item for each in fields for name, item in each().items()})
    # `str | Enumeration`: the service may know more values than the package, but a template should not need them.
    return max(known, key=lambda found: len(found.values)) if len({found.kind for found in known}) == 1 else ANY


def _mapped(cls: Any) -> Mapping[str, Shape]:
    """The fields of a class with an attribute map, whose keys are paths: `properties.sku`, `odata\\.type`."""
    models = importlib.import_module(cls.__module__)
    tree: dict[str, Any] = {}
    for each in (cls, *_subtypes(cls, models)):
        for entry in each._attribute_map.values():
            *path, last = (part.replace("\\", "") for part in re.split(r"(?<!\\)\.", entry["key"]))
            place = tree
            for part in path:
                place = place.setdefault(part, {})
            place.setdefault(last, _named(entry["type"], models))
    return {name: _branch(value) for name, value in tree.items()}


def _branch(value: Any) -> Shape:
    if isinstance(value, Shape):
        return value
    inner = {name: _branch(item) for name, item in value.items()}
    return Shape("object", fields=lambda: inner)


def _subtypes(cls: Any, models: ModuleType) -> list[Any]:
    found = [getattr(models, name) for kinds in vars(cls).get("_subtype_map", {}).values() for name in kinds.values()]
    return [*found, *(inner for each in found for inner in _subtypes(each, models))]


def _named(name: str, models: ModuleType) -> Shape:
    """The shape of a type's name in an attribute map: `str`, `[Dimension]`, `{str}`, `Actions`."""
    if name[0] in "[{":
        return Shape("list" if name[0] == "[" else "map", item=_named(name[1:-1], models))
    cls = getattr(models, name, None)
    return _model(cls) if hasattr(cls, "_attribute_map") else _NAMES.get(name, STRING)
