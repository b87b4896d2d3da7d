"""Holds the schema documents against scim2-models, an independent transcription of RFC 7643."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import scim2_models

DOCUMENTS = Path(__file__).parents[2] / "scim" / "schema" / "documents"

MODELS: dict[str, type[scim2_models.Resource[Any]] | type[scim2_models.Extension]] = {
    "user": scim2_models.User,
    "enterprise-user": scim2_models.EnterpriseUser,
    "group": scim2_models.Group,
}

Difference = tuple[str, str | None, Any, Any]
"""Attribute, characteristic (None: the attribute itself), what scim2-models has, what we have."""

IM_SERVICES = ["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"]

INTENDED: dict[str, list[Difference]] = {
    "user": [
        # We never keep a password, so we do not offer a place for one.
        ("password", None, "present", None),
        # RFC 7643 §4.1.2 lists "other"; the example in §8.7.1, which scim2-models copies, forgot it.
        ("ims.type", "canonicalValues", IM_SERVICES, [*IM_SERVICES, "other"]),
    ],
    "enterprise-user": [
        # RFC 7643 §4.3 recommends both; Entra sends only the value, and clears by sending neither.
        ("manager.value", "required", True, False),
        ("manager.$ref", "required", True, False),
    ],
    "group": [
        # Microsoft's validator expects 409 for a second group of the same name.
        ("displayName", "uniqueness", "none", "server"),
        # RFC 7643 §4.2: the sub-attributes of members are immutable, all of them.
        ("members.display", "mutability", "readWrite", "immutable"),
    ],
}

KEYWORDS = {
    "type": {"string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"},
    "mutability": {"readOnly", "readWrite", "immutable", "writeOnly"},
    "returned": {"always", "never", "default", "request"},
    "uniqueness": {"none", "server", "global"},
}
FLAGS = {"multiValued", "required", "caseExact"}


def read(name: str) -> Any:
    return json.loads((DOCUMENTS / f"{name}.json").read_text(encoding="utf-8"))


def attributes(parent: Any, key: str = "attributes", prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every attribute with its dotted name, sub-attributes included."""
    for attribute in parent.get(key, []):
        yield prefix + attribute["name"], attribute
        yield from attributes(attribute, "subAttributes", f"{prefix}{attribute['name']}.")


def characteristics(attribute: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attribute.items() if key not in {"name", "description", "subAttributes"}}


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> list[Difference]:
    their_attributes, our_attributes = dict(attributes(theirs)), dict(attributes(ours))
    found: list[Difference] = []
    for name in [*their_attributes, *(name for name in our_attributes if name not in their_attributes)]:
        if name not in our_attributes:
            found.append((name, None, "present", None))
        elif name not in their_attributes:
            found.append((name, None, None, "present"))
        else:
            their, our = characteristics(their_attributes[name]), characteristics(our_attributes[name])
            keys = sorted({*their, *our})
            found += [(name, key, their.get(key), our.get(key)) for key in keys if their.get(key) != our.get(key)]
    return found


@pytest.mark.parametrize("name", MODELS)
def test_differs_from_scim2_models_only_where_intended(name: str) -> None:
    theirs = MODELS[name].to_schema().model_dump(mode="json", by_alias=True, exclude_none=True)
    ours = read(name)
    assert (ours["id"], ours["name"]) == (theirs["id"], theirs["name"])
    assert differences(theirs, ours) == INTENDED[name]


@pytest.mark.parametrize("name", MODELS)
def test_is_a_schema_to_scim2_models(name: str) -> None:
    scim2_models.Schema.model_validate(read(name))


@pytest.mark.parametrize("name", ["common", *MODELS])
def test_spells_out_every_characteristic(name: str) -> None:
    document = read(name)
    names = [dotted for dotted, _ in attributes(document)]
    assert len(names) == len({dotted.lower() for dotted in names}), "two attributes have the same name"
    for dotted, attribute in attributes(document):
        optional = {"canonicalValues", "referenceTypes", "subAttributes"} & attribute.keys()
        assert attribute.keys() - optional == {"name", "description", *FLAGS, *KEYWORDS}, dotted
        assert all(attribute[key] in words for key, words in KEYWORDS.items()), dotted
        assert all(isinstance(attribute[key], bool) for key in FLAGS), dotted
        assert attribute["description"].endswith("."), dotted
        assert ("subAttributes" in attribute) == (attribute["type"] == "complex"), dotted
        assert ("referenceTypes" in attribute) == (attribute["type"] == "reference"), dotted
        assert all(attribute[key] for key in optional), f"{dotted} has an empty list"
        # RFC 7643 §2.3.6 and §2.3.7: binary values and references are case exact.
        assert attribute["caseExact"] or attribute["type"] not in {"binary", "reference"}, dotted


def test_common_attributes_are_those_of_rfc_7643_section_3() -> None:
    found = {
        name: (attribute["mutability"], attribute["returned"], attribute["caseExact"], attribute["uniqueness"])
        for name, attribute in attributes(read("common"))
    }
    assert found == {
        "schemas": ("readOnly", "always", True, "none"),  # it follows from what the resource holds
        "id": ("readOnly", "always", True, "server"),
        "externalId": ("readWrite", "default", True, "none"),
        "meta": ("readOnly", "default", False, "none"),
        "meta.resourceType": ("readOnly", "default", True, "none"),
        "meta.created": ("readOnly", "default", False, "none"),
        "meta.lastModified": ("readOnly", "default", False, "none"),
        "meta.location": ("readOnly", "default", True, "none"),
        "meta.version": ("readOnly", "default", True, "none"),
    }


@pytest.mark.parametrize("attribute", ["roles.type", "entitlements.type"])
def test_role_types_suggest_no_values(attribute: str) -> None:
    """Microsoft's gallery test looks for roles[primary eq "True"], which it derives from there being none."""
    assert "canonicalValues" not in dict(attributes(read("user")))[attribute]


def test_resource_types_name_only_what_the_documents_declare() -> None:
    documents = {document["id"]: document for document in map(read, MODELS)}
    common = dict(attributes(read("common")))
    for resource_type in read("resource-types"):
        extensions = [extension["schema"] for extension in resource_type["schemaExtensions"]]
        declared = {*common, *dict(attributes(documents[resource_type["schema"]]))}
        for urn in extensions:
            declared |= {f"{urn}:{name}" for name, _ in attributes(documents[urn])}
        assert set(resource_type["storage"]["lookup"]) <= declared
        scim2_models.ResourceType.model_validate({k: v for k, v in resource_type.items() if k != "storage"})
