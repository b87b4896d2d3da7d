"""Why somebody is not there, or not in a group: one of a few answers, with what to do about it.

An answer is for whoever is called at night: a sentence, a remedy in the words of Entra's pages, and what it rests on.
The usual one takes up to six trips.
"""

from __future__ import annotations

import asyncio
import operator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from scim.clock import show_time
from scim.feed.log import Mention
from scim.insight import remedies
from scim.insight.connections import Heard, LookUp, read_connections
from scim.insight.failures import Failure, read_failure
from scim.insight.finding import MOST, Found, find, find_name_of, read_resource
from scim.insight.history import Change, History
from scim.insight.policies import explain_policy
from scim.schema.registry import Registry, ResourceType
from scim.store import keys
from scim.store.resource_rows import Stored
from scim.store.table import Table

_SWITCHED_OFF = (
    "The identity provider switched it off: in Entra, look whether the user is still assigned, in scope and enabled, "
    "and use Provision on demand."
)
Verdict = Literal[
    "refused",  # the last that was asked for it was refused
    "there",
    "disabled",
    "deleted",
    "member",
    "not-a-member",  # of the group that was asked about
    "waiting",  # for a seat
    "held",  # what changed is held back
    "several",  # the name is the beginning of several
    "connection",  # a connection is paused, expired, revoked or refused
    "nobody-calls",  # no connection has sent anything for 30 days
    "never-tried",
]


@dataclass(slots=True)
class Answer:
    """Why. `remedy` is "" if there is nothing to do."""

    tenant: str
    asked: str
    verdict: Verdict
    text: str
    remedy: str = ""
    id: str | None = None
    failures: list[Failure] = field(default_factory=list)
    connections: list[Heard] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Whom else the name may mean."""

    def data(self) -> dict[str, Any]:
        """The answer as JSON data."""
        now = datetime.now(UTC)
        content = {
            "tenant": self.tenant,
            "asked": self.asked,
            "verdict": self.verdict,
            "text": self.text,
            "remedy": self.remedy,
            "id": self.id,
            "failures": [each.data() for each in self.failures],
            "connections": [each.data(now) for each in self.connections],
            "others": self.others,
        }
        return {name: value for name, value in content.items() if value not in (None, [], "")}

    def lines(self) -> list[str]:
        """The answer in words."""
        lines = [self.text]
        if self.remedy:
            lines.append(f"What to do: {self.remedy}")
        for failure in self.failures[:3]:
            lines.append(
                f"Refused {failure.count} times from {_time(failure.first or failure.last)} to {_time(failure.last)}: "
                f"{failure.operation}, {failure.status}{f' {failure.scim_type}' if failure.scim_type else ''}, by "
                f"connection {failure.connection}, request {failure.request}."
            )
        if self.others:
            lines.append(f"Others that it may mean: {', '.join(self.others)}.")
        return lines


@dataclass(slots=True)
class Told:
    """What happened to somebody, the oldest first. `id` is None if nobody of that name is here or was in 30 days."""

    tenant: str
    asked: str
    id: str | None
    changes: list[Change]
    others: list[str] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """It as JSON data."""
        changes = [each.data() for each in self.changes]
        return {"tenant": self.tenant, "asked": self.asked, "id": self.id, "changes": changes, "others": self.others}

    def lines(self) -> list[str]:
        """It in words."""
        if self.changes:
            return [each.line() for each in self.changes]
        if self.id is not None:
            return [f"{self.asked} is {self.id}, and nothing that happened to it in 30 days is kept."]
        others = f" Others whose name begins so: {', '.join(self.others)}." if self.others else ""
        return [f"Nobody is called {self.asked}, or was in 30 days: why says more.{others}"]


class Why:
    """Answers for one tenant. What the change feed knows helps; if it is off, answers say less."""

    def __init__(self, table: Table, registry: Registry, tenant: str, look_up: LookUp) -> None:
        self._table = table
        self._registry = registry
        self._tenant = tenant
        self._look_up = look_up
        self._history = History(table, tenant)

    async def ask(self, text: str, *, groups: bool = False) -> Answer:
        """Say why a user, an agent or the like is not there, or (`groups`) a group: by id, name, e-mail address,
        externalId, or the beginning of one. Raises TableUnavailable."""
        text = text.strip()
        types = self._list_types(groups=groups)
        found = await find(self._table, self._registry, self._tenant, text, types)
        if len(found.exact) + len(found.failures) == 0 and len(found.near) + len(found.near_failures) == 1:
            found = Found(found.near, [], found.near_failures)
        if found.exact:
            return await self._explain(text, found)
        if found.failures:
            return self._explain_failures(text, found)
        if found.near or found.near_failures:
            others = await self._names(found)
            said = f"Nobody is called {text}, but {len(others)}{' or more' if len(others) >= MOST else ''} begin so."
            return Answer(self._tenant, text, "several", said, "Ask for one of them by the whole name.", others=others)
        return await self._explain_absence(text, types)

    async def tell(self, text: str, *, groups: bool = False) -> Told:
        """Tell what happened to a user, or (`groups`) a group, who is here or was."""
        text = text.strip()
        types = self._list_types(groups=groups)
        found = await find(self._table, self._registry, self._tenant, text, types)
        ids = found.exact or (found.near if len(found.near) == 1 else [])
        if not ids and (said := await self._history.find_name(text, types)):
            ids = [said.id]
        if ids:
            return Told(self._tenant, text, ids[0], await self._tell_changes(ids[0], groups=groups))
        return Told(self._tenant, text, None, [], await self._names(found))

    async def _tell_changes(self, id: str, *, groups: bool) -> list[Change]:
        """What happened to somebody; to a user (not `groups`) also which groups they came into and left."""
        if groups:
            return await self._history.read(id)
        changes, memberships = await asyncio.gather(self._history.read(id), self._history.find_memberships(id))
        ids = list(dict.fromkeys(each.id for each in memberships))[:MOST]
        read = await asyncio.gather(*(read_resource(self._table, self._tenant, group) for group in ids))
        names = {each.id: str(each.document.get("displayName", "")) for each in read if each is not None}
        named = [replace(each, name=each.name or names.get(each.id, "")) for each in memberships]
        return sorted([*changes, *named], key=operator.attrgetter("time"))

    def _list_types(self, *, groups: bool) -> list[ResourceType]:
        return [each for each in self._registry.resource_types if bool(each.members) == groups]

    async def ask_membership(self, user: str, group: str) -> Answer:
        """Say why a user is not in a group."""
        of_user, of_group = await asyncio.gather(self.ask(user), self.ask(group, groups=True))
        for answer in (of_user, of_group):
            if answer.id is None or answer.verdict in ("deleted", "several"):
                return answer
        assert of_user.id is not None
        assert of_group.id is not None
        edge = await self._table.read(self._tenant, keys.member_key(of_group.id, of_user.id))
        who = f"{user} is" if edge else f"{user} is not"
        said = await self._history.find_membership(of_group.id, of_user.id)
        text = f"{who} a member of {group}."
        if edge is not None:
            text += f" The membership was added on {_time(said.time)}{_by(said)}." if said and said.added else ""
            return Answer(self._tenant, user, "member", text, id=of_user.id)
        if said is not None:
            text += f" The membership was removed on {_time(said.time)}{_by(said)}."
        if of_group.verdict == "refused":
            failure = of_group.failures[0]
            text += f" The last change of the group was refused: {failure.detail}"
            remedy = remedies.find_remedy(failure)
            return Answer(self._tenant, user, "refused", text, remedy, of_user.id, of_group.failures)
        if said is None:
            text += " Nothing that is kept says that it ever was."
        return Answer(self._tenant, user, "not-a-member", text, remedies.NOT_IN_GROUP, of_user.id)

    async def _explain(self, text: str, found: Found) -> Answer:
        """Somebody has that name, or had that id."""
        id = found.exact[0]
        resource_type = self._registry.by_id(id)
        stored, failure, said = await asyncio.gather(
            read_resource(self._table, self._tenant, id),
            self._read_failure(resource_type, id, found),
            self._history.mentions(id),
        )
        failures = [each for each in (failure, *found.failures) if each is not None]
        answer = Answer(self._tenant, text, "there", "", id=id, failures=failures, others=found.exact[1:MOST])
        if stored is None:
            return await self._explain_gone(answer, said)
        since = max(stored.modified, stored.created)
        open_failures = [each for each in failures if each.last > since]
        answer.failures = open_failures
        is_off = stored.document.get("active") is False
        answer.verdict = "refused" if open_failures else "disabled" if is_off else "there"
        answer.text = _describe(stored, resource_type, said, off=is_off)
        if open_failures:
            newest = max(open_failures, key=lambda each: each.last)
            answer.text += f" But the last change was refused on {_time(newest.last)}: {newest.detail}"
            answer.remedy = remedies.find_remedy(newest)
        elif (policy := await explain_policy(self._table, self._registry, self._tenant, stored)) is not None:
            answer.verdict = policy.verdict or answer.verdict
            answer.text += f" {policy.text}"
            answer.remedy = policy.remedy
        if answer.verdict == "disabled":  # whatever else there is to say, it comes behind this
            answer.remedy = f"{_SWITCHED_OFF} {answer.remedy}".strip()
        return answer

    async def _explain_gone(self, answer: Answer, said: list[Mention]) -> Answer:
        deletion = next((each for each in reversed(said) if each.type.endswith(".deleted")), None)
        if deletion is not None:
            return _explain_deletion(answer, deletion)
        if answer.failures:
            failure = answer.failures[0]
            answer.verdict, answer.id = "refused", None
            answer.text = (
                f"Nothing with the id {answer.asked} is here, and a request for it was refused: {failure.detail}"
            )
            answer.remedy = remedies.find_remedy(failure)
        else:
            answer.verdict, answer.id = "never-tried", None
            answer.text = f"Nothing with the id {answer.asked} is here, and nothing that is kept says that it ever was."
            answer.remedy = remedies.NEVER_TRIED
        return answer

    def _explain_failures(self, text: str, found: Found) -> Answer:
        failure = max(found.failures, key=lambda each: each.last)
        return Answer(
            self._tenant,
            text,
            "refused",
            f"{failure.name} is not here: it was refused, the last time on {_time(failure.last)}: {failure.detail}",
            remedies.find_remedy(failure),
            failures=sorted(found.failures, key=lambda each: each.last, reverse=True)[:MOST],
        )

    async def _explain_absence(self, text: str, types: list[ResourceType]) -> Answer:
        """Nothing is known of that name."""
        said = await self._history.find_name(text, types)
        if said is not None and said.type.endswith(".deleted"):
            return _explain_deletion(Answer(self._tenant, text, "deleted", ""), said)
        if said is not None:  # it has another name now
            return await self._explain(text, Found([said.id]))
        now = datetime.now(UTC)
        heard = await read_connections(self._table, self._tenant, self._look_up, now)
        troubles = [(each, trouble) for each in heard if (trouble := each.find_trouble(now))]
        working = [each for each in heard if each.find_trouble(now) is None and each.last is not None]
        answer = Answer(self._tenant, text, "never-tried", "", remedies.NEVER_TRIED, connections=heard)
        if troubles and not working:
            answer.verdict = "connection"
            answer.text = f"Nothing was asked for {text}, and nobody gets in: {' '.join(each for _, each in troubles)}"
            answer.remedy = " ".join(dict.fromkeys(_remedy_of(each) for each, _ in troubles))
        elif not working:
            answer.verdict = "nobody-calls"
            answer.text = (
                f"No identity provider has sent a request for tenant {self._tenant} in 30 days, so nobody has asked "
                f"for {text}."
            )
            answer.remedy = remedies.NOBODY_CALLS
        else:
            newest = max(working, key=lambda each: each.last or now)
            answer.text = (
                f"Entra never tried: nothing was ever asked for {text} in 30 days, though connection {newest.name} was "
                f"heard of on {show_time(newest.last or now)}."
            )
            if troubles:
                answer.text += f" Beside it: {' '.join(each for _, each in troubles)}"
        return answer

    async def _read_failure(self, resource_type: ResourceType | None, id: str, found: Found) -> Failure | None:
        if resource_type is None or any(each.subject == id for each in found.failures):
            return None
        return await read_failure(self._table, self._tenant, resource_type.name, id)

    async def _names(self, found: Found) -> list[str]:
        stored = await asyncio.gather(*(read_resource(self._table, self._tenant, id) for id in found.near[:MOST]))
        names = [find_name_of(each, self._registry.by_id(each.id)) for each in stored if each is not None]
        return list(dict.fromkeys([*names, *(each.name for each in found.near_failures)]))


def _explain_deletion(answer: Answer, deletion: Mention | Change) -> Answer:
    answer.verdict, answer.id = "deleted", None
    answer.text = f"{answer.asked} was deleted on {_time(deletion.time)}{_by(deletion)}."
    answer.remedy = (
        "Entra deletes who was removed for good, or left the scope of a job that deletes. Assign the user again and "
        "use Provision on demand: it is made anew, under another id."
    )
    return answer


def _describe(stored: Stored, resource_type: ResourceType | None, said: list[Mention], *, off: bool) -> str:
    kind = resource_type.name if resource_type else "Resource"
    made = next((each for each in said if each.type.endswith(".created")), None)
    text = f"{kind} {find_name_of(stored, resource_type)} is here since {_time(stored.created)}{_by(made)}"
    if stored.modified > stored.created:
        text += f", last changed on {_time(stored.modified)}{_by(said[-1]) if said else ''}"
    if not off:
        return f"{text}."
    switched = next((each for each in reversed(said) if each.type.endswith(".deactivated")), None)
    when = f" on {_time(switched.time)}{_by(switched)}" if switched else ", at the latest with its last change"
    return f"{text}. It is disabled: active was set to false{when}."


def _remedy_of(heard: Heard) -> str:
    reason = heard.get_reason()
    failure = Failure("~", heard.name, "", "", 0, "", "", heard.name, reason=reason or "unknown")
    return remedies.find_remedy(failure)


def _by(said: Mention | Change | None) -> str:
    if said is None or not said.connection:
        return ""
    return f" by connection {said.connection}" + (f" (request {said.request})" if said.request else "")


def _time(text: str) -> str:
    return f"{text[:16].replace('T', ' ')} UTC"
