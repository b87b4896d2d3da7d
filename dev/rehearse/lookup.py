"""The searches that Entra does before it writes: for nobody, for what is there already, for a reference's value."""

from __future__ import annotations

from dev.rehearse import expect
from dev.rehearse.client import Answer, new_guid
from dev.rehearse.expect import Refused, Resource
from dev.rehearse.explain import wrong
from dev.rehearse.results import Problem
from dev.rehearse.stage import Stage

USERS, GROUPS = "/Users", "/Groups"
BARE = "excludedAttributes=members"


class Lookup:
    """Searches on one stage, counted in its checks."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def probe(self) -> None:
        """The searches that each cycle begins with: for a user and a group that do not exist."""
        for path, attribute in ((USERS, "userName"), (GROUPS, "displayName")):
            with self._stage.trying("the probe before a cycle", path):
                await self.nobody(path, attribute)

    async def nobody(self, path: str, attribute: str, operation: str = "probe") -> None:
        """Look for a value that nobody has; Refused unless nothing is found."""
        what = f"Look for {attribute} of nobody"
        filter, extra = f'{attribute} eq "{new_guid()}"', f"{BARE}&" if path == GROUPS else ""
        answer = await self._stage.client.find(operation, path, filter, extra=extra)
        self._stage.tally.probe_unauthorized |= answer.status in (401, 403)
        self._stage.tally.search_not_found |= answer.status == 404
        if found := expect.found(what, answer):
            raise Refused(_unfiltered(attribute, len(found), answer), answer)

    async def match(self, path: str, *attributes: tuple[str, str]) -> Resource | None:
        """What is there already, by one attribute after the other; None where nothing is.

        Only what a lost answer of ours may have made is taken. Refused where anything else is found: it is not ours.
        """
        check = "users are looked for by filter" if path == USERS else "groups are looked for by filter"
        for attribute, value in attributes:
            with self._stage.strictly(check, value):
                found = await self.search(path, attribute, value)
                ids = [each.get("id") for each in found if self._doubtful(path, each)]
                if len(ids) != len(found) or len(ids) > 1:
                    raise Refused(_foreign(attribute, len(found)))
            if ids and isinstance(ids[0], str):
                self._stage.client.created[path, ids[0]] = value
                return found[0]
        return None

    async def search(self, path: str, attribute: str, value: str) -> list[Resource]:
        """What a filter finds; Refused where the answer is none, or shows members that were excluded."""
        operation, extra = ("find user", "") if path == USERS else ("find group", f"{BARE}&")
        answer = await self._stage.client.find(operation, path, f'{attribute} eq "{value}"', extra=extra)
        self._stage.tally.search_not_found |= answer.status == 404
        found = expect.found(f"Find by {attribute}", answer)
        if path == GROUPS and any(group.get("members") for group in found):
            raise Refused(members_shown(answer), answer)
        return found

    async def again(self, path: str, attribute: str, value: str, id: str) -> None:
        """Find what is linked already by its matching attribute."""
        with self._stage.trying("everything is found again", value):
            found = await self.search(path, attribute, value)
            if [each.get("id") for each in found] != [id]:
                raise Refused(_not_again(attribute, len(found)))

    async def refers(self, path: str, id: str, attribute: str, value: str, expected: bool) -> None:
        """Ask whether a reference has a value, in either order of the two terms."""
        terms = [f'id eq "{id}"', f'{attribute} eq "{value}"']
        filter = " and ".join(terms if expected else terms[::-1])
        answer = await self._stage.client.find("reference query", path, filter, extra="attributes=id&")
        with self._stage.trying(f"queries for a reference ({attribute})", f"{path}/{id}"):
            found = expect.found(f"Ask whether {attribute} has a value", answer)
            if [each.get("id") for each in found] != ([id] if expected else []):
                raise Refused(_reference(attribute, expected, len(found), answer), answer)

    def _doubtful(self, path: str, found: Resource) -> bool:
        name = str(found.get("userName" if path == USERS else "displayName", "")).casefold()
        return (path, name) in self._stage.client.doubtful


def members_shown(answer: Answer) -> Problem:
    return wrong(
        "MembersNotExcluded",
        "excludedAttributes=members is ignored: the group is answered with its members",
        "Entra reads groups without their members. A large group makes each of these reads slow, until they time out.",
        "Leave members out where excludedAttributes names them, in single resources and in lists.",
        answer,
    )


def _unfiltered(attribute: str, count: int, answer: Answer) -> Problem:
    return wrong(
        "SystemForCrossDomainIdentityManagementMultipleEntriesInResponse",
        f"A search for a value of {attribute} that nobody has finds {'one resource' if count == 1 else 'several'}",
        "Entra would link its users to whatever comes back, and write to the wrong accounts.",
        "Apply the filter; refuse one that is not understood with 400 invalidFilter, and never answer without it.",
        answer,
    )


def _foreign(attribute: str, count: int) -> Problem:
    return wrong(
        "DuplicateTargetEntries" if count > 1 else "UnexpectedMatch",
        f"A search by {attribute} finds {'several resources' if count > 1 else 'a resource'} before one was created",
        "Entra would link the user to that resource and overwrite it, or stop where there are several. "
        "The rehearsal leaves it alone.",
        "If an earlier rehearsal with this seed left it behind (--keep), delete it or choose another --seed. "
        "Otherwise the target does not apply the filter.",
    )


def _not_again(attribute: str, count: int) -> Problem:
    return wrong(
        "DuplicateTargetEntries" if count > 1 else "EntryNotFound",
        f"A search by {attribute} does not find exactly the one that has the value: it finds {count}",
        "After a restart Entra would create it a second time, or stop because it cannot tell which one is meant.",
        "Find exactly the resources whose value is equal, without regard to case.",
    )


def _reference(attribute: str, expected: bool, count: int, answer: Answer) -> Problem:
    said = "says no, though it was set" if expected else f"finds {count or 'nothing'}, though it is not set"
    effect = (
        "Entra believes the value to be missing and writes it in each cycle anew."
        if expected
        else "Entra believes the value to be there already and never writes it."
    )
    if expected and count:
        said = "finds something else"
    return wrong(
        "WrongReferenceAnswer",
        f"`id eq … and {attribute} eq …` {said}",
        effect,
        f"Support eq on id and on {attribute}, joined by and, in either order.",
        answer,
    )
