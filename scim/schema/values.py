"""Single values: their JSON types, the casts that Entra needs, and when two of them are the same.

Microsoft's client sends "True" for a boolean, and its validator puts random strings into every string, so types are
enforced and formats are not (RFC 7643 §2.3).
"""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scim.errors import INVALID_VALUE, ScimError
from scim.text import INT64
from scim.told import WRONG_TYPE

if TYPE_CHECKING:
    from scim.schema.model import Attribute

_SHOWN = 40
"""Characters of a value that an error shows."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,400}(\.[0-9]{0,400})?([eE][+-]?[0-9]{1,4})?")
_LONG = 1000
"""Characters whose form is found out at once."""
_PIECE = 64
"""Characters of a longer text whose form is."""
_NEAR = 8
"""Characters behind a piece in which the next letter is looked for."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,12}))?(Z|[+-]\d\d:\d\d)?", re.IGNORECASE)

_JSON_TYPES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}
_WANTED = {
    "string": "a string",
    "binary": "a base64 string",
    "reference": "a URI string",
    "dateTime": 'a dateTime such as "2026-01-31T08:00:00Z"',
    "boolean": "true or false",
    "integer": "an integer of 64 bits",
    "decimal": "a number",
    "complex": "an object",
}


def make_wrong_type(path: str, attribute: Attribute, value: object) -> ScimError:
    """Return the error for a value of the wrong type. It shows the value, since Entra sends most of them as strings,
    but not that of an attribute which is never shown."""
    found = _JSON_TYPES.get(type(value), "null")
    if isinstance(value, str | int | float) and attribute.type != "complex" and not attribute.hidden:
        found = repr(value[:_SHOWN]) if isinstance(value, str) else json.dumps(value)
    return ScimError(
        INVALID_VALUE,
        WRONG_TYPE.format(path=path, wanted=_WANTED[attribute.type], found=found),
        attribute=path,
        rule="type",
    )


def cast(value: object, attribute: Attribute, path: str) -> object:
    """Return `value` as the attribute's simple type, with the casts that Entra's strings need. Raises 400
    invalidValue."""
    match attribute.type:
        case "string" | "binary" | "reference":
            if isinstance(value, str):
                return value
        case "boolean":
            if isinstance(value, bool):
                return value
            if isinstance(value, str) and value.strip().lower() in ("true", "false"):
                return value.strip().lower() == "true"
        case "integer":
            whole = parse_number(value) if isinstance(value, str) else value
            if isinstance(whole, float) and whole.is_integer():
                whole = int(whole)
            if isinstance(whole, int) and not isinstance(whole, bool) and whole in INT64:
                return whole
        case "decimal":
            return _cast_decimal(value, attribute, path)
        case "dateTime":
            if isinstance(value, str) and parse_instant(value) is not None:
                return value
    raise make_wrong_type(path, attribute, value)


def _cast_decimal(value: object, attribute: Attribute, path: str) -> float | int:
    if isinstance(value, str) and (parsed := parse_number(value)) is not None:
        value = float(parsed)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise make_wrong_type(path, attribute, value)
    return value


def parse_number(text: str) -> int | float | None:
    """Return the number that a text says, exactly if it is a whole one (`7.0` is 7); None if it says none that a 64-bit
    float holds."""
    if not _NUMBER.fullmatch(text):
        return None
    whole, _, fraction = text.partition(".")
    if _INTEGER.fullmatch(whole) and not fraction.strip("0"):
        return int(whole)
    value = float(text)
    return value if -1e308 <= value <= 1e308 else None


def parse_instant(text: str) -> int | None:
    """Return the instant of an xsd:dateTime in picoseconds since 1970, or None: Entra writes seven fractional digits,
    and a comparison must not lose the last. Without an offset it is UTC."""
    match = _DATE_TIME.fullmatch(text.strip())
    if match is None:
        return None
    date, time, fraction, offset = match.groups()
    offset = "+00:00" if offset in (None, "Z", "z") else offset
    try:
        seconds = (datetime.fromisoformat(f"{date}T{time}{offset}") - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None
    return seconds * 10**12 + int((fraction or "0").ljust(12, "0"))


def fold(text: str, attribute: Attribute) -> str:
    """Return `text` in the form in which two values of the attribute are equal: NFC, and in lower case if caseExact is
    false (RFC 8265 §3.3.1). That is not full case folding: Straße and Strasse are two names. A final sigma is a sigma,
    or the prefix of a name would not always be one of its lower-case form."""
    if text.isascii():
        return text if attribute.case_exact else text.lower()
    return fold_text(text, case_exact=attribute.case_exact)


def fold_text(text: str, *, case_exact: bool) -> str:
    """Do the same, for what is known of the attribute."""
    text = _compose(text)
    return text if case_exact else _compose(text.lower().replace("\u03c2", "\u03c3"))


def _compose(text: str) -> str:
    """Return `text` in NFC. Of a long one, pieces: what stands behind one letter is sorted in a time that grows with
    its square, so half a million accents would take ten seconds."""
    if len(text) <= _LONG:
        return unicodedata.normalize("NFC", text)
    pieces, start = [], 0
    while start < len(text):
        end = min(start + _PIECE, len(text))
        border = (at for at in range(end, min(end + _NEAR, len(text))) if not unicodedata.combining(text[at]))
        end = next(border, end)  # what does not combine begins a letter
        pieces.append(unicodedata.normalize("NFC", text[start:end]))
        start = end
    return "".join(pieces)
