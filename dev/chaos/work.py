"""What one client does all day: users and groups come, change and go, its own and its part of shared ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from dev.chaos import intents
from dev.chaos.bulk import create_together
from dev.chaos.client import Client
from dev.chaos.model import MEMBERS, Thing, group_view, marks_of, members_of, user_view

_LARGE = (52, 120)
"""Members of a change that takes more than one transaction."""
_MOST_THINGS = 12
"""Resources of each type that a client keeps alive: Azurite's time grows with what a tenant holds."""


@dataclass(slots=True)
class Worker:
    """One client's day. `things` are all it ever made; `shared` are its parts of what others write to, too."""

    name: str
    client: Client
    dice: Random
    things: list[Thing] = field(default_factory=list)
    shared: list[Thing] = field(default_factory=list)
    _made: int = 0

    @property
    def tenant(self) -> str:
        return self.client.sender.tenant

    def share(self, user_id: str, group_id: str) -> None:
        """Take part in the tenant's shared user and group."""
        user = Thing(self.tenant, "/Users", "shared-user", marks_of(f"{self.name}-"), [{"marks": []}], user_id)
        group = Thing(self.tenant, "/Groups", "shared-group", members_of(f"{self.name}-"), [{MEMBERS: []}], group_id)
        user.shared = group.shared = True
        self.shared = [user, group]

    async def step(self) -> None:
        """One thing done, whatever it takes."""
        users, groups = self._alive("/Users"), self._alive("/Groups")
        actions: list[tuple[float, Callable[[], Awaitable[None]]]] = []
        if len(users) < _MOST_THINGS:
            actions += [(4, self._new_user), (1, self._bulk)]
        if len(groups) < _MOST_THINGS:
            actions.append((2, self._new_group))
        if users:
            actions += [(10, self._change_user), (2, self._verify), (1, self._stale), (0.5, self._duplicate)]
            actions.append((2 if len(users) < _MOST_THINGS else 6, self._delete_user))
        if groups:
            actions.append((8, self._change_group))
            actions.append((1 if len(groups) < _MOST_THINGS else 4, self._delete_group))
        if self.shared:
            actions.append((6, self._change_shared))
        weights, calls = zip(*actions, strict=True)
        await self.dice.choices(calls, weights)[0]()

    def _alive(self, path: str) -> list[Thing]:
        return [thing for thing in self.things if thing.path == path and thing.present is not None and not thing.left]

    def _pick(self, path: str) -> Thing:
        return self.dice.choice(self._alive(path))

    def _fresh(self, what: str) -> str:
        self._made += 1
        return f"{self.name}-{what}-{self._made}"

    def _new(self, path: str, name: str) -> Thing:
        thing = Thing(self.tenant, path, name, user_view if path == "/Users" else group_view)
        self.things.append(thing)
        return thing

    def _user_state(self, name: str) -> dict[str, object]:
        return {
            "userName": f"{name}@{self.tenant}.example",
            "externalId": name,
            "displayName": self._fresh("person"),
            "title": self.dice.choice([None, "Manager", "Clerk"]),
            "active": True,
            "marks": [],
        }

    def _group_state(self, name: str, members: list[str]) -> dict[str, object]:
        return {"displayName": self._fresh("team"), "externalId": name, MEMBERS: sorted(members)}

    async def _new_user(self) -> None:
        name = self._fresh("user")
        await self.client.perform(self._new("/Users", name), intents.create("/Users", self._user_state(name)))

    async def _new_group(self) -> None:
        name = self._fresh("group")
        members = self._some_members(large=0.15)
        await self.client.perform(
            self._new("/Groups", name), intents.create("/Groups", self._group_state(name, members))
        )

    async def _bulk(self) -> None:
        users = [self._fresh("user") for _ in range(self.dice.randint(2, 5))]
        group = self._fresh("group")
        await create_together(
            self.client,
            [(self._new("/Users", name), self._user_state(name)) for name in users],
            (self._new("/Groups", group), self._group_state(group, [])),
        )

    async def _change_user(self) -> None:
        thing = self._pick("/Users")
        state = thing.present
        assert state is not None
        kind = self.dice.choice(["title", "rename", "active", "mark", "mark", "unmark", "put"])
        if kind == "put":
            new = {**self._user_state(thing.name), "userName": f"{self._fresh('put')}@{self.tenant}.example"}
            intent = intents.replace("/Users", new)
        elif kind == "rename":
            values = {
                "userName": f"{self._fresh('renamed')}@{self.tenant}.example",
                "displayName": self._fresh("person"),
            }
            intent = intents.assign(values, pathless=self.dice.random() < 0.5)
        elif kind == "mark" or (kind == "unmark" and not state["marks"]):
            intent = intents.add_mark(self._fresh("mark"))
        elif kind == "unmark":
            intent = intents.remove_mark(self.dice.choice(state["marks"]))
        elif kind == "active":
            intent = intents.assign({"active": not state["active"]}, pathless=False)
        else:
            intent = intents.assign({"title": self._fresh("title")}, pathless=self.dice.random() < 0.5)
        await self.client.perform(thing, intent, conditional=self.dice.random() < 0.3)

    async def _change_group(self) -> None:
        thing = self._pick("/Groups")
        state = thing.present
        assert state is not None
        kind = self.dice.choice(["rename", "add", "remove", "both", "large", "large", "put"])
        held = list(state[MEMBERS])
        gone = self.dice.sample(held, min(len(held), self.dice.randint(1, 5)))
        if kind == "rename":
            intent = intents.assign({"displayName": self._fresh("team")}, pathless=self.dice.random() < 0.5)
        elif kind == "put":
            leaving = self.client.leaving()  # a PUT may name who is gone for good, and then nobody takes that out
            there = [one for one in held if one not in leaving]
            stay = self.dice.sample(there, len(there) // 2)
            new = self._group_state(thing.name, sorted({*stay, *self._some_members(large=0.15)}))
            intent = intents.replace("/Groups", new)
        elif kind == "large" and len(held) >= _LARGE[0]:
            intent = intents.change_members(self._some_members(large=0.0), held[: _LARGE[0]])
        elif kind == "large":
            values = {"displayName": self._fresh("team")} if self.dice.random() < 0.3 else None
            intent = intents.change_members(self._some_members(large=1.0), [], values)
        elif kind == "both":
            new_members = [one for one in self._some_members(large=0.0) if one not in gone]
            intent = intents.change_members(new_members, gone, {"displayName": self._fresh("team")})
        elif kind == "remove" and gone:
            intent = intents.change_members([], gone)
        else:
            intent = intents.change_members(self._some_members(large=0.0), [])
        await self.client.perform(thing, intent)
        if self.dice.random() < 0.3:
            await self.client.verify(thing)

    async def _change_shared(self) -> None:
        thing = self.dice.choice(self.shared)
        name = "marks" if thing.path == "/Users" else MEMBERS
        state = thing.candidates[0]
        assert state is not None
        held = state[name]
        remove = bool(held) and (len(held) > 8 or self.dice.random() < 0.4)
        one = self.dice.choice(held) if remove else self._fresh("part")
        if thing.path == "/Users":
            intent = intents.remove_mark(one) if remove else intents.add_mark(one)
        else:
            intent = intents.change_members([] if remove else [one], [one] if remove else [])
        await self.client.perform(thing, intent)

    async def _delete_user(self) -> None:
        await self.client.perform(self._pick("/Users"), intents.delete())

    async def _delete_group(self) -> None:
        await self.client.perform(self._pick("/Groups"), intents.delete())

    async def _verify(self) -> None:
        await self.client.verify(self._pick("/Users"))

    async def _stale(self) -> None:
        await self.client.stale(self._pick("/Users"))

    async def _duplicate(self) -> None:
        thing = self._pick("/Users")
        assert thing.present is not None
        await self.client.duplicate(thing, intents.create("/Users", {**thing.present, "marks": []}))

    def _some_members(self, *, large: float) -> list[str]:
        """Users of the tenant, whoever made them, and ids that are none of ours; many with the chance `large`."""
        ids = [id for id, user in self.client.users.items() if not user.leaving]
        chosen = self.dice.sample(ids, min(len(ids), self.dice.randint(0, 6)))
        number = self.dice.randint(*_LARGE) if self.dice.random() < large else self.dice.randint(1, 4)
        return sorted({*chosen, *(self._fresh("member") for _ in range(number))})
