"""What one test of the gallery is played with: a bench, and a provisioning job with a small directory of its own."""

from __future__ import annotations

from dataclasses import replace

from dev.rehearse.bench import Bench
from dev.rehearse.directory import DOMAIN, Person, Team, generate
from dev.rehearse.engine import Engine
from dev.rehearse.expect import Refused, Resource
from dev.rehearse.lookup import GROUPS, USERS
from dev.rehearse.results import Scenario
from dev.rehearse.stage import Stage
from dev.rehearse.verdict import Tally


class Skip(Exception):
    """A test that cannot be played here; the text says why."""


class Trial:
    """One test: a bench for single requests, and a job with a directory of its own for those that Entra itself does."""

    def __init__(self, stage: Stage, number: int, people: int) -> None:
        self.stage = stage
        self.bench = Bench(stage, "gallery")
        self.bench.domain = f"{stage.label(f'gallery{number}')}.{DOMAIN}"
        self.engine = Engine(stage, "legacy")
        self.directory = generate(stage.label(f"gallery{number}"), stage.options.seed, people, 0)
        self._name = stage.scenario.name

    async def cycle(self) -> None:
        """Let Entra bring the target to what the directory holds; Refused where an export failed."""
        quiet = Stage(self.stage.client, self.stage.options, Tally(), Scenario(self._name, ""), epoch=self.stage.epoch)
        self.engine.stage = quiet
        await self.engine.cycle(self.directory, "gallery")
        for check in quiet.scenario.checks:
            for problem in check.problems:
                raise Refused(replace(problem, count=0, subjects=[]))

    @property
    def person(self) -> Person:
        return next(iter(self.directory.people.values()))

    def change(self, *objects: Person | Team) -> None:
        self.directory.put(*objects)

    async def find_person(self) -> Resource:
        link = self.engine.users[self.person.key]
        return await self.bench.find_one(USERS, "userName", self.person.user_name, link.id)

    def new_team(self, size: int = 0) -> Team:
        key = self.directory.new_key()
        keys = list(self.directory.people)[:size]
        return Team(key, f"Gallery {self.directory.made} ({self.directory.domain})", frozenset(keys))

    async def find_team(self, team: Team) -> Resource:
        link = self.engine.groups[team.key]
        return await self.bench.find_one(GROUPS, "displayName", team.name, link.id)
