"""Words for what pydantic finds wrong with settings, connections, webhooks, policies and schemas that people write.

The texts follow a name ("description is too long: at most 200 characters") and never show the value, which may be a
secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_WORDS = {
    "extra_forbidden": "is not known here: leave it out, or mend its spelling",
    "missing": "is missing",
    "string_type": "must be a text in quotes",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "json_invalid": "is no JSON",
    "datetime_parsing": "must be a time such as 2027-11-21T00:00:00Z",
    "datetime_from_date_parsing": "must be a time such as 2027-11-21T00:00:00Z",
    "datetime_type": "must be a time such as 2027-11-21T00:00:00Z",
    "timezone_aware": "must be a time with its zone, such as 2027-11-21T00:00:00Z",
    "url_parsing": "must be an address such as https://scim.example.com",
    "url_type": "must be an address such as https://scim.example.com",
}
_BOUNDS = {"greater_than_equal": "or more", "less_than_equal": "or less"}


def find_fault(error: ValidationError) -> tuple[tuple[str, ...], str]:
    """Return where the first fault is, as the names and indexes that lead there, and what is wrong in words."""
    first = error.errors(include_url=False, include_input=False)[0]
    return tuple(str(part) for part in first["loc"]), describe_fault(first)


def describe_fault(fault: ErrorDetails) -> str:
    """Return what is wrong, to be put behind the name of what it is wrong with."""
    kind, limits = fault["type"], fault.get("ctx", {})
    if kind in _WORDS:
        return _WORDS[kind]
    if kind == "literal_error":
        return f"must be {limits['expected']}"
    if kind in _BOUNDS:
        return f"must be {limits.get('ge', limits.get('le'))} {_BOUNDS[kind]}"
    if kind == "greater_than":
        return f"must be more than {limits['gt']}"
    if kind == "string_too_long":
        return f"is too long: at most {limits['max_length']} characters"
    if kind == "too_long":
        return f"is too long: at most {limits['max_length']}"
    if kind == "string_pattern_mismatch":
        return _describe_pattern(limits["pattern"])
    return fault["msg"].removeprefix("Value error, ")


def _describe_pattern(pattern: str) -> str:
    if "https://" in pattern:
        endings = {"/scim$": " and ends with /scim", "/console$": " and ends with /console", "/?$": " and has no path"}
        ending = next((text for end, text in endings.items() if pattern.endswith(end)), "")
        return f"must be an address that begins with https://{ending}"
    if "[0-9a-f]{8}-" in pattern:
        return "must be an id such as 0a1b2c3d-1111-2222-3333-444455556666"
    return f"must have the form {pattern.strip('^$')}"
