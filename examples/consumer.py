"""Follows every tenant's change feed and keeps its users, groups and memberships in an SQLite database.

    FEED_URL=http://127.0.0.1:7071 FEED_TOKEN=scim_application_... python examples/consumer.py [DATABASE]

What makes it right, in any language: an event is applied and the cursor is kept in one transaction, so whenever this is
killed, it goes on where its database is. A tenant that it sees for the first time, or whose cursor leads nowhere (410),
it lists by SCIM, from a cursor that it took before. Standard library only.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

PAUSE = 1.0
"""Seconds between two looks at all tenants."""
TABLES = """
CREATE TABLE IF NOT EXISTS cursors (tenant TEXT PRIMARY KEY, cursor TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS resources (tenant TEXT, id TEXT, type TEXT, document TEXT, PRIMARY KEY (tenant, id));
CREATE TABLE IF NOT EXISTS members (tenant TEXT, grp TEXT, member TEXT, PRIMARY KEY (tenant, grp, member));
CREATE TABLE IF NOT EXISTS grants (tenant TEXT, id TEXT, given TEXT, PRIMARY KEY (tenant, id));
CREATE TABLE IF NOT EXISTS seats (tenant TEXT, user TEXT, license TEXT, seat TEXT, PRIMARY KEY (tenant, user, license));
CREATE TABLE IF NOT EXISTS effects (tenant TEXT, id TEXT, effect TEXT, PRIMARY KEY (tenant, id));
CREATE VIEW IF NOT EXISTS memberships AS SELECT * FROM members AS m
    WHERE EXISTS (SELECT 1 FROM resources AS r WHERE r.tenant = m.tenant AND r.id = m.grp)
    AND EXISTS (SELECT 1 FROM resources AS r WHERE r.tenant = m.tenant AND r.id = m.member);
"""
"""`memberships` are those that count: both ends are there. A user who is deleted while it is added to a group may be in
`members` after that."""
APART = ("meta", "groups", "members")
"""What a GET shows and an event's `data` has not; nor has it the `$ref` of what another is named by."""


def strip(document: dict[str, Any]) -> dict[str, Any]:
    """Return what an event's `data` has of a resource that a GET shows."""
    return {name: _strip(value) for name, value in document.items() if name not in APART}


def _strip(value: Any) -> Any:
    if isinstance(value, list):
        return [_strip(each) for each in value]
    if isinstance(value, dict):
        return {name: _strip(part) for name, part in value.items() if name != "$ref"}
    return value


class Service:
    """The SCIM service, as an operator's connection with the rights feed and read sees it."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **query: object) -> Any:
        """Return the JSON at a path. Raises HTTPError."""
        url = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        with urlopen(Request(url, headers=self._headers), timeout=120) as answer:
            return json.load(answer)

    def tenants(self) -> Iterator[str]:
        """The tenants that have a feed."""
        after: str | None = ""
        while after is not None:
            page = self.get("/feed", after=after) if after else self.get("/feed")
            yield from (each["tenant"] for each in page["tenants"])
            after = page["next"]

    def types(self, tenant: str) -> Iterator[tuple[str, str]]:
        """The names of resource types, and what they are listed at, such as User and Users."""
        for each in self.get(f"/tenants/{tenant}/scim/ResourceTypes")["Resources"]:
            yield each["name"], each["endpoint"].strip("/")

    def resources(self, tenant: str, what: str) -> Iterator[Any]:
        """All users, groups or others of a tenant."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.get(f"/tenants/{tenant}/scim/{what}", count=1000, cursor=cursor)
            yield from page["Resources"]
            cursor = page.get("nextCursor")


class Copy:
    """The tenants' users and groups in a database."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.executescript(TABLES)

    def cursor(self, tenant: str) -> str | None:
        """Return behind which event the copy of a tenant is; None if there is none."""
        row = self.database.execute("SELECT cursor FROM cursors WHERE tenant = ?", (tenant,)).fetchone()
        return row[0] if row else None

    def begin_anew(self, service: Service, tenant: str) -> None:
        """Put what SCIM lists in the place of what is there."""
        cursor = service.get(f"/feed/{tenant}", after="now")["next"]
        with self.database:
            self.database.execute("BEGIN IMMEDIATE")
            for table in ("resources", "members", "grants", "seats", "effects"):
                self.database.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))
            for name, what in service.types(tenant):
                for resource in service.resources(tenant, what):
                    if "created" not in resource["meta"]:  # what may be chosen from, such as roles, has no events
                        break
                    self._keep(tenant, name, resource)
                    self._add(tenant, resource["id"], [each["value"] for each in resource.get("members", [])])
            after: str | None = ""
            while after is not None:
                page = service.get(f"/feed/{tenant}/seats", after=after)
                for group, given in page.get("grants", {}).items():
                    self._put("grants", tenant, group, given)
                for agent in page.get("held", []):
                    self._put("effects", tenant, agent, {"held": True})
                for one in page["users"]:
                    self._put("grants", tenant, one["user"], one.get("grants", {}))
                    self._put("effects", tenant, one["user"], one.get("effects", {}))
                for one in page["seats"]:
                    self._seat(tenant, one["user"], one.get("license", ""), one["seat"])
                after = page["next"]
            self._move(tenant, cursor)

    def apply(self, service: Service, tenant: str, page: Any) -> None:
        """Apply a page of events, or nothing of it."""
        with self.database:
            self.database.execute("BEGIN IMMEDIATE")
            for event in page["events"]:
                self._apply(service, tenant, event)
            self._move(tenant, page["next"])

    def _apply(self, service: Service, tenant: str, event: Any) -> None:
        """Each of these may be done twice, so an event that comes again does no harm."""
        resource, (_, _, what) = event["resource"], event["type"].partition(".")
        id = resource["id"]
        if event["type"].startswith("seat."):
            self._seat(tenant, id, event.get("license", ""), what)
            return
        if what in ("held", "released"):  # an agent that nobody owns is to be stopped, or may work again
            self._put("effects", tenant, id, {**self._effects(tenant, id), **event["effects"]})
            return
        if "grants" in event:  # of a user, or of a group to each of its members
            self._put("grants", tenant, id, event["grants"])
        if resource["type"] == "User" and "data" in event:
            self._put("effects", tenant, id, event.get("effects", {}))
        if what == "deleted":
            for table in ("grants", "effects"):
                self.database.execute(f"DELETE FROM {table} WHERE tenant = ? AND id = ?", (tenant, id))
            self.database.execute("DELETE FROM resources WHERE tenant = ? AND id = ?", (tenant, id))
            self.database.execute("DELETE FROM members WHERE tenant = ? AND ? IN (grp, member)", (tenant, id))
        elif what == "members":
            self._add(tenant, id, event["added"])
            gone = [(tenant, id, member) for member in event["removed"]]
            self.database.executemany("DELETE FROM members WHERE tenant = ? AND grp = ? AND member = ?", gone)
        elif what in ("created", "updated", "activated", "deactivated"):
            document = event.get("data") or read_large(service, tenant, resource)
            if document is not None:
                self._keep(tenant, resource["type"], document)

    def _keep(self, tenant: str, kind: str, document: Any) -> None:
        kept = json.dumps(strip(document), sort_keys=True)
        row = (tenant, document["id"], kind, kept)
        self.database.execute("INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?)", row)

    def _add(self, tenant: str, group: str, members: list[str]) -> None:
        rows = [(tenant, group, member) for member in members]
        self.database.executemany("INSERT OR IGNORE INTO members VALUES (?, ?, ?)", rows)

    def _put(self, table: str, tenant: str, id: str, content: Any) -> None:
        self.database.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", (tenant, id, json.dumps(content)))

    def _effects(self, tenant: str, id: str) -> Any:
        row = self.database.execute("SELECT effect FROM effects WHERE tenant = ? AND id = ?", (tenant, id)).fetchone()
        return json.loads(row[0]) if row else {}

    def _seat(self, tenant: str, user: str, licence: str, seat: str) -> None:
        row = (tenant, user, licence)
        self.database.execute("DELETE FROM seats WHERE tenant = ? AND user = ? AND license = ?", row)
        if seat != "freed":
            self.database.execute("INSERT INTO seats VALUES (?, ?, ?, ?)", (*row, seat))

    def entitle(self, tenant: str) -> dict[str, Any]:
        """Return, by userName, what your application gives to each user: roles, seats, values (docs/policies.md)."""
        users = self.database.execute(
            "SELECT id, document FROM resources WHERE tenant = ? AND type = 'User'", (tenant,)
        )
        given = {}
        for id, document in users.fetchall():
            grants = self.database.execute(
                "SELECT given FROM grants WHERE tenant = ? AND (id = ? OR id IN "
                "(SELECT grp FROM memberships WHERE tenant = ? AND member = ?))",
                (tenant, id, tenant, id),
            )
            roles = sorted({role for (text,) in grants for role in json.loads(text).get("roles", [])})
            seats = "SELECT license, seat FROM seats WHERE tenant = ? AND user = ? ORDER BY license"
            effects = self.database.execute("SELECT effect FROM effects WHERE tenant = ? AND id = ?", (tenant, id))
            given[json.loads(document)["userName"]] = {
                "roles": roles,
                "seats": dict(self.database.execute(seats, (tenant, id)).fetchall()),
                **json.loads((effects.fetchone() or ("{}",))[0]).get("values", {}),
            }
        return given

    def _move(self, tenant: str, cursor: str) -> None:
        self.database.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (tenant, cursor))


def read_large(service: Service, tenant: str, resource: Any) -> Any:
    """Return a document that was too large for its event, as it is now; None if it is gone: an event says so."""
    try:
        return service.get(f"/tenants/{tenant}/scim/{resource['type']}s/{resource['id']}")
    except HTTPError as error:
        if error.code == 404:
            return None
        raise


def follow(service: Service, copy: Copy, tenant: str) -> int:
    """Bring the copy of one tenant up to date; how many events that took."""
    number = 0
    while True:
        try:
            after = copy.cursor(tenant)
            if after is None:
                copy.begin_anew(service, tenant)
                continue
            page = service.get(f"/feed/{tenant}", after=after)
        except HTTPError as error:
            if error.code != 410:
                raise
            copy.begin_anew(service, tenant)
            continue
        if page["events"] or page["next"] != after:
            copy.apply(service, tenant, page)
        number += len(page["events"])
        if not page["more"]:
            return number


def main() -> None:
    """Follow all tenants until this is stopped."""
    service = Service(os.environ["FEED_URL"], os.environ["FEED_TOKEN"])
    copy = Copy(sys.argv[1] if len(sys.argv) > 1 else "consumer.db")
    while True:
        try:
            for tenant in service.tenants():
                if number := follow(service, copy, tenant):
                    print(f"{tenant}: {number} events", flush=True)
        except HTTPError as error:
            if error.code not in (429, 500, 502, 503, 504):
                raise SystemExit(f"{error}: {error.read()[:500].decode(errors='replace')}") from None
        except (URLError, OSError) as error:  # the service is away: the cursors wait
            print(error, file=sys.stderr, flush=True)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
