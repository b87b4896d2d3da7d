"""The schemas of the OpenAPI document: of resources, of messages, and the small parts that they are made of.

What a client gets and what it may send are two schemas, `Users.resource` and `Users.input`: a client may ask for a few
attributes (RFC 7644 §3.9), so hardly any is required in an answer, and what it may not write, or not read, is in one of
them only. Names begin with the endpoint, since nothing else of a resource type is sure to be fit for one.
Canonical values are examples, since others are kept too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scim.errors import ERROR_URN
from scim.patch.entra import PATCH_URN
from scim.schema.model import Attribute
from scim.schema.registry import ResourceType
from scim.service import bulk, discovery, search

Json = dict[str, Any]

SEARCH_URN = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
_TYPES: dict[str, Json] = {
    "string": {"type": "string"},
    "reference": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "dateTime": {"type": "string"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1},
    "decimal": {"type": "number"},
}
_EXTENSION: Json = {"type": "object", "description": "An extension; one that has no schema here is as it was sent."}
STRING: Json = {"type": "string"}
COUNT: Json = {"type": "integer", "minimum": 0}


def build_schemas(resource_type: ResourceType) -> dict[str, Json]:
    """Return the resource as it is returned, as it is sent, and a page of it."""
    name = name_schema(resource_type)
    return {
        f"{name}.resource": _build_resource(resource_type, sent=False),
        f"{name}.input": _build_resource(resource_type, sent=True),
        f"{name}.page": _build_list(build_ref(f"{name}.resource")),
    }


def name_schema(resource_type: ResourceType) -> str:
    return resource_type.document.endpoint[1:]


def _build_resource(resource_type: ResourceType, *, sent: bool) -> Json:
    schema = _build_object((*resource_type.common, *resource_type.core.attributes), sent=sent)
    if sent:
        schema["properties"]["schemas"] = build_array(STRING)
        if resource_type.members:
            member = schema["properties"][resource_type.members]["items"]
            member["properties"]["value"] = {**member["properties"]["value"], "minLength": 1}
            member["required"] = ["value"]
    else:
        schema["required"] = ["schemas", "id"]
    for extension, declared in zip(resource_type.extensions, resource_type.document.schema_extensions, strict=True):
        schema["properties"][extension.id] = _build_object(extension.attributes, sent=sent)
        if sent and declared.required:
            schema.setdefault("required", []).append(extension.id)
    schema["patternProperties"] = {"^[uU][rR][nN]:": _EXTENSION}
    return {"description": resource_type.document.description, **schema}


def _build_object(attributes: Iterable[Attribute], *, sent: bool) -> Json:
    """Return an object with the attributes that go this way. What is sent must have what is required."""
    shown = [a for a in attributes if (a.mutability != "readOnly" if sent else not a.hidden)]
    schema: Json = {"type": "object", "properties": {a.name: _build_attribute(a, sent=sent) for a in shown}}
    if sent and (required := [a.name for a in shown if a.required]):
        schema["required"] = required
    if not sent:
        schema["additionalProperties"] = False
    return schema


def _build_attribute(attribute: Attribute, *, sent: bool) -> Json:
    one: Json = (
        _build_object(attribute.sub_attributes, sent=sent)
        if attribute.type == "complex"
        else _build_simple(attribute, sent)
    )
    schema = build_array(one) if attribute.multi_valued else one
    if sent and attribute.required and attribute.multi_valued:
        schema["minItems"] = 1
    rule = " It is set once." if attribute.mutability == "immutable" else ""
    if text := attribute.description + rule:
        schema["description"] = text.strip()
    if attribute.mutability == "readOnly":
        schema["readOnly"] = True
    elif attribute.hidden:
        schema["writeOnly"] = True
    return schema


def _build_simple(attribute: Attribute, sent: bool) -> Json:
    schema = dict(_TYPES[attribute.type])
    if attribute.type == "dateTime" and (sent or attribute.mutability == "readOnly"):
        schema["format"] = "date-time"  # a client may leave out the offset, and gets back what it sent
    if sent and attribute.required and schema["type"] == "string":
        schema["minLength"] = 1
    if attribute.canonical_values:
        schema["examples"] = list(attribute.canonical_values)
    return schema


def build_messages(types: Iterable[ResourceType]) -> dict[str, Json]:
    """Return the messages of RFC 7644 and the resources of RFC 7643 §5 to §7."""
    operation = {"op": {"enum": ["add", "replace", "remove"]}, "path": STRING, "value": {}}
    searched = {"filter": STRING, "sortBy": STRING, "sortOrder": ORDER, "startIndex": START, "count": COUNT}
    listed = {"attributes": build_array(STRING), "excludedAttributes": build_array(STRING)}
    part = {"method": {"enum": ["POST", "PUT", "PATCH", "DELETE"]}, "path": {**STRING, "pattern": "^/"}}
    result = {"method": STRING, "bulkId": STRING, "version": STRING, "location": STRING, "status": _STATUS}
    options = ("patch", "bulk", "filter", "changePassword", "sort", "etag")
    return {
        "Error": _build_message(
            ERROR_URN,
            {"status": _STATUS, "scimType": STRING, "detail": STRING},
            required=["schemas", "status", "detail"],
        ),
        "PatchOp": _build_message(
            PATCH_URN, {"Operations": build_array(_build_part(operation, "op"))}, required=["Operations"]
        ),
        "SearchRequest": _build_message(SEARCH_URN, {**searched, "cursor": STRING, **listed}),
        "BulkRequest": _build_message(
            bulk.REQUEST_URN,
            {
                "failOnErrors": {"type": "integer", "minimum": 0},
                "Operations": build_array(
                    _build_part({**part, "bulkId": STRING, "version": STRING, "data": {}}, "method", "path")
                ),
            },
            required=["Operations"],
        ),
        "BulkResponse": _build_message(
            bulk.RESPONSE_URN,
            {"Operations": build_array(_build_part({**result, "response": build_ref("Error")}, "method", "status"))},
            required=["schemas", "Operations"],
        ),
        "AnyList": _build_list(
            {"anyOf": [build_ref(f"{name_schema(resource_type)}.resource") for resource_type in types]}
        ),
        "ServiceProviderConfig": _build_message(
            discovery.CONFIG_URN,
            {option: _build_part({"supported": {"type": "boolean"}}, "supported") for option in options},
            required=["schemas", *options],
        ),
        "ResourceType": _build_message(
            discovery.RESOURCE_TYPE_URN,
            {name: STRING for name in ("id", "name", "endpoint", "description", "schema")}
            | {
                "schemaExtensions": build_array(
                    _build_part({"schema": STRING, "required": {"type": "boolean"}}, "schema")
                )
            },
            required=["schemas", "name", "endpoint", "schema"],
        ),
        "Schema": _build_message(
            discovery.SCHEMA_URN,
            {"id": STRING, "name": STRING, "description": STRING, "attributes": build_array({"type": "object"})},
            required=["schemas", "id", "attributes"],
        ),
        "ResourceTypeList": _build_list(build_ref("ResourceType")),
        "SchemaList": _build_list(build_ref("Schema")),
    }


_STATUS: Json = {**STRING, "pattern": "^[1-5][0-9]{2}$"}
ORDER: Json = {**STRING, "enum": ["ascending", "descending"]}
START: Json = {"type": "integer", "minimum": 1}


def _build_message(urn: str, properties: Json, *, required: list[str] | None = None) -> Json:
    schema = _build_part({"schemas": build_array({"const": urn}), **properties}, *(required or ()))
    return schema


def _build_list(item: Json) -> Json:
    page = {"totalResults": COUNT, "itemsPerPage": COUNT, "startIndex": START, "nextCursor": STRING}
    required = ["schemas", "totalResults", "itemsPerPage", "Resources"]
    return _build_message(search.LIST_URN, {**page, "Resources": build_array(item)}, required=required)


def _build_part(properties: Json, *required: str) -> Json:
    schema: Json = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema


def build_array(items: Json) -> Json:
    return {"type": "array", "items": items}


def build_ref(name: str, kind: str = "schemas") -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}
