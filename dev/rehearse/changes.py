"""What happens in an organisation between two cycles: joiners, movers, leavers, and who belongs where."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from dev.rehearse.directory import Directory, Person, another_department, new_person, new_team, office, roles


@dataclass(frozen=True)
class Evolved:
    """The next directory, and what happened in plain words."""

    directory: Directory
    changes: list[str]


def evolve(before: Directory, seed: int, cycle: int) -> Evolved:
    """The directory after one more day. Small directories change a little in every way, large ones in proportion."""
    rng = random.Random(f"changes {seed} {cycle}")
    after, changes = before.copy(), []
    for change in (_leaves, _joins, _moves, _renames, _contacts, _roles, _managers, _teams, _memberships):
        changes += change(after, rng)
    return Evolved(after, changes)


def _some(directory: Directory, rng: random.Random, share: float, fits: Callable[[Person], bool]) -> list[Person]:
    people = [person for person in directory.people.values() if fits(person)]
    return rng.sample(people, min(len(people), max(1, int(len(directory.people) * share))))


def _active(person: Person) -> bool:
    return person.enabled


def _joins(directory: Directory, rng: random.Random) -> list[str]:
    joiners = [new_person(directory, rng) for _ in range(max(2, len(directory.people) // 25))]
    early = replace(new_person(directory, rng), enabled=False)
    for person in joiners:
        manager = rng.choice([None, *directory.people]) if directory.people else None
        directory.put(replace(person, manager=manager))
    directory.put(early)
    return [f"{len(joiners)} people joined; one more is disabled and so not provisioned yet"]


def _moves(directory: Directory, rng: random.Random) -> list[str]:
    movers = _some(directory, rng, 0.05, _active)
    for person in movers:
        where, what = another_department(rng, person.department)
        directory.put(replace(person, department=where, title=what, office=office(rng)))
    return [f"{len(movers)} moved to another department and office"]


def _renames(directory: Directory, rng: random.Random) -> list[str]:
    people = _some(directory, rng, 0.03, lambda person: person.enabled and "#EXT#" not in person.upn)
    for person in people:
        married = f"new.{person.upn}" if len(person.upn) < 200 else person.upn
        directory.put(replace(person, family=f"{person.family}-Ørsted", upn=married))
    return [f"{len(people)} changed their name and userPrincipalName"]


def _contacts(directory: Directory, rng: random.Random) -> list[str]:
    people = _some(directory, rng, 0.05, _active)
    for person in people:
        phones = dict(person.phones) | {"mobile": f"+1 425 555 {rng.randint(1000, 9999)}"}
        mails = dict(person.mails) | {"work": f"contact.{rng.randint(1, 999)}.{person.number}@{directory.domain}"}
        directory.put(replace(person, phones=tuple(phones.items()), mails=tuple(mails.items())))
    return [f"{len(people)} got a new phone number and e-mail address"]


def _roles(directory: Directory, rng: random.Random) -> list[str]:
    total = 0
    for expression in ("single", "complex", "assertive"):
        for person in _some(directory, rng, 0.02, lambda p, e=expression: p.enabled and p.expression == e):  # type: ignore[misc]
            directory.put(replace(person, roles=roles(rng, 1 if expression == "single" else rng.randint(1, 3))))
            total += 1
    return [f"{total} had their app roles changed"]


def _managers(directory: Directory, rng: random.Random) -> list[str]:
    changed = _some(directory, rng, 0.05, _active)
    keys = list(directory.people)
    for person in changed:
        directory.put(replace(person, manager=rng.choice(keys)))
    cleared = _some(directory, rng, 0.02, lambda person: person.enabled and person.manager is not None)
    for person in cleared:
        directory.put(replace(directory.people[person.key], manager=None))
    return [f"{len(changed)} got another manager, {len(cleared)} none"]


def _leaves(directory: Directory, rng: random.Random) -> list[str]:
    away = [person for person in directory.people.values() if not person.enabled]
    back, gone = away[: (len(away) + 1) // 2], away[(len(away) + 1) // 2 :]
    leavers = _some(directory, rng, 0.03, _active)
    for person in back:
        directory.put(replace(person, enabled=True))
    for person in leavers:
        directory.put(replace(person, enabled=False))
    for person in gone:
        _delete(directory, person.key)
    at_once = _some(directory, rng, 0.01, lambda person: person.enabled and person not in back)
    for person in at_once:
        _delete(directory, person.key)
    return [f"{len(leavers)} were disabled, {len(back)} restored, {len(gone) + len(at_once)} deleted for good"]


def _delete(directory: Directory, key: str) -> None:
    del directory.people[key]
    for person in list(directory.people.values()):
        if person.manager == key:
            directory.put(replace(person, manager=None))
    for team in list(directory.teams.values()):
        if key in team.members:
            directory.put(replace(team, members=team.members - {key}))


def _teams(directory: Directory, rng: random.Random) -> list[str]:
    names = []
    teams = list(directory.teams.values())
    if len(teams) > 2:
        gone = rng.choice(teams)
        del directory.teams[gone.key]
        teams.remove(gone)
        names.append("one group was deleted")
    renamed = rng.sample(teams, min(len(teams), max(1, len(teams) // 10)))
    for team in renamed:
        directory.put(replace(team, name=f"{team.name} · renamed {directory.made}"))
    directory.put(new_team(directory, rng))
    return [*names, f"{len(renamed)} groups were renamed, one was added"]


def _memberships(directory: Directory, rng: random.Random) -> list[str]:
    added = removed = 0
    people = list(directory.people)
    for number, team in enumerate(list(directory.teams.values())):
        if number == 0 or rng.random() < 0.4:
            members = [key for key in people if key in team.members]
            leave = frozenset(rng.sample(members, min(len(members), rng.randint(0 if number else 1, 4))))
            enter = frozenset(rng.sample(people, min(len(people), rng.randint(1, 4)))) - team.members
            directory.put(replace(team, members=(team.members - leave) | enter))
            added, removed = added + len(enter), removed + len(leave)
    return [f"{added} memberships began and {removed} ended"]
