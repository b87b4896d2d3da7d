"""Pages, fragments, files and sentences as responses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl

from scim.console.rendering import render
from scim.console.visit import Answer, Download, Fragment, Page, Person, Redirect
from scim.console.words import WORDS
from scim.http import CONSOLE as ROOT
from scim.http import Request, Response

HTML = {"Content-Type": "text/html; charset=utf-8"}
_STATIC = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_MOST_BODY = 100_000


def build_answer(person: Person, answer: Answer) -> Response:
    """Return what a page answers with as a response."""
    match answer:
        case Page(template, values, status, _):
            return Response(status, render(template, values, person, find_static), dict(HTML))
        case Fragment(template, values):
            return Response(200, render(template, values, person, find_static), dict(HTML))
        case Redirect(to):
            return Response(303, None, {"Location": to})
        case Download(name, kind, content):
            headers = {"Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'}
            return Response(200, content, headers)


def say(
    status: int,
    what: str,
    person: Person | None = None,
    *,
    text: str = "",
    ways: Sequence[tuple[str, str]] = (),
    onward: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    """A page of one sentence, or of `text` in its place. `ways` are addresses and texts of buttons; a browser goes to
    `onward` by itself."""
    title, said = getattr(WORDS.door, what)
    buttons = [*ways] or ([("/console", WORDS.door.back)] if person else [])
    values = {"title": title, "text": text or said, "buttons": buttons, "onward": onward}
    return Response(status, render("message.html", values, person, find_static), {**HTML, **(headers or {})})


def read_form(request: Request) -> dict[str, str]:
    """Return the values of a form, each name once."""
    return dict(parse_qsl(request.body[:_MOST_BODY].decode("utf-8", "replace"), keep_blank_values=True))


@cache
def _read_static(name: str) -> tuple[bytes, str, str] | None:
    """Return a file beside the pages with its type and digest; None if there is none of that name."""
    file = _STATIC / name
    if "/" in name or "\\" in name or file.suffix not in _TYPES or not file.is_file():
        return None
    content = file.read_bytes()
    return content, _TYPES[file.suffix], hashlib.sha256(content).hexdigest()[:16]


def find_static(name: str) -> str:
    """Return the address of such a file: another one whenever its content is."""
    found = _read_static(name)
    assert found is not None
    return f"/{ROOT}/static/{found[2]}/{name}"


def serve_static(digest: str, name: str) -> Response:
    """Return a file beside the pages; 404 if there is none with that digest."""
    found = _read_static(name)
    if found is None or found[2] != digest:
        return Response(404, b"", {"Content-Type": "text/plain"})
    headers = {"Content-Type": found[1], "Cache-Control": "public, max-age=31536000, immutable"}
    return Response(200, found[0], {**headers, "ETag": f'"{digest}"'})
