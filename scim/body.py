"""A request's body as JSON data that storage can hold; anything else is a 4xx that names the place.

Most bodies have nothing unusual in them and are read by a fast parser; what it cannot tell, or will not, is left to a
slow one, which says what is wrong and where.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any, NoReturn

import orjson

from scim.budget import Work, at_once, call, charge, in_turns
from scim.errors import INVALID_SYNTAX, INVALID_VALUE, TOO_LARGE, ScimError
from scim.text import INT64, check_text, make_printable

_SHOWN = 200
"""Characters of a name or path that an error shows."""
_LARGE = 2.0**63
"""From here on a number may have been an integer that the fast parser rounded."""
_APART = re.compile(rb'"[ \t\r\n]+:')
_STRING = re.compile(rb'"[^"]*"(?:[ \t\r\n]*(:))?')
"""A string in a text without escapes, and the colon behind it if it is a member's name."""
_NUL = rb"\u0000"
"""The character that no text may have."""
_BOM = b"\xef\xbb\xbf"
_LOOKED_AT = 800
"""Bytes that are looked at in a unit, without being made into values."""
_NO_JSON = "a value is expected; send texts in double quotes, and true, false and null in small letters"
_NOT_JSON = {
    "Expecting property name": "a name in double quotes is expected; write it so, and take out a comma too many",
    "Illegal trailing comma": "there is a comma too many; take it out",
    "Expecting ',' delimiter": "a comma or a closing bracket is expected; put it in",
    "Expecting ':' delimiter": "a colon is expected; put it between name and value",
    "Extra data": "something follows the end of the value; send one object in a body",
    "Invalid control character": "a line break or tab stands in a text; write \\n or \\t",
    "Invalid \\escape": "a backslash begins no escape; write two for one",
    "Invalid \\uXXXX": "\\u needs four hexadecimal digits; write them, or two backslashes for one",
    "Unterminated string": 'the text that begins here has no closing quote; close it, and write \\" for a quote in it',
}
"""What is wrong with a body and the remedy, by what the parser says."""
_SMALL = 32 * 1024
"""Bytes that are read at once."""
_MAX_VALUES = 300_000
"""Values of a body: what the fast parser takes in 50 ms."""
_MOST_DIGITS = 400
"""Of a whole number that is told from one which is too large: a float has 309."""
_AT_ONCE = 2_000
"""Strings or objects that are looked at in a slice of work."""


async def read_body(body: bytes, max_depth: int) -> object:
    """Return the data of a body. Raises 400 invalidSyntax or invalidValue, or 413. Others are served while a large one
    is read."""
    parsing = _parse_quickly(body, max_depth)
    try:
        return at_once(parsing) if len(body) <= _SMALL else await in_turns(parsing)
    except _Unusual:
        return await call(len(body), _parse_thoroughly, body, max_depth)


def parse_body(body: bytes, max_depth: int) -> object:
    """Do the same at once."""
    try:
        return at_once(_parse_quickly(body, max_depth))
    except _Unusual:
        return _parse_thoroughly(body, max_depth)


class _Unusual(Exception):
    """Data that needs a closer look."""


def _parse_quickly(body: bytes, max_depth: int) -> Generator[None, None, object]:
    """Return the data of a body that has nothing unusual in it. Raises _Unusual, and 413 for too many values.

    orjson reads the largest body that is taken in 50 ms, in which nobody else is served; Python's own parser, which
    could tell of repeated names, takes up to 130 ms (Python 3.13). Of members with one name orjson keeps the last, so
    names are counted: without its escapes, a text has a quote before a colon, with or without blanks between them,
    behind each name and where a string begins with a colon. So this number is never too small; if it is not that of the
    members, the names are counted exactly, and if it still is not, a name came twice.
    """
    body = body.removeprefix(_BOM)
    text, is_usual = body, True
    if b"\\" in body:
        text = body.replace(rb"\\", b"")
        is_usual = _NUL not in text
        text = text.replace(rb"\"", b"")
        charge(len(body) // _LOOKED_AT, Work.BODY)
        yield
    if len(body) > _SMALL:
        yield from _hold_values(text)
    if not is_usual:
        raise _Unusual
    charge(len(body) // _LOOKED_AT, Work.BODY)
    yield
    try:
        data = orjson.loads(body)
    except ValueError:
        raise _Unusual from None
    charge(len(body) // _LOOKED_AT, Work.BODY)
    yield
    number = yield from _count_members(data, max_depth)
    # A name that came twice is one member. A colon behind a quote ends a name, or begins a text.
    if number != text.count(b'":') + len(_APART.findall(text)) and number != (yield from _count_names(text)):
        raise _Unusual
    return data


def _hold_values(text: bytes) -> Generator[None, None, None]:
    """Raise 413 for more values than can be read at once."""
    number = _count_marks(text)
    if number <= _MAX_VALUES:
        return
    number, end = 0, 0
    for at, string in enumerate(_STRING.finditer(text)):  # what looks like a mark may be in a string
        number, end = number + _count_marks(text[end : string.start()]), string.end()
        if at % _AT_ONCE == 0:
            charge(_AT_ONCE, Work.BODY)
            yield
        if number > _MAX_VALUES:
            break
    else:
        number += _count_marks(text[end:])
    if number > _MAX_VALUES:
        detail = f"The body has more than {_MAX_VALUES} values; so many are read. Split the request."
        raise ScimError(TOO_LARGE, detail)


def _count_marks(text: bytes) -> int:
    """Return how many values a text has, about: each follows a comma or a bracket."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _count_names(text: bytes) -> Generator[None, None, int]:
    """Return how many names of members a text has; one that comes twice counts twice."""
    number = 0
    for at, string in enumerate(_STRING.finditer(text), 1):
        number += string[1] is not None
        if at % _AT_ONCE == 0:
            charge(_AT_ONCE, Work.BODY)
            yield
    return number


def _count_members(data: object, max_depth: int) -> Generator[None, None, int]:
    """Return how many members all objects in it have. Raises _Unusual for what is nested too deeply or may not fit."""
    number, depth, seen = 0, -1, 0
    level: list[Any] = [[data]]
    while level:
        following: list[Any] = []
        for container in level:
            seen += 1 + len(container) // 16
            if seen >= _AT_ONCE:
                charge(seen, Work.BODY)
                seen = 0
                yield
            values = container
            if type(container) is dict:
                number += len(container)
                values = container.values()
            for value in values:
                kind = type(value)
                if kind is str:
                    continue
                if kind is dict or kind is list:
                    following.append(value)
                elif kind is int:
                    if value not in INT64:
                        raise _Unusual
                elif kind is float and not -_LARGE < value < _LARGE:
                    raise _Unusual
        level, depth = following, depth + 1
        if depth > max_depth:
            raise _Unusual
    return number


def _parse_thoroughly(body: bytes, max_depth: int) -> object:
    """Return the data of a body, whatever it costs, with errors that name the place."""
    data = _parse(body)
    _check(data, max_depth)
    return data


def _parse(body: bytes) -> object:
    try:
        return _Decoder().decode(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ScimError(INVALID_SYNTAX, f"The body is not UTF-8 (byte {error.start}); send it in UTF-8.") from None
    except RecursionError:
        raise ScimError(INVALID_SYNTAX, "The body is nested too deeply; send it with fewer brackets.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        found = next((said for begins, said in _NOT_JSON.items() if error.msg.startswith(begins)), _NO_JSON)
        raise ScimError(INVALID_SYNTAX, f"The body is not JSON at {where}: {found}.") from None


class _Decoder(json.JSONDecoder):
    """Python's decoder without its scanner in C, which lets nobody else work until it has read the whole text."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_build_object, parse_constant=_refuse_constant, parse_int=_parse_integer)
        self.scan_once = py_make_scanner(self)


def _parse_integer(digits: str) -> int:
    """Return an integer as it stands there. Python reads one in a time that grows with the square of its digits."""
    if len(digits) > _MOST_DIGITS:
        detail = "A number in the body has too many digits; send one of 64 bits, or a string."
        raise ScimError(INVALID_VALUE, detail, rule="type")
    return int(digits)


def _build_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object's members. Raise 400 invalidSyntax for a repeated name, which RFC 7159 leaves undefined: taking
    either value would be a guess about somebody's identity."""
    charge(1 + len(pairs), Work.BODY)
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        detail = f"Attribute {make_printable(name)} appears twice in one object; send it once."
        raise ScimError(INVALID_SYNTAX, detail, attribute=name, rule="twice")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ScimError(INVALID_SYNTAX, f"The body is not JSON: {name} is not a JSON number; send null, or leave it out.")


def _check(data: object, max_depth: int) -> None:
    """Hold every value against what storage keeps: depth, 64-bit numbers, and strings that are Unicode text."""
    stack: list[tuple[object, str, int]] = [(data, "", 1)]
    while stack:
        value, path, depth = stack.pop()
        charge(1, Work.BODY)
        if isinstance(value, str):
            check_text(value, path)
        elif isinstance(value, int):
            if value not in INT64:
                detail = f"{path or 'The body'} does not fit in 64 bits; send a smaller number."
                raise ScimError(INVALID_VALUE, detail, attribute=path, rule="type")
        elif isinstance(value, float):
            if value in (float("inf"), float("-inf")):
                detail = f"{path or 'The body'} is beyond the range of a 64-bit number; send a smaller one."
                raise ScimError(INVALID_VALUE, detail, attribute=path, rule="type")
        elif isinstance(value, dict | list):
            if depth > max_depth:
                detail = f"{path or 'The body'} is nested deeper than {max_depth} levels; send it with fewer brackets."
                raise ScimError(INVALID_SYNTAX, detail, attribute=path, rule="limit")
            if isinstance(value, dict):
                for name, item in value.items():
                    check_text(name, path or "An attribute name")
                    stack.append((item, f"{path}.{name}"[:_SHOWN] if path else name[:_SHOWN], depth + 1))
            else:
                stack.extend((item, path, depth + 1) for item in value)
