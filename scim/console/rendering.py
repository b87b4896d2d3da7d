"""HTML of the templates. Whatever a customer or an identity provider sent is escaped; a misspelt name is an error.

Times are written as UTC, with their moment beside them: a script puts them into the reader's zone, and UTC into the
hint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from scim.clock import show_time
from scim.console.visit import Person
from scim.console.words import WORDS

_TEMPLATES = Path(__file__).parent / "templates"
Static = Callable[[str], str]
"""From the name of a static file to its address."""


def render(template: str, values: Mapping[str, Any], person: Person | None, static: Static) -> bytes:
    """Return a template with its values as HTML. `person` is None for who has not signed in."""
    made = _environment().get_template(template)
    return made.render(**values, person=person, static=static).encode("utf-8", "replace")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"w": WORDS, "link": link}
    made.filters |= {"when": when, "number": show_number, "as_json": show_json}
    return made


def link(*segments: str, **query: str | None) -> str:
    """Return the address of a page: segments below /console, and the values of its query that are not empty."""
    path = "/".join(["/console", *(quote(each, safe="") for each in segments)])
    asked = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(asked)}" if asked else path


def when(time: datetime | str | None, otherwise: str = "") -> Markup:
    """Return a time as an element; the text `otherwise` if there is none."""
    if not time:
        return escape(otherwise)
    at = time if isinstance(time, datetime) else datetime.fromisoformat(time)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    machine = at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{0}" title="{1}">{1}</time>').format(machine, show_time(at))


def show_number(number: float) -> str:
    """Return a number for people: 1,234 or 1.4."""
    return f"{number:,}" if isinstance(number, int) else f"{number:,.1f}".removesuffix(".0")


def show_json(value: Any) -> str:
    """Return JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)
