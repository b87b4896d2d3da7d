"""Which resource types there are, and what a name in a request means for each of them.

A name is an attribute (`userName`), a sub-attribute (`name.givenName`), the same behind a schema URN
(`urn:…:2.0:User:department`) or a URN alone. Names are found in any case (RFC 7643 §2.1); a URN ends where a declared
schema ends, never at the dot of `2.0`; a dot behind a declared URN is a colon (`…:2.0:User.department`); and a plain
name that only an extension declares means that extension's attribute, because Entra writes `manager` so.

A URN that nobody declared is an extension of the admin's own, unless its namespace is not free: the RFC's, or that of a
declared schema, whose misspelt URN would hide a value from whoever looks for it where it belongs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from scim.schema.model import Attribute, ResourceTypeDocument, Schema
from scim.text import is_urn

_NAME = re.compile(r"[A-Za-z$][\w$-]*")
_WHOLE_URN = re.compile(r"urn:.+:\d+(\.\d+)*:[A-Za-z]\w*", re.IGNORECASE)
"""An undeclared URN that ends `…:2.0:User` names the extension; with one more part, an attribute of it."""


_RESERVED = re.compile(r"urn:ietf:params:scim:(?!schemas:extension:(?!enterprise(?![\w-])))", re.IGNORECASE)
"""The namespaces of RFC 7643 §10 and RFC 7644 §8, but for `…:schemas:extension:<name>`: there Entra's admins have
extensions of their own, as Microsoft's guide for custom attributes tells them to."""
_VERSIONED = re.compile(r"(.+:\d+(?:\.\d+)*):[^:]+")
"""A URN whose last part is behind a version: the rest of it is the namespace that its author holds."""

_TYPED = re.compile(r"(urn:.+:\d+(?:\.\d+)*:([A-Za-z]\w*))\.([A-Za-z].*)", re.IGNORECASE)
"""An undeclared URN with an attribute behind a dot, if its last part is a resource type's name."""
_TYPES = frozenset({"user", "group"})


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared attribute, or a sub-attribute of one."""

    urn: str | None
    """The extension's URN; None for the core schema and the common attributes."""
    attribute: Attribute
    sub: Attribute | None = None
    """The sub-attribute, if the name is one's."""
    name: str = field(init=False, compare=False)
    """The attribute's name in its declared case."""
    path: str = field(init=False, compare=False)
    """The whole name in its declared case, as errors and indexes show it."""
    key: str = field(init=False, compare=False)
    """The path in lower case."""

    def __post_init__(self) -> None:
        name = self.attribute.name
        path = f"{name}.{self.sub.name}" if self.sub else name
        _remember_names(self, name, f"{self.urn}:{path}" if self.urn else path)

    @property
    def leaf(self) -> Attribute:
        """The sub-attribute if there is one, else the attribute: whose values the name stands for."""
        return self.sub or self.attribute

    @property
    def is_read_only(self) -> bool:
        """Whether no client may set it."""
        return "readOnly" in (self.attribute.mutability, self.leaf.mutability)

    def read(self, value: object) -> Any:
        """Return the canonical form of a client's value; None if it is no value. Raises 400 invalidValue."""
        return self.leaf.read(value, self.path)

    def without_sub(self) -> Declared:
        """Return the attribute itself."""
        return Declared(self.urn, self.attribute) if self.sub else self


@dataclass(frozen=True, slots=True)
class Undeclared:
    """What is no declared attribute: a whole schema, or an attribute of an extension that nobody declared."""

    urn: str | None
    """The schema's URN; None for the core schema."""
    name: str = ""
    """The attribute's name as it came; "" for the whole schema."""
    path: str = field(init=False, compare=False)
    """The whole name."""
    key: str = field(init=False, compare=False)
    """The path in lower case."""

    def __post_init__(self) -> None:
        _remember_names(self, self.name, ":".join(part for part in (self.urn, self.name) if part))


def _remember_names(target: Target, name: str, path: str) -> None:
    for member, value in (("name", name), ("path", path), ("key", path.lower())):
        object.__setattr__(target, member, value)


Target = Declared | Undeclared
"""What a name stands for."""


ReferenceNames = dict[str, "ReferenceNames | None"]


class Index(NamedTuple):
    """An attribute whose values have rows of their own; unique ones have one row for each value."""

    path: str
    attribute: Attribute
    """The one that has the values: the sub-attribute, if the path names one."""
    target: Declared
    unique: bool

    @property
    def key(self) -> str:
        """The attribute's name in row keys: it never changes case with the schema."""
        return self.target.key


@dataclass(frozen=True, eq=False)
class ResourceType:
    """A resource type with its schemas joined: what its resources may hold and how names in requests are understood.
    Each is itself alone, so that what is found out about it can be remembered by it."""

    document: ResourceTypeDocument
    core: Schema
    extensions: tuple[Schema, ...]
    common: tuple[Attribute, ...]
    others: tuple[str, ...] = ()
    """The URNs of schemas that are declared, but for other resource types."""

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def id_prefix(self) -> str:
        return self.document.storage.id_prefix

    @cached_property
    def known_by(self) -> str | None:
        """The attribute that people know a resource by: its userName, else the unique one, else displayName; None if it
        has none of these."""
        names = ["username", *(a.name.lower() for a in self.core.attributes if a.uniqueness != "none"), "displayname"]
        return next((self.core_attributes[name].name for name in names if name in self.core_attributes), None)

    @property
    def members(self) -> str | None:
        """The attribute that holds a resource's members; they are edges, never part of a document."""
        return self.document.storage.members

    @property
    def member_of(self) -> str | None:
        """The attribute that shows what a resource is a member of, read from the same edges."""
        return self.document.storage.member_of

    @property
    def edges(self) -> str | None:
        """The one attribute of a resource type that shows edges; None if there is none."""
        return self.members or self.member_of

    @cached_property
    def references(self) -> list[tuple[str | None, str]]:
        """(URN or None, name) of each attribute that points at other resources, like manager, and shows no edges."""
        extended = [(urn, a) for urn, attributes in self.extension_attributes.items() for a in attributes.values()]
        every = [(None, attribute) for attribute in self.core.attributes] + extended
        return [(urn, a.name) for urn, a in every if a.is_reference and (urn, a.name) != (None, self.edges)]

    @cached_property
    def named_references(self) -> ReferenceNames:
        """The references by each lower-case name that they may have at the top of a body: None for one, and for an
        extension those inside it."""
        names: ReferenceNames = {}
        for urn, name in self.references:
            lower = name.lower()
            if urn is None or lower not in self.core_attributes:
                names.setdefault(lower, None)
            names[f"{urn or self.core.id}:{name}".lower()] = None
            inside = names.setdefault(urn.lower(), {}) if urn else None
            if inside is not None:
                inside[lower] = None
        return names

    @cached_property
    def core_attributes(self) -> dict[str, Attribute]:
        """The core schema's and the common attributes (RFC 7643 §3.1) by lower-case name."""
        return {attribute.name.lower(): attribute for attribute in (*self.common, *self.core.attributes)}

    @cached_property
    def extension_attributes(self) -> dict[str, dict[str, Attribute]]:
        """By the extension's URN in its declared case, then by lower-case name."""
        return {e.id: {attribute.name.lower(): attribute for attribute in e.attributes} for e in self.extensions}

    @cached_property
    def _urns(self) -> list[tuple[str, str | None]]:
        """Lower-case schema URNs, longest first, with the container each means."""
        urns: list[tuple[str, str | None]] = [(e.id.lower(), e.id) for e in self.extensions]
        urns.append((self.core.id.lower(), None))
        return sorted(urns, key=lambda pair: -len(pair[0]))

    @cached_property
    def demanding(self) -> dict[str | None, list[Attribute]]:
        """By URN (None for the core), the attributes that must have a value, or whose values must have something."""
        schemas = [(None, self.core), *((extension.id, extension) for extension in self.extensions)]
        return {urn: [a for a in s.attributes if a.must_have_value or a.has_required] for urn, s in schemas}

    def resolve(self, name: str) -> Target | None:
        """Return what `name` stands for; None if no schema of the resource type knows it."""
        return self._declared.get(name.lower()) or self._resolve(name)

    @cached_property
    def _declared(self) -> dict[str, Target]:
        """What declared names stand for, by the name in lower case, without its URN and behind it, and the URNs."""
        names = [urn for urn, _ in self._urns]
        for urn, attributes in ((self.core.id, self.core_attributes), *self.extension_attributes.items()):
            for attribute in attributes.values():
                subs = (f"{attribute.name}.{sub.name}" for sub in attribute.sub_attributes)
                names += [form.lower() for name in (attribute.name, *subs) for form in (name, f"{urn}:{name}")]
        return {name: target for name in names if (target := self._resolve(name)) is not None}

    def _resolve(self, name: str) -> Target | None:
        if is_urn(name):
            return self._resolve_urn(name)
        found = self._find_attribute(None, self.core_attributes, name)
        if found is None:
            matches = (
                self._find_attribute(urn, attributes, name) for urn, attributes in self.extension_attributes.items()
            )
            found = next((match for match in matches if match), None)
        return found

    def _resolve_urn(self, name: str) -> Target | None:
        lower = name.lower()
        for urn, container in self._urns:
            if lower == urn:
                return Undeclared(container)
            if lower.startswith(urn + ":") or (lower.startswith(urn + ".") and lower[len(urn) + 1 :][:1].isalpha()):
                attributes = self.core_attributes if container is None else self.extension_attributes[container]
                return self._find_attribute(container, attributes, name[len(urn) + 1 :])
        if _RESERVED.match(name) or self._near_declared.match(lower):
            return None
        if _WHOLE_URN.fullmatch(name):
            return Undeclared(name)
        if (typed := _TYPED.fullmatch(name)) and self._is_type(typed[2]):
            return Undeclared(typed[1], typed[3])
        urn, _, attribute = name.rpartition(":")
        if _NAME.fullmatch(attribute.split(".")[0]) and urn.count(":") > 1 and not _RESERVED.match(urn):
            return Undeclared(urn, attribute)
        return Undeclared(name) if name.count(":") > 1 else None

    def _is_type(self, name: str) -> bool:
        return name.lower() in _TYPES or name.lower() == self.name.lower()

    def resolve_by_value(self, target: Undeclared, value: object) -> Undeclared:
        """Return what a name of no declared schema stands for, by the value that it is set to. An object is an
        extension, unless it has a `value`: Entra's custom attributes are never complex, but it wraps their values.
        Anything else is an attribute's, unless the URN ends in a resource type's name, as that of an extension does."""
        if target.urn is None or target.urn in self.extension_attributes:
            return target
        if isinstance(value, dict):
            wrapped = any(name.lower() == "value" for name in value)
            return target if wrapped or not target.name else Undeclared(target.path)
        head, _, name = target.urn.rpartition(":")
        plain = not target.name and value not in (None, "", []) and not self._is_type(name)
        return Undeclared(head, name) if plain and head.count(":") > 1 and not _RESERVED.match(head) else target

    @cached_property
    def _near_declared(self) -> re.Pattern[str]:
        """What begins as a declared URN does, be it another resource type's, or misspells what follows its version."""
        urns = [*(urn for urn, _ in self._urns), *(urn.lower() for urn in self.others)]
        stems = {match[1] for urn in urns if (match := _VERSIONED.fullmatch(urn))}
        near = [*map(re.escape, urns), *(re.escape(stem) + r"(?:$|:|\.[a-z])" for stem in stems)]
        return re.compile("|".join(near))

    @staticmethod
    def _find_attribute(urn: str | None, attributes: Mapping[str, Attribute], name: str) -> Declared | None:
        name, dot, sub_name = name.partition(".")
        attribute = attributes.get(name.lower())
        if attribute is None:
            return None
        if not dot:
            return Declared(urn, attribute)
        if attribute.is_value(sub_name):
            return Declared(urn, attribute)
        sub = attribute.sub(sub_name)
        return Declared(urn, attribute, sub) if sub else None

    @cached_property
    def indexes(self) -> dict[str, Index]:
        """Every attribute that has rows of its own, by lower-case path: the unique ones (schema characteristic
        `uniqueness`) and those that the resource type document lists under storage.lookup."""
        unique = [a.name for a in self.core.attributes if a.uniqueness != "none"]
        unique += [f"{e.id}:{a.name}" for e in self.extensions for a in e.attributes if a.uniqueness != "none"]
        indexes = [self._build_index(path, unique=True) for path in unique]
        looked_up = [self._build_index(path, unique=False) for path in self.document.storage.lookup]
        return {index.key: index for index in (*looked_up, *indexes)}  # a unique one needs no second row

    def _build_index(self, path: str, *, unique: bool) -> Index:
        target = self.resolve(path)
        if not isinstance(target, Declared):
            where = f"resource type {self.name}: storage.lookup names {path}"
            raise ValueError(f"{where}, which no schema of it declares: declare it, or take it out")
        return Index(target.path, target.leaf, target, unique)


@dataclass(frozen=True, slots=True)
class Catalog:
    """A resource type that is only read, such as Role: its resources are the `values` of its file, each with an id, or
    what the policy of a tenant says in their place. They are what a user's roles or entitlements may be."""

    resource_type: ResourceType
    values: tuple[Mapping[str, Any], ...]


class Registry:
    """All resource types of this service; those that are only read are `catalogs`."""

    def __init__(
        self,
        resource_types: Iterable[ResourceType],
        common: tuple[Attribute, ...] = (),
        catalogs: Iterable[Catalog] = (),
    ) -> None:
        self.resource_types = tuple(resource_types)
        self.catalogs = tuple(catalogs)
        self.common = common
        self._by_endpoint = {t.document.endpoint.strip("/").lower(): t for t in self.resource_types}
        self._by_prefix = {t.id_prefix: t for t in self.resource_types}

    def by_endpoint(self, segment: str) -> ResourceType | None:
        return self._by_endpoint.get(segment.lower())

    def find_catalog(self, segment: str) -> Catalog | None:
        """Return the catalog at an endpoint's path segment, in any case; None if there is none."""
        endpoint = f"/{segment.lower()}"
        return next((each for each in self.catalogs if each.resource_type.document.endpoint.lower() == endpoint), None)

    def is_offered(self, segments: Sequence[str]) -> bool:
        """Return whether path segments lead to a catalog, whose values a policy may say."""
        return bool(self.catalogs and segments) and self.find_catalog(segments[0]) is not None

    def by_id(self, id: str) -> ResourceType | None:
        """Return the type that an id of ours belongs to; None for an id that cannot be ours."""
        prefix, dash, _ = id.partition("-")
        return self._by_prefix.get(prefix) if dash else None

    def find_path(self, name: str | None) -> str | None:
        """Return the path of an attribute as the schemas have it; None if no resource type has that attribute."""
        targets = (resource_type.resolve(name) for resource_type in self.resource_types) if name else ()
        return next((target.path for target in targets if isinstance(target, Declared)), None)

    def find_id(self, url: str) -> str | None:
        """Return the id that ends a URL of a resource of ours, `…/Users/u-…`, or has blanks around it; None for any
        other text."""
        if (id := url.strip()) != url and self.by_id(id):
            return id
        head, _, id = id.rstrip("/").rpartition("/")
        resource_type = self.by_endpoint(head.rpartition("/")[2]) if head else None
        return id if resource_type and self.by_id(id) is resource_type else None
