"""A check that cannot fail proves nothing: our app with one thing broken at a time, and what the report says of it.

The faults sit between the rehearsal and the app, on the wire.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
import pytest

from dev.rehearse.results import Report
from tests.rehearse.conftest import Target

pytestmark = pytest.mark.long

Body = dict[str, Any]


class Wire(httpx.AsyncBaseTransport):
    """The way to the app; a fault overrides what it breaks. Members of a body that are changed go on changed."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        if (early := self.refuse(request, body)) is not None:
            return early
        if body is not None:
            self.sent(request, body)
        return await self.forward(request, body)

    async def forward(self, request: httpx.Request, body: Body | None) -> httpx.Response:
        content = json.dumps(body).encode() if body is not None else b""
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        sent = httpx.Request(request.method, self.url(request), headers=headers, content=content)
        response = await self._inner.handle_async_request(sent)
        text = await response.aread()
        data = json.loads(text) if text else None
        status = response.status_code
        if data is not None:
            status = self.answered(request, status, data) or status
        return httpx.Response(status, headers={"Content-Type": "application/scim+json"}, content=_bytes(data))

    async def aclose(self) -> None:
        await self._inner.aclose()

    def refuse(self, request: httpx.Request, body: Body | None) -> httpx.Response | None:
        """An answer in place of the app's."""
        return None

    def sent(self, request: httpx.Request, body: Body) -> None:
        """Change what reaches the app."""

    def url(self, request: httpx.Request) -> str:
        """Change where it goes."""
        return str(request.url)

    def answered(self, request: httpx.Request, status: int, data: Body) -> int | None:
        """Change what comes back; another status where one is returned."""
        return None


def _bytes(data: Body | None) -> bytes:
    return json.dumps(data).encode() if data is not None else b""


def _filter(request: httpx.Request) -> str:
    return str(request.url.params.get("filter", ""))


def _error(status: int, detail: str, **headers: str) -> httpx.Response:
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": str(status), "detail": detail}
    return httpx.Response(status, json=body, headers=headers)


def _operations(request: httpx.Request, body: Body | None, kind: str) -> list[Body]:
    if request.method != "PATCH" or kind not in request.url.path or body is None:
        return []
    operations: list[Body] = body["Operations"]
    return operations


def _resources(data: Body) -> list[Body]:
    return data.get("Resources", []) if "totalResults" in data else [data]


class DropsAnAttribute(Wire):
    def sent(self, request: httpx.Request, body: Body) -> None:
        for operation in _operations(request, body, "/Users/"):
            if operation.get("path") == "title":
                operation.update(path="nickName")
            elif isinstance(operation.get("value"), dict):
                operation["value"].pop("title", None)


class LosesADisable(Wire):
    def sent(self, request: httpx.Request, body: Body) -> None:
        for operation in _operations(request, body, "/Users/"):
            if operation.get("path") == "active":
                operation.update(path="nickName", value="x")


class LosesAMember(Wire):
    def sent(self, request: httpx.Request, body: Body) -> None:
        for operation in _operations(request, body, "/Groups/"):
            if operation.get("path") == "members" and operation["op"].lower() == "add":
                operation["value"] = operation["value"][1:]


class RemovesAllMembers(Wire):
    def sent(self, request: httpx.Request, body: Body) -> None:
        for operation in _operations(request, body, "/Groups/"):
            if operation["op"] == "Remove":
                operation.pop("value")


class LosesAManager(Wire):
    def answered(self, request: httpx.Request, status: int, data: Body) -> None:
        for each in _resources(data):
            each.get("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", {}).pop("manager", None)


class ManagerAsText(Wire):
    def answered(self, request: httpx.Request, status: int, data: Body) -> None:
        for each in _resources(data):
            extension = each.get("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", {})
            if "manager" in extension:
                extension["manager"] = extension["manager"]["value"]


class BooleanAsText(Wire):
    def answered(self, request: httpx.Request, status: int, data: Body) -> None:
        for each in _resources(data):
            if "active" in each:
                each["active"] = str(each["active"])


class DoublesAnElement(Wire):
    def answered(self, request: httpx.Request, status: int, data: Body) -> None:
        for each in _resources(data):
            if each.get("emails"):
                each["emails"] = [*each["emails"], {**each["emails"][0], "type": "more"}]


class TotalTooSmall(Wire):
    by = -1

    def answered(self, request: httpx.Request, status: int, data: Body) -> None:
        if "startIndex" in request.url.params and data.get("totalResults"):
            data["totalResults"] += self.by


class TotalTooLarge(TotalTooSmall):
    by = 1


class OverlappingPages(Wire):
    def url(self, request: httpx.Request) -> str:
        start = int(request.url.params.get("startIndex", 1))
        return str(request.url.copy_set_param("startIndex", start - 1)) if start > 2 else str(request.url)


class HidesDisabled(Wire):
    def answered(self, request: httpx.Request, status: int, data: Body) -> None:
        if "startIndex" in request.url.params and "totalResults" in data:
            data["Resources"] = [each for each in data["Resources"] if each.get("active", True)]


class IgnoresFilters(Wire):
    def url(self, request: httpx.Request) -> str:
        query = {name: values[0] for name, values in parse_qs(request.url.query.decode()).items() if name != "filter"}
        return str(request.url.copy_with(query=urlencode(query).encode()))


class IgnoresCase(Wire):
    """Rather: does not ignore it."""

    def answered(self, request: httpx.Request, status: int, data: Body) -> None:
        value = re.search(r'^(?:userName|displayName) eq "(.*)"$', _filter(request))
        if value:
            data["Resources"] = [e for e in data["Resources"] if value[1] in (e.get("userName"), e.get("displayName"))]
            data["totalResults"] = len(data["Resources"])


class ShowsMembers(Wire):
    def url(self, request: httpx.Request) -> str:
        return str(request.url.copy_remove_param("excludedAttributes"))


class NotFoundForNothing(Wire):
    def answered(self, request: httpx.Request, status: int, data: Body) -> int | None:
        return 404 if _filter(request) and data.get("totalResults") == 0 else None


class NoReferenceQueries(Wire):
    def answered(self, request: httpx.Request, status: int, data: Body) -> None:
        if " and " in _filter(request):
            data.update(totalResults=0, Resources=[])


class RefusesCapitals(Wire):
    def refuse(self, request: httpx.Request, body: Body | None) -> httpx.Response | None:
        if any(operation["op"] == "Add" for operation in _operations(request, body, "/")):
            return _error(400, '"Add" is not a valid choice')
        return None


class KeepsWhatIsDeleted(Wire):
    def refuse(self, request: httpx.Request, body: Body | None) -> httpx.Response | None:
        deleted = request.method == "DELETE" and "incremental" not in request.headers
        return httpx.Response(204) if deleted else None


class KeepsDeletedMembers(Wire):
    def __init__(self) -> None:
        super().__init__()
        self.deleted: list[str] = []

    async def forward(self, request: httpx.Request, body: Body | None) -> httpx.Response:
        if request.method == "DELETE" and "/Users/" in request.url.path:
            self.deleted.append(request.url.path.rpartition("/")[2])
        return await super().forward(request, body)

    def answered(self, request: httpx.Request, status: int, data: Body) -> None:
        for each in _resources(data):
            if each.get("members"):
                each["members"] += [{"value": id} for id in self.deleted]


class CreatesTwice(Wire):
    async def forward(self, request: httpx.Request, body: Body | None) -> httpx.Response:
        if request.method == "POST" and body and "userName" in body:
            await super().forward(request, {**body, "userName": f"copy.{body['userName']}", "externalId": "copy"})
        return await super().forward(request, body)


class LetsEverybodyIn(Wire):
    token = ""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.token = self.token or request.headers["authorization"]
        request.headers["authorization"] = self.token
        return await super().handle_async_request(request)


class NoIdAfterCreate(Wire):
    def answered(self, request: httpx.Request, status: int, data: Body) -> None:
        if request.method == "POST":
            data.pop("id", None)


class CredentialsExpire(Wire):
    left = 8

    def refuse(self, request: httpx.Request, body: Body | None) -> httpx.Response | None:
        self.left -= 1
        return _error(401, "the key has expired") if self.left < 0 else None


class PlainJson(Wire):
    async def forward(self, request: httpx.Request, body: Body | None) -> httpx.Response:
        response = await super().forward(request, body)
        response.headers["Content-Type"] = "application/json"
        return response


@dataclass(frozen=True)
class Case:
    """A fault, the scenario that meets it, and what the report must name."""

    wire: type[Wire]
    scenario: str
    expected: str
    dialect: str = "legacy"


CASES = [
    Case(DropsAnAttribute, "incremental-cycles", "Difference: A user's title is not what was written last"),
    Case(DropsAnAttribute, "incremental-cycles", "Difference: A user's title is not what was written last", "flag"),
    Case(DropsAnAttribute, "scim-validator", "ValueMismatch: 1 values are not what was sent (title)"),
    Case(LosesADisable, "incremental-cycles", "Difference: A user's active is not what was written last"),
    Case(LosesADisable, "scim-validator", "ValueMismatch: 1 values are not what was sent (active)"),
    Case(LosesAMember, "on-demand", "Difference: A group has lost members"),
    Case(RemovesAllMembers, "incremental-cycles", "Difference: A group has lost members"),
    Case(LosesAManager, "initial-cycle", "2.0:User:manager is not what was written last"),
    Case(ManagerAsText, "initial-cycle", "2.0:User:manager is not what was written last"),
    Case(BooleanAsText, "initial-cycle", "Difference: A user's active is a string, not a boolean"),
    Case(DoublesAnElement, "initial-cycle", "Difference: A user's emails (too many) is not what was written last"),
    Case(TotalTooSmall, "account-discovery", "WrongTotal: Paging through /Users: totalResults is not the number"),
    Case(TotalTooLarge, "account-discovery", "WrongTotal: Paging through /Users: totalResults is not the number"),
    Case(OverlappingPages, "account-discovery", "PagesOverlap: Paging through /Users: a resource comes on two pages"),
    Case(HidesDisabled, "incremental-cycles", "NotListed: A resource that can be read by its id is not on the pages"),
    Case(IgnoresFilters, "initial-cycle", "A search by userName finds"),
    Case(IgnoresCase, "scim-validator", "EntryNotFound: Find by userName: 0 resources found"),
    Case(ShowsMembers, "restart", "MembersNotExcluded: excludedAttributes=members is ignored"),
    Case(NotFoundForNothing, "test-connection", "EncounteredQuarantineException: Look for userName of nobody"),
    Case(NoReferenceQueries, "restart", "WrongReferenceAnswer: `id eq … and members eq …` says no"),
    Case(RefusesCapitals, "on-demand", "ServiceIncompatible: Add members: answered 400, expected 204 or 200"),
    Case(KeepsWhatIsDeleted, "incremental-cycles", "NotDeleted: What was deleted is still listed at /Users"),
    Case(KeepsDeletedMembers, "incremental-cycles", "DanglingMember: A group names members that were deleted"),
    Case(CreatesTwice, "initial-cycle", "Duplicate: /Users holds a resource under a name of this rehearsal"),
    Case(LetsEverybodyIn, "test-connection", "Unprotected: A request with a wrong token is answered with 200"),
    Case(NoIdAfterCreate, "initial-cycle", "Create a user: the resource has no id"),
    Case(CredentialsExpire, "initial-cycle", "Unauthorized: Find by userName: answered 401, expected 200"),
    Case(PlainJson, "test-connection", "MediaType: The media type of an answer is application/json"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.wire.__name__}-{case.scenario}-{case.dialect}")
async def test_each_fault_is_named(target: Target, problems: Callable[[Report], list[str]], case: Case) -> None:
    report = await target.rehearse(case.scenario, transport=case.wire(), users=12, dialects=(case.dialect,))
    found = problems(report)
    assert any(case.expected in each for each in found), found
    assert report.failures or report.warnings


async def test_what_quarantines(target: Target) -> None:
    for wire in (NotFoundForNothing(), CredentialsExpire()):
        report = await target.rehearse("initial-cycle", transport=wire, dialects=("legacy",), users=20)
        assert report.verdict and report.verdict.quarantine, wire
        assert report.verdict.headline.startswith("Entra would stop provisioning")


async def test_a_target_that_is_busy_for_a_moment_passes(
    target: Target, problems: Callable[[Report], list[str]]
) -> None:
    class Busy(Wire):
        requests = 0

        def refuse(self, request: httpx.Request, body: Body | None) -> httpx.Response | None:
            self.requests += 1
            retry = {"Retry-After": "0"}
            return _error(429, "slow down", **retry) if self.requests % 5 == 0 else None

    report = await target.rehearse("initial-cycle", transport=Busy(), dialects=("legacy",))
    assert problems(report) == [] and report.throttled > 5


async def test_what_fails_once_is_in_escrow_and_recovers(target: Target) -> None:
    class Once(Wire):
        failed: set[str]

        def __init__(self) -> None:
            super().__init__()
            self.failed = set()

        def refuse(self, request: httpx.Request, body: Body | None) -> httpx.Response | None:
            if request.method == "POST" and body and len(self.failed) < 3 and body.get("userName") not in self.failed:
                self.failed.add(body.get("userName", ""))
                return _error(500, "out of order")
            return None

    report = await target.rehearse("incremental-cycles", transport=Once(), dialects=("legacy",), users=12)
    assert report.verdict and report.verdict.recovered >= 2 and report.verdict.escrow == []
    assert [finding.problem.code for finding in report.findings()] == ["InternalServerError"]
    assert report.findings()[0].count == 3


async def test_after_a_lost_answer_nothing_is_made_twice_or_left_behind(
    target: Target, problems: Callable[[Report], list[str]]
) -> None:
    class LosesAnswers(Wire):
        requests = 0

        async def forward(self, request: httpx.Request, body: Body | None) -> httpx.Response:
            response = await super().forward(request, body)
            if request.method in ("POST", "PATCH", "DELETE"):
                self.requests += 1
                if self.requests % 3 == 0:
                    raise httpx.ReadError("the connection broke", request=request)
            return response

    report = await target.rehearse("incremental-cycles", transport=LosesAnswers(), dialects=("legacy",), cycles=3)
    assert {each.split(":")[0] for each in problems(report)} == {"WebExceptionProtocolError"}
    assert (await target.total("/Users"), await target.total("/Groups")) == (0, 0)


async def test_who_may_be_deleted_is_expected_in_no_group(
    target: Target, problems: Callable[[Report], list[str]]
) -> None:
    class LosesDeletions(Wire):
        async def forward(self, request: httpx.Request, body: Body | None) -> httpx.Response:
            response = await super().forward(request, body)
            if request.method == "DELETE" and response.status_code == 204 and "/Users/" in request.url.path:
                raise httpx.ReadError("the connection broke", request=request)
            return response

    report = await target.rehearse("incremental-cycles", transport=LosesDeletions(), dialects=("legacy",), cycles=3)
    assert {each.split(":")[0] for each in problems(report)} == {"WebExceptionProtocolError"}


async def test_answers_that_are_no_scim_at_all_end_no_rehearsal(target: Target) -> None:
    class Nonsense(Wire):
        requests = 0

        def refuse(self, request: httpx.Request, body: Body | None) -> httpx.Response | None:
            self.requests += 1
            answers = [[], {"totalResults": "many"}, {"totalResults": 2, "Resources": [None, 5]}, {"id": 7}, "text"]
            return httpx.Response(200, json=answers[self.requests % len(answers)])

    report = await target.rehearse(transport=Nonsense(), users=3, groups=1, cycles=1)
    assert report.failures > 50
    assert [scenario.broken for scenario in report.scenarios if scenario.broken] == []


async def test_who_was_there_before_is_left_alone_even_where_filters_are_ignored(target: Target) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {target.token}"}) as http:
        made = (await http.post(f"{target.url}/Users", json={"userName": "boss@contoso.example"})).json()
        group = (await http.post(f"{target.url}/Groups", json={"displayName": "Owners"})).json()
        report = await target.rehearse("on-demand", "incremental-cycles", transport=IgnoresFilters())
        after = (await http.get(f"{target.url}/Users/{made['id']}")).json()
        assert after == made
        assert (await http.get(f"{target.url}/Groups/{group['id']}")).json()["meta"] == group["meta"]
    assert "UnexpectedMatch" in {finding.problem.code for finding in report.findings()}
    assert (await target.total("/Users"), await target.total("/Groups")) == (1, 1)
