"""Resources against their ARM models: property names and kinds of values, all the way down; one API version for each
type; and the safety that no template may give up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from dev.bicep import arm
from dev.bicep.source import (
    Declaration,
    Finding,
    Node,
    Template,
    arguments,
    body,
    called,
    children,
    literal,
    member,
    properties,
    scalar,
    text_of,
)

_BICEP = {"name", "parent", "scope", "dependsOn"}
"""What any resource may have in Bicep, whatever its model."""

_KINDS = {
    "string": "a string",
    "number": "a number",
    "boolean": "a boolean",
    "object": "an object",
    "array": "an array",
}

MUST: dict[str, dict[str, str | int | bool]] = {
    "Microsoft.Web/sites": {
        "kind": "functionapp,linux",
        "properties.httpsOnly": True,
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.scmMinTlsVersion": "1.2",
        "properties.siteConfig.ftpsState": "Disabled",
        "properties.functionAppConfig.deployment.storage.authentication.type": "UserAssignedIdentity",
    },
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"properties.allow": False},
    "Microsoft.Storage/storageAccounts": {
        "properties.allowSharedKeyAccess": False,
        "properties.allowBlobPublicAccess": False,
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.supportsHttpsTrafficOnly": True,
    },
    "Microsoft.KeyVault/vaults": {
        "properties.enableRbacAuthorization": True,
        "properties.enableSoftDelete": True,
        "properties.softDeleteRetentionInDays": 90,
        "properties.enablePurgeProtection": True,
    },
    "Microsoft.Insights/components": {"properties.DisableLocalAuth": True},
}
"""By resource type, the values that keep it safe."""


def check(templates: list[Template]) -> Iterator[Finding]:
    versions: dict[str, tuple[str, str]] = {}
    for template in templates:
        for resource in template.of("resource"):
            kind, _, version = resource.target.partition("@")
            if not version:  # a nested resource, whose type is its parent's and more
                continue
            if not re.fullmatch(r"\d{4}-\d\d-\d\d(-preview)?", version):
                yield template.at(resource.node, f"{version} is no API version; write one such as 2024-04-01")
            first, place = versions.setdefault(kind, (version, template.name))
            if first != version:
                remedy = f"{place} has {first}; use one version everywhere"
                yield template.at(resource.node, f"{kind} in API version {version}: {remedy}")
            yield from _resource(template, resource, kind)


def _resource(template: Template, resource: Declaration, kind: str) -> Iterator[Finding]:
    found = body(resource)
    model = arm.shape(kind)
    if model is None:
        yield template.at(resource.node, f"no model of {kind} is known; name its class in dev/bicep/arm.py")
    if found is None or any(child.type == "existing" for child in resource.node.children):
        return
    if model is not None:
        yield from _value(template, found, model, "", allowed=_BICEP)
    for path, wanted in MUST.get(kind, {}).items():
        node = _at(template, found, path)
        if scalar(node) != wanted:
            shown = f"'{wanted}'" if isinstance(wanted, str) else str(wanted).lower()
            yield template.at(node or resource.node, f"{path} must be {shown}; write so")


def _at(template: Template, node: Node | None, path: str) -> Node | None:
    for name in path.split("."):
        node = member(_resolved(template, node), name)
    return node


def _resolved(template: Template, node: Node | None) -> Node | None:
    """What a variable stands for."""
    if node is not None and node.type == "identifier":
        variable = template.named(text_of(node), "var")
        return variable.value if variable is not None else node
    return node


def _value(
    template: Template, node: Node, shape: arm.Shape, path: str, allowed: set[str] | frozenset[str] = frozenset()
) -> Iterator[Finding]:
    """What does not fit the shape at or below a node. `allowed` are names beside the shape's own."""
    if shape.kind == "any":
        return
    if node.type == "ternary_expression":
        for branch in children(node)[1:]:
            yield from _value(template, branch, shape, path)
    elif node.type == "identifier":
        meant = _resolved(template, node)
        if meant is not None and meant.type != "identifier":
            yield from _value(template, meant, shape, path)
    elif called(node) == "union":
        for argument in arguments(node):
            yield from _value(template, argument, shape, path)
    elif node.type == "for_statement" and shape.kind == "list" and shape.item is not None:
        yield from _value(template, children(node)[-1], shape.item, path)
    elif node.type in _KINDS:
        yield from _literal(template, node, shape, path, allowed)


def _literal(
    template: Template, node: Node, shape: arm.Shape, path: str, allowed: set[str] | frozenset[str]
) -> Iterator[Finding]:
    wanted = {"list": "array", "map": "object"}.get(shape.kind, shape.kind)
    if node.type != wanted:
        yield template.at(node, f"{path} takes {_KINDS[wanted]}, not {_KINDS[node.type]}")
    elif node.type == "string":
        text = literal(node)
        if shape.values and text is not None and text.lower() not in shape.values:
            yield template.at(node, f"{path} cannot be '{text}'; it is one of {_quoted(shape.values)}")
    elif node.type == "array" and shape.item is not None:
        for item in children(node):
            yield from _value(template, item, shape.item, path)
    elif node.type == "object":
        yield from _object(template, node, shape, path, allowed)


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))


def _object(
    template: Template, node: Node, shape: arm.Shape, path: str, allowed: set[str] | frozenset[str]
) -> Iterator[Finding]:
    fields = shape.fields() if shape.fields is not None else {}
    for name, key, value in properties(node):
        inner = f"{path}.{name}" if path else str(name)
        if shape.item is not None:
            yield from _value(template, value, shape.item, inner)
        elif name is not None and name in fields:
            yield from _value(template, value, fields[name], inner)
        elif name is not None and name not in allowed:
            near = get_close_matches(name, fields, n=1)
            remedy = f"did you mean {near[0]}?" if near else "remove it"
            yield template.at(key, f"{inner} is no property that Azure knows; {remedy}")
