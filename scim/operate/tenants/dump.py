"""The file of an exported tenant: JSON Lines.

    {"format": ..., "tenant": ..., "exported": ..., "schemas": [...]}
    {"type": ..., "id": ..., "created": ..., "modified": ..., "document": {...}}      one for each resource
    {"group": ..., "member": ..., "display": ..., "type": ...}                        one for each membership
    {"resources": {<type>: <number>}, "memberships": <number>, "finished": ...}

Lines stand in the order of the table's keys, which is how an export goes on where it was cut short. A resource that
was made during the export stands before the first membership that names it, marked `late`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from scim.operate.errors import CommandError
from scim.schema.validation import Document
from scim.store.members import Member

FORMAT = "azure-functions-scim tenant 1"


class Resource(NamedTuple):
    """A resource in a file. `late`: it was made while the export ran."""

    type: str
    id: str
    created: str
    modified: str
    document: Document
    late: bool = False


class Membership(NamedTuple):
    """A membership in a file."""

    group: str
    member: Member


@dataclass(slots=True)
class Counts:
    """How many resources of each type, and memberships."""

    resources: Counter[str] = field(default_factory=Counter)
    memberships: int = 0

    def add(self, line: Resource | Membership) -> None:
        if isinstance(line, Resource):
            self.resources[line.type] += 1
        else:
            self.memberships += 1

    def data(self) -> dict[str, Any]:
        return {"resources": dict(sorted(self.resources.items())), "memberships": self.memberships}


def build_header(tenant: str, exported: str, schemas: list[str]) -> bytes:
    return _write_line({"format": FORMAT, "tenant": tenant, "exported": exported, "schemas": schemas})


def build_footer(counts: Counts, finished: str) -> bytes:
    return _write_line({**counts.data(), "finished": finished})


def build_line(item: Resource | Membership) -> bytes:
    """Return the line of a resource or membership."""
    if isinstance(item, Resource):
        late = {"late": True} if item.late else {}
        content = {"type": item.type, "id": item.id, "created": item.created, "modified": item.modified}
        return _write_line({**content, "document": item.document, **late})
    member = {"display": item.member.display, "type": item.member.type}
    shown = {name: text for name, text in member.items() if text}
    return _write_line({"group": item.group, "member": item.member.value, **shown})


def _write_line(content: dict[str, Any]) -> bytes:
    return orjson.dumps(content) + b"\n"


def _parse_content(line: bytes) -> dict[str, Any]:
    """Return the object of a line. ValueError if it is not whole."""
    content = orjson.loads(line)
    if not line.endswith(b"\n") or not isinstance(content, dict):
        raise ValueError("the line is not whole")
    return content


def _parse_item(content: dict[str, Any]) -> Resource | Membership | None:
    """Return the resource or membership of a line; None for the last line. ValueError if it is none of them."""
    try:
        if "id" in content:
            type, id, created, modified = (content[name] for name in ("type", "id", "created", "modified"))
            texts = all(isinstance(text, str) for text in (type, id, created, modified))
            if texts and isinstance(content["document"], dict):
                return Resource(type, id, created, modified, content["document"], content.get("late", False))
        elif "group" in content:
            member = Member(content["member"], content.get("display"), content.get("type"))
            if all(isinstance(text, str) for text in (content["group"], member.value)):
                return Membership(content["group"], member)
        elif isinstance(content["resources"], dict) and isinstance(content["memberships"], int):
            return None
    except KeyError:
        pass
    raise ValueError("it is no resource and no membership")


@dataclass(slots=True)
class Part:
    """What an export that was cut short has left in its file."""

    end: int = 0
    """Bytes that are whole; 0 if not even the first line is."""
    counts: Counts = field(default_factory=Counts)
    ids: set[str] = field(default_factory=set)
    last_resource: str | None = None
    last_membership: tuple[str, str] | None = None
    listed: bool = False
    """All resources are there: what follows are memberships."""
    finished: bool = False
    """The last line is there: only the name is missing."""

    def take(self, item: Resource | Membership) -> None:
        self.counts.add(item)
        if isinstance(item, Membership):
            self.last_membership, self.listed = (item.group, item.member.value), True
            return
        self.ids.add(item.id)
        if item.late:
            self.listed = True
        else:
            self.last_resource = item.id


def name_of_part(path: Path) -> Path:
    """Return what a file is called until it is whole. Raises CommandError if there is one of that name already."""
    if path.exists():
        raise CommandError(f"{path} is there already: give another name, or remove it.")
    return path.with_name(path.name + ".part")


def read_part(path: Path, tenant: str) -> Part:
    """Return what is there of an export. A line that is not whole, and what is behind it, does not count. Raises
    CommandError if the file is of another tenant, or none of ours."""
    part = Part()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file):
                try:
                    content = _parse_content(line)
                    if number == 0:
                        if (content.get("format"), content.get("tenant")) != (FORMAT, tenant):
                            raise CommandError(f"{path} is no beginning of an export of {tenant}: remove it.")
                    elif (item := _parse_item(content)) is None:
                        part.finished = True
                    else:
                        part.take(item)
                except ValueError:
                    break
                part.end += len(line)
                if part.finished:
                    break
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    return part


def open_part(path: Path, end: int) -> BinaryIO:
    """Return the file to go on with behind its first `end` bytes, for its owner alone. Raises CommandError."""
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600), "r+b")
        file.truncate(end)
        file.seek(end)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
    return file


class Dump:
    """A whole file, looked through once: what is in it, and that it ends as it should. Raises CommandError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tenant = ""
        self.exported = ""
        self.schemas: list[str] = []
        self.counts = Counts()
        self._places: dict[str, int] = {}
        """Where the line of each resource begins, by id."""
        self._members_at: dict[str, int] = {}
        """Where the lines of each group's memberships begin."""
        try:
            with path.open("rb") as file:
                self._look_through(file)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from None

    @property
    def ids(self) -> set[str]:
        return set(self._places)

    def __contains__(self, id: object) -> bool:
        return id in self._places

    def resource(self, id: str) -> Resource:
        """Return the resource of that id, which is in the file."""
        with self.path.open("rb") as file:
            return self._read_resource(file, self._places[id])

    def resources(self) -> Iterator[Resource]:
        """Return every resource."""
        return (item for item in self._read_items() if isinstance(item, Resource))

    def members(self, group: str) -> list[Member]:
        """Return the members of a group."""
        found: list[Member] = []
        start = self._members_at.get(group)
        if start is None:
            return found
        with self.path.open("rb") as file:
            file.seek(start)
            for line in file:
                item = _parse_item(_parse_content(line))
                if isinstance(item, Membership):
                    if item.group != group:
                        break
                    found.append(item.member)
                elif item is None:
                    break
        return found

    def memberships(self) -> Iterator[Membership]:
        """Return every membership."""
        return (item for item in self._read_items() if isinstance(item, Membership))

    def lines(self) -> Iterator[bytes]:
        """Return the lines of resources and memberships as they stand, in order."""
        with self.path.open("rb") as file:
            before: bytes | None = None
            for number, line in enumerate(file):
                if number > 1 and before is not None:
                    yield before
                before = line

    def numbered(self) -> Iterator[tuple[int, Resource | Membership]]:
        """Return every resource and membership, with the number of its line."""
        for number, line in enumerate(self.lines(), 2):
            if (item := _parse_item(_parse_content(line))) is not None:
                yield number, item

    def _read_items(self) -> Iterator[Resource | Membership]:
        return filter(None, (_parse_item(_parse_content(line)) for line in self.lines()))

    def _read_resource(self, file: BinaryIO, place: int) -> Resource:
        file.seek(place)
        item = _parse_item(_parse_content(file.readline()))
        assert isinstance(item, Resource)
        return item

    def _look_through(self, file: BinaryIO) -> None:
        footer: dict[str, Any] | None = None
        group, at = "", 0
        for number, line in enumerate(file, 1):
            try:
                content = _parse_content(line)
                if number == 1:
                    self._take_header(content)
                    at += len(line)
                    continue
                if footer is not None:
                    raise ValueError("it stands behind the end")
                item = _parse_item(content)
            except ValueError as error:
                raise CommandError(f"{self.path}, line {number}: {error}.") from None
            if item is None:
                footer = content
            elif isinstance(item, Resource):
                if item.id in self._places:
                    raise CommandError(f"{self.path}, line {number}: {item.id} is there twice.")
                self._places[item.id] = at
            elif item.group != group:
                if item.group in self._members_at or item.group not in self._places:
                    raise CommandError(f"{self.path}, line {number}: it is not where the members of {item.group} are.")
                self._members_at[group := item.group] = at
            if item is not None:
                self.counts.add(item)
            at += len(line)
        if footer is None:
            raise CommandError(f"{self.path} has no end: the export was cut short; run it again, it goes on.")
        if {name: footer[name] for name in ("resources", "memberships")} != self.counts.data():
            raise CommandError(f"{self.path} does not hold what its last line counts: it was changed.")

    def _take_header(self, content: dict[str, Any]) -> None:
        if content.get("format") != FORMAT:
            raise ValueError(f"it does not say {FORMAT}")
        self.tenant, self.exported = str(content.get("tenant")), str(content.get("exported"))
        self.schemas = [str(schema) for schema in content.get("schemas", [])]
