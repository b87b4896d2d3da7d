"""What text and numbers storage can hold, and how a name from a request may stand in an error."""

from __future__ import annotations

from scim.errors import INVALID_VALUE, ScimError

INT64 = range(-(2**63), 2**63)
"""The integers that storage can hold."""


def check_text(text: str, path: str) -> None:
    """Raise 400 invalidValue for half a surrogate pair and for U+0000, which no storage key or log survives."""
    if "\x00" in text:
        detail = f"{make_printable(path)} contains the character U+0000; remove it."
        raise ScimError(INVALID_VALUE, detail, attribute=path, rule="text")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            detail = f"{make_printable(path)} contains half a surrogate pair; send whole characters."
            raise ScimError(INVALID_VALUE, detail, attribute=path, rule="text") from None


def make_printable(name: str) -> str:
    """Return a name from a request as an error can show it: in ASCII, up to 200 characters."""
    return name[:200].encode("ascii", "backslashreplace").decode()[:200].replace("\x00", "\\0")


def is_urn(name: str) -> bool:
    """Return whether a name is a URN, or begins with one."""
    return name[:4].lower() == "urn:"
