"""A client that does anything that SCIM allows, in any order, and a model that knows what must come of it.

After every step all users and groups are listed, and must be what the model says: document, memberships, version.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from urllib.parse import urlencode

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scim.operate.check import list_problems
from scim.schema.loading import load
from tests.fuzz import filters
from tests.fuzz.model import (
    CUSTOM,
    Assign,
    Behind,
    Change,
    Custom,
    Elements,
    Json,
    Manager,
    Merge,
    Model,
    Refused,
    Stored,
    canonical_user,
    changed,
)
from tests.fuzz.shim import Direct
from tests.support import BASE, ENTERPRISE, USER, Client, Response

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
NewClient = Callable[[], tuple[Direct, Client]]

NAMES = st.sampled_from(["ada", "ADA", "bob", "Straße", "STRASSE", "é", "e\u0301", 'q"t', "b\\s", "a/b#?%", "x y"])
TEXTS = st.sampled_from(["", "a", "A", "work", "ada", "Straße", 'q"t', "x y"])
LOOSE = TEXTS | st.lists(TEXTS, min_size=1, max_size=2)
VALUES = st.sampled_from(["a@x", "A@X", "b@x", ""])
TYPES = st.sampled_from(["", "work", "Work", "home"])
PICKS = st.integers(0, 11)
"""Which of what is there; it wraps around."""
MEMBERS = st.dictionaries(st.integers(0, 3), st.sampled_from(["", "", "Ada", "Bob"]), max_size=4)
"""Members by their picks, with what they are displayed as."""
RANDOMS = st.randoms(use_true_random=False)
"""How a request is written, where there are several ways."""


def _elements(
    name: str, values: st.SearchStrategy[str], **more: st.SearchStrategy[Any]
) -> st.SearchStrategy[list[Json]]:
    """Lists of elements, most of which have a value under that name."""
    optional = {**more, "type": TYPES, "primary": st.booleans()}
    valued = st.fixed_dictionaries({name: values}, optional=optional)
    return st.lists(valued | valued | st.fixed_dictionaries({}, optional=optional), max_size=3)


LISTS = {
    "emails": _elements("value", VALUES, display=TEXTS),
    "roles": _elements("value", VALUES, display=TEXTS),
    "addresses": _elements("locality", TEXTS, country=TEXTS),
}
PARTS = st.fixed_dictionaries({}, optional={"givenName": TEXTS, "familyName": TEXTS, "formatted": TEXTS})
USERS = st.fixed_dictionaries(
    {"userName": NAMES, "emails": LISTS["emails"], "roles": LISTS["roles"]},
    optional={
        **{name: TEXTS for name in ("externalId", "displayName", "title")},
        "addresses": LISTS["addresses"],
        "active": st.booleans(),
        "name": PARTS,
        ENTERPRISE: st.fixed_dictionaries({}, optional={"department": TEXTS}),
        CUSTOM: st.dictionaries(st.sampled_from(["site", "tags"]), LOOSE),
    },
)
TERMS = st.sampled_from(
    [(("type", "work"),), (("type", "home"),), (("primary", True),), (("type", "work"), ("primary", True))]
)


def _behind() -> st.SearchStrategy[Change]:
    def of(name: str, subs: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Change]:
        parts = st.one_of([st.tuples(st.just(sub), values) for sub, values in subs.items()])
        whole = st.tuples(st.none(), st.fixed_dictionaries({k: v.filter(bool) for k, v in list(subs.items())[:1]}))
        ops = st.sampled_from(["add", "replace", "remove"])
        return st.builds(lambda op, terms, pair: Behind(op, name, terms, *pair), ops, TERMS, parts | whole)

    valued = {"value": VALUES, "display": TEXTS, "type": TYPES, "primary": st.booleans()}
    return of("emails", valued) | of("roles", valued) | of("addresses", {"locality": TEXTS, "country": TEXTS})


CHANGES = st.lists(
    st.one_of(
        st.builds(Assign, st.sampled_from(["displayName", "title", "externalId", "department"]), st.none(), TEXTS),
        st.builds(Assign, st.just("userName"), st.none(), NAMES | st.just("")),
        st.builds(Assign, st.just("active"), st.none(), st.booleans() | st.none()),
        st.builds(Assign, st.just("name"), st.sampled_from(["givenName", "familyName"]), TEXTS),
        st.builds(Custom, st.sampled_from(["add", "replace", "remove"]), st.sampled_from(["site", "tags"]), LOOSE),
        st.builds(Merge, PARTS.filter(bool)),
        st.builds(Manager, st.sampled_from(["0", "1", "2", "3"])),
        *(
            st.builds(Elements, st.sampled_from(["add", "replace", "remove"]), st.just(name), values.map(tuple))
            for name, values in LISTS.items()
        ),
        _behind(),
        _behind(),
    ),
    min_size=1,
    max_size=4,
)

MEMBER_STEPS = ["add", "remove", "remove behind a path", "remove all", "replace"]


class Machine(RuleBasedStateMachine):
    """`new_client` gives a client of a tenant that has nothing in it."""

    new_client: NewClient

    def __init__(self) -> None:
        super().__init__()
        self._direct, self._client = self.new_client()
        self.model = Model()
        self._seen: dict[str, tuple[str, str]] = {}
        self._last = ""

    # Users ------------------------------------------------------------------------------------------------------------

    @initialize(body=USERS)
    def first(self, body: Json) -> None:
        self.create_user(body, 0)

    @rule(body=USERS, pick=PICKS)
    def create_user(self, body: Json, pick: int) -> None:
        body = self._managed(body, pick)
        answer = self._send("POST", "/Users", {"schemas": [USER], **body})
        document = canonical_user(body)
        if self.model.taken("Users", document["userName"]):
            return self._is_refused(answer, 409, "uniqueness")
        self._made(answer, self.model.users, document)

    @precondition(lambda self: self.model.users)
    @rule(body=USERS, pick=PICKS, stale=st.booleans(), whole=st.booleans())
    def replace_user(self, body: Json, pick: int, stale: bool, whole: bool) -> None:
        stored = self._one(self.model.users, pick)
        body = self._managed(body, pick)
        sent = {**self.model.shown(stored, BASE), **body} if whole else {"schemas": [USER], **body}
        document = canonical_user({**stored.document, **body} if whole else body)
        headers, refused = self._condition(stored, stale)
        answer = self._send("PUT", f"/Users/{stored.id}", sent, headers)
        if refused:
            return self._is_refused(answer, 412, None)
        if self.model.taken("Users", document["userName"], stored.id):
            return self._is_refused(answer, 409, "uniqueness")
        stored.document = document
        self._is(answer, 200, stored)

    @precondition(lambda self: self.model.users)
    @rule(changes=CHANGES, pick=PICKS, random=RANDOMS)
    def modify_user_at_a_version(self, changes: list[Change], pick: int, random: Random) -> None:
        self._modify(self._one(self.model.users, pick), changes, pick, True, random)

    @precondition(lambda self: self.model.users)
    @rule(changes=CHANGES, pick=PICKS, random=RANDOMS)
    def modify_user(self, changes: list[Change], pick: int, random: Random) -> None:
        self._modify(self._one(self.model.users, pick), changes, pick, False, random)

    def _modify(self, stored: Stored, changes: list[Change], pick: int, stale: bool, random: Random) -> None:
        changes = [self._aimed(change, stored, pick) for change in changes]
        headers, refused = self._condition(stored, stale)
        body = {"Operations": [change.written(random.randrange) for change in changes]}
        answer = self._send("PATCH", f"/Users/{stored.id}", body, headers)
        if refused:
            return self._is_refused(answer, 412, None)
        try:
            document = changed(stored.document, changes)
        except Refused:
            return self._is_refused(answer, 400, "invalidValue")
        if self.model.taken("Users", document["userName"], stored.id):
            return self._is_refused(answer, 409, "uniqueness")
        stored.document = document
        self._is(answer, 200, stored)

    def _aimed(self, change: Change, stored: Stored, pick: int) -> Change:
        """The change with an id that is there for a manager, and an element that is there among those to remove."""
        if isinstance(change, Manager):
            ids = self.model.ids
            return Manager(ids[int(change.id) % len(ids)])
        if isinstance(change, Elements) and change.op == "remove" and change.elements:
            if present := stored.document.get(change.name):
                element = present[pick % len(present)]
                element = {name: value for name, value in element.items() if name != "type" or pick % 2}
                return Elements(change.op, change.name, (*change.elements, element))
        return change

    # Groups -----------------------------------------------------------------------------------------------------------

    @rule(name=NAMES, external=TEXTS, picks=MEMBERS)
    def create_group(self, name: str, external: str, picks: dict[int, str]) -> None:
        members = self._members(picks)
        answer = self._send("POST", "/Groups", _group(name, external, members))
        if self.model.taken("Groups", name):
            return self._is_refused(answer, 409, "uniqueness")
        stored = self._made(answer, self.model.groups, _group(name, external, {}), members)
        stored.members = members

    @precondition(lambda self: self.model.groups)
    @rule(name=NAMES, external=TEXTS, picks=MEMBERS, pick=PICKS)
    def replace_group(self, name: str, external: str, picks: dict[int, str], pick: int) -> None:
        stored, members = self._one(self.model.groups, pick), self._members(picks)
        answer = self._send("PUT", f"/Groups/{stored.id}", _group(name, external, members))
        if self.model.taken("Groups", name, stored.id):
            return self._is_refused(answer, 409, "uniqueness")
        stored.document, stored.members = _group(name, external, {}), members
        self._is(answer, 200, stored)

    @precondition(lambda self: self.model.groups)
    @rule(name=NAMES, external=st.none() | TEXTS, pick=PICKS, random=RANDOMS)
    def rename_group(self, name: str, external: str | None, pick: int, random: Random) -> None:
        stored = self._one(self.model.groups, pick)
        changes: list[Change] = [Assign("displayName", None, name)]
        if external is not None:
            changes.append(Assign("externalId", None, external))
        body = {"Operations": [change.written(lambda n: 0 if n == 3 else random.randrange(n)) for change in changes]}
        answer = self._send("PATCH", f"/Groups/{stored.id}", body)
        if self.model.taken("Groups", name, stored.id):
            return self._is_refused(answer, 409, "uniqueness")
        assert answer.status == 204, f"after {self._last}: {answer.body!r}"
        stored.document = changed({"userName": "-", **stored.document}, changes)
        del stored.document["userName"]

    @precondition(lambda self: self.model.groups)
    @rule(
        steps=st.lists(st.tuples(st.sampled_from(MEMBER_STEPS), MEMBERS.filter(bool)), max_size=4),
        pick=PICKS,
        random=RANDOMS,
    )
    def modify_members(self, steps: list[tuple[str, dict[int, str]]], pick: int, random: Random) -> None:
        stored = self._one(self.model.groups, pick)
        operations = []
        members = dict(stored.members)
        for step, picks in steps:
            named = self._members(picks)
            operations.append(_on_members(step, named, random))
            members = _after(step, members, named)
        answer = self._send("PATCH", f"/Groups/{stored.id}", {"Operations": operations})
        assert answer.status == 204, f"after {self._last}: {answer.body!r}"
        stored.members = members

    @rule(bodies=st.lists(USERS, min_size=1, max_size=3), name=NAMES, first=st.booleans())
    def create_in_bulk(self, bodies: list[Json], name: str, first: bool) -> None:
        """Users, and a group of them, in one request: the group refers to what is made before or after it."""
        posts = [_post("/Users", f"b{number}", body) for number, body in enumerate(bodies)]
        members = [{"value": f"bulkId:{post['bulkId']}"} for post in posts]
        group = _post("/Groups", "g", {"displayName": name, "members": members})
        answer = self._send("POST", "/Bulk", {"Operations": [group, *posts] if first else [*posts, group]})
        results = {result["bulkId"]: result for result in answer.json["Operations"]}
        made: dict[str, Json] = {}
        for post in posts:
            document, result = canonical_user(post["data"]), results[post["bulkId"]]
            taken = self.model.taken("Users", document["userName"])
            assert result["status"] == ("409" if taken else "201"), f"after {self._last}: {answer.body!r}"
            if not taken:
                id = result["location"].rpartition("/")[2]
                self.model.users[id], made[id] = Stored(id, document), {}
        refused = len(made) < len(posts) or self.model.taken("Groups", name)
        assert results["g"]["status"] == ("409" if refused else "201"), f"after {self._last}: {answer.body!r}"
        if not refused:
            id = results["g"]["location"].rpartition("/")[2]
            self.model.groups[id] = Stored(id, {"displayName": name}, made)

    @precondition(lambda self: self.model.users or self.model.groups)
    @rule(pick=PICKS, stale=st.booleans())
    def delete(self, pick: int, stale: bool) -> None:
        stored = self._one({**self.model.users, **self.model.groups}, pick)
        path = f"/{'Users' if stored.id in self.model.users else 'Groups'}/{stored.id}"
        headers, refused = self._condition(stored, stale)
        answer = self._send("DELETE", path, headers=headers)
        if refused:
            return self._is_refused(answer, 412, None)
        assert (answer.status, answer.body) == (204, b"")
        self.model.delete(stored.id)
        for method in ("GET", "DELETE"):
            self._is_refused(self._send(method, path), 404, None)

    # Reading ----------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.users)
    @rule(pick=PICKS, names=st.sets(st.sampled_from(["userName", "emails", "active", "groups", "department"])))
    def read(self, pick: int, names: set[str]) -> None:
        stored = self._one(self.model.users, pick)
        path, version = f"/Users/{stored.id}", stored.meta["version"]
        assert self._send("GET", path, headers={"If-None-Match": version}).status == 304
        self._is(self._send("GET", path, headers={"If-None-Match": 'W/"other"'}), 200, stored)
        if names:
            shown = self.model.shown(stored, BASE)
            kept = {name: value for name, value in shown.items() if name in {"id", "schemas", *names}}
            if "department" in names and "department" in shown.get(ENTERPRISE, {}):
                kept[ENTERPRISE] = {"department": shown[ENTERPRISE]["department"]}
            answer = self._send("GET", f"{path}?attributes={','.join(sorted(names))}")
            self._same(answer.json, kept)

    @rule(filter=filters.filters(filters.OF_USERS), size=st.integers(1, 4), cursor=st.booleans(), random=RANDOMS)
    def find_users(self, filter: filters.Filter, size: int, cursor: bool, random: Random) -> None:
        self._find("Users", self.model.users, filter, size, cursor, random)

    @rule(filter=filters.filters(filters.OF_GROUPS), size=st.integers(1, 4), cursor=st.booleans(), random=RANDOMS)
    def find_groups(self, filter: filters.Filter, size: int, cursor: bool, random: Random) -> None:
        self._find("Groups", self.model.groups, filter, size, cursor, random)

    @rule(
        by=st.sampled_from(["userName", "title", "active", "emails.value", "emails", "name.givenName", "externalId"]),
        order=st.sampled_from(["ascending", "descending"]),
        size=st.integers(1, 4),
        cursor=st.booleans(),
    )
    def sort_users(self, by: str, order: str, size: int, cursor: bool) -> None:
        found = list(self._pages("Users", {"sortBy": by, "sortOrder": order}, size, cursor, len(self.model.users)))
        assert sorted(found) == sorted(self.model.users)
        keys = [_sorted_by(self.model.users[id].document, by) for id in found]
        assert keys == sorted(keys, reverse=order == "descending")

    @rule()
    def examine(self) -> None:
        """The rows keep their own invariants."""
        table = self._direct.application.table
        assert self._direct.run(list_problems(table, self._client.tenant, load())) == []

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        for kind, stored in (("Users", self.model.users), ("Groups", self.model.groups)):
            resources = self._send("GET", f"/{kind}?count=1000").json["Resources"]
            assert [resource["id"] for resource in resources] == sorted(stored)
            for resource in resources:
                self._observe(stored[resource["id"]], resource)

    def _observe(self, stored: Stored, resource: Json) -> None:
        """Hold a resource against the model, and its meta against what it was before."""
        meta, kind = resource["meta"], "User" if stored.id in self.model.users else "Group"
        assert meta["location"] == f"{BASE}/{kind}s/{stored.id}"
        assert meta["resourceType"] == kind
        old, stored.meta = stored.meta, meta
        self._same(resource, self.model.shown(stored, BASE))
        own = json.dumps([stored.document, stored.members if kind == "Group" else None], sort_keys=True)
        whole = own + json.dumps(resource.get("groups"), sort_keys=True)
        if stored.id not in self._seen:
            assert meta["created"] == meta["lastModified"] or kind == "Group"
        else:
            own_before, whole_before = self._seen[stored.id]
            assert meta["created"] == old["created"] <= old["lastModified"] <= meta["lastModified"]
            if whole != whole_before:
                assert meta["version"] not in (old["version"], *stored.old_versions)
            if kind == "User":  # a group may get a new version for a member that it had
                assert (meta["version"] == old["version"]) == (whole == whole_before)
                assert own != own_before or meta["lastModified"] == old["lastModified"]
            if own != own_before:
                stored.old_versions.append(old["version"])
        self._seen[stored.id] = (own, whole)

    # What the rules share ---------------------------------------------------------------------------------------------

    def _send(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Response:
        self._last = f"{method} {path} {json.dumps(body, ensure_ascii=False)} {headers or ''}"
        answer = self._direct.run(self._client.request(method, path, body, headers))
        assert answer.status < 500, answer.body
        return answer

    @staticmethod
    def _one(stored: dict[str, Stored], pick: int) -> Stored:
        return list(stored.values())[pick % len(stored)]

    def _managed(self, body: Json, pick: int) -> Json:
        """The body with a manager now and then."""
        if ENTERPRISE not in body or pick % 2:
            return body
        ids = self.model.ids
        return {**body, ENTERPRISE: {**body[ENTERPRISE], "manager": {"value": ids[pick % len(ids)]}}}

    def _members(self, picks: dict[int, str]) -> dict[str, Json]:
        """Some members by id, with or without a display."""
        ids = [*self.model.ids, "somebody else's"]
        return {ids[pick % len(ids)]: ({"display": display} if display else {}) for pick, display in picks.items()}

    @staticmethod
    def _condition(stored: Stored, stale: bool) -> tuple[dict[str, str], bool]:
        """An If-Match, and whether the write must be refused for it."""
        if stale and stored.old_versions:
            return {"If-Match": stored.old_versions[-1]}, True
        return ({"If-Match": stored.meta["version"]} if stale else {}), False

    def _made(self, answer: Response, where: dict[str, Stored], document: Json, members: Any = None) -> Stored:
        assert answer.status == 201, answer.body
        stored = where[answer.json["id"]] = Stored(answer.json["id"], document, members or {}, answer.json["meta"])
        self._is(answer, 201, stored)
        assert answer.headers["location"] == answer.json["meta"]["location"]
        return stored

    def _is(self, answer: Response, status: int, stored: Stored) -> None:
        """The answer is the resource, whose version it says twice."""
        assert answer.status == status, f"after {self._last}: {answer.status} {answer.body!r}"
        assert answer.headers["etag"] == answer.json["meta"]["version"]
        expected = {**self.model.shown(stored, BASE), "meta": answer.json["meta"]}
        self._same(answer.json, expected)

    def _same(self, resource: Json, expected: Json) -> None:
        """A resource is the expected one; else the difference and the last request are told."""
        there, wanted = _normal(resource), _normal(expected)
        differ = {n: (resource.get(n), expected.get(n)) for n in {**there, **wanted} if there.get(n) != wanted.get(n)}
        assert not differ, f"after {self._last}: (is, should be) {differ}"

    def _is_refused(self, answer: Response, status: int, scim_type: str | None) -> None:
        told = (answer.status, (answer.json or {}).get("scimType"))
        assert told == (status, scim_type), f"after {self._last}: {told}, not {status, scim_type}: {answer.body!r}"

    def _find(
        self, kind: str, stored: dict[str, Stored], filter: filters.Filter, size: int, cursor: bool, random: Random
    ) -> None:
        ids = self.model.ids
        text = filters.written(filter, ids, random.randrange, core=USER if kind == "Users" else GROUP)
        meant = filters.resolved(filter, ids)
        expected = [id for id in sorted(stored) if filters.matches(meant, self.model.shown(stored[id], BASE))]
        found = list(self._pages(kind, {"filter": text}, size, cursor, len(expected)))
        assert found == expected, f"{text}: {found}, not {expected} of {[s.document for s in stored.values()]}"

    def _pages(self, kind: str, asked: Json, size: int, cursor: bool, total: int) -> Iterator[str]:
        """The ids of a search, page by page: by GET, and by POST where the pages are even."""
        place, seen = {"cursor": ""} if cursor else {"startIndex": 1}, 0
        while True:
            parameters = {**asked, **place, "count": size}
            if size % 2:
                answer = self._send("GET", f"/{kind}?{urlencode(parameters)}")
            else:
                answer = self._send("POST", f"/{kind}/.search", parameters)
            path = self._last
            assert answer.status == 200, (path, answer.body)
            page = [resource["id"] for resource in answer.json["Resources"]]
            assert (answer.json["totalResults"], answer.json["itemsPerPage"]) == (total, len(page)), path
            assert len(page) == min(size, total - seen), path
            yield from page
            seen += len(page)
            if cursor:
                assert ("nextCursor" in answer.json) == (seen < total)
                place = {"cursor": answer.json.get("nextCursor")}
            else:
                assert answer.json["startIndex"] == seen - len(page) + 1
                place = {"startIndex": seen + 1}
            if seen >= total:
                return


def _post(path: str, bulk_id: str, data: Json) -> Json:
    return {"method": "POST", "path": path, "bulkId": bulk_id, "data": data}


def _group(name: str, external: str, members: dict[str, Json]) -> Json:
    group: Json = {"displayName": name, **({"externalId": external} if external else {})}
    return {**group, "members": _listed(members)} if members else group


def _listed(members: dict[str, Json]) -> list[Json]:
    return [{"value": id, **member} for id, member in members.items()]


def _on_members(step: str, named: dict[str, Json], random: Random) -> Json:
    """A step as an operation, in one of its forms."""
    path, values = random.choice(["members", "Members"]), _listed(named)
    if step == "remove all":
        return {"op": "Remove", "path": path}
    if step == "remove behind a path":
        terms = " or ".join(f"value eq {json.dumps(id)}" for id in named)
        return {"op": random.choice(["remove", "Remove"]), "path": f"{path}[{terms}]"}
    value: object = values
    if len(values) == 1 and random.randrange(2):
        value = values[0]
    elif step == "remove" and random.randrange(2):
        value = [{"value": id} for id in named]
    elif step != "remove" and random.randrange(3) == 0:
        return {"op": step, "value": {path: value}}
    return {"op": step if random.randrange(2) else step.capitalize(), "path": path, "value": value}


def _after(step: str, members: dict[str, Json], named: dict[str, Json]) -> dict[str, Json]:
    """The members after a step: adding one that is there keeps what is known of it."""
    if step == "add":
        return {**members, **{id: {**members.get(id, {}), **member} for id, member in named.items()}}
    if step == "replace":
        return dict(named)
    return {} if step == "remove all" else {id: member for id, member in members.items() if id not in named}


def _normal(value: Any) -> Any:
    """JSON in a form that is equal where only the order of a list differs, and 1 is not true."""
    if isinstance(value, list):
        return sorted((_normal(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, dict):
        return {name: _normal(item) for name, item in value.items()}
    return json.dumps(value)


def _sorted_by(document: Json, by: str) -> tuple[bool, Any]:
    """What a user is sorted by: the primary or else first value, and whoever has none last."""
    name, _, sub = by.partition(".")
    value = document.get(name)
    if isinstance(value, list):
        value = next((element for element in value if element.get("primary") is True), value[0])
    if isinstance(value, dict):
        value = value.get(sub or "value")
    if value is None:
        return True, ""
    return False, filters.folded(value, "exact" if by == "externalId" else "text") if isinstance(value, str) else value
