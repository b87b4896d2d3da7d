"""A request's body as JSON data that storage can hold; anything else is a 4xx that names the place.

Most bodies have nothing unusual in them and are read by a fast parser; what it cannot tell, or will not, is left to a
slow one, which says what is wrong and where.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

from scim.errors import INVALID_SYNTAX, INVALID_VALUE, ScimError
from scim.schema.values import INT64, check_text, printable

_SHOWN = 200
"""Characters of a name or path that an error shows."""
_UNUSUAL = (rb"\\", rb"\u0000")
"""An escape that hides whether a text ends, and the character that no text may have."""
_LARGE = 2.0**63
"""From here on a number may have been an integer that the fast parser rounded."""
_APART = re.compile(rb'"[ \t\r\n]+:')


def parse(body: bytes, max_depth: int) -> object:
    """The data of a body. Raises 400 invalidSyntax or invalidValue."""
    escaped = b"\\" in body
    if not escaped or not any(unusual in body for unusual in _UNUSUAL):
        try:
            data = orjson.loads(body)
            # A colon behind a quote ends a member's name, or begins a text. A name that came twice is one member.
            text = body.replace(rb"\"", b"") if escaped else body
            if _members(data, max_depth) == text.count(b'":') + len(_APART.findall(text)):
                return data
        except (ValueError, _Unusual):
            pass
    data = _parse(body)
    _check(data, max_depth)
    return data


class _Unusual(Exception):
    """Data that needs a closer look."""


def _members(data: object, max_depth: int) -> int:
    """How many members all objects in it have. Raises _Unusual for what is nested too deeply or may not fit."""
    number, depth = 0, -1
    level: list[Any] = [[data]]
    while level:
        following: list[Any] = []
        for container in level:
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


def _parse(body: bytes) -> object:
    try:
        return json.loads(body.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise ScimError(INVALID_SYNTAX, f"The body is not UTF-8 (byte {error.start}).") from None
    except RecursionError:
        raise ScimError(INVALID_SYNTAX, "The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ScimError(INVALID_SYNTAX, f"The body is not JSON: {error.msg} ({where}).") from None
    except ValueError:  # an integer of more digits than Python converts
        raise ScimError(INVALID_VALUE, "A number in the body has too many digits; 64-bit numbers are kept.") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """RFC 7159 leaves repeated names undefined: taking either value would be a guess about somebody's identity."""
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        detail = f"Attribute {printable(name)} appears twice in one object; send it once."
        raise ScimError(INVALID_SYNTAX, detail, attribute=name, rule="twice")
    return result


def _constant(name: str) -> NoReturn:
    raise ScimError(INVALID_SYNTAX, f"The body is not JSON: {name} is not a JSON number.")


def _check(data: object, max_depth: int) -> None:
    """Hold every value against what storage keeps: depth, 64-bit numbers, and strings that are Unicode text."""
    stack: list[tuple[object, str, int]] = [(data, "", 1)]
    while stack:
        value, path, depth = stack.pop()
        if isinstance(value, str):
            check_text(value, path)
        elif isinstance(value, int):
            if value not in INT64:
                detail = f"{path or 'The body'} does not fit in 64 bits; send a smaller number."
                raise ScimError(INVALID_VALUE, detail, attribute=path, rule="type")
        elif isinstance(value, float):
            if value in (float("inf"), float("-inf")):
                detail = f"{path or 'The body'} is beyond the range of a 64-bit number."
                raise ScimError(INVALID_VALUE, detail, attribute=path, rule="type")
        elif isinstance(value, dict | list):
            if depth > max_depth:
                detail = f"{path or 'The body'} is nested deeper than {max_depth} levels."
                raise ScimError(INVALID_SYNTAX, detail, attribute=path, rule="limit")
            if isinstance(value, dict):
                for name, item in value.items():
                    check_text(name, path or "An attribute name")
                    stack.append((item, f"{path}.{name}"[:_SHOWN] if path else name[:_SHOWN], depth + 1))
            else:
                stack.extend((item, path, depth + 1) for item in value)
