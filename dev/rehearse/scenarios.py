"""The scenarios, each under its name: what Entra does in it, and what is looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from dev.rehearse import compare, expect, gallery, paging, validator
from dev.rehearse.changes import evolve
from dev.rehearse.client import Answer, new_guid
from dev.rehearse.dialect import Dialect
from dev.rehearse.directory import Directory, Team, generate
from dev.rehearse.engine import Engine
from dev.rehearse.expect import Refused
from dev.rehearse.explain import wrong
from dev.rehearse.lookup import GROUPS, USERS, Lookup
from dev.rehearse.results import Problem, Scenario
from dev.rehearse.stage import Stage


@dataclass
class Job:
    """A provisioning job that scenarios hand on to each other: the directory, and the engine with its links."""

    engine: Engine
    directory: Directory


@dataclass
class Jobs:
    """The jobs of a rehearsal, one for each dialect, made when a scenario first needs one."""

    made: dict[Dialect, Job] = field(default_factory=dict)

    async def job(self, stage: Stage, dialect: Dialect) -> Job:
        """The job of a dialect, after its initial cycle."""
        job = self.made.get(dialect)
        if job is None:
            options = stage.options
            directory = generate(stage.label(dialect), options.seed, options.users, options.groups)
            job = self.made[dialect] = Job(Engine(stage, dialect), directory)
            await job.engine.cycle(directory, "Initial cycle", [f"{options.users} users and {options.groups} groups"])
        job.engine.stage = stage
        return job


Play = Callable[[Stage, Jobs, Dialect], Awaitable[None]]


@dataclass(frozen=True)
class Entry:
    """A scenario to choose. One that `differs` by dialect is played once in each, any other one once."""

    name: str
    title: str
    play: Play
    differs: bool = False


async def _test_connection(stage: Stage, jobs: Jobs, dialect: Dialect) -> None:
    lookup = Lookup(stage)
    attributes = [(USERS, "userName"), (USERS, "externalId"), (USERS, "id"), (USERS, 'emails[type eq "work"].value')]
    attributes += [(GROUPS, "displayName"), (GROUPS, "externalId")]
    for path, attribute in attributes:
        optional = attribute not in ("userName", "externalId", "displayName")
        with stage.trying(f"{path}: nobody is found by {attribute}", attribute, optional=optional):
            await lookup.nobody(path, attribute)
    answer = await stage.client.find("probe", USERS, f'userName eq "{new_guid()}"')
    with stage.trying("answers have the media type application/scim+json", USERS, optional=True):
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().casefold()
        if kind != "application/scim+json":
            raise Refused(_media_type(kind, answer))
    stranger = await stage.client.send("probe", "GET", "/Users?startIndex=1&count=1", token="no-token-of-this-target")
    with stage.trying("a wrong token is refused", USERS):
        if stranger.status not in (401, 403):
            raise Refused(_open(stranger))


async def _initial_cycle(stage: Stage, jobs: Jobs, dialect: Dialect) -> None:
    job = await jobs.job(stage, dialect)
    await compare.verify(job.engine)


async def _incremental_cycles(stage: Stage, jobs: Jobs, dialect: Dialect) -> None:
    job = await jobs.job(stage, dialect)
    for number in range(1, stage.options.cycles + 1):
        after = evolve(job.directory, stage.options.seed, number)
        job.directory = after.directory
        await job.engine.cycle(job.directory, f"Cycle {number}", after.changes)
        await compare.verify(job.engine)
    if stage.tally.escrow:
        await job.engine.cycle(job.directory, "Retries", ["nothing happened; what is in escrow is tried again"])
        await compare.verify(job.engine)


async def _restart(stage: Stage, jobs: Jobs, dialect: Dialect) -> None:
    job = await jobs.job(stage, dialect)
    await job.engine.rematch(job.directory)


async def _on_demand(stage: Stage, jobs: Jobs, dialect: Dialect) -> None:
    """What was written in the other dialect is changed in the legacy one, which is all that on-demand speaks."""
    for written in stage.options.dialects:
        engine = Engine(stage, written)
        directory = generate(stage.label(f"demand-{written}"), stage.options.seed, 5, 0)
        team = Team(directory.new_key(), f"On demand ({directory.domain})", frozenset(list(directory.people)[:2]))
        directory.put(team)
        await engine.cycle(directory, "Before")
        engine.dialect = "legacy"
        first = next(iter(directory.people.values()))
        directory.put(replace(first, title="Chosen for a try", department="Pilot", enabled=False))
        await engine.cycle(directory, "On demand: one user, disabled")
        directory.put(replace(directory.people[first.key], enabled=True, phones=(("mobile", "+1 425 555 0100"),)))
        directory.put(replace(team, members=frozenset(directory.people)))
        await engine.cycle(directory, "On demand: the user restored, a group of five")
        await compare.verify(engine)


async def _account_discovery(stage: Stage, jobs: Jobs, dialect: Dialect) -> None:
    job = await jobs.job(stage, dialect)
    count = max(3, min(100, len(job.engine.users) // 8))
    check = stage.check(f"all users, {count} at a time: each once, none missing, the total right")
    with stage.trying(check, USERS):
        listing = await paging.read_all(stage.client, USERS, count, "list users")
        check.note = f"{len(listing.resources):,} users on {len(listing.totals):,} pages"
        for each in paging.verify(USERS, listing):
            check.report(each.problem, USERS)
        missing = [link for link in job.engine.users.values() if link.id not in listing.resources]
        for link in missing:
            check.report(_undiscovered(), link.name)
    await _ends(stage, len(listing.resources) if check.note else 0)


async def _ends(stage: Stage, total: int) -> None:
    """The last resource, and the page behind it."""
    for start, expected in ((total, 1), (total + 1, 0)):
        if total:
            answer = await stage.client.send("list users", "GET", f"/Users?startIndex={start}&count=5")
            with stage.trying("the last page, and the one behind it", f"startIndex={start}"):
                expect.status("Read a page at the end", answer, 200)
                if (len(answer.resources), answer.object.get("totalResults")) != (expected, total):
                    raise Refused(_bad_end(start, len(answer.resources), answer), answer)


async def _accidental_deletion(stage: Stage, jobs: Jobs, dialect: Dialect) -> None:
    threshold = stage.options.deletion_threshold
    engine = Engine(stage, dialect, threshold=threshold)
    directory = generate(stage.label("deletion"), stage.options.seed, threshold + 6, 0)
    for person in list(directory.people.values()):
        directory.put(replace(person, roles=(), manager=None))  # nothing that may keep them from being created
    await engine.cycle(directory, "Before")
    people = [person for person in directory.people.values() if person.key in engine.users]
    for person in people[:2]:
        directory.put(replace(person, enabled=False))
    for person in people[2 : threshold + 2]:
        del directory.people[person.key]
    await engine.cycle(directory, "A mistake", [f"2 users disabled, {threshold} removed; {threshold} may be at once"])
    check = stage.check("what is above the threshold is withheld, and the target keeps it")
    check.note = f"Entra would withhold {len(engine.held)}: " + "; ".join(engine.held[:10])
    if not engine.held:
        check.note, check.skipped = "", "too few users could be created"
        return
    with stage.trying(check, "withheld"):
        for link in engine.users.values():
            answer = await stage.client.send("read user", "GET", f"/Users/{link.id}")
            expect.resource("Read a user whose deletion is withheld", answer, id=link.id)
            if answer.object.get("active") is not True:
                raise Refused(_touched(answer), answer)
    await engine.cycle(directory, "Deletions allowed", ["the admin chose Allow deletes"], allow=True)
    await compare.verify(engine)


async def _validator(stage: Stage, jobs: Jobs, dialect: Dialect) -> None:
    await validator.play(stage)


async def _gallery(stage: Stage, jobs: Jobs, dialect: Dialect) -> None:
    await gallery.play(stage)


CATALOGUE = [
    Entry("test-connection", "Test Connection: searches for nobody, by each matching attribute", _test_connection),
    Entry("initial-cycle", "Initial cycle: a whole directory is provisioned", _initial_cycle, differs=True),
    Entry(
        "incremental-cycles",
        "Incremental cycles: people join, move, change names, leave and come back; groups too",
        _incremental_cycles,
        differs=True,
    ),
    Entry("restart", "Restart: everything is found again by its matching attribute", _restart),
    Entry("on-demand", "Provision on demand: one user, a group of five, always in the legacy dialect", _on_demand),
    Entry("account-discovery", "Account discovery: all users are read, page by page", _account_discovery),
    Entry(
        "accidental-deletion",
        "Accidental deletion: too many deletions at once are withheld until an admin allows them",
        _accidental_deletion,
    ),
    Entry("scim-validator", "The tests of Microsoft's SCIM Validator", _validator),
    Entry("gallery", "The tests for Microsoft's application gallery", _gallery),
]
"""All scenarios in the order in which they are played. The verdict is given at the end of each rehearsal."""


def chosen(names: list[str], dialects: tuple[Dialect, ...]) -> list[tuple[Entry, Dialect, Scenario]]:
    """What is to be played for these names (all for none), in order, each with its dialect and an empty result."""
    plays = []
    for entry in CATALOGUE:
        if names and entry.name not in names:
            continue
        for dialect in dialects if entry.differs else dialects[:1]:
            several = entry.differs and len(dialects) > 1
            name = f"{entry.name} [{dialect}]" if several else entry.name
            plays.append((entry, dialect, Scenario(name, entry.title + (f", {dialect} dialect" if several else ""))))
    return plays


def _media_type(kind: str, answer: Answer) -> Problem:
    return wrong(
        "MediaType",
        f"The media type of an answer is {kind or 'missing'}, not application/scim+json",
        "Entra itself goes on; Microsoft's validator has stopped at it, and warns today.",
        "Answer with Content-Type: application/scim+json, errors included.",
        answer,
    )


def _open(answer: Answer) -> Problem:
    return wrong(
        "Unprotected",
        f"A request with a wrong token is answered with {answer.status}, not refused",
        "Anybody can read and change the accounts of this customer.",
        "Answer 401 to every request without valid credentials.",
        answer,
    )


def _undiscovered() -> Problem:
    return wrong(
        "NotListed",
        "A user that was provisioned is on no page",
        "Account discovery misses it; nobody reviews its access.",
        "List every user, disabled ones too, in a stable order.",
    )


def _bad_end(start: int, found: int, answer: Answer) -> Problem:
    total = answer.object.get("totalResults")
    return wrong(
        "WrongPage",
        f"The page at the end holds {found} resources with totalResults {total}",
        "Account discovery stops too early, or does not stop.",
        "A startIndex behind the last resource gives an empty page with the same totalResults.",
        answer,
    )


def _touched(answer: Answer) -> Problem:
    return wrong(
        "Difference",
        "A user whose disabling was withheld is not active",
        "Nothing was sent for this user, and yet it changed.",
        "Change only what a request names.",
        answer,
    )
