"""What the tests of the core share: the resource types, refusals, tables of cases, and what hypothesis draws from.

Properties run without a deadline, since this machine may be busy, and on CI with the same examples every time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from scim.errors import ErrorKind, ScimError
from scim.schema.loading import load
from scim.schema.model import Attribute, ResourceTypeDocument, Schema
from scim.schema.registry import ResourceType
from scim.schema.validation import Document, make_canonical

settings.register_profile(
    "core", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("core")

REGISTRY = load()
USER_TYPE, GROUP_TYPE = REGISTRY.resource_types

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
CUSTOM = "urn:ietf:params:scim:schemas:extension:custom:2.0:User"
"""An extension that nobody declared."""
DEVICE = "urn:example:schemas:2.0:Device"
WARRANTY = "urn:example:schemas:extension:2.0:Warranty"


def _attribute(name: str, type: str = "string", **characteristics: Any) -> dict[str, Any]:
    return {"name": name, "type": type, **characteristics}


DEVICE_TYPE = ResourceType(
    ResourceTypeDocument.model_validate(
        {
            "id": "Device",
            "name": "Device",
            "endpoint": "/Devices",
            "schema": DEVICE,
            "schemaExtensions": [{"schema": WARRANTY, "required": False}],
            "storage": {"idPrefix": "d", "lookup": ["tags", "slots", "bought"]},
        }
    ),
    Schema.model_validate(
        {
            "id": DEVICE,
            "name": "Device",
            "attributes": [
                _attribute("serial", mutability="immutable", uniqueness="server"),
                _attribute("slots", "integer"),
                _attribute("weight", "decimal"),
                _attribute("locked", "boolean"),
                _attribute("bought", "dateTime"),
                _attribute("image", "binary", caseExact=True),
                _attribute("manual", "reference", caseExact=True),
                _attribute("tags", multiValued=True),
                _attribute("sizes", "integer", multiValued=True),
                _attribute("pin", returned="never", mutability="writeOnly"),
                _attribute("log", returned="request"),
                _attribute("label", returned="always"),
                _attribute(
                    "ports",
                    "complex",
                    multiValued=True,
                    subAttributes=[
                        _attribute("value"),
                        _attribute("speed", "integer"),
                        _attribute("secret", returned="never"),
                        _attribute("place", returned="always"),
                        _attribute("state", mutability="readOnly"),
                        _attribute("mac", mutability="immutable"),
                    ],
                ),
            ],
        }
    ),
    (
        Schema.model_validate(
            {
                "id": WARRANTY,
                "name": "Warranty",
                "attributes": [
                    _attribute("contract", mutability="immutable"),
                    _attribute("until", "dateTime"),
                    _attribute("seller", "complex", subAttributes=[_attribute("name"), _attribute("town")]),
                    _attribute("terms", multiValued=True),
                ],
            }
        ),
    ),
    USER_TYPE.common,
)
"""A resource type with the types and characteristics that users and groups do not have."""


def user(attributes: Mapping[str, object] | None = None) -> Document:
    """The canonical document of a user with these attributes."""
    return make_canonical({"userName": "ada", **(attributes or {})}, USER_TYPE)


def device(attributes: Mapping[str, object] | None = None) -> Document:
    return make_canonical(dict(attributes or {}), DEVICE_TYPE)


@contextmanager
def refused(kind: ErrorKind, *mentions: str) -> Iterator[pytest.ExceptionInfo[ScimError]]:
    """The block must end in this error, whose detail mentions all of these."""
    with pytest.raises(ScimError) as caught:
        yield caught
    error = caught.value
    assert (error.kind, [text for text in mentions if text not in error.detail]) == (kind, []), error.detail


def cases(table: Mapping[str, Any]) -> list[Any]:
    """A table of cases by name, as parametrize takes it. A tuple holds the arguments of a case."""
    return [pytest.param(*(row if isinstance(row, tuple) else (row,)), id=name) for name, row in table.items()]


# What hypothesis draws: JSON as a request may hold it, bodies that mean something, and bodies that need not.

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
WORDS = st.sampled_from(["", "a", "A", "b", "work", "Work", "home", "True", "false", "5", "ß", "SS", "é", "é"])
NAMES = st.sampled_from(
    [
        *(attribute.name for attribute in USER_TYPE.core.attributes),
        *(f"{ENTERPRISE}:{attribute.name}" for schema in USER_TYPE.extensions for attribute in schema.attributes),
        *("id", "schemas", "META", "EMAILS", "Manager", "department", "name.givenName", "NAME.familyname", "name."),
        *("emails.value", "emails.type", "roles.primary", "manager.value", "userName.x", "unknown", "", ".", "$ref"),
        *("value", "type", "primary", "display", "displayName", "Value", "formatted", "locality"),
        *(USER, ENTERPRISE, ENTERPRISE.upper(), CUSTOM, CUSTOM.lower(), f"{CUSTOM}:site", f"{USER}:title", f"{USER}:x"),
        *(f"{CUSTOM.upper()}:Site", f"{ENTERPRISE}:x", "urn:", "urn:a", "urn:a:b", "urn:a:b:c", "urn:a:b:c:d.e"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | TEXTS
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | TEXTS, inner, max_size=3),
    max_leaves=6,
)
"""Any JSON value that passes for a part of a request: text without NUL and half surrogates, numbers of 64 bits."""


def values(attribute: Attribute) -> st.SearchStrategy[Any]:
    """Values that suit an attribute, empty ones among them."""
    if attribute.type == "complex":
        subs = {sub.name: values(sub) for sub in attribute.sub_attributes}
        one: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional=subs)
    elif attribute.type == "boolean":
        one = st.sampled_from([True, False, "True", "false", None, ""])
    else:
        one = WORDS | st.none()
    return st.lists(one, max_size=3) if attribute.multi_valued else one


_OF_CORE = ("title", "active", "name", "emails", "roles", "addresses", "x509Certificates")
_OF_ENTERPRISE = ("department", "manager")

BODIES = st.fixed_dictionaries(
    {"userName": st.sampled_from(["ada", "b", "Straße"])},
    optional={
        **{name: values(USER_TYPE.core_attributes[name.lower()]) for name in _OF_CORE},
        "externalId": WORDS,
        ENTERPRISE: st.fixed_dictionaries(
            {}, optional={name: values(USER_TYPE.extension_attributes[ENTERPRISE][name]) for name in _OF_ENTERPRISE}
        ),
        CUSTOM: st.dictionaries(st.sampled_from(["site", "ids"]), JSON, max_size=2),
    },
)
"""Bodies of users that are accepted."""

USERS = BODIES.map(lambda body: make_canonical(body, USER_TYPE))
"""Canonical documents of users."""
