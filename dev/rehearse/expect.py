"""What an answer must be for Entra to go on; where it is not, `Refused` is raised with the problem that this is."""

from __future__ import annotations

from typing import Any

from dev.rehearse.client import Answer
from dev.rehearse.explain import refused, unreadable
from dev.rehearse.results import Problem

Resource = dict[str, Any]


class Refused(Exception):
    """Entra could not do what it wanted."""

    def __init__(self, problem: Problem, answer: Answer | None = None) -> None:
        super().__init__(problem.title)
        self.problem = problem
        self.answer = answer

    @property
    def uncertain(self) -> bool:
        """The target may have done it nevertheless."""
        return self.answer is not None and self.answer.uncertain


def status(what: str, answer: Answer, *expected: int, search: bool = False) -> Answer:
    """The answer, where its status is one of these."""
    if answer.status not in expected:
        raise Refused(refused(what, answer, " or ".join(map(str, expected)), search=search), answer)
    return answer


def found(what: str, answer: Answer) -> list[Resource]:
    """The resources of a ListResponse; [] where nothing matched."""
    status(what, answer, 200, search=True)
    total = answer.object.get("totalResults")
    if not isinstance(total, int) or isinstance(total, bool):
        raise Refused(unreadable(what, answer, "the ListResponse has no totalResults"), answer)
    if total and not answer.resources and "count=0" not in answer.exchange.path:
        raise Refused(unreadable(what, answer, f"totalResults is {total}, but there are no Resources"), answer)
    return answer.resources


def resource(what: str, answer: Answer, *expected: int, id: str = "") -> Resource:
    """The resource in the body: with an id, which is the given one where there is one."""
    status(what, answer, *(expected or (200,)))
    got = answer.object.get("id")
    if not isinstance(got, str) or not got:
        raise Refused(unreadable(what, answer, "the resource has no id"), answer)
    if id and got != id:
        raise Refused(unreadable(what, answer, "the resource has another id than the one asked for"), answer)
    return answer.object
