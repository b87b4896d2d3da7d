"""Reading the schema documents: ours, and those that a deployer adds as JSON files.

A file holds a schema document (RFC 7643 §7), a resource type (§6, with our `storage` member), or an array of resource
types. A schema that no resource type names extends the one that its URN ends with, as in `urn:…:2.0:User`. A resource
type whose id is ours (User, Group) takes the place of ours, for those who want another index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from scim.errors import ScimError
from scim.faults import find_fault
from scim.schema.model import Attribute, ResourceTypeDocument, Schema, SchemaExtension
from scim.schema.registry import Catalog, Registry, ResourceType

DOCUMENTS = Path(__file__).parent / "documents"
_NAME = re.compile(r"[A-Za-z$][\w$-]*", re.ASCII)
_URN = re.compile(r"urn:[A-Za-z0-9:._-]{1,150}")
_EXAMPLE = "urn:ietf:params:scim:schemas:extension:contoso:2.0:User"
_PREFIX = re.compile(r"[a-z]{1,8}")
_ENDPOINT = re.compile(r"/[A-Za-z][\w-]*", re.ASCII)
_NEARLY = {"", ".txt", ".json", ".jsonc", ".json5"}
"""Endings, in lower case, of what was probably meant to end with .json."""
_RESERVED = {"serviceproviderconfig", "resourcetypes", "schemas", "bulk", "me"}


class SchemaError(ValueError):
    """One line that names the file or schema and what is wrong with it."""


def load(added: Path | None = None) -> Registry:
    """Return the registry of our documents and those of the folder `added`, if it exists. Raises SchemaError."""
    common = tuple(
        Attribute.model_validate(a) for a in json.loads((DOCUMENTS / "common.json").read_bytes())["attributes"]
    )
    schemas: dict[str, Schema] = {}
    types: dict[str, ResourceTypeDocument] = {}
    added_types: set[str] = set()
    files = sorted(DOCUMENTS.glob("*.json")) + (_find_files(added) if added else [])
    for file in files:
        if file == DOCUMENTS / "common.json":
            continue
        for document in _read_documents(file):
            if isinstance(document, Schema):
                if not _URN.fullmatch(document.id):
                    raise SchemaError(f"{file.name}: schema id {document.id!r} must be a URN, such as {_EXAMPLE}")
                if document.id.lower() in (urn.lower() for urn in schemas):
                    raise SchemaError(
                        f"{file.name}: schema {document.id} is there already: give this one an id of its own"
                    )
                schemas[document.id] = document
            else:
                if document.id in added_types:
                    raise SchemaError(f"{file.name}: resource type {document.id} is there already: write it once")
                if document.id != document.name:
                    raise SchemaError(
                        f"{file.name}: resource type {document.id} must have its id for a name, not {document.name}"
                    )
                types[document.id] = document
                if file.parent == added:
                    added_types.add(document.id)
    types = _extend(types, schemas)
    _name_member_types(types, schemas)
    made = [_build_resource_type(document, schemas, common) for document in types.values()]
    _check_types(made)
    catalogs = [make_catalog(each) for each in made if each.document.values is not None]
    return Registry((each for each in made if each.document.values is None), common, catalogs)


def _find_files(folder: Path) -> list[Path]:
    """Return the documents of a folder. Raises SchemaError for a file that looks like one and has another ending."""
    for file in sorted(folder.glob("*")):
        if file.suffix != ".json" and file.suffix.lower() in _NEARLY and file.is_file():
            try:
                begins = file.read_bytes().removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
            except OSError:
                continue
            if begins in (b"{", b"["):
                raise SchemaError(f"{file.name} is not read: let its name end with .json, or take it away")
    return sorted(folder.glob("*.json"))


def make_catalog(resource_type: ResourceType) -> Catalog:
    """Return the catalog of a type that is only read. Raises SchemaError for values that its schema does not have."""
    return Catalog(resource_type, check_values(resource_type, resource_type.document.values or ()))


def check_values(resource_type: ResourceType, values: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Return values of a catalog as its resources have them: an id, which nothing else has, and attributes of its
    schema. Raises SchemaError."""
    found: dict[str, Mapping[str, Any]] = {}
    for number, value in enumerate(values):
        where = f"resource type {resource_type.name}: values.{number}"
        id = value.get("id")
        if not isinstance(id, str) or not 0 < len(id) <= 256 or "/" in id:
            raise SchemaError(f"{where}: id must be a text of 1 to 256 characters without a slash, as clients have it")
        if id.lower() in found:
            raise SchemaError(f"{where}: id {id!r} is there already")
        document: dict[str, Any] = {"id": id}
        for name in value.keys() - {"id"}:
            attribute = resource_type.core_attributes.get(name.lower())
            if attribute is None:
                raise SchemaError(f"{where}: {name} is no attribute of {resource_type.core.id}: take it out")
            try:
                document[attribute.name] = attribute.read(value[name], name)
            except ScimError as error:
                raise SchemaError(f"{where}: {error.detail}") from None
        found[id.lower()] = dict(sorted(document.items()))
    return tuple(found.values())


def _read_documents(file: Path) -> Iterator[Schema | ResourceTypeDocument]:
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise SchemaError(f"{file.name} is not JSON: {error}; mend it there, or remove the file") from None
    except OSError as error:
        raise SchemaError(f"{file.name} cannot be read: {error.strerror}; let the app read it, or remove it") from None
    if content == []:
        raise SchemaError(f"{file.name} holds nothing: write a schema or a resource type into it, or remove it")
    for document in content if isinstance(content, list) else [content]:
        if not isinstance(document, dict):
            raise SchemaError(f"{file.name} must hold a schema or a resource type as a JSON object, or a list of them")
        model: type[BaseModel] = ResourceTypeDocument if "endpoint" in document else Schema
        known = {name: value for name, value in document.items() if name not in ("schemas", "meta")}
        try:
            yield model.model_validate(known)  # type: ignore[misc]
        except ValidationError as error:
            path, text = find_fault(error)
            where = ".".join(_name_items(path, document)) or f"resource type {document.get('id')}"
            raise SchemaError(f"{file.name}: {where}: {text}") from None


def _name_items(path: tuple[str, ...], document: object) -> Iterator[str]:
    """Return the parts of a path into a document, with an attribute's name in place of its place in a list, if it has
    one."""
    for part in path:
        if isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
            name = document.get("name") if isinstance(document, dict) else None
            yield name if isinstance(name, str) and _NAME.fullmatch(name) else part
        else:
            document = document.get(part) if isinstance(document, dict) else None
            yield part


def _extend(types: dict[str, ResourceTypeDocument], schemas: dict[str, Schema]) -> dict[str, ResourceTypeDocument]:
    """Return the resource types with the schemas that extend them by their URN."""
    named = {t.schema_ for t in types.values()} | {e.schema_ for t in types.values() for e in t.schema_extensions}
    result = dict(types)
    for urn in schemas:
        if urn in named:
            continue
        name = urn.rpartition(":")[2]
        if name not in result:
            remedy = "end its id with the name of one, or name it in a resource type's schemaExtensions"
            raise SchemaError(f"schema {urn} extends no resource type: {remedy}")
        extensions = (*result[name].schema_extensions, SchemaExtension.model_validate({"schema": urn}))
        result[name] = result[name].change(schema_extensions=extensions)
    return result


def _name_member_types(types: dict[str, ResourceTypeDocument], schemas: dict[str, Schema]) -> None:
    """Have the schema of each type that has members say of which types they can be: those that show what they are a
    member of, and those that have members themselves."""
    able = tuple(t.name for t in types.values() if t.storage.member_of or t.storage.members)
    for document in types.values():
        schema = schemas.get(document.schema_)
        if schema is None or (name := document.storage.members) is None:
            continue
        attributes = tuple(_add_types(a, able) if a.name.lower() == name.lower() else a for a in schema.attributes)
        schemas[schema.id] = schema.change(attributes=attributes)


def _add_types(members: Attribute, names: tuple[str, ...]) -> Attribute:
    told = {"$ref": {"reference_types": names}, "type": {"canonical_values": names}}
    subs = tuple(sub.change(**told.get(sub.name, {})) for sub in members.sub_attributes)
    return members.change(sub_attributes=subs)


def _build_resource_type(
    document: ResourceTypeDocument, schemas: dict[str, Schema], common: tuple[Attribute, ...]
) -> ResourceType:
    for urn in (document.schema_, *(extension.schema_ for extension in document.schema_extensions)):
        if urn not in schemas:
            raise SchemaError(
                f"resource type {document.id}: there is no schema {urn}: add its document, or mend the URN"
            )
        _check_attributes(schemas[urn].attributes, urn, {a.name.lower() for a in common})
    extensions = tuple(schemas[extension.schema_] for extension in document.schema_extensions)
    core = schemas[document.schema_]
    others = tuple(urn for urn, schema in schemas.items() if schema is not core and schema not in extensions)
    resource_type = ResourceType(document, core, extensions, common, others)
    try:
        indexes = resource_type.indexes.values()
    except ValueError as error:
        raise SchemaError(str(error)) from None
    edges = (resource_type.members, resource_type.member_of)
    for index in indexes:
        where = f"resource type {resource_type.name}: storage.lookup names {index.path}"
        if index.attribute.type not in ("string", "reference"):
            raise SchemaError(f"{where}, which is no string or reference: take it out, only these are looked up")
        if index.target.name in ("id", "meta", "schemas", *edges):
            raise SchemaError(
                f"{where}, which is not in the document: take it out, it needs no lookup or can have none"
            )
    return resource_type


def _check_attributes(attributes: Iterable[Attribute], where: str, taken: Iterable[str]) -> None:
    seen = set(taken)
    for attribute in attributes:
        path = f"{where}: attribute {attribute.name!r}"
        if not _NAME.fullmatch(attribute.name):
            raise SchemaError(
                f"{path} is no attribute name: begin with a letter, go on with letters, digits, - _ and $"
            )
        if attribute.name.lower() in seen:
            raise SchemaError(f"{path} is there already, or is common to all resources: choose another name")
        if attribute.type == "complex" and not attribute.sub_attributes:
            raise SchemaError(f"{path} is complex: give it subAttributes, or another type")
        if attribute.type != "complex" and attribute.sub_attributes:
            raise SchemaError(f"{path} has subAttributes: make its type complex, or take them out")
        if attribute.uniqueness != "none" and (attribute.multi_valued or attribute.type not in ("string", "reference")):
            raise SchemaError(f"{path}: uniqueness is kept for single strings and references only: take it out")
        seen.add(attribute.name.lower())
        if any(sub.type == "complex" for sub in attribute.sub_attributes):
            raise SchemaError(f"{path}: a sub-attribute cannot be complex: make it an attribute of its own")
        if any(sub.uniqueness != "none" for sub in attribute.sub_attributes):
            raise SchemaError(f"{path}: uniqueness is not kept for sub-attributes: take it out")
        _check_attributes(attribute.sub_attributes, path, ())


def _check_types(types: Iterable[ResourceType]) -> None:
    """Raise SchemaError if ids or endpoints do not tell the resource types apart."""
    seen: dict[str, str] = {}
    for resource_type in types:
        prefix, endpoint = resource_type.id_prefix, resource_type.document.endpoint
        stored = resource_type.document.values is None
        if stored and not _PREFIX.fullmatch(prefix):
            raise SchemaError(
                f"resource type {resource_type.name}: storage.idPrefix must be 1 to 8 letters a-z, such as room"
            )
        if not _ENDPOINT.fullmatch(endpoint) or endpoint[1:].lower() in _RESERVED:
            where = f"resource type {resource_type.name}: endpoint {endpoint!r}"
            raise SchemaError(f"{where} must be a free name after a slash, such as /Rooms")
        for part in (prefix, endpoint.lower()) if stored else (endpoint.lower(),):
            if part in seen:
                raise SchemaError(
                    f"resource types {seen[part]} and {resource_type.name} both use {part}: choose another"
                )
            seen[part] = resource_type.name
        _check_edges(resource_type)


def _check_edges(resource_type: ResourceType) -> None:
    for name in (resource_type.members, resource_type.member_of):
        attribute = resource_type.core_attributes.get(name.lower()) if name else None
        if name and not (attribute and attribute.is_reference and attribute.multi_valued):
            where = f"resource type {resource_type.name}: storage names {name}"
            raise SchemaError(
                f"{where}, which must be multi-valued with value and $ref: write it so, or take it out of storage"
            )
