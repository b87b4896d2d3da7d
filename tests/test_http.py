"""Requests and responses as values: URLs, queries, bodies and preconditions."""

from __future__ import annotations

import json
import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scim.errors import INVALID_SYNTAX, INVALID_VALUE, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, ErrorKind, ScimError
from scim.http import Request, Response
from tests.core import JSON, cases, refused

HOST = "https://app.example"

PATHS = {
    "collection": ("/scim/Users", ["Users"]),
    "resource": ("/scim/Users/u-1", ["Users", "u-1"]),
    "trailing slash": ("/scim/Users/", ["Users"]),
    "doubled slashes": ("/scim//Users///u-1", ["Users", "u-1"]),
    "doubled slash before scim": ("//scim/Users", ["Users"]),
    "root": ("/scim", []),
    "root with a slash": ("/scim/", []),
    "slash inside an id": ("/scim/Users/a%2Fb", ["Users", "a/b"]),
    "encoded characters": ("/scim/Users/a%20b%C3%BC%2B+", ["Users", "a bü++"]),
    "encoded question mark": ("/scim/Users/a%3Fb", ["Users", "a?b"]),
    "encoded twice": ("/scim/Users/a%252Fb", ["Users", "a%2Fb"]),
    "no UTF-8": ("/scim/Users/%FF", ["Users", "\ufffd"]),
    "query": ("/scim/Users?filter=a/b", ["Users"]),
    "query behind a slash": ("/scim/Users/?filter=a/b", ["Users"]),
    "case": ("/SCIM/users", ["users"]),
}


@pytest.mark.parametrize(("path", "segments"), cases(PATHS))
def test_segments(path: str, segments: list[str]) -> None:
    assert Request("GET", HOST + path).segments == segments


@pytest.mark.parametrize(
    ("url", "base"),
    cases(
        {
            "plain": ("https://app.example/scim/Users/u-1?count=1", "https://app.example/scim"),
            "port": ("http://localhost:7071/scim/", "http://localhost:7071/scim"),
            "another case": ("https://app.example//SCIM/Users", "https://app.example/scim"),
        }
    ),
)
def test_base_url(url: str, base: str) -> None:
    assert Request("GET", url).base_url == base


QUERIES = {
    "nothing": ("", {}),
    "flag": ("?aadOptscim062020", {"aadoptscim062020": ""}),
    "empty value": ("?filter=&count=5", {"filter": "", "count": "5"}),
    "plus": ("?filter=userName+eq+%22a%2Bb%22", {"filter": 'userName eq "a+b"'}),
    "percent 20": ("?filter=userName%20eq%20%22a%40b%22", {"filter": 'userName eq "a@b"'}),
    "raw quotes": ('?filter=userName+eq+"a%40b"', {"filter": 'userName eq "a@b"'}),
    "raw brackets and an ampersand": (
        '?filter=emails[type+eq+"work"].value+eq+"a%26b"&attributes=id',
        {"filter": 'emails[type eq "work"].value eq "a&b"', "attributes": "id"},
    ),
    "equals sign in a value": ("?filter=a=b=c", {"filter": "a=b=c"}),
    "semicolon in a value": ("?filter=a;b", {"filter": "a;b"}),
    "names in any case": ("?StartINDEX=2&COUNT=3", {"startindex": "2", "count": "3"}),
    "last of repeated": ("?count=1&Count=2", {"count": "2"}),
    "repeated, the last one empty": ("?count=1&count=", {"count": ""}),
    "empty parts": ("?&&count=1&", {"count": "1"}),
    "UTF-8": ("?filter=%C3%A9", {"filter": "é"}),
    "no UTF-8": ("?filter=%FF", {"filter": "\ufffd"}),
    "percent sign by itself": ("?filter=100%", {"filter": "100%"}),
    "second question mark": ("?filter=a?b", {"filter": "a?b"}),
}


@pytest.mark.parametrize(("query", "parameters"), cases(QUERIES))
def test_query(query: str, parameters: dict[str, str]) -> None:
    assert Request("GET", f"{HOST}/scim/Users{query}").query == parameters


def request(body: bytes, **headers: str) -> Request:
    return Request("POST", HOST, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def read(body: bytes | str, max_bytes: int = 2**20, max_depth: int = 32, **headers: str) -> object:
    return request(body.encode() if isinstance(body, str) else body, **headers).json(max_bytes, max_depth)


TYPES = [
    "application/scim+json",
    "application/json",
    "Application/SCIM+JSON; charset=utf-8",
    " application/json ;x",
    "",
]


@pytest.mark.parametrize("content_type", TYPES)
def test_content_type_that_is_read(content_type: str) -> None:
    assert read('{"a": 1}', content_type=content_type) == {"a": 1}


def test_content_type_may_be_missing() -> None:
    assert read("{}") == {}


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/json+x", "json", "x" * 500])
def test_content_type_that_is_not_read(content_type: str) -> None:
    with refused(UNSUPPORTED_MEDIA_TYPE, content_type[:80], "application/scim+json"):
        read("{}", content_type=content_type)


BODIES: dict[str, tuple[str | bytes, object]] = {
    "object": ('{"a": [1, -2.5, true, null, "x"]}', {"a": [1, -2.5, True, None, "x"]}),
    "any JSON": (" 5\n", 5),
    "byte order mark": (b'\xef\xbb\xbf{"a": "\xc3\xa9"}', {"a": "é"}),
    "escaped pair": (r'"\ud83d\ude00"', "😀"),
    "64 bits": ("[9223372036854775807, -9223372036854775808]", [2**63 - 1, -(2**63)]),
    "large float": ("1.7976931348623157e308", 1.7976931348623157e308),
    "one name on two levels": ('{"a": {"a": 1}}', {"a": {"a": 1}}),
    "names in two cases": ('{"a": 1, "A": 2}', {"a": 1, "A": 2}),
}


@pytest.mark.parametrize(("body", "data"), cases(BODIES))
def test_body(body: str | bytes, data: object) -> None:
    assert read(body) == data


BAD_BODIES: dict[str, tuple[Any, ...]] = {
    "nothing": ("", INVALID_SYNTAX, "no body"),
    "white space": (" \n", INVALID_SYNTAX, "no body"),
    "no JSON": ('{"a": }', INVALID_SYNTAX, "not JSON", "line 1, column 7", "a value is expected"),
    "single quotes": ("{'a': 'x'}", INVALID_SYNTAX, "line 1, column 2", "a name in double quotes is expected"),
    "a name without quotes": ('{a: "x"}', INVALID_SYNTAX, "line 1, column 2", "a name in double quotes is expected"),
    "a comma too many": ('{"a": 1,}', INVALID_SYNTAX, "line 1, column", "comma too many"),
    "no comma": ('{"a": 1 "b": 2}', INVALID_SYNTAX, "line 1, column 9", "a comma or a closing bracket is expected"),
    "no colon": ('{"a" 1}', INVALID_SYNTAX, "line 1, column 6", "put it between name and value"),
    "no closing quote": ('{"a": "x}', INVALID_SYNTAX, "line 1, column 7", "no closing quote"),
    "a backslash alone": (r'{"a": "CONTOSO\ada"}', INVALID_SYNTAX, "line 1, column 15", "write two for one"),
    "half an escape": (r'{"a": "C\user"}', INVALID_SYNTAX, "line 1, column", "four hexadecimal digits"),
    "true in capitals": ('{"a": True}', INVALID_SYNTAX, "line 1, column 7", "true, false and null in small letters"),
    "XML": ("<user/>", INVALID_SYNTAX, "line 1, column 1", "a value is expected"),
    "a form": ("userName=ada", INVALID_SYNTAX, "line 1, column 1", "a value is expected"),
    "a comment": ('// ada\n{"a": 1}', INVALID_SYNTAX, "line 1, column 1", "a value is expected"),
    "cut off": ('{"a": 1,\n', INVALID_SYNTAX, "not JSON", "line 2"),
    "two values": ("{} {}", INVALID_SYNTAX, "not JSON", "column 4"),
    "raw line break in a string": ('"a\nb"', INVALID_SYNTAX, "not JSON"),
    "no UTF-8": (b'{"a": "\xff"}', INVALID_SYNTAX, "not UTF-8", "byte 7"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), INVALID_SYNTAX, "not UTF-8"),
    "NaN": ('{"a": NaN}', INVALID_SYNTAX, "NaN"),
    "Infinity": ("-Infinity", INVALID_SYNTAX, "-Infinity"),
    "name twice": ('{"b": 1, "a": 1, "a": 2}', INVALID_SYNTAX, "a appears twice"),
    "name twice inside": ('[{"x": {"ü": 1, "ü": 2}}]', INVALID_SYNTAX, r"\xfc appears twice"),
    "name twice in two spellings": ('{"a": 1, "\\u0061" : 2}', INVALID_SYNTAX, "a appears twice"),
    "name twice beside texts with colons": ('{"a":":", "b":"c", "a" :2}', INVALID_SYNTAX, "a appears twice"),
    "name twice behind a backslash": (r'{"a": "\\", "a": "\":"}', INVALID_SYNTAX, "a appears twice"),
    "65 bits": ('{"a": {"b": 9223372036854775808}}', INVALID_VALUE, "a.b", "64 bits"),
    "65 bits in a list": ('{"a": [1, -9223372036854775809]}', INVALID_VALUE, "a", "64 bits"),
    "65 bits alone": ("9223372036854775808", INVALID_VALUE, "The body", "64 bits"),
    "float out of range": ('{"a": [-1e999]}', INVALID_VALUE, "a", "64-bit"),
    "number of 5000 digits": ("9" * 5000, INVALID_VALUE, "number"),
    "NUL": (r'{"a": {"b": ["x\u0000"]}}', INVALID_VALUE, "a.b", "U+0000"),
    "NUL in a name": (r'{"a": {"x\u0000": 1}}', INVALID_VALUE, "a", "U+0000"),
    "half a surrogate pair": (r'{"a": {"b": "x\ud800"}}', INVALID_VALUE, "a.b", "surrogate"),
    "second half of a surrogate pair": (r'"\udc00"', INVALID_VALUE, "surrogate"),
    "half a surrogate pair in a name": (r'{"\ud800": 1}', INVALID_VALUE, "name", "surrogate"),
    "half a surrogate pair in a name twice": (r'{"\ud800": 1, "\ud800": 2}', INVALID_SYNTAX, r"\ud800 appears twice"),
    "far too deep": ("[" * 200_000, INVALID_SYNTAX, "nested too deeply"),
}


@pytest.mark.parametrize(
    ("body", "kind", "mentions"), [pytest.param(b, k, m, id=n) for n, (b, k, *m) in BAD_BODIES.items()]
)
def test_body_that_is_refused(body: str | bytes, kind: ErrorKind, mentions: list[str]) -> None:
    with refused(kind, *mentions) as caught:
        read(body)
    assert re.search(r"; (send|write|take|put|close|remove|leave) ?", caught.value.detail), caught.value.detail


def test_missing_body_of_a_chunked_request_is_explained() -> None:
    with refused(INVALID_SYNTAX, "no body", "chunked", "Content-Length"):
        read("", transfer_encoding="chunked")


def test_depth_is_bounded() -> None:
    assert read('{"a": {"b": [1]}}', max_depth=3) == {"a": {"b": [1]}}
    with refused(INVALID_SYNTAX, "a.b", "deeper than 2 levels"):
        read('{"a": {"b": [1]}}', max_depth=2)


def test_size_is_bounded() -> None:
    assert read('"123"', max_bytes=5) == "123"
    with refused(TOO_LARGE, "5 bytes", "at most 4"):
        read('"123"', max_bytes=4)


def test_bounds_are_held_before_the_body_is_looked_at() -> None:
    with refused(UNSUPPORTED_MEDIA_TYPE):
        read("[" * 100, max_bytes=4, content_type="text/plain")
    with refused(TOO_LARGE):
        read(b"\xff" * 100, max_bytes=4)


@pytest.mark.parametrize(
    "body",
    cases(
        {
            "number": json.dumps({"n" * 1000: {"m" * 1000: 2**70}}),
            "depth": json.dumps({"n" * 1000: {"m" * 1000: [[[]]]}}),
            "NUL": json.dumps({"n" * 1000: {"m" * 1000: "\0"}}),
        }
    ),
)
def test_error_shows_only_the_beginning_of_a_long_name(body: str) -> None:
    with pytest.raises(ScimError) as caught:
        read(body, max_depth=3)
    assert len(caught.value.detail) < 500


def test_long_names_around_many_values_take_no_memory() -> None:
    """Each value's path is needed for an error only: a body of 1 MiB must not become gigabytes."""
    body = json.dumps({"n" * 50_000: dict.fromkeys(map(str, range(1000)), 1)})
    tracemalloc.start()
    try:
        read(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * len(body)


@given(JSON)
def test_body_that_can_be_kept_is_read_as_sent(data: object) -> None:
    assert read(json.dumps(data)) == data
    assert read(json.dumps(data, ensure_ascii=False)) == data


@given(st.binary(max_size=30) | st.text('{}[]":,\\u0d8a1eE+-.ntf ', max_size=30).map(str.encode))
@settings(max_examples=200)
def test_any_bytes_are_json_or_refused(body: bytes) -> None:
    try:
        data = read(body)
    except ScimError as error:
        assert error.kind in (INVALID_SYNTAX, INVALID_VALUE)
        assert Response(400, error.body()).encoded()
    else:
        assert json.loads(Response(200, data).encoded() or b"null") == data


NAMES = st.sampled_from(["a", "b", ":", "\\", '"', "a\\", "é"])


@st.composite
def spelled(draw: st.DrawFn, depth: int = 3) -> str:
    """JSON text in which names come twice, in any spelling, beside texts that look like names."""
    kind = draw(st.sampled_from(["text", "number", "array", "object"][: 4 if depth else 2]))
    if kind == "text":
        return draw(st.sampled_from(['":"', r'"\":"', r'"\\"', '"a"', r'"\u0061"', '"', r'"\"']))
    if kind == "number":
        return draw(st.sampled_from(["1", "-0", "0.5", "1e30", "99999999999999999999", "9223372036854775808", "NaN"]))
    items = draw(st.lists(spelled(depth - 1), max_size=3))
    if kind == "array":
        return f"[{', '.join(items)}]"
    names = [json.dumps(draw(NAMES), ensure_ascii=draw(st.booleans())) for _ in items]
    gap = draw(st.sampled_from(["", " ", "\n\t"]))
    return "{" + ",".join(f"{name}{gap}:{item}" for name, item in zip(names, items, strict=True)) + "}"


@given(spelled())
@settings(max_examples=500)
def test_a_body_is_read_as_one_value_or_refused_whoever_parses_it(text: str) -> None:
    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(items)) != len(items):
            raise ValueError("twice")
        return dict(items)

    def integer(digits: str) -> int:
        if abs(int(digits)) >= 2**63:
            raise ValueError("too large")
        return int(digits)

    try:
        data = json.loads(text, object_pairs_hook=pairs, parse_constant=int, parse_int=integer)
    except ValueError:
        with pytest.raises(ScimError):
            read(text)
    else:
        assert read(text) == data


VERSION = "W/\"datetime'2026-11-21T08%3A30%3A00.0000000Z'\""

ETAGS = {
    "the same": (VERSION, True),
    "strong": (VERSION.removeprefix("W/"), True),
    "any": ("*", True),
    "any with spaces": (" * ", True),
    "one of a list": (f'"a", {VERSION},W/"b"', True),
    "list without spaces": (f'W/"a",{VERSION}', True),
    "another": ('W/"other"', False),
    "others": ('"a", "b"', False),
    "nothing": ("", False),
    "empty tag": ('W/""', False),
    "no quotes": (VERSION[3:-1], False),
    "part of it": ('"datetime"', False),
    "star in quotes": ('"*"', False),
    "another case": (VERSION.upper(), False),
}


@pytest.mark.parametrize(("value", "expected"), cases(ETAGS))
def test_entity_tags(value: str, expected: bool) -> None:
    assert Request("GET", HOST, {"if-match": value}).matches("if-match", VERSION) is expected
    assert Request("GET", HOST, {"if-none-match": value}).matches("if-none-match", VERSION) is expected


def test_condition_that_is_not_made() -> None:
    assert Request("GET", HOST, {"if-match": VERSION}).matches("if-none-match", VERSION) is None


def test_response_is_compact_utf8() -> None:
    assert Response(200, {"a": ["é😀", None, True]}).encoded() == '{"a":["é😀",null,true]}'.encode()
    assert Response(204).encoded() == b""
    assert Response(200, {}).encoded() == b"{}"
