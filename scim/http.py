"""Requests and responses as values: what a URL, a query, a body and a precondition say.

The Functions host drops empty query values and joins repeated ones, so a request keeps the URL as it came and reads
it here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

import orjson

from scim.body import parse_body
from scim.errors import INVALID_SYNTAX, INVALID_VALUE, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, ScimError
from scim.told import MEDIA_TYPE

CONTENT_TYPE = "application/scim+json"
ROOT = "scim"
"""What the tenant URL ends with: its only path segment, unless an operator asks for one of its tenants."""
CONSOLE = "console"
"""The first path segment of the console's pages."""
FEED = "feed"
"""The first path segment of an operator's URL of changes, /feed and /feed/<tenant>."""
MANAGE = "manage"
"""The first path segment of an operator's questions, /manage/<tenant>/why and others."""
TENANTS = "tenants"
"""The first path segment of an operator's URL of a tenant, /tenants/<tenant>/scim."""

_MAX_TAGS = 8192
"""Characters of If-Match or If-None-Match."""
_READABLE_TYPES = {CONTENT_TYPE, "application/json", ""}
_AUTHORITY = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)
_HOST = re.compile(r"(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
"""A host name or an address, and a port (RFC 3986 §3.2.2); names of other scripts arrive in their ASCII form."""


@dataclass(frozen=True)
class Request:
    """One HTTP request."""

    method: str
    url: str
    """Absolute, with the raw query."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name."""
    body: bytes = b""
    prefix: str = ""
    """The path before our doors, decoded, such as /api, if the service is part of another app."""

    @cached_property
    def _url(self) -> SplitResult:
        """The URL in its parts; without its host if that cannot be one, so that the rest can be read."""
        try:
            return urlsplit(self.url)
        except ValueError:  # also of what is left: a path may begin with //[
            target, _, _ = _AUTHORITY.sub("", self.url, count=1).partition("#")
            path, _, query = target.partition("?")
            return SplitResult("", "", path, query, "")

    @cached_property
    def host(self) -> str:
        """The host that the request came for, in lower case and with the port if it is not the scheme's own; "" if it
        cannot be one."""
        host = self._url.netloc.lower()
        if not _HOST.fullmatch(host):
            return ""
        return host.removesuffix({"https": ":443", "http": ":80"}.get(self._url.scheme, ":"))

    @cached_property
    def _path(self) -> list[str]:
        """The segments of the path as they came, behind the prefix; none if it does not begin with that."""
        path, prefix = _split(self._url.path), _split(self.prefix)
        return path[len(prefix) :] if [unquote(each) for each in path[: len(prefix)]] == prefix else []

    @property
    def path(self) -> str:
        """The path as it came, without the prefix."""
        return "/" + "/".join(self._path)

    @property
    def root(self) -> str:
        """The first path segment, in lower case: which of our doors the request came to."""
        return self._path[0].lower() if self._path else ""

    @cached_property
    def tenant(self) -> str | None:
        """The tenant that an operator's URL names, decoded and not looked at; None if the URL is none."""
        path = self._path
        is_operators = self.root == TENANTS and len(path) > 2 and path[2].lower() == ROOT
        return unquote(path[1]) if is_operators else None

    @property
    def segments(self) -> list[str]:
        """The decoded path segments below /scim. Trailing and doubled slashes do not count, since admins type
        tenant URLs by hand, and %2F stays inside its segment."""
        return [unquote(segment) for segment in self._path[1 if self.tenant is None else 3 :]]

    @property
    def reads(self) -> bool:
        """Whether the request changes nothing: a search may be a POST (RFC 7644 §3.4.3)."""
        return self.method in ("GET", "HEAD", "OPTIONS") or (
            self.method == "POST" and self.segments[-1:] == [".search"]
        )

    @cached_property
    def origin(self) -> str:
        """The scheme and host that this request came by, and the prefix: what our doors stand behind."""
        return "/".join([f"{self._url.scheme}://{self._url.netloc}", *(quote(each) for each in _split(self.prefix))])

    @cached_property
    def base_path(self) -> str:
        """The path of the tenant URL that this request came by, without a trailing slash."""
        return f"/{ROOT}" if self.tenant is None else f"/{TENANTS}/{quote(self.tenant, safe='')}/{ROOT}"

    @property
    def base_url(self) -> str:
        """That tenant URL."""
        return self.origin + self.base_path

    @cached_property
    def query(self) -> dict[str, str]:
        """Query parameters by lower-case name; `+` and `%20` are both spaces; of repeated ones the last."""
        pairs = parse_qsl(self._url.query, keep_blank_values=True)
        return {name.lower(): value for name, value in pairs}

    @property
    def ambiguous(self) -> set[str]:
        """The names of parameters that come several times with different values, in lower case."""
        found: dict[str, set[str]] = {}
        for name, value in parse_qsl(self._url.query, keep_blank_values=True):
            found.setdefault(name.lower(), set()).add(value)
        return {name for name, values in found.items() if len(values) > 1}

    def json(self, max_bytes: int, max_depth: int) -> object:
        """Return the body as JSON data, read at once. Raises 400, 413 or 415."""
        return parse_body(self.content(max_bytes), max_depth)

    def content(self, max_bytes: int) -> bytes:
        """Return the body, which is to be JSON. Raises 400, 413 or 415."""
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in _READABLE_TYPES:
            raise ScimError(UNSUPPORTED_MEDIA_TYPE, MEDIA_TYPE.format(type=repr(media_type[:80])))
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity"):
            raise ScimError(
                UNSUPPORTED_MEDIA_TYPE,
                f"Content-Encoding {encoding[:80]!a} is not read; send the body as it is.",
                {"Accept-Encoding": "identity"},
            )
        if len(self.body) > max_bytes:
            raise ScimError(
                TOO_LARGE, f"The body has {len(self.body)} bytes; at most {max_bytes} are accepted. Split the request."
            )
        if not self.body.strip():
            chunked = "transfer-encoding" in self.headers
            reason = " (chunked bodies do not arrive: send Content-Length)" if chunked else ""
            raise ScimError(INVALID_SYNTAX, f"The request has no body{reason}; send a JSON object.")
        return self.body

    def matches(self, header: str, version: str) -> bool | None:
        """Return whether If-Match or If-None-Match names `version`; None if the header is absent. Weak comparison,
        since every version of ours is weak (RFC 7232 §2.3.2). Raises 400 for more than anybody names."""
        value = self.headers.get(header)
        if value is None:
            return None
        if len(value) > _MAX_TAGS:
            detail = f"{header} has {len(value)} characters; at most {_MAX_TAGS} are read. Name fewer versions."
            raise ScimError(INVALID_VALUE, detail)
        tags: list[str] = _ETAG.findall(value)
        if header == "if-match":  # a write depends on the resource's row alone
            tags = [_GROUPS.sub("", tag) for tag in tags]
        return value.strip() == "*" or version.removeprefix("W/") in tags


@dataclass(frozen=True)
class Response:
    """One HTTP response; `body` is JSON data, bytes as they are, or None for no body."""

    status: int
    body: object | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return orjson.dumps(self.body)


def _split(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


_ETAG = re.compile(r'"[^"]*"')
_GROUPS = re.compile(r'\.[0-9a-f]{8}(?="$)')


def add_to_version(version: str, groups: Sequence[str]) -> str:
    """Return the version of a resource that is shown with its groups: they change without its row, so they are part of
    it."""
    if not groups:
        return version
    digest = hashlib.sha256("\0".join(sorted(groups)).encode()).hexdigest()[:8]
    return version[:-1] + f'.{digest}"'
