"""ASP.NET route templates, as the Functions host matches them.

A template is segments between slashes: a literal, `{id}`, `{id?}` (last segment only) or `{*rest}` (last segment only;
takes any number of segments, none too). A parameter may carry one constraint: `alpha`, `int`, `guid`, `length(n)` or
`length(min,max)`. Anything else (default values, several constraints, text beside a parameter) is a `ValueError`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_PARAMETER = re.compile(r"\{(?P<all>\*{0,2})(?P<name>[A-Za-z_]\w*)(?::(?P<constraint>[^{}?]+))?(?P<optional>\?)?\}")
_LENGTH = re.compile(r"length\((\d+)(,\d+)?\)")
_CONSTRAINTS = {
    "alpha": "[A-Za-z]+",
    "int": "[+-]?[0-9]+",
    "guid": "[0-9A-Fa-f]{8}(?:-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}",
}

# What a segment is worth in a comparison of routes: the lower goes first. A shorter route goes after its extensions.
_LITERAL, _CONSTRAINED, _ANY, _CATCH_ALL, _END = range(5)


@dataclass(frozen=True)
class Route:
    """One compiled template. Sort routes by `rank`: the first that matches is the one the host takes."""

    pattern: re.Pattern[str]
    rank: tuple[int, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """The route parameters that a decoded path gives, or None where it does not match; empty ones are left out."""
        found = self.pattern.fullmatch(path)
        return {name: value for name, value in found.groupdict().items() if value} if found else None


def compile_route(template: str) -> Route:
    """Compile a template; a slash at either end means nothing. ValueError names what is not supported."""
    segments = [segment for segment in template.split("/") if segment]
    compiled = [_compile_segment(segment, last=number == len(segments)) for number, segment in enumerate(segments, 1)]
    pattern = "".join(pattern for pattern, _ in compiled) + "/?"
    return Route(re.compile(pattern, re.IGNORECASE | re.DOTALL), (*(rank for _, rank in compiled), _END))


def decode_path(path: str) -> str:
    """Percent-decode a path as the host does before it matches: all but `%2F`, and nothing that is not UTF-8."""

    def decode(found: re.Match[str]) -> str:
        try:
            return unquote_to_bytes(found[0]).decode()
        except UnicodeDecodeError:
            return found[0]

    return re.sub(r"(?:%(?!2F)[0-9A-F]{2})+", decode, path, flags=re.IGNORECASE)


def resolve_dots(path: str) -> str:
    """Take `.` and `..` out of an absolute path, percent-encoded or not, as the server does before any route is tried
    (RFC 3986 §5.2.4); everything else stays as it was sent."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for number, segment in enumerate(segments, 1):
        plain = re.sub("%2e", ".", segment, flags=re.IGNORECASE)
        if plain == ".." and kept:
            kept.pop()
        if plain not in (".", ".."):
            kept.append(segment)
        elif number == len(segments):
            kept.append("")
    return "/" + "/".join(kept)


def _compile_segment(segment: str, *, last: bool) -> tuple[str, int]:
    """The pattern of one segment with the slash before it, and its rank."""
    if "{" not in segment:
        return "/" + re.escape(segment), _LITERAL
    parameter = _PARAMETER.fullmatch(segment)
    if not parameter:
        raise ValueError(f"the route segment {segment!r} is not supported")
    name, constraint = parameter["name"], parameter["constraint"]
    if (parameter["all"] or parameter["optional"]) and not last:
        raise ValueError(f"the route segment {segment!r} must be the last")
    if parameter["all"]:
        if constraint or parameter["optional"]:
            raise ValueError(f"the catch-all {segment!r} takes neither a constraint nor '?'")
        return f"(?:/(?P<{name}>.*))?", _CATCH_ALL
    pattern = f"/(?P<{name}>{_constraint(constraint) if constraint else '[^/]+'})"
    return f"(?:{pattern})?" if parameter["optional"] else pattern, _CONSTRAINED if constraint else _ANY


def _constraint(constraint: str) -> str:
    """The pattern of a parameter's constraint."""
    if length := _LENGTH.fullmatch(constraint):
        return f"[^/]{{{length[1]}{length[2] or ''}}}"
    if constraint not in _CONSTRAINTS:
        raise ValueError(f"the route constraint {constraint!r} is not supported")
    return _CONSTRAINTS[constraint]
