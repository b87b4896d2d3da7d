"""Which plan each form of filter gets, and that no plan misses what its filter matches."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scim.filter.evaluate import bind
from scim.filter.parse import parse_filter
from scim.filter.tree import And, Compare, Filter, Literal, Not, Or, Present, ValuePath
from scim.schema.registry import ResourceType
from scim.schema.validation import Document, make_canonical
from scim.store.keys import build_index_rows, is_unique, lookup_range, prefix_range, unique_key
from scim.store.plan import NOTHING, ById, ByPrefix, ByValue, Plan, Scan, Union, plan
from tests.core import DEVICE_TYPE, ENTERPRISE, USER, USER_TYPE, cases

USER_NAME = USER_TYPE.indexes["username"]
EXTERNAL_ID = USER_TYPE.indexes["externalid"]
DISPLAY_NAME = USER_TYPE.indexes["displayname"]
MAIL = USER_TYPE.indexes["emails.value"]
MANAGER = USER_TYPE.indexes[f"{ENTERPRISE}:manager.value".lower()]

PLANS = {
    "unique attribute": ('userName eq "a"', ByValue(USER_NAME, "a")),
    "another case": ('USERNAME EQ "A"', ByValue(USER_NAME, "A")),
    "value without quotes": ("externalId eq jyoung", ByValue(EXTERNAL_ID, "jyoung")),
    "core urn": (f'{USER}:displayName eq "a"', ByValue(DISPLAY_NAME, "a")),
    "id": ('id eq "u-1"', ById("u-1")),
    "id behind the core urn": (f"{USER}:id eq u-1", ById("u-1")),
    "sub-attribute": ('emails.value eq "a"', ByValue(MAIL, "a")),
    "complex attribute stands for its value": ('emails eq "a"', ByValue(MAIL, "a")),
    "value path": ('emails[value eq "a"]', ByValue(MAIL, "a")),
    "value path of several terms": ('emails[type eq "work" and value eq "a"]', ByValue(MAIL, "a")),
    "Entra's comparison behind a value path": ('emails[type eq "work"].value eq "a"', ByValue(MAIL, "a")),
    "value path behind the core urn": (f'{USER}:emails[value eq "a"]', ByValue(MAIL, "a")),
    "or in a value path": (
        'emails[value eq "a" or value eq "b"]',
        Union((ByValue(MAIL, "a"), ByValue(MAIL, "b"))),
    ),
    "extension": (f'{ENTERPRISE}:manager.value eq "u-2"', ByValue(MANAGER, "u-2")),
    "extension at its plain name": ("manager eq u-2", ByValue(MANAGER, "u-2")),
    "sw": ('userName sw "a"', ByPrefix(USER_NAME, "a")),
    "sw on several values": ('emails sw "a"', ByPrefix(MAIL, "a")),
    "the manager question": ("id eq u-1 and manager eq u-2", ById("u-1")),
    "the manager question, other order": ("manager eq u-2 and id eq u-1", ById("u-1")),
    "unique before lookup": ('externalId eq "1" and userName eq "a"', ByValue(USER_NAME, "a")),
    "lookup before prefix": ('userName sw "a" and externalId eq "1"', ByValue(EXTERNAL_ID, "1")),
    "union of values before prefix": (
        '(externalId eq "1" or externalId eq "2") and userName sw "a"',
        Union((ByValue(EXTERNAL_ID, "1"), ByValue(EXTERNAL_ID, "2"))),
    ),
    "prefix before scan": ('title eq "x" and userName sw "a"', ByPrefix(USER_NAME, "a")),
    "indexed in a conjunction": ('title pr and (active eq true and userName eq "a")', ByValue(USER_NAME, "a")),
    "or": ('userName eq "a" or id eq "u-1"', Union((ByValue(USER_NAME, "a"), ById("u-1")))),
    "or with a term that no index serves": ('userName eq "a" or title eq "x"', Scan()),
    "and within or": (
        '(userName eq "a" and title pr) or externalId eq "1"',
        Union((ByValue(USER_NAME, "a"), ByValue(EXTERNAL_ID, "1"))),
    ),
    "no index": ('title eq "x"', Scan()),
    "presence": ("userName pr", Scan()),
    "ne": ('userName ne "a"', Scan()),
    "co": ('userName co "a"', Scan()),
    "ew": ('userName ew "a"', Scan()),
    "gt": ('userName gt "a"', Scan()),
    "sw on the id": ('id sw "u-"', Scan()),
    "null": ("externalId eq null", Scan()),
    "not": ('not (userName eq "a")', Scan()),
    "not in a value path": ('emails[not (value eq "a")]', Scan()),
    "value path without an index": ('phoneNumbers[value eq "1"]', Scan()),
    "value path on another sub-attribute": ('emails[type eq "work"]', Scan()),
    "sw of nothing": ('userName sw ""', Scan()),
    "unknown attribute": ('shoeSize eq "44"', NOTHING),
    "unknown attribute, unequal": ('shoeSize ne "44"', Scan()),
    "Entra's pull": ('active eq true and (meta.lastModified ge "2026-01-31T08:00:00Z")', Scan()),
}


@pytest.mark.parametrize(("text", "expected"), cases(PLANS))
def test_plan(text: str, expected: Plan) -> None:
    assert plan(parse_filter(text), USER_TYPE) == expected


def test_value_that_nobody_can_have_is_not_searched_for() -> None:
    """No document holds an empty text, so that nothing can match; a scan would read the whole tenant to find that."""
    assert not isinstance(plan(parse_filter('externalId eq ""'), USER_TYPE), Scan)


DEVICE_PLANS = {
    "plain values": ('tags eq "a"', ByValue(DEVICE_TYPE.indexes["tags"], "a")),
    "unique": ("serial eq S1", ByValue(DEVICE_TYPE.indexes["serial"], "S1")),
}


@pytest.mark.parametrize(("text", "expected"), cases(DEVICE_PLANS))
def test_plan_of_another_type(text: str, expected: Plan) -> None:
    assert plan(parse_filter(text), DEVICE_TYPE) == expected


def covers(chosen: Plan, id: str, document: Document, resource_type: ResourceType) -> bool:
    """Whether the rows that a plan reads lead to the resource."""
    keys = build_index_rows(resource_type, id, document)
    match chosen:
        case ById(wanted):
            return wanted == id
        case ByValue(index, value) if index.unique:
            return unique_key(resource_type, index, value) in keys
        case ByValue(index, value):
            return any(_within(key, lookup_range(resource_type, index, value)) for key in keys if not is_unique(key))
        case ByPrefix(index, prefix):
            return any(_within(key, prefix_range(resource_type, index, prefix)) for key in keys)
        case Union(plans):
            return any(covers(one, id, document, resource_type) for one in plans)
        case _:
            return isinstance(chosen, Scan)


def _within(key: str, between: tuple[str, str]) -> bool:
    start, end = (bound.encode("utf-16-be") for bound in between)
    return start <= key.encode("utf-16-be") < end


TEXTS = st.sampled_from(["a", "A", "ab", "ß", "SS", "e\u0301", "é", "a\U0010ffff", "x" * 121, "x" * 130])

DOCUMENTS = st.fixed_dictionaries(
    {"userName": TEXTS},
    optional={
        "externalId": TEXTS,
        "displayName": TEXTS,
        "emails": st.lists(st.fixed_dictionaries({"value": TEXTS}, optional={"type": TEXTS}), max_size=2),
        "manager": TEXTS,
    },
).map(lambda body: make_canonical(body, USER_TYPE))

IDS = st.sampled_from(["u-1", "a"])
PATHS = st.sampled_from(["userName", "externalId", "displayName", "emails", "emails.value", "manager", "id", "title"])
COMPARISONS = st.builds(
    Compare,
    PATHS,
    st.sampled_from(["eq", "sw"]) | st.sampled_from(["eq", "sw", "ne", "co"]),
    st.builds(Literal, TEXTS | IDS | st.just("")),
) | st.builds(Compare, PATHS, st.sampled_from(["eq", "ne"]), st.just(Literal("null", False)))
ELEMENTS = st.builds(
    Compare, st.sampled_from(["value", "type"]), st.sampled_from(["eq", "sw", "ne"]), st.builds(Literal, TEXTS)
)


def _joined(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    two = st.tuples(inner, inner)
    return st.builds(And, two) | st.builds(Or, two) | st.builds(Not, inner)


FILTERS = st.recursive(
    COMPARISONS
    | st.builds(Present, PATHS)
    | st.builds(ValuePath, st.just("emails"), st.recursive(ELEMENTS, _joined, max_leaves=3)),
    _joined,
    max_leaves=4,
)


@given(st.lists(DOCUMENTS, min_size=1, max_size=5), IDS, FILTERS)
@settings(max_examples=200)
def test_no_plan_misses_what_its_filter_matches(documents: list[Document], id: str, tree: Filter) -> None:
    matches, chosen = bind(tree, USER_TYPE), plan(tree, USER_TYPE)
    for document in documents:
        if matches({"id": id, **document}):
            assert covers(chosen, id, document, USER_TYPE)


@pytest.mark.parametrize(
    ("text", "attributes"),
    cases(
        {
            "string": ('tags eq "RED"', {"tags": ["Red"]}),
            "integer": ("slots eq 4", {"slots": 4}),
            "instant": ('bought eq "2026-01-31T09:00:00+01:00"', {"bought": "2026-01-31T08:00:00Z"}),
        }
    ),
)
def test_no_plan_misses_a_value_of_another_type(text: str, attributes: dict[str, object]) -> None:
    """Rows hold texts; where equal values are written in several ways, or are no texts, they cannot serve."""
    document, tree = make_canonical(attributes, DEVICE_TYPE), parse_filter(text)
    assert bind(tree, DEVICE_TYPE)(document)
    assert covers(plan(tree, DEVICE_TYPE), "d-1", document, DEVICE_TYPE)
