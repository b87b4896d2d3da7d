"""The console's cookies: a session's, and that of a sign-in under way."""

from __future__ import annotations

from scim.http import Request

SESSION = "scim"
FLOW = "scim-sign-in"


def read_cookie(request: Request, origin: str, name: str) -> str:
    """Return the value of a cookie of ours; "" if there is none."""
    wanted = _name(origin, name)
    for part in request.headers.get("cookie", "").split(";"):
        found, _, value = part.strip().partition("=")
        if found == wanted:
            return value
    return ""


def write_cookie(origin: str, name: str, value: str, seconds: int) -> str:
    """Return the header that sets a cookie; with 0 seconds it is gone."""
    secure = "; Secure" if origin.startswith("https:") else ""
    return f"{_name(origin, name)}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}"


def _name(origin: str, name: str) -> str:
    """A browser takes the prefix over TLS alone; on a laptop there is none."""
    return f"__Host-{name}" if origin.startswith("https:") else name
