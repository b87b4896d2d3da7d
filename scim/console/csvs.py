"""Tables as CSV, for a spreadsheet: a cell that one would take for a formula is given as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are the first four in full width, which some spreadsheets take for them."""


def write_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return the rows under their head, in UTF-8 with a byte order mark, which Excel needs to see that."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows([defuse("" if cell is None else str(cell)) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig", "replace")


def defuse(text: str) -> str:
    """Return the text with an apostrophe before it if a spreadsheet would calculate it (OWASP, CSV Injection): signs
    behind white space count, too. A number stays one."""
    begins = text.lstrip(" \u00a0").startswith(_BEGINS_A_FORMULA)
    return f"'{text}" if begins and not _is_number(text) else text


def _is_number(text: str) -> bool:
    digits = text[1:] if text.startswith("-") else text
    return digits.isascii() and digits.replace(".", "", 1).isdigit()
