"""The filter and path language: what text gives which tree, what is refused, and that trees survive being written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scim.errors import INVALID_FILTER, INVALID_PATH, ScimError
from scim.filter.parse import parse_filter, parse_path
from scim.filter.tree import And, Compare, Filter, Literal, Not, Or, Path, Present, ValuePath
from tests.core import CUSTOM, ENTERPRISE, TEXTS, USER, cases, refused


def eq(path: str, text: str, *, quoted: bool = True) -> Compare:
    return Compare(path, "eq", Literal(text, quoted))


A, B, C = Present("a"), Present("b"), Present("c")
WORK = eq("type", "work")

FILTERS = {
    "comparison": ('userName eq "bjensen"', eq("userName", "bjensen")),
    "presence": ("title pr", Present("title")),
    "every operator": (
        " or ".join(f'a {op} "x"' for op in ("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le")),
        Or(tuple(Compare("a", op, Literal("x")) for op in ("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"))),
    ),
    "operators in any case": (
        'userName Eq "x" AND NOT (title PR) Or a sW "y"',
        Or((And((eq("userName", "x"), Not(Present("title")))), Compare("a", "sw", Literal("y")))),
    ),
    "number, boolean and null are bare": (
        "a eq 5 and b eq true and c eq NULL",
        And((eq("a", "5", quoted=False), eq("b", "true", quoted=False), eq("c", "NULL", quoted=False))),
    ),
    "value without quotes": ("externalId eq jyoung", eq("externalId", "jyoung", quoted=False)),
    "mail without quotes": ("userName eq a.b+c@example.com", eq("userName", "a.b+c@example.com", quoted=False)),
    "the manager question": (
        "id eq 54D382A4 and manager eq 2819c223-7f76",
        And((eq("id", "54D382A4", quoted=False), eq("manager", "2819c223-7f76", quoted=False))),
    ),
    "and binds before or": ("a pr or b pr and c pr", Or((A, And((B, C))))),
    "parentheses bind first": ("(a pr or b pr) and c pr", And((Or((A, B)), C))),
    "needless parentheses vanish": ("((a pr))", A),
    "grouped conjunctions stay grouped": ("(a pr and b pr) and c pr", And((And((A, B)), C))),
    "not": ("not (a pr or b pr)", Not(Or((A, B)))),
    "not without a space": ("not(a pr)", Not(A)),
    "value path": ('emails[type eq "work"]', ValuePath("emails", WORK)),
    "value path of several terms": (
        'emails[type eq "work" and not (value co "@x")]',
        ValuePath("emails", And((WORK, Not(Compare("value", "co", Literal("@x")))))),
    ),
    "comparison behind a value path": (
        'emails[type eq "work"].value eq "a@x"',
        ValuePath("emails", And((WORK, eq("value", "a@x")))),
    ),
    "presence behind a value path": (
        'emails[type eq "work"].value pr',
        ValuePath("emails", And((WORK, Present("value")))),
    ),
    "comparison behind a disjunction": (
        'emails[type eq "work" or type eq "home"].value eq "a@x" and a pr',
        And((ValuePath("emails", And((Or((WORK, eq("type", "home"))), eq("value", "a@x")))), A)),
    ),
    "sub-attribute": ('name.familyName co "O\'Malley"', Compare("name.familyName", "co", Literal("O'Malley"))),
    "urn with a dot in its version": (f'{USER}:userName eq "x"', eq(f"{USER}:userName", "x")),
    "urn and sub-attribute": (f'{ENTERPRISE}:manager.value eq "5"', eq(f"{ENTERPRISE}:manager.value", "5")),
    "attributes named like words of the language": (
        "not pr and or eq and or and eq or",
        Or((And((Present("not"), eq("or", "and", quoted=False))), eq("and", "or", quoted=False))),
    ),
    "dollar and hyphen in names": ("$ref pr and x-y_z1 pr", And((Present("$ref"), Present("x-y_z1")))),
    "no space around a string": ('a eq"x"and b pr', And((eq("a", "x"), B))),
    "any white space": ('\t a\n eq\r\n"x"  ', eq("a", "x")),
    "escaped quote": (r'a eq "say \"hi\""', eq("a", 'say "hi"')),
    "escaped backslash": (r'a eq "CORP\\nina"', eq("a", r"CORP\nina")),
    "escaped characters": (r'a eq "\u00e9\ud83d\ude00"', eq("a", "é😀")),
    "escape of a control character": (r'a eq "CORP\bob"', Or((eq("a", "CORP\x08ob"), eq("a", r"CORP\bob")))),
    "several escapes of control characters": (r'a eq "\n\t\f"', Or((eq("a", "\n\t\f"), eq("a", r"\n\t\f")))),
    "escapes of all kinds": (r'a eq "é\u00e9\nB\\C\ud83d\ude00"', Or((eq("a", "éé\nB\\C😀"), eq("a", "éé\\nB\\C😀")))),
    "control character by its number": (r'a eq "\u000a"', eq("a", "\n")),
    "negated escape": (
        r'a ne "A\nb"',
        And((Compare("a", "ne", Literal("A\nb")), Compare("a", "ne", Literal(r"A\nb")))),
    ),
    "single quotes": ("a eq 'x'", eq("a", "x")),
    "single quotes around words": ("a eq 'Ada (King) [x]' and b pr", And((eq("a", "Ada (King) [x]"), B))),
    "single quotes around an apostrophe": ("a eq 'O'Neil'", eq("a", "O'Neil")),
    "single quotes around a quote": ("a eq 'say \"hi\"'", eq("a", 'say "hi"')),
    "single quotes around a backslash": (r"a eq 'CORP\ada'", eq("a", r"CORP\ada")),
    "single quotes in brackets": (
        "emails[type eq 'work'].value eq 'x'",
        ValuePath("emails", And((WORK, eq("value", "x")))),
    ),
    "single quotes in parentheses": ("(a eq 'x')", eq("a", "x")),
    "empty single quotes": ("a eq ''", eq("a", "")),
    "curly quotes": ("a eq \u201cAda King\u201d or a eq \u2018x\u2019", Or((eq("a", "Ada King"), eq("a", "x")))),
    "German quotes": ("a eq \u201eAda King\u201c", eq("a", "Ada King")),
    "backticks": ("a eq `Ada King`", eq("a", "Ada King")),
    "apostrophe without quotes": ("a eq O'Neil", eq("a", "O'Neil", quoted=False)),
    "apostrophe at the end": ("a eq James' and b pr", And((eq("a", "James'", quoted=False), B))),
    "apostrophe at the beginning": ("a eq 'tis and b pr", And((eq("a", "'tis", quoted=False), B))),
    "single quotes inside double ones": ("a eq \"'x'\"", eq("a", "'x'")),
    "backslash that escapes nothing": (r'a eq "CORP\ada"', eq("a", r"CORP\ada")),
    "brackets and words inside a string": ('a eq ") or ] and ("', eq("a", ") or ] and (")),
    "empty string": ('a eq ""', eq("a", "")),
    "tab inside a string": ('a eq "x\ty"', eq("a", "x\ty")),
}


@pytest.mark.parametrize(("text", "tree"), cases(FILTERS))
def test_filter(text: str, tree: Filter) -> None:
    assert parse_filter(text) == tree


RFC_EXAMPLES = [
    'userName eq "bjensen"',
    'name.familyName co "O\'Malley"',
    'userName sw "J"',
    'urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J"',
    "title pr",
    'meta.lastModified gt "2011-05-13T04:42:34Z"',
    'title pr and userType eq "Employee"',
    'title pr or userType eq "Intern"',
    'schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"',
    'userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")',
    'userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")',
    'userType eq "Employee" and (emails.type eq "work")',
    'userType eq "Employee" and emails[type eq "work" and value co "@example.com"]',
    'emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]',
]


STRICT = ["a eq 'x'", "a eq \u201cx\u201d", "a eq \u2018x y\u2019", "a eq `x`", "emails[type eq 'work']"]


@pytest.mark.parametrize("text", STRICT)
def test_strict_knows_the_quotes_of_json_only(text: str) -> None:
    with refused(INVALID_FILTER, "double quotes"):
        parse_filter(text, strict=True)
    assert parse_filter(r'a eq "CORP\bob"', strict=True) == eq("a", "CORP\x08ob")
    assert parse_filter("a eq O'Neil", strict=True) == eq("a", "O'Neil", quoted=False)


def test_a_path_may_have_other_quotes_unless_it_is_strict() -> None:
    assert parse_path("emails[type eq 'work'].value") == Path("emails", WORK, "value")
    with refused(INVALID_PATH, "double quotes"):
        parse_path("emails[type eq 'work'].value", strict=True)


def test_many_quotes_that_nothing_closes_are_read_once() -> None:
    text = " or ".join(["a eq 'x"] * 6000)
    tree = parse_filter(text, max_length=len(text))
    assert isinstance(tree, Or) and set(tree.terms) == {eq("a", "'x", quoted=False)}


@pytest.mark.parametrize("text", RFC_EXAMPLES)
def test_filters_of_the_rfc_are_written_as_they_were_read(text: str) -> None:
    assert str(parse_filter(text)) == text.replace('(emails.type eq "work")', 'emails.type eq "work"')


BAD_FILTERS = {
    "nothing": ("", "ends where an attribute name is expected"),
    "white space": (" \t", "ends where an attribute name is expected"),
    "attribute alone": ("userName", "ends where an operator is expected"),
    "no value": ("userName eq", "ends where a value is expected"),
    "unknown operator": ('userName regex "x"', "character 10, not regex", "eq ne co sw ew gt ge lt le pr"),
    "no closing quote": ('userName eq "x', "the string at character 13 has no closing quote"),
    "ends with and": ("a pr and", "ends where an attribute name is expected"),
    "begins with and": ("and", "ends where an operator is expected"),
    "open parenthesis": ("(a pr", "ends where ')' is expected"),
    "open bracket": ('emails[type eq "work"', "ends where ']' is expected"),
    "closing parenthesis too many": ("a pr)", "and, or or the end is expected at character 5, not )"),
    "wrong bracket": ("(a pr]", "')' is expected at character 6, not ]"),
    "two terms without and": ("a pr b pr", "and, or or the end is expected at character 6, not b"),
    "string as attribute": ('"userName" eq "x"', "an attribute name is expected at character 1"),
    "bracket as value": ('a eq ("x")', "a value is expected at character 6"),
    "name that begins with a digit": ('1a eq "x"', "an attribute name is expected at character 1, not 1a"),
    "two dots": ('a.b.c eq "x"', "an attribute name is expected", "a.b.c"),
    "url as name": ('http://x:a eq "x"', "an attribute name is expected", "http://x:a"),
    "value path without operator": ('emails[type eq "work"].value', "ends where an operator is expected"),
    "empty value path": ("emails[]", "an attribute name is expected at character 8"),
    "negation of nothing": ("not ()", "an attribute name is expected at character 6"),
    "NUL": ("a eq \x00", "U+0000"),
    "half a surrogate pair": ("a eq \ud800", "surrogate"),
    "escaped NUL": (r'a eq "\u0000"', "the string at character 6", "U+0000"),
    "escaped half of a surrogate pair": (r'a eq "\ud83d"', "the string at character 6", "surrogate"),
    "long word": ("a regex" + "x" * 5000, "it has 5007 characters; at most 4096 are read"),
    "not without parentheses": ('not a eq "x"', "character 5, not a", "in parentheses: not (…)"),
    "not in the middle": ('a not eq "x"', "character 3, not not"),
    "a sign as operator": ('a == "x"', "character 3, not =="),
    "a sign between terms": ('a eq "x" && b pr', "character 10, not &&"),
    "a comma between terms": ('a eq "x", b eq "y"', "character 9, not ,"),
    "a list of values": ('a in ("x", "y")', "character 3, not in"),
    "a value with a blank": ("a eq x y", "character 8, not y", 'userName eq "ada@example.com"'),
    "a quote in a word": ('a eq x"y', "the string at character 7 has no closing quote", 'write \\" for a quote'),
    "an object as value": ('a eq {"x":1}', "character 7"),
    "a wildcard": ("*", "an attribute name is expected at character 1, not *"),
    "SQL": ('a like "x%"', "character 3, not like"),
}
REMEDY = re.compile(r"; (write it like|close it|take these characters out|take brackets out|name less|put what is) ?")


@pytest.mark.parametrize(("text", "mentions"), [pytest.param(t, m, id=n) for n, (t, *m) in BAD_FILTERS.items()])
def test_filter_that_cannot_be_read(text: str, mentions: list[str]) -> None:
    with refused(INVALID_FILTER, "The filter cannot be read", *mentions) as caught:
        parse_filter(text)
    assert REMEDY.search(caught.value.detail), caught.value.detail


def test_error_shows_only_the_beginning_of_what_is_wrong() -> None:
    with pytest.raises(ScimError) as caught:
        parse_filter("a " + "x" * 3000)
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize(
    ("opening", "closing"),
    cases({"parentheses": ("(", ")"), "negations": ("not (", ")"), "value paths": ("x[", "]")}),
)
def test_depth_is_bounded(opening: str, closing: str) -> None:
    assert parse_filter(opening * 32 + "a pr" + closing * 32)
    with refused(INVALID_FILTER, "nested deeper than 32 levels"):
        parse_filter(opening * 33 + "a pr" + closing * 33)
    with refused(INVALID_FILTER, "nested deeper than 2 levels"):
        parse_filter(opening * 3 + "a pr" + closing * 3, max_depth=2)


def test_length_is_bounded() -> None:
    text = 'userName eq "x"'
    assert parse_filter(text, max_length=len(text)) == eq("userName", "x")
    with refused(INVALID_FILTER, "it has 15 characters; at most 14 are read"):
        parse_filter(text, max_length=14)


PATHS = {
    "attribute": ("userName", Path("userName")),
    "sub-attribute": ("name.givenName", Path("name.givenName")),
    "value path": ('emails[type eq "work"]', Path("emails", WORK)),
    "sub-attribute behind a value path": ('emails[type eq "work"].Value', Path("emails", WORK, "Value")),
    "several terms": (
        'emails[type eq "work" and primary eq true].value',
        Path("emails", And((WORK, eq("primary", "true", quoted=False))), "value"),
    ),
    "member": ('members[value eq"7f4b"]', Path("members", eq("value", "7f4b"))),
    "urn": (f"{ENTERPRISE}:manager.value", Path(f"{ENTERPRISE}:manager.value")),
    "urn alone": (CUSTOM, Path(CUSTOM)),
    "urn and value path": (f'{USER}:emails[type eq "work"].value', Path(f"{USER}:emails", WORK, "value")),
    "white space around": ("  title\n", Path("title")),
}


@pytest.mark.parametrize(("text", "path"), cases(PATHS))
def test_path(text: str, path: Path) -> None:
    assert parse_path(text) == path


BAD_PATHS = {
    "nothing": ("", "ends where an attribute name is expected"),
    "comparison": ('userName eq "x"', "the end is expected at character 10, not eq"),
    "empty brackets": ("emails[]", "an attribute name is expected at character 8"),
    "no closing bracket": ('emails[type eq "work"', "ends where ']' is expected"),
    "two value paths": ('emails[type eq "work"][value pr]', "the end is expected at character 23, not ["),
    "name without a dot": ('emails[type eq "work"]value', "the end is expected at character 23, not value"),
    "array index": ("emails[0].value", "an attribute name is expected at character 8, not 0"),
    "JSON pointer": ("/emails/0", "an attribute name is expected at character 1, not /emails/0"),
    "NUL": ("title\x00", "U+0000"),
}


@pytest.mark.parametrize(("text", "mentions"), [pytest.param(t, m, id=n) for n, (t, *m) in BAD_PATHS.items()])
def test_path_that_cannot_be_read(text: str, mentions: list[str]) -> None:
    with refused(INVALID_PATH, "The path cannot be read", *mentions) as caught:
        parse_path(text)
    assert REMEDY.search(caught.value.detail), caught.value.detail


NAMES = st.from_regex(
    r"(urn:[a-z:.0-9]{1,9}:)?[A-Za-z$][A-Za-z0-9_$-]{0,5}(\.[A-Za-z$][A-Za-z0-9_-]{0,3})?", fullmatch=True
)
BARE = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"], exclude_characters='()[]"'), min_size=1, max_size=6)
LITERALS = st.builds(Literal, TEXTS) | st.builds(Literal, BARE, st.just(False))
OPERATORS = st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"])


def _grown(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(And, several) | st.builds(Or, several) | st.builds(Not, inner) | st.builds(ValuePath, NAMES, inner)


TREES: st.SearchStrategy[Filter] = st.recursive(
    st.builds(Present, NAMES) | st.builds(Compare, NAMES, OPERATORS, LITERALS), _grown, max_leaves=10
)
SUBS = st.from_regex(r"[A-Za-z$][A-Za-z0-9_-]{0,5}", fullmatch=True)
PATH_TREES = st.builds(Path, NAMES) | st.builds(Path, NAMES, TREES, st.none() | SUBS)
PIECES = st.sampled_from(
    [
        "a",
        "a.b",
        "urn:x:2.0:Y:a",
        "eq",
        "PR",
        "and",
        "or",
        "not",
        "(",
        ")",
        "[",
        "]",
        '"',
        r"\"",
        "\\",
        ".b",
        "5",
        " ",
        "\n",
    ]
)
TEXT = st.text(max_size=30) | st.lists(PIECES, max_size=20).map("".join) | st.lists(PIECES, max_size=20).map(" ".join)


@given(TREES)
@settings(max_examples=150)
def test_filter_written_and_read_is_the_same_tree(tree: Filter) -> None:
    assert parse_filter(str(tree), max_length=20_000) == tree


@given(PATH_TREES)
def test_path_written_and_read_is_the_same(path: Path) -> None:
    assert parse_path(str(path), max_length=20_000) == path


@given(TEXT)
@settings(max_examples=300)
def test_any_text_is_a_filter_or_refused_as_one(text: str) -> None:
    try:
        tree = parse_filter(text)
    except ScimError as error:
        assert error.kind == INVALID_FILTER
    else:
        assert parse_filter(str(tree), max_length=20_000) == tree


@given(TEXT)
@settings(max_examples=300)
def test_any_text_is_a_path_or_refused_as_one(text: str) -> None:
    try:
        path = parse_path(text)
    except ScimError as error:
        assert error.kind == INVALID_PATH
    else:
        assert parse_path(str(path), max_length=20_000) == path
