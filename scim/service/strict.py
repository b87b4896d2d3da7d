"""What a strict connection refuses and publishes (draft-zollner-scim-interop-profile-01).

The two modes differ here, and where `strict` is asked for: filters and paths have JSON's quotes only (filter/parse.py),
what is read only is refused, and a replaced element is replaced whole (patch/entra.py). A strict connection's bodies
are checked before the tolerant code sees them: nothing unknown (§5.3), no PATCH operation without a path (§6.5.1.1),
and a replaced complex attribute replaced whole (§6.5.2.1). Its discovery says which types every multi-valued attribute
allows (§5.4) and that the profile is met (§4).
No server can meet the profile and pass Microsoft's own tests, so Entra's connections are not strict.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scim.errors import INVALID_SYNTAX, INVALID_VALUE, ScimError
from scim.filter.parse import parse_path
from scim.schema.model import Attribute
from scim.schema.registry import Declared, ResourceType, Target, Undeclared
from scim.text import is_urn

LEAST_PAGE = 100
"""The count that a client must be granted (§6.4)."""
CANONICAL_TYPES = ("WindowsAzureActiveDirectoryRole", "other")
"""The types of multi-valued attributes for which the Entra mode must not publish any (its gallery tests)."""


def check_body(method: str, body: object, resource_type: ResourceType) -> object:
    """Return the body that the tolerant code gets. Raises 400 invalidSyntax if the profile has it refused."""
    if not isinstance(body, dict):
        return body  # refused soon enough
    if method == "PATCH":
        return _check_patch(body, resource_type)
    _check_resource(body, resource_type)
    return body


def describe_attribute(attribute: Attribute) -> Attribute:
    """Return the attribute as a strict connection's /Schemas shows it: a `type` always says what it may be."""
    kind = attribute.sub("type")
    if not attribute.multi_valued or kind is None or kind.canonical_values:
        return attribute
    subs = tuple(
        sub.model_copy(update={"canonical_values": CANONICAL_TYPES}) if sub is kind else sub
        for sub in attribute.sub_attributes
    )
    return attribute.change(sub_attributes=subs)


def _check_resource(body: dict[str, Any], resource_type: ResourceType) -> None:
    for name, value in body.items():
        if name.lower() == "schemas":
            _check_schemas(value, resource_type)
            continue
        target = _find_known(name, resource_type)
        if isinstance(target, Declared):
            _check_value(target.leaf, value, target.path)
        else:
            _check_container(target.urn or resource_type.core.id, value, resource_type)


def _check_container(urn: str, value: object, resource_type: ResourceType) -> None:
    """Raise 400 invalidSyntax if a member of a whole schema's object is no attribute of it."""
    for name, item in value.items() if isinstance(value, dict) else ():
        found = _find_known(f"{urn}:{name}", resource_type)
        if isinstance(found, Declared):
            _check_value(found.attribute, item, found.path)


def _check_schemas(value: object, resource_type: ResourceType) -> None:
    known = {resource_type.core.id.lower(), *(urn.lower() for urn in resource_type.extension_attributes)}
    for urn in value if isinstance(value, list) else []:
        if not isinstance(urn, str) or urn.lower() not in known:
            raise _make_unknown(str(urn))


def _find_known(name: str, resource_type: ResourceType) -> Target:
    """Return what a name stands for if it is written in full: an extension's attribute needs its URN."""
    plain = not is_urn(name)
    target = resource_type.resolve(name)
    if target is None or (plain and target.urn is not None):
        raise _make_unknown(name)
    schemas = (None, *resource_type.extension_attributes)
    if isinstance(target, Undeclared) and (target.name or target.urn not in schemas):
        raise _make_unknown(name)
    return target


def _check_value(attribute: Attribute, value: object, path: str) -> None:
    """Raise 400 invalidSyntax if a member of a complex value is no sub-attribute."""
    if attribute.type != "complex":
        return
    for element in value if isinstance(value, list) else [value]:
        for name in element if isinstance(element, dict) else ():
            if attribute.sub(name) is None:
                raise _make_unknown(f"{path}.{name}")


def _check_patch(body: dict[str, Any], resource_type: ResourceType) -> dict[str, Any]:
    key = next((name for name in body if name.lower() == "operations"), None)
    if key is None or not isinstance(body[key], list):
        return body
    return {**body, key: [done for item in body[key] for done in _check_operation(item, resource_type)]}


def _check_operation(item: object, resource_type: ResourceType) -> Iterable[object]:
    if not isinstance(item, dict):
        return [item]
    members = {name.lower(): value for name, value in item.items()}
    path, value = members.get("path"), members.get("value")
    if not isinstance(path, str) or not path.strip():
        raise ScimError(INVALID_SYNTAX, "Each operation needs a path on a strict connection; name the attribute in it.")
    parsed = parse_path(path.strip(), strict=True)
    target = _find_known(parsed.attribute, resource_type)
    if isinstance(target, Undeclared):
        _check_container(target.urn or resource_type.core.id, value, resource_type)
        return [item]
    attribute = target.leaf
    if parsed.sub is not None and attribute.sub(parsed.sub) is None:
        raise _make_unknown(f"{target.path}.{parsed.sub}")
    if parsed.sub is None:
        _check_value(attribute, value, target.path)
    whole = attribute.type == "complex" and not attribute.multi_valued and parsed.sub is None
    if whole and value == {}:
        detail = f"{target.path} cannot be set to an empty object; send null to clear it, or its sub-attributes."
        raise ScimError(INVALID_VALUE, detail, attribute=target.path, rule="type")
    if whole and isinstance(value, dict) and str(members.get("op")).lower() == "replace":
        return [{"op": "remove", "path": path}, {"op": "add", "path": path, "value": value}]
    return [item]


def _make_unknown(name: str) -> ScimError:
    detail = f"{name[:200]} is in no schema of this service; /Schemas lists what is."
    return ScimError(INVALID_SYNTAX, detail, rule="unknown")
