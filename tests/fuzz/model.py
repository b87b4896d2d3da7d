"""What SCIM means, in memory: users, groups and memberships by RFC 7643, RFC 7644 and the decisions of
docs/architecture.md. Nothing here calls the code that it judges.

A change of a user is one of the classes below: it says what happens to the user (`apply`) and can be written in all the
forms in which RFC clients and Entra send it (`written`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fuzz.filters import folded
from tests.support import ENTERPRISE, USER

Json = dict[str, Any]
Draw = Callable[[int], int]
"""A number below the argument, which chooses between ways to write the same."""

CUSTOM = "urn:ietf:params:scim:schemas:extension:custom:2.0:User"
"""An extension that nobody declared: kept as it was sent."""
NO_VALUE: tuple[object, ...] = (None, "", [])
HUSK = {"type", "primary", "display"}
"""What says nothing alone: an element with these only is dropped, wherever it comes from."""


class Refused(Exception):
    """The service answers 400."""


@dataclass
class Stored:
    """A user or group as the model knows it. `versions` are its entity tags, the last one being good."""

    id: str
    document: Json
    members: dict[str, Json] = field(default_factory=dict)
    meta: Json = field(default_factory=dict)
    old_versions: list[str] = field(default_factory=list)


class Model:
    """All users and groups of one tenant."""

    def __init__(self) -> None:
        self.users: dict[str, Stored] = {}
        self.groups: dict[str, Stored] = {}

    @property
    def ids(self) -> list[str]:
        """Ids to refer to: those that are there, and one that never was."""
        return [*self.users, *self.groups, "u-nobody"]

    def taken(self, kind: str, name: str, besides: str | None = None) -> bool:
        """Whether a userName or a group's displayName belongs to another one."""
        stored, attribute = (self.users, "userName") if kind == "Users" else (self.groups, "displayName")
        wanted = folded(name, "text")
        return any(folded(s.document[attribute], "text") == wanted for s in stored.values() if s.id != besides)

    def delete(self, id: str) -> None:
        """The resource goes, and its memberships with it."""
        self.users.pop(id, None)
        self.groups.pop(id, None)
        for group in self.groups.values():
            group.members.pop(id, None)

    def shown(self, stored: Stored, base: str) -> Json:
        """The resource as a client gets it, with `meta` as the service has told it."""
        document: Json = json.loads(json.dumps(stored.document))
        extensions = [name for name in document if name.startswith("urn:")]
        core = USER if stored.id in self.users else USER.replace("User", "Group")
        resource = {**document, "id": stored.id, "schemas": sorted([core, *extensions]), "meta": stored.meta}
        manager = document.get(ENTERPRISE, {}).get("manager")
        if manager and "$ref" not in manager and (reference := self._reference(manager.get("value", ""), base)):
            manager["$ref"] = reference
        groups = [{"value": g.id, "$ref": f"{base}/Groups/{g.id}", "type": "direct"} for g in self._of(stored.id)]
        if stored.id in self.users and groups:
            resource["groups"] = groups
        if stored.members:
            resource["members"] = [self._member(id, member, base) for id, member in stored.members.items()]
        return resource

    def _of(self, id: str) -> list[Stored]:
        return [group for group in self.groups.values() if id in group.members]

    def _member(self, id: str, member: Json, base: str) -> Json:
        shown = {"value": id, **member}
        if reference := self._reference(id, base):
            shown |= {"$ref": reference, "type": "User" if id.startswith("u-") else "Group"}
        return shown

    def _reference(self, id: str, base: str) -> str | None:
        """The id says its type (Decisions, "Ids"), also where the resource is gone."""
        kind = {"u-": "Users", "g-": "Groups"}.get(id[:2])
        return f"{base}/{kind}/{id}" if kind else None


def canonical_user(body: Json) -> Json:
    """A user as it is kept: what has no value is not there, and one element at most is primary (the first)."""
    document: Json = {}
    for name, value in body.items():
        if name == CUSTOM:
            if kept := {key: item for key, item in value.items() if item not in NO_VALUE}:
                document[name] = kept
        elif name == ENTERPRISE:
            if inner := {key: _clean(item) for key, item in value.items() if _clean(item) is not None}:
                document[name] = inner
        elif (clean := _clean(value)) is not None:
            if isinstance(clean, list):
                clean = [e for e in primary_of(clean) if not set(e) <= HUSK]
            if clean != []:
                document[name] = clean
    if not document.get("userName", "").strip():
        raise Refused("userName")
    return document


def _clean(value: Any) -> Any:
    """A value without what has none; None where nothing is left."""
    if isinstance(value, dict):
        return {name: item for name, item in value.items() if item not in NO_VALUE} or None
    if isinstance(value, list):
        return [clean for item in value if (clean := _clean(item)) is not None] or None
    return None if value == "" else value


def primary_of(elements: list[Any]) -> list[Any]:
    """A new list with one primary: the first that does not go because it says nothing."""
    stays = (at for at, e in enumerate(elements) if e.get("primary") is True and not set(e) <= HUSK)
    return one_primary(elements, next(stays, None))


def one_primary(elements: list[Any], keep: int | None = None) -> list[Any]:
    """One primary element at most: the one that a change was about, else the first (RFC 7643 §2.4, Decisions)."""
    marked = [at for at, element in enumerate(elements) if isinstance(element, dict) and element.get("primary") is True]
    if len(marked) < 2:
        return elements
    kept = keep if keep in marked else marked[0]
    return [{**e, "primary": False} if at in marked and at != kept else e for at, e in enumerate(elements)]


# Changes of a user ----------------------------------------------------------------------------------------------------

EXTENDED = {"department": ENTERPRISE, "manager": ENTERPRISE}
"""The attributes of the extension that is declared."""


def paths(name: str, sub: str | None = None) -> list[str]:
    """The ways to name an attribute: with its URN, in another case, and Entra's without the URN."""
    inner = f"{name}.{sub}" if sub else name
    if name in EXTENDED:
        return [f"{ENTERPRISE}:{inner}", inner, f"{ENTERPRISE.upper()}:{inner.lower()}"]
    return [inner, inner.swapcase(), f"{USER}:{inner}"]


def operation(op: str, path: str, value: object, draw: Draw) -> Json:
    """A PATCH operation in one of its forms: with a path, or with the path as a key of the value."""
    op = (op, op.capitalize(), op.upper())[draw(3)]
    if op.lower() != "remove" and draw(3) == 0:
        return {"op": op, "value": {path: value}}
    return {"op": op, "path": path, "value": value}


@dataclass(frozen=True)
class Assign:
    """A single value, or a sub-attribute of `name`, is set, by an empty one cleared; add and replace are the same."""

    name: str
    sub: str | None
    value: Any

    def apply(self, user: Json) -> None:
        clean = _clean(self.value)
        urn = EXTENDED.get(self.name)
        holder = user if urn is None else user.setdefault(urn, {})
        if self.sub is not None:
            inner = {name: item for name, item in holder.get(self.name, {}).items() if name != self.sub}
            clean = ({**inner, self.sub: clean} if clean is not None else inner) or None
        holder.pop(self.name, None)
        if clean is not None:
            holder[self.name] = clean
        if urn is not None and not holder:
            del user[urn]

    def written(self, draw: Draw) -> Json:
        names = paths(self.name, self.sub)
        value = self.value
        if isinstance(value, bool) and draw(2):
            value = ("True", "true")[draw(2)] if value else ("False", "false")[draw(2)]
        if self.value in NO_VALUE and self.name != "userName" and draw(2):
            return {"op": ("remove", "Remove")[draw(2)], "path": names[draw(len(names))]}
        return operation(("add", "replace")[draw(2)], names[draw(len(names))], value, draw)


@dataclass(frozen=True)
class Manager:
    """The manager is one value (Decisions): a new one takes the whole reference's place."""

    id: str

    def apply(self, user: Json) -> None:
        extension = user.setdefault(ENTERPRISE, {})
        extension["manager"] = {"value": self.id}

    def written(self, draw: Draw) -> Json:
        value = (self.id, {"value": self.id}, [{"value": self.id}], [{"$ref": "", "value": self.id}])[draw(4)]
        names = paths("manager")
        if draw(5) == 0:
            return operation(("add", "replace")[draw(2)], ENTERPRISE, {"manager": value}, draw)
        return operation(("add", "replace")[draw(2)], names[draw(len(names))], value, draw)


@dataclass(frozen=True)
class Merge:
    """Sub-attributes of `name` are set or cleared; those that are not named stay (RFC 7644 §3.5.2.3)."""

    value: Json

    def apply(self, user: Json) -> None:
        merged = {**user.get("name", {}), **self.value}
        merged = {name: item for name, item in merged.items() if item not in NO_VALUE}
        user.pop("name", None)
        if merged:
            user["name"] = merged

    def written(self, draw: Draw) -> Json:
        op = ("add", "replace", "Replace")[draw(3)]
        if draw(3) == 0:
            return {"op": op, "value": {f"name.{sub}": item for sub, item in self.value.items()}}
        return operation(op, paths("name")[draw(3)], self.value, draw)


@dataclass(frozen=True)
class Elements:
    """A whole list is added to, replaced, or taken away from. An element is known by its value and type; one that is
    sent without a type is the one with its value."""

    op: str
    name: str
    elements: tuple[Json, ...]

    def apply(self, user: Json) -> None:
        new = primary_of([clean for element in self.elements if (clean := _clean(element)) is not None])
        present = list(user.get(self.name, []))
        if self.op == "replace":
            if self.elements and not any(self.elements):
                raise Refused(self.name)  # nothing is understood, which is not nothing
            present = new
        elif self.op == "remove":
            if len(new) < len(self.elements):
                raise Refused(self.name)  # what to remove is not said
            present = (
                [e for e in present if not any(_named(e, gone) for gone in self.elements)] if self.elements else []
            )
        else:
            present = self._united(present, new)
        user.pop(self.name, None)
        if present:
            user[self.name] = present

    @staticmethod
    def _united(present: list[Json], new: list[Json]) -> list[Json]:
        primary = None
        for element in new:
            at = next((at for at, known in enumerate(present) if _same(known, element)), len(present))
            present[at : at + 1] = [{**present[at], **element}] if at < len(present) else [element]
            primary = at if element.get("primary") and not set(present[at]) <= HUSK else primary
        return one_primary(present, primary)

    def written(self, draw: Draw) -> Json:
        value: object = list(self.elements)
        if len(self.elements) == 1 and draw(2):
            value = self.elements[0]
        if self.op == "remove" and not self.elements:  # an empty list would name nothing
            return {"op": "remove", "path": paths(self.name)[draw(3)], **({}, {"value": None}, {"value": ""})[draw(3)]}
        return operation(self.op, paths(self.name)[draw(3)], value, draw)


def _same(known: Json, other: Json) -> bool:
    """Whether `other`, as it was sent, means the element that is there."""
    if "value" not in other or "value" not in known:
        return {n: _folded(v) for n, v in known.items()} == {n: _folded(v) for n, v in other.items()}
    if _folded(known["value"]) != _folded(other["value"]):
        return False
    return "type" not in other or _folded(known.get("type")) == _folded(other["type"])


def _named(known: Json, sent: Json) -> bool:
    """Whether an element is one that a removal lists: by its value, else by all that is said of it."""
    if _clean(sent.get("value")) is not None:
        return _same(known, _clean(sent)) if "value" in known else False
    return all(
        _folded(known.get(name)) == _folded(item) if item not in NO_VALUE else name not in known
        for name, item in sent.items()
    )


def _folded(value: Any) -> Any:
    return folded(value, "text") if isinstance(value, str) else value


@dataclass(frozen=True)
class Behind:
    """A change behind a value path of `eq` terms. `sub` None is the element itself. Where no element
    satisfies the terms, they make one (Decisions)."""

    op: str
    name: str
    terms: tuple[tuple[str, Any], ...]
    sub: str | None
    value: Any

    def apply(self, user: Json) -> None:
        present = list(user.get(self.name, []))
        hits = [at for at, element in enumerate(present) if self._meant(element)]
        if self.op == "remove" or self.value in NO_VALUE:
            changed = self._without(present, hits)
        else:
            changed = self._with(present, hits)
        user.pop(self.name, None)
        if changed:
            user[self.name] = changed

    def _meant(self, element: Json) -> bool:
        return all(_folded(element.get(name)) == _folded(value) for name, value in self.terms)

    def _without(self, present: list[Json], hits: list[int]) -> list[Json]:
        if self.sub is None:
            return [element for at, element in enumerate(present) if at not in hits]
        rest = [{n: v for n, v in e.items() if n != self.sub or at not in hits} for at, e in enumerate(present)]
        return [element for at, element in enumerate(rest) if at not in hits or not set(element) <= HUSK]

    def _with(self, present: list[Json], hits: list[int]) -> list[Json]:
        if not hits:
            hits = [len(present)]
            present = [*present, dict(self.terms)]
        before = list(present)
        for at in hits:
            if self.sub is not None:
                present[at] = {**present[at], self.sub: self.value}
            else:
                present[at] = {**present[at], **self.value}
        present = one_primary(present, next((at for at in hits if present[at].get("primary")), None))
        lost = [at for at in hits if set(present[at]) < set(before[at]) and set(present[at]) <= HUSK]
        return [element for at, element in enumerate(present) if at not in lost]

    def written(self, draw: Draw) -> Json:
        terms = []
        for name, value in self.terms:
            literal = json.dumps(value) if draw(2) or not isinstance(value, bool) else json.dumps(str(value))
            terms.append(f"{(name, name.upper())[draw(2)]} {('eq', 'EQ')[draw(2)]} {literal}")
        path = f"{(self.name, self.name.lower())[draw(2)]}[{' and '.join(terms)}]"
        path += f".{self.sub}" if self.sub else ""
        if self.op == "remove":
            return {"op": "remove", "path": path}
        value = str(self.value) if isinstance(self.value, bool) and draw(2) else self.value
        return operation(self.op, path, value, draw)


@dataclass(frozen=True)
class Custom:
    """An attribute that nobody declared: set, cleared or, for lists, extended as it was sent (Decisions)."""

    op: str
    name: str
    value: Any

    def apply(self, user: Json) -> None:
        extension = user.setdefault(CUSTOM, {})
        present = extension.get(self.name)
        says_nothing = isinstance(self.value, list) and all(item in NO_VALUE for item in self.value)
        if self.op == "add" and isinstance(present, list) and self.value in NO_VALUE:
            return  # nothing is added to the list
        if self.op == "remove" or self.value in NO_VALUE:
            extension.pop(self.name, None)
        elif says_nothing and self.op == "replace":
            raise Refused(self.name)
        elif says_nothing:
            pass  # nobody is named
        elif self.op == "add" and present is not None and isinstance(self.value, list) | isinstance(present, list):
            there = present if isinstance(present, list) else [present]  # one value becomes a list by adding a list
            new = self.value if isinstance(self.value, list) else [self.value]
            extension[self.name] = there + [item for item in new if item not in there]
        else:
            extension[self.name] = self.value
        if not extension:
            del user[CUSTOM]

    def written(self, draw: Draw) -> Json:
        path = f"{CUSTOM}:{self.name}"
        if self.op == "remove":
            return {"op": "Remove", "path": path}
        if draw(3) == 0:
            return operation(self.op, CUSTOM, {self.name: self.value}, draw)
        return operation(self.op, path, self.value, draw)


Change = Assign | Custom | Manager | Merge | Elements | Behind


def _refuse_nothing(changes: list[Change], name: str) -> None:
    """Elements that say nothing take the place of a list only if one of them was sent without a value, to clear it."""
    whole = [each for each in changes if isinstance(each, Elements) and (each.op, each.name) == ("replace", name)]
    if whole and not any(item in NO_VALUE for element in whole[-1].elements for item in element.values()):
        raise Refused(name)


def changed(user: Json, changes: list[Change]) -> Json:
    """The user after all the changes, or none of them. Raises Refused."""
    result: Json = json.loads(json.dumps(user))
    for change in changes:
        change.apply(result)
    for name in {change.name for change in changes if isinstance(change, Elements | Behind)}:
        elements = result.pop(name, [])
        if kept := _tidy(elements, user.get(name, [])):
            result[name] = kept
        elif elements and user.get(name):
            _refuse_nothing(changes, name)
    if not result.get("userName", "").strip():
        raise Refused("userName")
    return result


def _tidy(elements: list[Json], before: list[Json]) -> list[Json]:
    """What is left of a list that was changed: a value of one type once, the primary one if there is one, and no new
    element that says nothing."""
    kept: list[Json] = []
    for element in elements:
        at = next((at for at, known in enumerate(kept) if _is_again(known, element)), None)
        if at is None:
            kept.append(element)
        elif element.get("primary") and not kept[at].get("primary"):
            kept[at] = element
    return [element for element in kept if not set(element) <= HUSK or element in before]


def _is_again(one: Json, other: Json) -> bool:
    if "value" in one and "value" in other:
        return all(_folded(one.get(name)) == _folded(other.get(name)) for name in ("value", "type"))
    return {n: _folded(v) for n, v in one.items()} == {n: _folded(v) for n, v in other.items()}
