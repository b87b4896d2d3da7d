"""One identity provider: brings about what it wants, request by request, the way Entra does.

A request without a certain outcome is followed by a look (GET with a filter) and sent again if it is still needed,
until it is acknowledged; now and then the client gives up instead, and then never speaks of that resource again.
"""

from __future__ import annotations

import asyncio
from random import Random
from urllib.parse import quote

from dev.chaos.intents import Intent
from dev.chaos.model import Finding, State, Thing
from dev.chaos.requests import Outcome, Sender

_GIVE_UP = 0.15
_GIVE_UP_LONG = 0.7
"""The chance that a client leaves a resource after a request without a certain outcome; and after one of several
transactions, which housekeeping then has to finish."""
_MOST_TRIES = 25
_PAUSE = (0.05, 0.3)
BARE = {"/Users": "excludedAttributes=groups", "/Groups": "excludedAttributes=members"}
"""Without what others change: the version is the resource's own then, and a look costs little."""


class Client:
    """Performs intents on things and keeps what is known of them true. `users` are all users of the tenant by id,
    whoever made them."""

    def __init__(self, sender: Sender, dice: Random, users: dict[str, Thing]) -> None:
        self.sender = sender
        self.dice = dice
        self.users = users

    async def perform(self, thing: Thing, intent: Intent, *, conditional: bool = False) -> None:
        """Send the request until it is known to be done, or leave the thing."""
        if intent.method == "DELETE":
            thing.leaving = True
        for number in range(_MOST_TRIES):
            if number:
                await self.pause()
                if not await self.look(thing) or _settled(thing, intent):
                    break
            version = thing.version if conditional else None
            if not await self._tried(thing, intent, version):
                continue
            return
        if not _settled(thing, intent):
            self._leave(thing)

    async def _tried(self, thing: Thing, intent: Intent, version: str | None) -> bool:
        """Make one try, and return whether no other is needed."""
        bare = thing.path == "/Users" and intent.method in ("PATCH", "PUT", "POST")
        path = thing.path if intent.method == "POST" else f"{thing.path}/{thing.id}"
        headers = {"If-Match": version} if version else {}
        if intent.long:
            self.sender.log.long.set()
        outcome = await self.sender.send(
            intent.method, f"{path}?{BARE['/Users']}" if bare else path, intent.body, headers
        )
        self.sender.log.long.clear()
        thing.history.append(f"{intent.name}{' If-Match' if version else ''} -> {outcome.status or 'lost'}")
        if outcome.done:
            self._acknowledged(thing, intent, outcome)
            return True
        if outcome.unknown:
            thing.doubt(intent.effect)
            if self.dice.random() < (_GIVE_UP_LONG if intent.long else _GIVE_UP) and not thing.shared:
                self._leave(thing)
                return True
            return False
        return self._refused(thing, intent, outcome, version)

    def _acknowledged(self, thing: Thing, intent: Intent, outcome: Outcome) -> None:
        self.sender.log.say(thing.acknowledge(intent.effect))
        if intent.method == "POST":
            thing.id = outcome.body["id"]
            self.know(thing)
        # A group's version changes too when one of its members is deleted, so only users' are held against reads.
        thing.version = outcome.version if thing.path == "/Users" and not thing.shared else None

    def _refused(self, thing: Thing, intent: Intent, outcome: Outcome, version: str | None) -> bool:
        """404, 409 or 412: right or wrong? Whether no other try is needed."""
        said = str(outcome.body.get("detail", ""))
        if outcome.status == 404:
            if not thing.may_be_absent:
                self.sender.log.say(thing.finding("acknowledged write lost", f"{intent.name} was answered 404: {said}"))
            thing.candidates, thing.version = [None], None
            return True
        if outcome.status == 409:
            if intent.method == "POST" and any(state is not None for state in thing.candidates):
                return False  # a try of ours before was done; the look finds it
            self.sender.log.say(thing.finding("false conflict", f"{intent.name} was answered 409: {said}"))
            return True
        if version is None or thing.version is not None:
            self.sender.log.say(thing.finding("false conflict", f"{intent.name} was answered 412: {said}"))
        thing.version = None
        return False

    async def look(self, thing: Thing) -> bool:
        """Match the thing as Entra does, and learn. False where no answer came."""
        query = "filter=" + quote(f'externalId eq "{thing.name}"') + f"&{BARE[thing.path]}"
        outcome = await self.answered(f"{thing.path}?{query}")
        if outcome is None:
            return False
        found = outcome.body.get("Resources", [])
        if len(found) > 1:
            self.sender.log.say(thing.finding("applied twice", f"there are {len(found)} of it"))
        if not found:
            self._observed(thing, None, members=False)
            return True
        if thing.id not in (None, found[0]["id"]):
            self.sender.log.say(thing.finding("applied twice", f"it has the new id {found[0]['id']}"))
        thing.id = found[0]["id"]
        self.know(thing)
        self._observed(thing, thing.view(found[0]), members=False)
        return True

    async def verify(self, thing: Thing) -> None:
        """Read a resource whose state is known, members and all."""
        if thing.present is None:
            return
        query = f"?{BARE['/Users']}" if thing.path == "/Users" else ""
        outcome = await self.answered(f"{thing.path}/{thing.id}{query}")
        if outcome is None:
            return
        if outcome.status == 404:
            self._observed(thing, None)
            return
        self._observed(thing, thing.view(outcome.body))
        if thing.version is not None and outcome.version != thing.version:
            text = f"its version is {outcome.version}, but {thing.version} was the last acknowledged one"
            self.sender.log.say(thing.finding("applied twice", text))
            thing.version = None

    async def stale(self, thing: Thing) -> None:
        """A change under a version that never was must not be done."""
        body = {"Operations": [{"op": "Replace", "path": "displayName", "value": "must never be seen"}]}
        path = f"{thing.path}/{thing.id}?{BARE['/Users']}"
        outcome = await self.sender.send("PATCH", path, body, {"If-Match": 'W/"never"'})
        if outcome.status not in (412, 0, 503, 429):
            text = f"a change under a version that never was is answered {outcome.status}"
            self.sender.log.say(thing.finding("condition ignored", text))

    async def duplicate(self, thing: Thing, intent: Intent) -> None:
        """A POST of what is there must be refused."""
        outcome = await self.sender.send("POST", thing.path, intent.body)
        if not (outcome.status == 409 or outcome.unknown):
            self.sender.log.say(thing.finding("applied twice", f"a second POST is answered {outcome.status}"))

    async def answered(self, path: str) -> Outcome | None:
        """Return the answer to a GET, which may be sent again; None if none comes."""
        for _ in range(_MOST_TRIES):
            outcome = await self.sender.send("GET", path)
            if not outcome.unknown:
                return outcome
            await self.pause()
        self.sender.log.say(Finding("no answer", path, f"{_MOST_TRIES} reads in a row were not answered"))
        return None

    async def pause(self) -> None:
        await asyncio.sleep(self.dice.uniform(*_PAUSE))
        await self.sender.ready()

    def know(self, thing: Thing) -> None:
        """A user may be a member of anybody's groups from now on."""
        if thing.path == "/Users" and thing.id is not None and not thing.shared:
            self.users[thing.id] = thing

    def leaving(self) -> set[str]:
        """Return the users that may be gone, or going."""
        return {id for id, user in self.users.items() if user.leaving}

    def _observed(self, thing: Thing, state: State, *, members: bool = True) -> None:
        self.sender.log.say(thing.observe(state, ignoring=self.leaving(), members=members))

    def _leave(self, thing: Thing) -> None:
        thing.left = True
        thing.history.append("given up")


def _settled(thing: Thing, intent: Intent) -> bool:
    """Return whether what is known says that nothing is left to do: a POST's resource is there, a DELETE's is not."""
    if intent.method == "POST":
        return thing.present is not None
    return thing.candidates == [None]
