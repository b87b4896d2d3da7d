"""What Entra holds: people and teams, as values that never change; a cycle compares two directories.

`generate` makes a directory from a seed, `evolve` (in `changes`) the one after it.
"""

from __future__ import annotations

import random
import unicodedata
import uuid
from dataclasses import dataclass, field, replace
from typing import Literal

RoleExpression = Literal["none", "single", "complex", "assertive"]
"""SingleAppRoleAssignment, AppRoleAssignmentsComplex and AssertiveAppRoleAssignmentsComplex of an admin's mapping."""

LARGE = 250
"""Members of the first team, in a directory that has twice as many people: more than fit into one request."""

DOMAIN = "rehearsal.example"
"""Everything that a rehearsal makes is named under this domain, which nobody can own (RFC 2606)."""

_NAMES = [
    ("Anna", "Müller"), ("Björn", "Åkesson"), ("Zoë", "Fernández"), ("Siobhán", "O'Neill"), ("Jean-Luc", "Lefèvre"),
    ("Łukasz", "Żółć"), ("Ngọc", "Nguyễn"), ("Renée", "d'Arcy"), ("Adele", "Vance"), ("Mia", "van der Berg"),
    ("Ömer", "Çelik"), ("李", "小龍"), ("Νίκος", "Παππάς"), ("Sam", "Lee"), ("Ana María", "Gómez Núñez"), ("Ivo", "X"),
]  # fmt: skip
_DEPARTMENTS = [
    ("Sales", "Account Manager"), ("Research & Development", "Engineer"), ("Finance", "Controller"),
    ("Customer Care", "Agent 🎧"), ("Geschäftsführung", "Vorständin"), ("Legal", 'Counsel, "EMEA"'),
]  # fmt: skip
_OFFICES = [
    ("18/2111", "205 108th Ave. NE", "Bellevue", "WA", "98004", "United States"),
    ("B 3.07", "Königstraße 1", "Köln", "NRW", "50667", "Germany"),
    ("2º dcha", "Calle de Alcalá 7", "Madrid", "MD", "28014", "Spain"),
]  # fmt: skip
_LANGUAGES = ["en-US", "de-DE", "es-ES", "pl-PL"]
_ROLES = ["Admin", "User", "Auditor", "Billing", "Réviseur"]
_TEAMS = ["Sales", "Köln office", "R&D + QA", "Project 🚀 Apollo", "O'Neill's team", "100% remote", "All hands", "Café"]


@dataclass(frozen=True)
class Person:
    """A user object of Entra. `key` is its object id; `number` its place in the directory, the same in each dialect."""

    key: str
    number: int
    upn: str
    given: str
    family: str
    title: str
    department: str
    office: tuple[str, str, str, str, str, str] | None
    language: str
    phones: tuple[tuple[str, str], ...] = ()
    mails: tuple[tuple[str, str], ...] = ()
    roles: tuple[str, ...] = ()
    expression: RoleExpression = "none"
    manager: str | None = None
    enabled: bool = True
    """False: disabled, unassigned or soft-deleted, which is all the same to the target."""
    raw_guest: bool = False
    """The admin maps originalUserPrincipalName, so that a guest's #EXT# name arrives as it is."""

    @property
    def display(self) -> str:
        return f"{self.given} {self.family}"

    @property
    def user_name(self) -> str:
        """What Entra sends as userName: a guest's name without #EXT# and the inviting tenant, as its own address."""
        if "#EXT#" not in self.upn or self.raw_guest:
            return self.upn
        alias, _, domain = self.upn.partition("#EXT#")[0].rpartition("_")
        return f"{alias}@{domain}"


@dataclass(frozen=True)
class Team:
    """A group object of Entra; members are the keys of people."""

    key: str
    name: str
    members: frozenset[str] = frozenset()


@dataclass
class Directory:
    """People and teams by key, those in scope of the application. Who is not in it any more was deleted."""

    label: str
    people: dict[str, Person] = field(default_factory=dict)
    teams: dict[str, Team] = field(default_factory=dict)
    made: int = 0
    """How many people and teams were ever made: no number is used twice."""

    @property
    def domain(self) -> str:
        return f"{self.label}.{DOMAIN}"

    def copy(self) -> Directory:
        return Directory(self.label, dict(self.people), dict(self.teams), self.made)

    def new_key(self) -> str:
        self.made += 1
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.made}.{self.domain}"))

    def put(self, *objects: Person | Team) -> None:
        for each in objects:
            if isinstance(each, Person):
                self.people[each.key] = each
            else:
                self.teams[each.key] = each


def generate(label: str, seed: int, users: int, groups: int) -> Directory:
    """A directory: the same for the same arguments, and for another label the same but for names and keys."""
    rng = random.Random(f"directory {seed}")
    directory = Directory(label)
    for _ in range(users):
        directory.put(new_person(directory, rng))
    people = list(directory.people.values())
    for person in people[1:]:
        if rng.random() < 0.85:
            directory.put(replace(person, manager=people[rng.randrange(max(1, len(people) // 8))].key))
    if people and people[0].manager is None and len(people) > 2:
        directory.put(replace(directory.people[people[0].key], manager=people[1].key))  # two who manage each other
    for _ in range(groups):
        directory.put(new_team(directory, rng))
    return directory


def new_person(directory: Directory, rng: random.Random) -> Person:
    """A person whom the directory does not have yet; not put into it."""
    key, number = directory.new_key(), directory.made
    given, family = rng.choice(_NAMES)
    if number % 11 == 0:
        family = f"{family} {'von und zu Hohenlohe-Waldenburg-Schillingsfürst ' * 3}".strip()
    department, title = rng.choice(_DEPARTMENTS)
    alias = transliterate(f"{given}.{family}".replace(" ", ""))[:40].strip(".-") or "user"
    alias = f"{alias}.{number}"
    raw_guest = number % 14 == 0
    if number % 7 == 0:
        upn = f"{alias}_partner.{directory.domain}#EXT#@{directory.domain}"
    else:
        upn = f"{alias}@{directory.domain}"
    phones = [(kind, _phone(rng)) for kind in ("work", "mobile", "fax") if rng.random() < 0.5]
    mails = [("work", f"{alias}@{directory.domain}")] if rng.random() < 0.9 else []
    mails += [(kind, f"{alias}+{kind}@{directory.domain}") for kind in ("home", "other") if rng.random() < 0.3]
    expression: RoleExpression = ("none", "single", "complex", "assertive")[number % 4]
    count = {"none": 0, "single": 1}.get(expression, rng.randint(1, 3))
    return Person(
        key, number, upn, given, family, title, department,
        rng.choice(_OFFICES) if rng.random() < 0.7 else None,
        rng.choice(_LANGUAGES), tuple(phones), tuple(mails), tuple(sorted(rng.sample(_ROLES, count))), expression,
        raw_guest=raw_guest,
    )  # fmt: skip


_LETTERS = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe"}
    | {"\u0131": "i", "þ": "th", "Þ": "Th", "ð": "d"}
)
"""Letters that are not a plain one with a mark."""


_LATIN = {"李": "Xiaolong", "小龍": "Li", "Νίκος": "Nikos", "Παππάς": "Pappas"}
"""How people of other scripts are written in addresses."""


def transliterate(text: str) -> str:
    """Return a text in ASCII as admins have it in addresses (Entra: NormalizeDiacritics): marks go, letters stay. What
    is no Latin letter, and not in _LATIN, is left out."""
    for word, latin in _LATIN.items():
        text = text.replace(word, latin)
    plain = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(letter for letter in plain if letter.isascii())


def new_team(directory: Directory, rng: random.Random) -> Team:
    """A team that the directory does not have yet, with some of its people; not put into it."""
    key = directory.new_key()
    people = list(directory.people)
    size = min(len(people), rng.choice([0, 1, 3, 8, 20, len(people) // 50, len(people) // 20]))
    if not directory.teams:
        size = min(LARGE, (len(people) + 1) // 2)
    members = frozenset(rng.sample(people, size))
    return Team(key, f"{rng.choice(_TEAMS)} {directory.made} ({directory.domain})", members)


def office(rng: random.Random) -> tuple[str, str, str, str, str, str]:
    return rng.choice(_OFFICES)


def another_department(rng: random.Random, than: str) -> tuple[str, str]:
    """A department and a title in it."""
    return rng.choice([each for each in _DEPARTMENTS if each[0] != than])


def roles(rng: random.Random, count: int) -> tuple[str, ...]:
    return tuple(sorted(rng.sample(_ROLES, count)))


def _phone(rng: random.Random) -> str:
    return f"+49 {rng.randint(30, 999)} {rng.randint(10000, 9999999)}"
