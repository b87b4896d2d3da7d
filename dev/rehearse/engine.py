"""The provisioning service: brings a target to what a directory holds, one cycle after the other.

Per cycle: a probe, then users, their managers, groups, members, as Entra orders them. What failed is in escrow and is
tried again in the next cycle, because the link still tells what the target accepted last. Nothing is ever written to a
resource that this rehearsal has not made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Set
from functools import partial
from typing import TypeVar

from dev.rehearse import dialect as bodies
from dev.rehearse import expect
from dev.rehearse.client import resource
from dev.rehearse.dialect import Dialect
from dev.rehearse.directory import Directory, Person, Team
from dev.rehearse.expect import Refused
from dev.rehearse.links import GroupLink, UserLink
from dev.rehearse.lookup import BARE, GROUPS, USERS, Lookup, members_shown
from dev.rehearse.mapping import Attributes, attributes, changed
from dev.rehearse.results import Cycle
from dev.rehearse.stage import Stage

REFERENCE_QUERIES = 3
"""Members of a group that are asked for before its members are changed."""


_OF_USERS = ("create", "update", "manager")
_OF_GROUPS = ("create", "update", "add members", "remove members")
"""The steps that a user or a group may wait in escrow for."""

Linked = TypeVar("Linked", UserLink, GroupLink)

Write = Callable[[], Awaitable[str]]
"""What writes one object; its result is what a cycle counts it as."""


class Engine:
    """One provisioning job: its links are what it knows of the target."""

    def __init__(self, stage: Stage, dialect: Dialect, *, threshold: int | None = None) -> None:
        """`threshold`: how many deletions and disablings a cycle may hold before Entra withholds them all."""
        self.stage = stage
        self.dialect: Dialect = dialect
        self.threshold = threshold
        self.users: dict[str, UserLink] = {}
        self.groups: dict[str, GroupLink] = {}
        self.deleted: set[str] = set()
        """Ids of what was deleted."""
        self._tried: dict[str, str] = {}
        """What was to be created: its path by its key."""
        self.held: list[str] = []
        """What the threshold withheld in the last cycle."""

    async def cycle(
        self, directory: Directory, title: str, changes: Iterable[str] = (), *, allow: bool = False
    ) -> Cycle:
        """Play one cycle. `allow`: the admin has looked at what was withheld, and lets it pass."""
        with self.stage.cycle(f"{title} ({self.dialect})", changes) as cycle:
            await Lookup(self.stage).probe()
            planned = self._removals(directory)
            hold = self.threshold is not None and len(planned) > self.threshold and not allow
            self.held = planned if hold else []
            if hold:
                cycle.count("held", len(self.held))
            await self._users(directory, cycle, hold)
            await self._groups(directory, cycle, hold)
        return cycle

    async def rematch(self, directory: Directory) -> None:
        """What a restart with all links forgotten does: find everything again by its matching attribute."""
        lookup = Lookup(self.stage)

        async def user(link: UserLink) -> None:
            await lookup.again(USERS, "userName", str(link.attributes["userName"]), link.id)
            if link.manager and not link.doubtful_managers:
                await lookup.refers(USERS, link.id, "manager", link.manager, True)

        async def group(link: GroupLink) -> None:
            await lookup.again(GROUPS, "displayName", link.name, link.id)
            for id in sorted(link.members - link.doubtful_members)[:REFERENCE_QUERIES]:
                await lookup.refers(GROUPS, link.id, "members", id, True)

        with self.stage.cycle(f"Restart ({self.dialect})") as cycle:
            await lookup.probe()
            work = [user(self.users[key]) for key in directory.people if key in self.users]
            work += [group(self.groups[key]) for key in directory.teams if key in self.groups]
            await self.stage.all("Finding everything again", work)
            cycle.count("found again", len(work))

    def _removals(self, directory: Directory) -> list[str]:
        """What a cycle would delete or disable."""
        gone = [f"delete {link.name}" for key, link in self.users.items() if key not in directory.people]
        gone += [f"delete {link.name}" for key, link in self.groups.items() if key not in directory.teams]
        people = [p for p in directory.people.values() if not p.enabled and p.key in self.users]
        return gone + [f"disable {p.user_name}" for p in people if self.users[p.key].attributes.get("active")]

    # Users

    async def _users(self, directory: Directory, cycle: Cycle, hold: bool) -> None:
        people = list(directory.people.values())
        self._forget(directory.people.keys() | self.users.keys(), USERS)
        work = [self._user(person, cycle, hold) for person in people]
        if not hold:
            gone = [(key, link) for key, link in self.users.items() if key not in directory.people]
            work += [
                self._export("delete", key, link.name, partial(self._delete, self.users, key, _OF_USERS), cycle)
                for key, link in gone
            ]
        await self.stage.all(f"{cycle.title}: users", work)
        await self.stage.all(f"{cycle.title}: managers", [self._manager(person, cycle) for person in people])

    async def _user(self, person: Person, cycle: Cycle, hold: bool) -> None:
        link, wanted = self.users.get(person.key), attributes(person)
        if link is None:
            if person.enabled:
                self._tried[person.key] = USERS
                await self._export(
                    "create", person.key, person.user_name, partial(self._create_user, person, wanted), cycle
                )
            else:  # who was never provisioned is not created to be disabled
                self.stage.tally.drop(person.key, "create")
            return
        if hold and not person.enabled:
            wanted["active"] = link.attributes.get("active", True)
        changes = changed(link.attributes, wanted)
        if changes:
            await self._export("update", person.key, link.name, partial(self._update_user, link, changes), cycle)
        else:
            self.stage.tally.drop(person.key, "update")

    async def _create_user(self, person: Person, wanted: Attributes) -> str:
        matching = ("userName", person.user_name), ("externalId", person.key)
        if (found := await Lookup(self.stage).match(USERS, *matching)) is not None:
            name = str(found["userName"])
            self.users[person.key] = link = UserLink(found["id"], name, {"userName": name})
            link.any_roles = True  # those of the POST whose answer was lost
            return await self._update_user(link, changed(link.attributes, wanted))
        answer = await self.stage.client.send("create user", "POST", USERS, bodies.create_user(wanted))
        with self.stage.strictly("users are created", person.user_name):
            made = expect.resource("Create a user", answer, 201, 200)
        self.users[person.key] = UserLink(made["id"], person.user_name, wanted)
        return "users created"

    async def _update_user(self, link: UserLink, changes: Attributes) -> str:
        client, path = self.stage.client, resource(USERS, link.id)
        with self.stage.strictly("users are read by id", link.name):
            expect.resource("Read a user", await client.send("read user", "GET", path), id=link.id)
        toggled = "active" in changes
        what = "Disable or restore a user" if toggled else "Update a user"
        body = bodies.update(self.dialect, link.attributes, changes)
        answer = await client.send("disable user" if toggled else "update user", "PATCH", path, body)
        with self.stage.strictly("users are disabled and restored" if toggled else "users are updated", link.name):
            if answer.uncertain:
                link.doubt(changes)
            expect.status(what, answer, 200, 204)
            link.accept(changes, self.dialect)
            if answer.status == 200:
                expect.resource(what, answer, id=link.id)
        if toggled:
            return "users restored" if changes["active"] else "users disabled"
        return "users updated"

    async def _manager(self, person: Person, cycle: Cycle) -> None:
        link, manager = self.users.get(person.key), self.users.get(person.manager or "")
        wanted = manager.id if manager else None
        if link is None or link.manager == wanted:
            self.stage.tally.drop(person.key, "manager")
            return
        work = partial(self._write_manager, link, wanted)
        await self._export("manager", person.key, link.name, work, cycle, reference=True)

    async def _write_manager(self, link: UserLink, wanted: str | None) -> str:
        if wanted is not None and not link.doubtful_managers:
            await Lookup(self.stage).refers(USERS, link.id, "manager", wanted, False)
        body = bodies.manager(self.dialect, wanted, had=link.manager is not None)
        answer = await self.stage.client.send("set manager", "PATCH", resource(USERS, link.id), body)
        with self.stage.strictly("managers are set, changed and removed", link.name):
            if answer.uncertain:
                link.doubtful_managers |= {link.manager, wanted}
            expect.status("Remove a manager" if wanted is None else "Set a manager", answer, 200, 204)
        link.manager, link.doubtful_managers = wanted, set()
        return "managers written"

    # Groups

    async def _groups(self, directory: Directory, cycle: Cycle, hold: bool) -> None:
        teams = list(directory.teams.values())
        self._forget(directory.teams.keys() | self.groups.keys(), GROUPS)
        work = [self._group(team, cycle) for team in teams]
        if not hold:
            gone = [(key, link) for key, link in self.groups.items() if key not in directory.teams]
            work += [
                self._export("delete", key, link.name, partial(self._delete, self.groups, key, _OF_GROUPS), cycle)
                for key, link in gone
            ]
        await self.stage.all(f"{cycle.title}: groups", work)
        await self.stage.all(f"{cycle.title}: members", [self._members(team, cycle) for team in teams])

    async def _group(self, team: Team, cycle: Cycle) -> None:
        link = self.groups.get(team.key)
        if link is None:
            self._tried[team.key] = GROUPS
            await self._export("create", team.key, team.name, partial(self._create_group, team), cycle)
        elif link.name != team.name:
            await self._export("update", team.key, team.name, partial(self._rename_group, link, team.name), cycle)

    async def _create_group(self, team: Team) -> str:
        matching = ("displayName", team.name), ("externalId", team.key)
        if (found := await Lookup(self.stage).match(GROUPS, *matching)) is not None:
            self.groups[team.key] = link = GroupLink(found["id"], str(found["displayName"]), team.key)
            return await self._rename_group(link, team.name)
        answer = await self.stage.client.send("create group", "POST", GROUPS, bodies.create_group(team.name, team.key))
        with self.stage.strictly("groups are created", team.name):
            made = expect.resource("Create a group", answer, 201, 200)
        self.groups[team.key] = GroupLink(made["id"], team.name, team.key)
        return "groups created"

    async def _rename_group(self, link: GroupLink, name: str) -> str:
        client, path = self.stage.client, resource(GROUPS, link.id)
        with self.stage.strictly("groups are read by id, without members", link.name):
            answer = await client.send("read group", "GET", f"{path}?{BARE}")
            if expect.resource("Read a group", answer, id=link.id).get("members"):
                raise Refused(members_shown(answer), answer)
        body = bodies.update(self.dialect, {"displayName": link.name}, {"displayName": name})
        answer = await client.send("rename group", "PATCH", path, body)
        with self.stage.strictly("groups are renamed", name):
            if answer.uncertain:
                link.doubtful_names.add(name)
            expect.status("Rename a group", answer, 204, 200)
        link.name, link.doubtful_names = name, set()
        return "groups renamed"

    async def _delete(self, links: dict[str, Linked], key: str, steps: tuple[str, ...]) -> str:
        """Delete what is linked; `steps` are those that are not tried again for it."""
        link = links[key]
        noun, collection = ("user", USERS) if isinstance(link, UserLink) else ("group", GROUPS)
        self.stage.tally.drop(key, *steps)
        answer = await self.stage.client.send(f"delete {noun}", "DELETE", resource(collection, link.id))
        with self.stage.strictly(f"{noun}s are deleted", link.name):
            expected = (204, 200, 404) if link.maybe_deleted else (204, 200)
            link.maybe_deleted = answer.uncertain
            if answer.uncertain:
                self._doubt_references(link.id)
            expect.status(f"Delete a {noun}", answer, *expected)
        del links[key]
        self.deleted.add(link.id)
        return f"{noun}s deleted"

    def _doubt_references(self, id: str) -> None:
        """Who refers to a user that may be gone may have lost the reference with it."""
        for group in self.groups.values():
            group.doubtful_members |= group.members & {id}
        for user in self.users.values():
            if user.manager == id:
                user.doubtful_managers |= {id, None}

    async def _members(self, team: Team, cycle: Cycle) -> None:
        link, lookup = self.groups.get(team.key), Lookup(self.stage)
        if link is None:
            return
        link.members -= self.deleted  # who was deleted leaves without a request
        wanted = {self.users[key].id for key in team.members if key in self.users}
        enter, leave = sorted(wanted - link.members), sorted(link.members - wanted)
        for id in [each for each in enter if each not in link.doubtful_members][:REFERENCE_QUERIES]:
            await lookup.refers(GROUPS, link.id, "members", id, False)
        for id in [each for each in leave if each not in link.doubtful_members][:REFERENCE_QUERIES]:
            await lookup.refers(GROUPS, link.id, "members", id, True)
        for what, ids in (("add members", enter), ("remove members", leave)):
            if not ids:
                self.stage.tally.drop(team.key, what)
            at_once = self.stage.options.members_per_patch
            for start in range(0, len(ids), at_once):
                some = ids[start : start + at_once]
                work = partial(self._change_members, link, some, what == "add members", cycle)
                await self._export(what, team.key, link.name, work, cycle, reference=True)

    async def _change_members(self, link: GroupLink, ids: list[str], add: bool, cycle: Cycle) -> str:
        body = bodies.add_members(self.dialect, ids) if add else bodies.remove_members(self.dialect, ids)
        answer = await self.stage.client.send("change members", "PATCH", resource(GROUPS, link.id), body)
        with self.stage.strictly("members are added and removed", link.name):
            if answer.uncertain:
                link.doubtful_members |= set(ids)
            expect.status("Add members" if add else "Remove members", answer, 204, 200)
        link.members = link.members | set(ids) if add else link.members - set(ids)
        link.doubtful_members -= set(ids)
        cycle.count("members added" if add else "members removed", len(ids))
        return ""

    def _forget(self, keys: Set[str], path: str) -> None:
        """What could never be created and is not wanted any more leaves escrow."""
        for key in [key for key, where in self._tried.items() if where == path and key not in keys]:
            self.stage.tally.drop(key, "create")
            del self._tried[key]

    async def _export(
        self,
        what: str,
        key: str,
        subject: str,
        work: Write,
        cycle: Cycle,
        *,
        reference: bool = False,
    ) -> None:
        """Write one object: count it, and keep it in escrow where it fails."""
        self.stage.tally.attempt(reference=reference)
        try:
            done = await work()
        except Refused as refused:
            self.stage.tally.fail(key, what, subject, refused.problem.code, reference=reference)
            cycle.count("failed")
        else:
            self.stage.tally.succeed(key, what)
            if done:
                cycle.count(done)
