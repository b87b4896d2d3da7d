"""API keys: what they look like, whose they are, and what is taken for one."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.credentials import SEAL, new_key
from scim.security.keys import create_client_id, fingerprint, is_storable, matches, parse_client_id, parse_key
from scim.security.seals import create_seal, find_sealer
from tests.core import cases

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
KEY = new_key("contoso")


def connection_of(key: str) -> str | None:
    """The connection that a key leads to; None if it is made up."""
    issued = parse_key(key)
    return issued.connection if issued and find_sealer(issued.text, issued.seal, (SEAL,)) else None


def digest(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


@given(NAMES)
def test_key_names_its_connection_and_is_short(name: str) -> None:
    key = new_key(name)
    assert re.fullmatch(f"scim_{name}_[0-9A-Za-z]{{42}}", key)
    assert connection_of(key) == name
    assert len(key) < 200


def test_keys_are_random() -> None:
    assert len({new_key("contoso") for _ in range(100)}) == 100


BAD_NAMES = {
    "nothing": "",
    "capitals": "Contoso",
    "underscore": "con_toso",
    "hyphen first": "-contoso",
    "hyphen last": "contoso-",
    "path": "a/b",
    "line break last": "contoso\n",
    "other letters": "kontosö",
    "too long": "a" * 64,
}


@pytest.mark.parametrize("name", cases(BAD_NAMES))
def test_name_that_cannot_be_a_connection(name: str) -> None:
    with pytest.raises(ValueError, match="connection name"):
        new_key(name)


def test_longest_name() -> None:
    assert connection_of(new_key("a" * 63)) == "a" * 63


@given(st.integers(0, len(KEY) - 1), st.sampled_from("0123456789abcxyzABCXYZ_-"))
def test_seal_finds_one_wrong_character(at: int, character: str) -> None:
    mistyped = KEY[:at] + character + KEY[at + 1 :]
    assert (connection_of(mistyped) is None) == (mistyped != KEY)


NO_KEYS = {
    "nothing": "",
    "prefix": "scim_contoso_",
    "cut off": KEY[:-1],
    "one character more": KEY + "0",
    "line break behind": KEY + "\n",
    "space before": " " + KEY,
    "capitals": KEY.upper(),
    "another prefix": KEY.replace("scim", "scam"),
    "another connection": KEY.replace("contoso", "fabrikam"),
    "digest": digest(KEY),
    "jwt": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
    "other digits": KEY[:-1] + "٣",
}


@pytest.mark.parametrize("text", cases(NO_KEYS))
def test_text_that_is_no_key(text: str) -> None:
    assert connection_of(text) is None


@given(st.text())
def test_no_text_is_a_key(text: str) -> None:
    assert connection_of(text) is None


def test_key_of_another_root_is_made_up() -> None:
    other = create_seal()
    issued = parse_key(new_key("contoso"))
    assert issued is not None
    assert find_sealer(issued.text, issued.seal, (other,)) is None
    assert find_sealer(issued.text, issued.seal, (other, SEAL)) is SEAL
    assert find_sealer(issued.text, issued.seal, ()) is None


@given(NAMES)
def test_client_id_names_its_connection(name: str) -> None:
    issued = parse_client_id(create_client_id(name, SEAL))
    assert issued is not None and issued.connection == name
    assert find_sealer(issued.text, issued.seal, (SEAL,)) is SEAL


NO_CLIENT_IDS = {
    "nothing": "",
    "name alone": "contoso",
    "no seal": "contoso_",
    "no name": "_0123456789",
    "seal cut off": "contoso_012345678",
    "one character more": "contoso_01234567890",
    "key": KEY,
}


@pytest.mark.parametrize("text", cases(NO_CLIENT_IDS))
def test_text_that_is_no_client_id(text: str) -> None:
    assert parse_client_id(text) is None


@given(NAMES, NAMES)
def test_seal_of_one_thing_is_none_of_another(first: str, second: str) -> None:
    """The seal of a client id neither fits another name nor a key."""
    seal = create_client_id(first, SEAL)[-10:]
    if first != second:
        issued = parse_client_id(f"{second}_{seal}")
        assert issued is not None and find_sealer(issued.text, issued.seal, (SEAL,)) is None
    assert connection_of(f"scim_{first}_{'a' * 32}{seal}") is None


def test_key_matches_itself_and_its_digest() -> None:
    assert matches(KEY, KEY)
    assert matches(KEY, digest(KEY))
    assert matches(KEY, digest(KEY).upper().replace("SHA", "Sha"))


OTHERS = {
    "another key": new_key("contoso"),
    "digest of another key": digest(new_key("contoso")),
    "beginning": KEY[:-1],
    "nothing": "",
    "bare digest": digest(KEY)[7:],
}


@pytest.mark.parametrize("stored", cases(OTHERS))
def test_key_matches_nothing_else(stored: str) -> None:
    assert not matches(KEY, stored)


@given(NAMES)
def test_fingerprint_is_the_same_for_a_key_and_its_digest(name: str) -> None:
    key = new_key(name)
    assert fingerprint(key) == fingerprint(digest(key)) == fingerprint(digest(key).upper()) == digest(key)[7:15]
    assert fingerprint(key) not in key


def test_digest_is_not_its_own_key() -> None:
    assert not matches(digest(KEY), digest(KEY))


STORABLE = {
    "key": (KEY, True),
    "digest": (digest(KEY), True),
    "key of another connection": (new_key("fabrikam"), False),
    "cut off": (KEY[:-1], False),
    "digest that is too short": (digest(KEY)[:-1], False),
    "password": ("hunter2", False),
    "nothing": ("", False),
}


@pytest.mark.parametrize(("stored", "storable"), cases(STORABLE))
def test_what_may_be_configured_as_a_key(stored: str, storable: bool) -> None:
    assert is_storable(stored, "contoso") is storable
