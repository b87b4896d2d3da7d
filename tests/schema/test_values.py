"""Single values: types, Entra's casts, instants, and when two texts are the same."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim.errors import INVALID_VALUE, ScimError
from scim.schema.model import Attribute, Type
from scim.schema.values import cast, fold, parse_instant
from tests.core import SCALARS, cases, refused

TYPES: tuple[Type, ...] = ("string", "boolean", "decimal", "integer", "dateTime", "binary", "reference")


def attribute(type: Type, *, case_exact: bool = False) -> Attribute:
    return Attribute.model_validate({"name": "x", "type": type, "caseExact": case_exact})


CASTS: dict[str, tuple[Type, object, object]] = {
    "string": ("string", " as sent ", " as sent "),
    "string that looks like a boolean": ("string", "True", "True"),
    "reference that is no URI": ("reference", "u-1", "u-1"),
    "binary that is no base64": ("binary", "~~~", "~~~"),
    "boolean": ("boolean", False, False),
    "True": ("boolean", "True", True),
    "False": ("boolean", "False", False),
    "true": ("boolean", "true", True),
    "false": ("boolean", "false", False),
    "FALSE with a space": ("boolean", " FALSE", False),
    "integer": ("integer", -5, -5),
    "integer as text": ("integer", "+12", 12),
    "smallest integer": ("integer", -(2**63), -(2**63)),
    "largest integer as text": ("integer", str(2**63 - 1), 2**63 - 1),
    "decimal": ("decimal", 2.5, 2.5),
    "decimal without a fraction": ("decimal", 2, 2),
    "decimal as text": ("decimal", "2.5e1", 25.0),
    "date": ("dateTime", "2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z"),
    "date as Entra writes it": ("dateTime", "2026-01-31T08:00:00.1234567Z", "2026-01-31T08:00:00.1234567Z"),
    "date without an offset": ("dateTime", "2026-01-31T08:00:00", "2026-01-31T08:00:00"),
}


@pytest.mark.parametrize(("type", "value", "expected"), cases(CASTS))
def test_cast(type: Type, value: object, expected: object) -> None:
    result = cast(value, attribute(type), "path")
    assert (result, result.__class__) == (expected, expected.__class__)


WRONG: dict[str, tuple[Type, object, str]] = {
    "number for a string": ("string", 5, "a string, not 5"),
    "boolean for a string": ("string", True, "a string, not true"),
    "object for a string": ("string", {"a": 1}, "a string, not an object"),
    "array for a string": ("string", ["a"], "a string, not an array"),
    "null for a string": ("string", None, "a string, not null"),
    "number for a boolean": ("boolean", 1, "true or false, not 1"),
    "word for a boolean": ("boolean", "yes", "true or false, not 'yes'"),
    "boolean for an integer": ("integer", True, "an integer of 64 bits, not true"),
    "fraction for an integer": ("integer", 1.5, "an integer of 64 bits, not 1.5"),
    "word for an integer": ("integer", "1.5", "an integer of 64 bits, not '1.5'"),
    "integer of 65 bits": ("integer", 2**63, "an integer of 64 bits"),
    "integer of 65 bits as text": ("integer", str(2**63), "an integer of 64 bits"),
    "boolean for a decimal": ("decimal", False, "a number, not false"),
    "word for a decimal": ("decimal", "two", "a number, not 'two'"),
    "NaN": ("decimal", "NaN", "a number"),
    "Infinity": ("decimal", "-Infinity", "a number"),
    "decimal out of range": ("decimal", "1e999", "a number"),
    "decimal with underscores": ("decimal", "1_000", "a number"),
    "integer in other digits": ("integer", "٣", "an integer"),
    "date without a time": ("dateTime", "2026-01-31", "a dateTime such as"),
    "day that does not exist": ("dateTime", "2026-02-30T08:00:00Z", "a dateTime such as"),
    "offset that does not exist": ("dateTime", "2026-01-30T08:00:00+25:00", "a dateTime such as"),
    "number for a date": ("dateTime", 1700000000, "a dateTime such as"),
    "array for a reference": ("reference", [], "a URI string, not an array"),
    "number for a binary": ("binary", 0, "a base64 string, not 0"),
}


@pytest.mark.parametrize(("type", "value", "mention"), cases(WRONG))
def test_value_of_the_wrong_type(type: Type, value: object, mention: str) -> None:
    with refused(INVALID_VALUE, f"emails.value must be {mention}", "correct the attribute mapping"):
        cast(value, attribute(type), "emails.value")


@given(st.sampled_from(TYPES), SCALARS)
def test_cast_twice_is_cast_once(type: Type, value: object) -> None:
    try:
        once = cast(value, attribute(type), "path")
    except ScimError as error:
        assert error.kind == INVALID_VALUE
    else:
        assert cast(once, attribute(type), "path") == once


NOON = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()) * 10**12

INSTANTS = {
    "UTC": ("2026-01-31T12:00:00Z", NOON),
    "lower case": ("2026-01-31t12:00:00z", NOON),
    "no offset is UTC": ("2026-01-31T12:00:00", NOON),
    "offset": ("2026-01-31T17:30:00+05:30", NOON),
    "negative offset": ("2026-01-30T22:00:00-14:00", NOON),
    "fraction": ("2026-01-31T12:00:00.5Z", NOON + 500 * 10**9),
    "seven digits": ("2026-01-31T12:00:00.1234567Z", NOON + 123_456_700_000),
    "white space around": (" 2026-01-31T12:00:00Z\n", NOON),
    "space for T": ("2026-01-31 12:00:00Z", None),
    "no seconds": ("2026-01-31T12:00Z", None),
    "hour 24": ("2026-01-31T24:00:01Z", None),
    "before 1970": ("1969-12-31T23:59:59.5Z", -5 * 10**11),
    "other digits": ("\uff12026-01-31T12:00:00Z", None),
    "text": ("yesterday", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("text", "expected"), cases(INSTANTS))
def test_instant(text: str, expected: int | None) -> None:
    assert parse_instant(text) == expected


@given(st.text(max_size=12) | st.text("0123456789-:.TZ+ ", max_size=30))
def test_any_text_is_an_instant_or_none(text: str) -> None:
    moment = parse_instant(text)
    assert moment is None or isinstance(moment, int)


SAME = {
    "case": ("Ada@Example.COM", "ada@example.com"),
    "case beyond ASCII": ("ÅSA", "åsa"),
    "sharp s": ("Straße", "STRAßE"),
    "capital sharp s": ("STRA\u1e9eE", "straße"),
    "final sigma": ("ΟΔΟΣ", "οδοσ"),
    "final sigma as it is written": ("ΟΔΟΣ", "οδος"),
    "composed and decomposed": ("\u00e9", "e\u0301"),
    "decomposed and in capitals": ("E\u0301", "\u00e9"),
    "Kelvin sign": ("\u212a", "k"),
}


@pytest.mark.parametrize(("one", "other"), cases(SAME))
def test_texts_that_are_the_same(one: str, other: str) -> None:
    assert fold(one, attribute("string")) == fold(other, attribute("string"))


DIFFERENT = {
    "accent": ("e", "\u00e9", False),
    "white space": ("a", "a ", False),
    "Turkish i": ("\u0131", "i", False),
    "full width": ("\uff21", "A", False),
    "case where it counts": ("Ada", "ada", True),
    "case beyond ASCII where it counts": ("ÅSA", "åsa", True),
}


@pytest.mark.parametrize(("one", "other", "case_exact"), cases(DIFFERENT))
def test_texts_that_differ(one: str, other: str, case_exact: bool) -> None:
    exact = attribute("string", case_exact=case_exact)
    assert fold(one, exact) != fold(other, exact)


def test_caseExact_still_composes() -> None:
    exact = attribute("string", case_exact=True)
    assert fold("e\u0301", exact) == fold("\u00e9", exact)


@given(st.text(), st.booleans())
def test_fold_twice_is_fold_once_in_any_form(text: str, case_exact: bool) -> None:
    folding = attribute("string", case_exact=case_exact)
    once = fold(text, folding)
    assert fold(once, folding) == once
    assert fold(unicodedata.normalize("NFD", text), folding) == once
