"""Requests and responses as values: what a URL, a query, a body and a precondition say.

The Functions host drops empty query values and joins repeated ones, so a request keeps the URL as it came and reads
it here. A body becomes plain JSON data whose strings, numbers and depth storage can hold; anything else is a 4xx
that names the place, before any other code sees it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from scim.errors import INVALID_SYNTAX, INVALID_VALUE, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, ScimError
from scim.schema.values import check_text, printable

CONTENT_TYPE = "application/scim+json"
ROOT = "scim"
"""The first path segment of every URL of ours; the tenant URL ends with it."""

_READABLE_TYPES = {CONTENT_TYPE, "application/json", ""}
_SHOWN = 200
"""Characters of a name or path that an error shows."""
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Request:
    """One HTTP request. `url` is absolute with the raw query; header names are lower-case."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @cached_property
    def _path(self) -> list[str]:
        return [segment for segment in urlsplit(self.url).path.split("/") if segment]

    @property
    def root(self) -> str:
        """The first path segment, in lower case: which of our doors the request came to."""
        return self._path[0].lower() if self._path else ""

    @property
    def segments(self) -> list[str]:
        """The decoded path segments below /scim. Trailing and doubled slashes do not count, since admins type
        tenant URLs by hand, and %2F stays inside its segment."""
        return [unquote(segment) for segment in self._path[1:]]

    @property
    def reads(self) -> bool:
        """Whether the request changes nothing: a search may be a POST (RFC 7644 §3.4.3)."""
        return self.method in ("GET", "HEAD", "OPTIONS") or (
            self.method == "POST" and self.segments[-1:] == [".search"]
        )

    @property
    def origin(self) -> str:
        """The scheme and host that this request came by."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def base_url(self) -> str:
        """The tenant URL that this request came by, without a trailing slash."""
        return f"{self.origin}/{ROOT}"

    @cached_property
    def query(self) -> dict[str, str]:
        """Query parameters by lower-case name; `+` and `%20` are both spaces, the last of repeated ones wins."""
        pairs = parse_qsl(urlsplit(self.url).query, keep_blank_values=True)
        return {name.lower(): value for name, value in pairs}

    def json(self, max_bytes: int, max_depth: int) -> object:
        """The body as JSON data. Raises 400, 413 or 415."""
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in _READABLE_TYPES:
            raise ScimError(
                UNSUPPORTED_MEDIA_TYPE, f"Content-Type {media_type[:80]!r} is not read; send {CONTENT_TYPE}."
            )
        if len(self.body) > max_bytes:
            raise ScimError(
                TOO_LARGE, f"The body has {len(self.body)} bytes; at most {max_bytes} are accepted. Split the request."
            )
        if not self.body.strip():
            chunked = "transfer-encoding" in self.headers
            reason = " (chunked bodies do not arrive: send Content-Length)" if chunked else ""
            raise ScimError(INVALID_SYNTAX, f"The request has no body{reason}; send a JSON object.")
        data = _parse(self.body)
        _check(data, max_depth)
        return data

    def matches(self, header: str, version: str) -> bool | None:
        """Whether If-Match or If-None-Match names `version`; None where the header is absent. Weak comparison,
        since every version of ours is weak (RFC 7232 §2.3.2)."""
        value = self.headers.get(header)
        if value is None:
            return None
        tags: list[str] = _ETAG.findall(value)
        if header == "if-match":  # a write depends on the resource's row alone
            tags = [_GROUPS.sub("", tag) for tag in tags]
        return value.strip() == "*" or version.removeprefix("W/") in tags


@dataclass(frozen=True)
class Response:
    """One HTTP response; `body` is JSON data, or None for no body."""

    status: int
    body: object | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        if self.body is None:
            return b""
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()


_ETAG = re.compile(r'"[^"]*"')
_GROUPS = re.compile(r'\.[0-9a-f]{8}(?="$)')


def version_with(version: str, groups: Sequence[str]) -> str:
    """The version of a resource that is shown with its groups: they change without its row, so they are part of it."""
    if not groups:
        return version
    digest = hashlib.sha256("\0".join(sorted(groups)).encode()).hexdigest()[:8]
    return version[:-1] + f'.{digest}"'


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
        raise ScimError(INVALID_SYNTAX, f"Attribute {printable(name)} appears twice in one object; send it once.")
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
            if value not in _INT64:
                raise ScimError(INVALID_VALUE, f"{path or 'The body'} does not fit in 64 bits; send a smaller number.")
        elif isinstance(value, float):
            if value in (float("inf"), float("-inf")):
                raise ScimError(INVALID_VALUE, f"{path or 'The body'} is beyond the range of a 64-bit number.")
        elif isinstance(value, dict | list):
            if depth > max_depth:
                raise ScimError(INVALID_SYNTAX, f"{path or 'The body'} is nested deeper than {max_depth} levels.")
            if isinstance(value, dict):
                for name, item in value.items():
                    check_text(name, path or "An attribute name")
                    stack.append((item, f"{path}.{name}"[:_SHOWN] if path else name[:_SHOWN], depth + 1))
            else:
                stack.extend((item, path, depth + 1) for item in value)
