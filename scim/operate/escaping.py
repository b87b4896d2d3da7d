"""What somebody else may have chosen, fit for a terminal: a member's id, a description, a name in a file to import.

A terminal obeys control characters, and shows text in another order than it was written in where it has marks for
that: so both are shown as the escapes of JSON, and nothing else is changed.
"""

from __future__ import annotations


def escape(text: str) -> str:
    """The text in one line, with what is not printable as `\\u001b`."""
    return text if text.isprintable() else "".join(map(_escape, text))


def escape_lines(text: str) -> str:
    """The same for a text of several lines, which stay."""
    return "\n".join(map(escape, text.split("\n")))


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
