"""`python -m dev.conformance` (what `make conformance` runs): tries the protocol and writes docs/conformance.md.

Runs the conformance tests and every test that FEATURES names. The page tells what came out, failures included, and has
no date, so it changes only when a result, a version or a test does. The exit code is pytest's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import pytest

PAGE = Path("docs/conformance.md")
SUITE = ("tests/conformance", "tests/service/test_strict.py")

_ADDED = "tests/service/test_added_schemas.py"
_CONVERSATIONS = "tests/conversations/test_conversations.py"
_DISCOVERY = "tests/service/test_discovery.py"
_EXAMPLES = "tests/conformance/test_rfc_examples.py"
_GROUPS = "tests/service/test_groups.py"
_SCIM2 = "tests/conformance/test_scim2.py"
_STRICT = "tests/service/test_strict.py"
_USERS = "tests/service/test_users.py"

FEATURES: list[tuple[str, list[str]]] = [
    ("Users / Groups", [f"{_EXAMPLES}::test_example", f"{_SCIM2}::test_tester_finds_nothing_wrong"]),
    ("EnterpriseUser", [f"{_SCIM2}::test_client_with_typed_models"]),
    (
        "custom extensions / resource types",
        [
            f"{_ADDED}::test_an_extension_is_kept_and_given_back",
            f"{_ADDED}::test_a_device_lives_as_a_user_does",
            f"{_SCIM2}::test_tester_finds_nothing_wrong_with_a_device",
        ],
    ),
    (
        "/Schemas /ResourceTypes /ServiceProviderConfig",
        [f"{_DISCOVERY}::test_lists", f"{_DISCOVERY}::test_what_is_announced_is_so"],
    ),
    ("full filter grammar", ["tests/service/test_filters.py::test_filters_on_users"]),
    ("filter push-down / index", ["tests/service/test_filters.py::test_plans_and_rows_read"]),
    ("sortBy/sortOrder", ["tests/service/test_search.py::test_order"]),
    (
        "attributes / excludedAttributes",
        [
            "tests/service/test_search.py::test_attributes",
            "tests/service/test_search.py::test_excluded_attributes",
        ],
    ),
    (
        "characteristics enforced: returned",
        [f"{_ADDED}::test_returned_in_reads", f"{_ADDED}::test_returned_in_sub_attributes"],
    ),
    ("characteristics enforced: mutability", [f"{_ADDED}::test_immutable", f"{_ADDED}::test_read_only"]),
    (
        "characteristics enforced: required",
        [f"{_ADDED}::test_required_in_an_extension_that_is_used", f"{_ADDED}::test_required_extension"],
    ),
    ("characteristics enforced: uniqueness, caseExact", [f"{_ADDED}::test_unique"]),
    ("index pagination", ["tests/service/test_search.py::test_start_index_and_count"]),
    ("cursor pagination RFC 9865", ["tests/service/test_paging.py::test_cursors_lead_through_all_pages"]),
    ("POST .search (type / root)", ["tests/service/test_search.py::test_get_and_post_give_the_same"]),
    ("/Me (501 where a credential names no user)", [f"{_EXAMPLES}::test_example"]),
    (
        "Bulk + bulkId refs",
        [
            "tests/service/test_bulk.py::test_every_method",
            "tests/service/test_bulk.py::test_circles_of_groups",
            f"{_SCIM2}::test_client_with_a_bulk_request",
        ],
    ),
    ("ETag, If-Match, If-None-Match", [f"{_USERS}::test_etags"]),
    ("PATCH all path forms", [f"{_ADDED}::test_patches_of_an_extension", f"{_EXAMPLES}::test_example"]),
    (
        "Entra-quirk tolerance",
        [f"{_CONVERSATIONS}::test_conversation", f"{_STRICT}::test_entra_may_patch_what_strict_refuses"],
    ),
    ("nested groups", [f"{_GROUPS}::test_a_list_shows_every_group_with_its_own_members"]),
    ("User.groups maintained", [f"{_GROUPS}::test_a_user_shows_its_groups"]),
    ("large groups", [f"{_GROUPS}::test_a_member_costs_the_same_whatever_the_size_of_the_group"]),
    ("uniqueness under concurrency", [f"{_USERS}::test_of_twenty_posts_of_one_user_name_exactly_one_wins"]),
    ("optimistic concurrency", [f"{_USERS}::test_of_concurrent_patches_with_one_if_match_only_one_succeeds"]),
]
"""What a SCIM server is compared by, and the tests that show it here."""


_HEAD = """# Conformance

For whoever connects another client than Entra, or asks how far the RFCs are kept. After it you know what was tried, by
whose tests, and what came out.

`make conformance` runs what this page names and writes it anew: the app as it is deployed, behind HTTP where somebody
else's client or tester speaks to it, with its data in Azurite.
"""

_CLIENTS = """
## Clients

Real clients that were run against the service over HTTP, their effects looked at afterwards. Those that are not in the
table above are not run anew with this page.

| client | what it did | what it needs |
| --- | --- | --- |"""

_SETTING = "`SCIM_GROUP_PATCH_RETURNS_RESOURCE` where it wants 200 for the PATCH of a group"
CLIENTS: list[tuple[str, str, str]] = [
    ("Microsoft's Postman collections: SCIM Tests, SCIM Inbound", "users, groups, PATCH, filters", _SETTING),
    (
        "scim2-client 0.13.2",
        "discovery, create, query, filter, projection, PUT, PATCH, groups, .search, delete",
        "nothing",
    ),
    ("scim2-cli 0.6.0", "create, query, filter, search, PUT of users, groups, delete", "nothing"),
    ("scim-client 0.2.3, scim-sim 0.2.0", "users, groups, search, PUT, members, delete", "nothing"),
    ("scim-sanity 0.7.4", "its 28 checks", _SETTING),
    (
        "mitol-django-scim",
        "150 users by .search and bulk, twice",
        "batches of 60 when it ran; longer filters are read now",
    ),
    (
        "scim2-client up to 0.8.0 (scim2-models up to 0.7.0), and Canaille 0.3.6 with it",
        "nothing: discovery ends",
        "a newer one: it refuses `pagination` (RFC 9865) in ServiceProviderConfig as unknown",
    ),
]
"""Clients that were seen to work, and what others need."""

_DIFFERENCES = """
## Where others expect something else

What tests of other servers and libraries ask for, and get another answer here, on purpose.

| others expect | here | because |
| --- | --- | --- |"""

DIFFERENCES: list[tuple[str, str, str]] = [
    ("200 for the PATCH of a group", "204", "a large group is not read to be changed; a setting has it otherwise"),
    (
        "noTarget if a filter of `replace` matches nothing",
        "the element that its `eq` terms describe is made",
        "Entra sends so what is not there yet; a filter that describes none is noTarget",
    ),
    ("noTarget if `remove` finds nothing", "success", "what shall be gone is gone; RFC 7644 §3.5.2.2 leaves it open"),
    (
        "an error for an unknown attribute",
        "it is ignored",
        "the `active: false` beside it counts; strict connections refuse",
    ),
    ("an element with nothing but its type is kept", "it is dropped", "nobody can be reached by it"),
    ("a replaced element keeps nothing", "it is merged", "Entra sends parts; a strict connection's is replaced whole"),
    (
        "`add` appends what has a known value",
        "it is the same element if the type is, too",
        "one value of one type, §2.4",
    ),
    (
        "two primaries are refused",
        "the first, or the one that was sent last, is it",
        "Entra's mappings may send several",
    ),
    ("`remove` ignores its value", "a value names what goes", "so Entra removes members; all goes if nothing is said"),
    ("a filter in `attributes`", "no such attribute is shown", "RFC 7644 §3.9 has names only"),
    ("a date without a time in a filter", "400 that shows a dateTime", "RFC 7643 §2.3.5; a guess would find others"),
    ("`not x pr`, `a[b eq c].d[e eq f]`", "400 that shows how to write it", "RFC 7644 §3.4.2.2 has no such forms"),
    ("`password` in the schema of User", "it is ignored", "nobody signs in here, and what is not kept cannot leak"),
    ("`/serviceConfiguration`", "404", "RFC 7644 §4 calls it /ServiceProviderConfig"),
]
"""What differs from what was seen elsewhere, and why."""

_PROFILE = """
## SCIM 2.0 Interoperability Profile -01

What draft-zollner-scim-interop-profile-01 asks of a service provider. A connection whose `mode` is `strict` meets all
of it, one of the default mode `entra` what costs Entra nothing. Later drafts were not tried.

| | force | requirement | strict | entra |
| --- | --- | --- | --- | --- |"""

_FEATURES = """
## Features

| feature | | shown by |
| --- | --- | --- |"""


class Outcomes:
    """A pytest plugin that keeps the outcome of every test, and what the tests recorded."""

    def __init__(self) -> None:
        self.by_test: dict[str, str] = {}
        self.recorded: dict[str, object] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.by_test[report.nodeid] = report.outcome
        for _, value in report.user_properties:
            self.recorded[report.nodeid] = value

    def of(self, tests: Iterable[str]) -> list[str]:
        """The outcomes of these tests, parametrized ones with all their cases."""
        return [o for t in tests for id, o in self.by_test.items() if id == t or id.startswith((f"{t}[", f"{t}::"))]


def main() -> int:
    outcomes = Outcomes()
    named = {test for _, tests in FEATURES for test in tests if not test.startswith(SUITE)}
    options = ["-q", "-p", "no:cacheprovider", "--ignore=tests/conformance/test_document.py"]  # of the page as it was
    code = pytest.main([*options, *SUITE, *sorted(named)], plugins=[outcomes])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return int(code)
    PAGE.write_text("\n".join(_page(outcomes)) + "\n", encoding="utf-8")
    print(f"Wrote {PAGE}", file=sys.stderr)
    return int(code)


def _page(outcomes: Outcomes) -> Iterable[str]:
    tester = "test_tester_finds_nothing_wrong"
    clients = [test for test in outcomes.by_test if test.startswith(f"{_SCIM2}::test_client_")]
    examples = [f"{_EXAMPLES}::test_example"]
    yield _HEAD
    yield "| what | version | passed |"
    yield "| --- | --- | --- |"
    for what, package, passed in [
        ("scim2-tester: discovery, users, groups", "scim2-tester", _checks(outcomes, tester)),
        (
            "scim2-tester: a resource type made of JSON files",
            "scim2-tester",
            _checks(outcomes, f"{tester}_with_a_device"),
        ),
        ("scim2-client: typed, discovered and bulk models", "scim2-client", _count(outcomes, clients)),
        ("the examples of RFC 7643 §8 and RFC 7644 §3", "", _count(outcomes, examples)),
    ]:
        yield f"| {what} | {version(package) if package else ''} | {passed} |"
    yield _CLIENTS
    yield from (f"| {' | '.join(row)} |" for row in CLIENTS)
    yield _DIFFERENCES
    yield from (f"| {' | '.join(row)} |" for row in DIFFERENCES)
    yield _PROFILE
    yield from _profile(outcomes)
    yield _FEATURES
    for feature, tests in FEATURES:
        names = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in tests)
        yield f"| {feature} | {_answer(outcomes.of(tests))} | {names} |"


def _profile(outcomes: Outcomes) -> Iterable[str]:
    from tests.service.test_strict import ROWS  # after pytest has imported it in its own way

    reasons = []
    for row in ROWS:
        test = f"{_STRICT}::test_interoperability_profile[{row.number}: {row.name}"
        strict, entra = (_answer([outcomes.by_test.get(f"{test}-{mode}]", "")]) for mode in ("strict", "entra"))
        if isinstance(row.check, str):
            reasons.append(f"{row.number}: {row.check}.")
        if entra == "yes" and not row.entra:
            entra = "no, on purpose"
        yield f"| {row.number} | {row.force} | {row.name} | {strict} | {entra} |"
    yield ""
    yield f"Not tried: {' '.join(reasons)}"


def _answer(outcomes: list[str]) -> str:
    if not outcomes or set(outcomes) - {"passed", "skipped"}:
        return "no"
    return "yes" if "passed" in outcomes else "-"


def _count(outcomes: Outcomes, tests: list[str]) -> str:
    found = outcomes.of(tests)
    return f"{found.count('passed')} of {len(found)}"


def _checks(outcomes: Outcomes, test: str) -> str:
    """scim2-tester's checks by status: those that succeeded of all."""
    counts = outcomes.recorded.get(f"{_SCIM2}::{test}")
    return f"{counts.get('SUCCESS', 0)} of {sum(counts.values())} checks" if isinstance(counts, dict) else "no"


if __name__ == "__main__":
    sys.exit(main())
