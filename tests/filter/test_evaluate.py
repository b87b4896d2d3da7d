"""Filters over resources: what matches, what cannot be asked, and that the logic is Python's."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scim.errors import INVALID_FILTER, ScimError
from scim.filter.evaluate import bind, bind_elements
from scim.filter.parse import parse_filter
from scim.filter.tree import And, Compare, Filter, Literal, Not, Or, Present, ValuePath
from scim.schema.registry import ResourceType
from scim.schema.validation import Document
from tests.core import CUSTOM, DEVICE_TYPE, ENTERPRISE, USER, USER_TYPE, USERS, WARRANTY, cases, device, refused, user


def matches(text: str, resource: Document, resource_type: ResourceType = USER_TYPE) -> bool:
    return bind(parse_filter(text), resource_type)(resource)


ADA: Document = {
    "schemas": [USER, ENTERPRISE],
    "id": "u-Ada1",
    **user(
        {
            "userName": "Ada@Example.com",
            "externalId": "AdaL",
            "active": False,
            "title": "Straße",
            "profileUrl": "https://example.com/Ada",
            "name": {"givenName": "Ada", "familyName": "O'Malley"},
            "emails": [
                {"value": "ada@work.example", "type": "work", "primary": True},
                {"value": "ada@home.example", "type": "home"},
            ],
            "roles": [{"value": "Admin", "primary": True}, {"value": "User", "primary": False}],
            "x509Certificates": [{"value": "TUlJ"}],
            ENTERPRISE: {"department": "Analysis", "manager": {"value": "u-Boss"}},
        }
    ),
    "meta": {"resourceType": "User", "lastModified": "2026-11-21T08:30:00.500Z"},
}
BARE: Document = {"schemas": [USER], "id": "u-2", "userName": "bare"}

MATCHES = {
    "eq in another case": 'userName eq "ADA@example.COM"',
    "eq with a literal in another Unicode form": 'title eq "STRAßE"',
    "attribute in another case": 'USERNAME eq "ada@example.com"',
    "caseExact": 'externalId eq "AdaL"',
    "id": 'id eq "u-Ada1"',
    "id without quotes": "id eq u-Ada1",
    "schemas": f'schemas eq "{ENTERPRISE}"',
    "schema urn of the core": f'{USER}:userName eq "ada@example.com"',
    "schema urn in another case": f'{ENTERPRISE.upper()}:Department eq "analysis"',
    "extension attribute by its plain name": 'department eq "Analysis"',
    "co": 'userName co "@EXAMPLE"',
    "sw": 'userName sw "ada@"',
    "ew": 'userName ew ".COM"',
    "sw of the whole value": 'userName sw "ada@example.com"',
    "sw up to a letter of which lower case has one form": 'title sw "STRAß"',
    "gt on strings": 'userName gt "aaa"',
    "le on strings, equal": 'userName le "ADA@example.com"',
    "ne": 'userName ne "other"',
    "ne on a value that is absent": 'nickName ne "x"',
    "ne where one of several differs": 'emails.type ne "work"',
    "boolean": "active eq false",
    "boolean as Entra writes it": 'active eq "False"',
    "boolean ne": "active ne true",
    "primary as text": 'roles[primary eq "True"].value eq "admin"',
    "sub-attribute": 'name.familyName co "o\'malley"',
    "any value of several": 'emails.value eq "ada@home.example"',
    "complex attribute stands for its value": 'emails co "home.example"',
    "single complex attribute stands for its value": 'manager eq "u-Boss"',
    "value path": 'emails[type eq "work" and value ew "work.example"]',
    "value path with not": 'emails[not (type eq "work")]',
    "value path on a single complex attribute": 'name[givenName eq "ada"]',
    "value path behind a urn": f'{USER}:emails[type eq "home"]',
    "value path with presence": "emails[primary pr]",
    "value path with null": "emails[primary eq null]",
    "Entra's comparison behind a value path": 'emails[type eq "work"].value eq "ADA@work.example"',
    "the manager question, either order": "manager eq u-Boss and id eq u-Ada1",
    "pr": "title pr",
    "pr on false": "active pr",
    "pr on a complex attribute": "name pr",
    "pr on several values": "emails pr",
    "not pr": "not (nickName pr)",
    "eq null on an absent value": "nickName eq null",
    "eq null on an absent sub-attribute": "name.middleName eq NULL",
    "ne null on a value": "userName ne null",
    "dates as instants": 'meta.lastModified eq "2026-11-21T09:30:00.5+01:00"',
    "date with seven digits": 'meta.lastModified ge "2026-11-21T08:30:00.5000000Z"',
    "date without an offset is UTC": 'meta.lastModified lt "2026-11-21T08:30:00.501"',
    "reference": 'profileUrl eq "https://example.com/Ada"',
    "binary": 'x509Certificates eq "TUlJ"',
    "or": 'userName eq "x" or title pr',
    "and binds before or": 'title pr or userName eq "x" and userName eq "y"',
}


@pytest.mark.parametrize("text", cases(MATCHES))
def test_match(text: str) -> None:
    assert matches(text, ADA)


MISSES = {
    "eq": 'userName eq "ad"',
    "caseExact": 'externalId eq "adal"',
    "id in another case": 'id eq "U-ADA1"',
    "quoted null is a text": 'nickName eq "null"',
    "ne": 'userName ne "ADA@EXAMPLE.COM"',
    "ne null on an absent value": "nickName ne null",
    "eq null on a value": "userName eq null",
    "eq on an absent value": 'nickName eq ""',
    "co on an absent value": 'nickName co ""',
    "gt, equal": 'userName gt "ada@example.com"',
    "value path whose terms hold for different elements": 'emails[type eq "work" and value ew "home.example"]',
    "Entra's form whose terms hold for different elements": 'emails[type eq "home"].value eq "ada@work.example"',
    "value path over no element": 'photos[type eq "photo"]',
    "negated value path over no element": 'photos[not (type eq "photo")]',
    "pr": "nickName pr",
    "pr on an absent sub-attribute": "name.middleName pr",
    "pr on no values": "photos pr",
    "dates": 'meta.lastModified gt "2026-11-21T08:30:00.5Z"',
    "reference in another case": 'profileUrl eq "https://example.com/ada"',
    "binary in another case": 'x509Certificates eq "tulj"',
    "and": 'title pr and userName eq "x"',
    "not": "not (title pr)",
}


@pytest.mark.parametrize("text", cases(MISSES))
def test_miss(text: str) -> None:
    assert not matches(text, ADA)


@pytest.mark.parametrize("text", ["title pr", "name.givenName pr", "manager pr", 'department sw ""', "meta.created pr"])
def test_nothing_of_what_is_absent_matches(text: str) -> None:
    assert not matches(text, BARE)


PRINTER: Document = {
    "id": "d-1",
    **device(
        {
            "serial": "P1",
            "slots": 9,
            "weight": 2.5,
            "locked": True,
            "bought": "2026-01-31T08:00:00Z",
            "tags": ["Red", "big"],
            "sizes": [3, 4],
            "ports": [{"value": "usb", "speed": 480}, {"value": "net", "speed": 1000}],
            WARRANTY: {"contract": "C1"},
        }
    ),
}

PRINTER_MATCHES = {
    "integers by number": "slots lt 10",
    "integer in quotes": 'slots eq "9"',
    "decimals": "weight gt 2.25",
    "decimal with an exponent": "weight eq 25e-1",
    "decimal by an integer": "weight lt 3",
    "date": 'bought ge "2026-01-31T09:00:00+01:00"',
    "any of several strings": 'tags eq "RED"',
    "any of several integers": "sizes gt 3",
    "value path on plain strings": 'tags[value sw "b"]',
    "value path on plain integers": "sizes[value eq 4]",
    "sub-attribute of the right type": "ports[speed ge 1000].value eq net",
    "extension": 'contract eq "c1"',
}


@pytest.mark.parametrize("text", cases(PRINTER_MATCHES))
def test_match_in_every_type(text: str) -> None:
    assert matches(text, PRINTER, DEVICE_TYPE)
    assert not matches(f"not ({text})", PRINTER, DEVICE_TYPE)


REFUSED = {
    "unknown attribute": ('shoeSize eq "44"', "shoeSize", "/Schemas"),
    "unknown attribute inside or": ('userName eq "a" or shoeSize eq "44"', "shoeSize"),
    "unknown sub-attribute": ('name.nick eq "x"', "name.nick"),
    "unknown attribute of an extension": (f'{ENTERPRISE}:team eq "x"', f"{ENTERPRISE}:team"),
    "unknown sub-attribute in brackets": ('emails[kind eq "x"]', "emails", "kind"),
    "other attribute in brackets": ('emails[userName eq "x"]', "emails", "userName"),
    "undeclared extension": (f'{CUSTOM}:site eq "x"', f"{CUSTOM}:site", "not declared"),
    "complex attribute without value": ('name eq "Ada"', "name is complex", "givenName"),
    "co on a boolean": ('active co "t"', "active is boolean", "co"),
    "sw on a date": ('meta.created sw "2026"', "meta.created is dateTime", "sw"),
    "gt on a boolean": ("active gt false", "active is boolean", "no order"),
    "le on a binary": ('x509Certificates.value le "x"', "x509Certificates.value is binary", "no order"),
    "order of null": ("userName gt null", "userName gt null"),
    "text as a boolean": ('active eq "perhaps"', "active", "perhaps", "true or false, not 'perhaps'"),
    "text as a date": ('meta.created gt "yesterday"', "meta.created", "yesterday", "dateTime"),
    "boolean in brackets": ("roles[primary eq 5]", "primary", "5", "true or false"),
}


@pytest.mark.parametrize(("text", "mentions"), [pytest.param(t, m, id=n) for n, (t, *m) in REFUSED.items()])
def test_filter_that_cannot_be_asked(text: str, mentions: list[str]) -> None:
    with refused(INVALID_FILTER, *mentions):
        bind(parse_filter(text), USER_TYPE)


@pytest.mark.parametrize("text", [f"{ENTERPRISE} pr", f'{USER} eq "x"'])
def test_error_for_a_schema_alone_does_not_call_it_undeclared(text: str) -> None:
    with pytest.raises(ScimError) as caught:
        bind(parse_filter(text), USER_TYPE)
    assert caught.value.kind == INVALID_FILTER
    assert "not declared" not in caught.value.detail


def test_elements_of_a_value_path() -> None:
    emails = USER_TYPE.core_attributes["emails"]
    work = bind_elements(parse_filter('type eq "work" and primary eq "True"'), emails, "emails")
    assert [work(element) for element in ADA["emails"]] == [True, False]


def _bindable(term: Filter) -> bool:
    try:
        bind(term, USER_TYPE)
    except ScimError:
        return False
    return True


ATTRIBUTES = ["userName", "title", "name.givenName", "active", "emails", "emails.type", "roles.primary", "department"]
ATTRIBUTES += ["manager", "meta.created", "photos.value"]
LITERALS = [Literal(text) for text in ("", "a", "A", "work", "true", "ß")] + [
    Literal("null", False),
    Literal("5", False),
]
LEAVES: list[Filter] = [Present(path) for path in ATTRIBUTES]
LEAVES += [
    Compare(*parts) for parts in product(ATTRIBUTES, ("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"), LITERALS)
]
LEAVES += [
    ValuePath("emails", And((Compare("type", "eq", Literal("work")), Compare("value", "eq", Literal(text)))))
    for text in ("a", "b")
]
TERMS = st.recursive(
    st.sampled_from([leaf for leaf in LEAVES if _bindable(leaf)]),
    lambda inner: (
        st.builds(Not, inner) | st.builds(And, st.tuples(inner, inner)) | st.builds(Or, st.tuples(inner, inner))
    ),
    max_leaves=4,
)


@given(USERS, TERMS, TERMS)
@settings(max_examples=200)
def test_logic_is_pythons(resource: Document, one: Filter, other: Filter) -> None:
    first, second = bind(one, USER_TYPE)(resource), bind(other, USER_TYPE)(resource)
    assert bind(Not(one), USER_TYPE)(resource) is (not first)
    assert bind(And((one, other)), USER_TYPE)(resource) is (first and second)
    assert bind(Or((one, other)), USER_TYPE)(resource) is (first or second)


@given(USERS, TERMS)
@settings(max_examples=100)
def test_filter_written_and_read_matches_the_same(resource: Document, term: Filter) -> None:
    assert bind(parse_filter(str(term)), USER_TYPE)(resource) == bind(term, USER_TYPE)(resource)


NUMBERS = {
    "slots eq 7.0": True,
    "slots eq 7.5": False,
    "slots gt 6.5": True,
    "slots lt 7.0": False,
    "slots le 7": True,
    'slots eq "7"': True,
    "slots ne 7.0": False,
    "slots eq 99999999999999999999": False,
    "slots lt 1e300": True,
    "sizes gt 1.5": True,
    "weight eq 5": True,
    "weight eq 5.00": True,
    'weight gt "4.9"': True,
}


@pytest.mark.parametrize(("text", "expected"), NUMBERS.items())
def test_numbers_compare_as_numbers(text: str, expected: bool) -> None:
    one = device({"slots": 7, "sizes": [1, 2], "weight": 5})
    assert bind(parse_filter(text), DEVICE_TYPE)(one) is expected


@pytest.mark.parametrize("text", ["slots gt many", "weight eq 1e999", 'slots eq ""', "slots eq true"])
def test_what_is_no_number_is_refused_by_its_value(text: str) -> None:
    with refused(INVALID_FILTER, f"not {text.split()[2]!r}".replace("'\"\"'", "''")):
        bind(parse_filter(text), DEVICE_TYPE)


def test_plain_values_are_found_by_their_name_and_by_value() -> None:
    one = device({"tags": ["red", "blue"], "sizes": [3]})
    for text in (
        'tags.value eq "RED"',
        'tags[value eq "red"]',
        'tags[value eq "blue"].value eq "blue"',
        "sizes.value gt 2.5",
    ):
        assert bind(parse_filter(text), DEVICE_TYPE)(one)
    assert not bind(parse_filter('tags.value eq "x"'), DEVICE_TYPE)(one)
