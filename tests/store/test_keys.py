"""Row keys and what rows hold: order, characters, sizes, and that nothing is lost.

Table Storage orders keys by their UTF-16 units, so that is the order that these tests mean by "order of texts"; it
differs from Python's where a character outside the BMP meets one above U+D7FF.
"""

from __future__ import annotations

import hashlib
import json
import re
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scim.errors import INVALID_VALUE, TOO_LARGE
from scim.ids import new_id
from scim.schema.registry import Index, ResourceType
from scim.schema.validation import Document
from scim.schema.values import fold
from scim.store.keys import (
    build_index_rows,
    encode,
    find_indexed_values,
    is_unique,
    key_range,
    lookup_range,
    prefix_range,
    resource_key,
    resource_range,
    unique_key,
)
from scim.store.properties import join_document, new_write_id, split_document
from tests.core import DEVICE_TYPE, ENTERPRISE, GROUP_TYPE, JSON, REGISTRY, USER_TYPE, cases, device, refused, user

USER_NAME = USER_TYPE.indexes["username"]
EXTERNAL_ID = USER_TYPE.indexes["externalid"]
MAIL = USER_TYPE.indexes["emails.value"]
MANAGER = USER_TYPE.indexes[f"{ENTERPRISE}:manager.value".lower()]

FORBIDDEN = re.compile(r"[/\\#?%\x00-\x1f\x7f-\x9f]")
"""What Table Storage does not take in a key, or takes and loses; a percent sign is decoded twice in a URL."""
MAX_KEY_UNITS = 512


def units(text: str) -> bytes:
    """What the order of keys is: UTF-16 units, the high byte first."""
    return text.encode("utf-16-be")


def within(key: str, between: tuple[str, str]) -> bool:
    start, end = between
    return units(start) <= units(key) < units(end)


EDGES = '\x00\x01\x1f !"#$%&/0?@[\\]~\x7f\x80\x9f\xa0aA\u00e9\ud7ff\ue000\ufffd\uffff\U00010000😀\U0010ffff'
"""Characters on both sides of every bound."""
TEXTS = st.text(EDGES, max_size=20) | st.text(max_size=20)
LONG = st.builds(lambda text, times: text * times, TEXTS, st.integers(1, 20))


@given(TEXTS, TEXTS, TEXTS)
@settings(max_examples=300)
def test_encoded_texts_have_the_order_of_texts(common: str, one: str, other: str) -> None:
    one, other = common + one, common + other
    assert (units(encode(one)) < units(encode(other))) == (units(one) < units(other))


def test_encoded_characters_have_the_order_of_characters() -> None:
    """Every two neighbours of the BMP, whatever stands behind them."""
    characters = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    for one, other in pairwise(characters):
        assert units(encode(one)) < units(encode(one + "\U0010ffff")) < units(encode(other)), (one, other)


@given(LONG)
@settings(max_examples=200)
def test_encoded_text_may_stand_in_a_key(text: str) -> None:
    encoded = encode(text)
    assert not FORBIDDEN.search(encoded)
    assert " " not in encoded


@given(LONG, LONG)
@settings(max_examples=200)
def test_encoded_texts_differ_where_texts_do(one: str, other: str) -> None:
    assert (encode(one) == encode(other)) == (one == other)
    assert encode(one) != encode(one + "x")


@given(TEXTS, TEXTS)
def test_encoded_prefix_is_a_prefix(prefix: str, rest: str) -> None:
    """Of all that is not cut: what the longest text here encodes to is."""
    assert len(encode(prefix + rest)) <= 120
    assert encode(prefix + rest).startswith(encode(prefix))


ENCODED = {
    "plain": ("ada-l@example", "ada-l@example"),
    "quotes stay": ("100'é😀", "100'é😀"),
    "percent": ("50% off %2F", "50$1!20off!20$12F"),
    "dollar is written so that a percent sign can follow it": ("$", "$0"),
    "dot is written so that a slash can follow it": (".", ".0"),
    "slash": ("a/b", "a.1b"),
    "backslash": ("a\\b", "a[1b"),
    "number sign": ("#EXT#", '"1EXT"1'),
    "question mark": ("?", ">1"),
    "space": ("a b", "a!20b"),
    "exclamation mark": ("!", "!21"),
    "control": ("\x00\n", "!00!0A"),
    "tilde": ("~", "~00"),
    "delete": ("\x7f\x9f", "~7F~9F"),
    "nothing": ("", ""),
    "longest that is kept": ("a" * 120, "a" * 120),
}


@pytest.mark.parametrize(("text", "encoded"), cases(ENCODED))
def test_encoded_text(text: str, encoded: str) -> None:
    """Keys are kept for years: what a text encodes to must never change."""
    assert encode(text) == encoded


def test_long_text_is_cut_and_told_apart_by_a_hash() -> None:
    assert encode("." * 61) == ".0" * 60 + "!~" + hashlib.sha256(b".0" * 61).hexdigest()


@given(st.text(max_size=40).map(lambda text: text * 20))
def test_keys_are_short_enough_and_may_be_kept(value: str) -> None:
    id = new_id(USER_TYPE.id_prefix)
    document = {
        "userName": value,
        "externalId": value,
        "displayName": value,
        "emails": [{"value": value}],
        ENTERPRISE: {"manager": {"value": value}},
    }
    for key in [resource_key(value), *build_index_rows(USER_TYPE, id, document)]:
        assert len(units(key)) <= 2 * MAX_KEY_UNITS
        assert not FORBIDDEN.search(key)


@given(TEXTS, TEXTS)
@settings(max_examples=200)
def test_key_range_holds_what_starts_so_and_nothing_else(prefix: str, other: str) -> None:
    prefix = "l u " + prefix  # whatever follows the last character of its kind, the range ends within the kind
    between = key_range(prefix)
    assert all(within(prefix + rest, between) for rest in ("", "!", "a", "\uffff", "\U0010ffff", other))
    assert within("l u " + other, between) == ("l u " + other).startswith(prefix)
    assert all(bound.encode() for bound in between), "half a surrogate pair cannot be sent"


@pytest.mark.parametrize("resource_type", [USER_TYPE, GROUP_TYPE, DEVICE_TYPE], ids=lambda one: one.name)
def test_new_ids(resource_type: ResourceType) -> None:
    ids = {new_id(resource_type.id_prefix) for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(rf"{resource_type.id_prefix}-[a-z2-7]{{24}}", id) for id in ids)


def test_ids_lead_to_their_type_and_stand_in_its_range() -> None:
    user_id, group_id = new_id(USER_TYPE.id_prefix), new_id(GROUP_TYPE.id_prefix)
    assert REGISTRY.by_id(user_id) is USER_TYPE
    assert within(resource_key(user_id), resource_range(USER_TYPE))
    assert not within(resource_key(group_id), resource_range(USER_TYPE))
    assert not within(resource_key("u"), resource_range(USER_TYPE))


def test_write_ids_are_random() -> None:
    assert len({new_write_id() for _ in range(100)}) == 100


def rows_of(**attributes: object) -> set[str]:
    return set(build_index_rows(USER_TYPE, "u-1", user({"userName": "ada", **attributes})))


def test_index_rows() -> None:
    document = user(
        {
            "userName": "Ada Lovelace",
            "externalId": "Ada",
            "emails": [{"value": "A@x", "type": "work"}, {"type": "home"}, {"value": "b/c"}],
            ENTERPRISE: {"manager": {"value": "u-2"}},
        }
    )
    manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:manager.value"
    keys = ["x u username ada!20lovelace", "l u externalid Ada u-1", f"l u {manager} u-2 u-1"]
    keys += ["l u emails.value a@x u-1", "l u emails.value b.1c u-1"]
    assert build_index_rows(USER_TYPE, "u-1", document) == {key: {"id": "u-1"} for key in keys}


def test_index_rows_of_values_that_are_the_same() -> None:
    assert rows_of(userName="STRAßE") == rows_of(userName="Straße") != rows_of(userName="Strasse")
    assert rows_of(userName="\u00e9") == rows_of(userName="E\u0301")
    assert rows_of(externalId="a") != rows_of(externalId="A")
    assert len(rows_of(emails=["a@x", "A@X"])) == 2


def test_only_rows_of_unique_values_are_unique() -> None:
    assert {key: is_unique(key) for key in rows_of(externalId="x x")} == {
        "x u username ada": True,
        "l u externalid x!20x u-1": False,
    }


def test_number_of_index_rows_is_bounded() -> None:
    """An update may have to delete all the old ones and insert all the new ones beside the resource: 100 rows."""
    mails = [f"{number}@x" for number in range(44)]
    assert len(rows_of(emails=mails)) == 45
    with refused(INVALID_VALUE, "emails.value", "46", "45"):
        rows_of(emails=[*mails, "44@x"])
    assert len(rows_of(emails=[*mails, "0@X"])) == 45


INDEXED: dict[str, tuple[Document, Index, list[str]]] = {
    "single": (user({"userName": "Ada"}), USER_NAME, ["Ada"]),
    "absent": (user(), EXTERNAL_ID, []),
    "several": (user({"emails": ["a", {"type": "work"}, "b"]}), MAIL, ["a", "b"]),
    "extension": (user({"manager": "u-2"}), MANAGER, ["u-2"]),
    "absent extension": (user(), MANAGER, []),
    "extension without the attribute": (user({"department": "x"}), MANAGER, []),
    "plain values": (device({"tags": ["a", "b"]}), DEVICE_TYPE.indexes["tags"], ["a", "b"]),
}


@pytest.mark.parametrize(("document", "index", "expected"), cases(INDEXED))
def test_indexed_values(document: Document, index: Index, expected: list[str]) -> None:
    assert list(find_indexed_values(document, index)) == expected


def lookup_key(value: str) -> str:
    [key] = (key for key in rows_of(externalId=value) if not is_unique(key))
    return key


@given(LONG.filter(bool), LONG.filter(bool))
def test_lookup_range_holds_exactly_one_value(value: str, other: str) -> None:
    between = lookup_range(USER_TYPE, EXTERNAL_ID, value)
    assert within(lookup_key(value), between)
    same = EXTERNAL_ID.attribute.case_exact and lookup_key(other) == lookup_key(value)
    assert within(lookup_key(other), between) == same


@given(LONG.filter(bool), LONG)
@settings(max_examples=200)
def test_prefix_range_holds_all_values_that_start_so(prefix: str, rest: str) -> None:
    """As `sw` has it: where NFC joins the prefix's last letter with what follows, the value does not start so."""
    value = prefix + rest
    assume(fold(value, MAIL.attribute).startswith(fold(prefix, MAIL.attribute)))
    mail, name = sorted(build_index_rows(USER_TYPE, "u-1", {"userName": value, "emails": [{"value": value}]}))
    assert within(mail, prefix_range(USER_TYPE, MAIL, prefix))
    assert within(name, prefix_range(USER_TYPE, USER_NAME, prefix))


def test_prefix_range_holds_nothing_that_starts_otherwise() -> None:
    between = prefix_range(USER_TYPE, USER_NAME, "Ada")
    assert within(unique_key(USER_TYPE, USER_NAME, "ADAM"), between)
    assert not within(unique_key(USER_TYPE, USER_NAME, "Ad"), between)
    assert not within(unique_key(USER_TYPE, USER_NAME, "Adb"), between)
    assert not within(unique_key(USER_TYPE, USER_NAME, "bAda"), between)


TAIL = st.text(st.sampled_from('a"\\\n\x7féß中\uffff😀\U0010ffff'), max_size=6)


@given(
    st.dictionaries(TAIL, JSON, max_size=3),
    st.sampled_from([0, 15_990, 31_990, 47_985, 63_990]),
    st.sampled_from("aé😀"),
    TAIL,
)
@settings(max_examples=150)
def test_document_is_what_was_kept(document: Document, length: int, filler: str, tail: str) -> None:
    document = {"text": filler * length + tail, **document}
    parts = split_document(document)
    assert join_document(parts) == document
    assert join_document(json.loads(json.dumps(parts))) == document
    assert list(parts) == [f"doc{number}" for number in range(len(parts))]
    assert all(0 < len(units(part)) <= 2 * 32_767 for part in parts.values())


@pytest.mark.parametrize("length", range(31_980, 32_010))
def test_document_at_the_limit_of_a_part(length: int) -> None:
    for filler in ("a", "😀"):
        document = {"a": filler * length}
        assert join_document(split_document(document)) == document


def test_document_without_attributes() -> None:
    assert split_document({}) == {"doc0": "{}"}
    assert join_document({"doc0": "{}", "id": "u-1", "write": "x"}) == {}


@pytest.mark.parametrize(("filler", "length"), [("a", 480_000), ("é", 480_000), ("😀", 240_000)])
def test_document_is_bounded_by_its_units(filler: str, length: int) -> None:
    room = length - len('{"a":""}') // (2 if filler == "😀" else 1)
    largest = {"a": filler * room}
    assert join_document(split_document(largest)) == largest
    assert sum(len(units(part)) for part in split_document(largest).values()) <= 2 * 480_000
    with refused(TOO_LARGE, "480000"):
        split_document({"a": filler * (room + 1)})
