"""What a webhook sink is, and where the app finds it: the secret `sinks` of the vault, or SCIM_SINKS.

Both hold one JSON object of sinks by name, since a sink's URL and secrets belong together and are secrets, both:

    {"crm": {"url": "https://crm.example/hooks", "secrets": ["whsec_…"], "tenants": "*"}}

`secrets` has one, or two while it is rotated: messages are signed with each (Standard Webhooks 1.0). `tenants` is "*"
or a list of tenants' names.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from scim.faults import find_fault
from scim.security.cached import Cached
from scim.security.secrets import Fixed, Lookup, Secrets, make_reader

log = logging.getLogger("scim")

SECRET = "sinks"
"""The secret of the vault that holds all sinks."""
PREFIX = "whsec_"
"""What the secret of a webhook begins with (Standard Webhooks 1.0)."""
NAME = r"[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?"
_LOCAL = ("127.0.0.1", "localhost", "::1")


def is_local(url: str) -> bool:
    """Whether a URL leads to this machine without TLS, as on a laptop."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOCAL


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises if it is no number
    except ValueError:
        raise ValueError("is no URL") from None
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url or not parts.hostname:
        raise ValueError("is no URL: write it as https://host/path")
    if parts.scheme != "https" and not is_local(url):
        raise ValueError("must begin with https://: events hold personal data")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("must have no user, password or fragment: the signature tells who sends")
    return url


def _checked_secret(secret: str) -> str:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError(f"must be {PREFIX} and 24 to 64 bytes as base64")
    return secret


class SinkDocument(BaseModel):
    """A webhook sink."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern=f"^{NAME}$")
    url: Annotated[str, AfterValidator(_checked_url)] = Field(max_length=1000)
    secrets: tuple[Annotated[str, AfterValidator(_checked_secret)], ...] = Field(min_length=1, max_length=2)
    tenants: Literal["*"] | tuple[str, ...] = "*"

    def reaches(self, tenant: str) -> bool:
        """Whether the sink is told of that tenant's events."""
        return self.tenants == "*" or tenant in self.tenants

    @property
    def host(self) -> str:
        """Where it is, as it may stand in a log line: the rest of the URL may be a secret."""
        return urlsplit(self.url).hostname or ""


Sinks = Mapping[str, SinkDocument]
_DOCUMENTS = TypeAdapter(dict[str, dict[str, Any]])


def create_secret() -> str:
    """Return a new secret to sign messages with: 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def read_sinks(text: str) -> dict[str, SinkDocument]:
    """Return the sinks of a JSON object. ValueError, without any value of it, names what is wrong."""
    try:
        documents = _DOCUMENTS.validate_json(text or "{}")
    except ValidationError:
        raise ValueError("is no JSON object of sinks by name") from None
    sinks = {}
    for name, document in documents.items():
        try:
            sinks[name] = SinkDocument.model_validate({**document, "name": name})
        except ValidationError as error:
            path, text = find_fault(error)
            where = ".".join(part for part in path if part in SinkDocument.model_fields)
            raise ValueError(f"sink {name[:40]!a}: {where} {text}") from None
    return sinks


def write_sinks(sinks: Sinks) -> str:
    """Return the sinks as a JSON object."""
    return json.dumps({name: sink.model_dump(mode="json", exclude={"name"}) for name, sink in sinks.items()})


def read_remote_sinks(text: str) -> dict[str, SinkDocument]:
    """Do the same, and refuse a sink on this machine: in a deployment it would be the app's own."""
    sinks = read_sinks(text)
    if local := next((sink.name for sink in sinks.values() if is_local(sink.url)), None):
        raise ValueError(f"sink {local}: url must begin with https://")
    return sinks


def find_sinks(vault: Secrets | None, setting: str, minutes: int) -> Lookup[Sinks]:
    """Return what knows all sinks under the name SECRET: the vault's, which go on for `minutes` while it is away; those
    of `setting` if there is no vault, and none if it holds a mistake, which is logged."""
    if vault is not None:
        return Cached[Sinks](make_reader(vault, read_remote_sinks), lasting=minutes * 60.0)
    try:
        return Fixed({SECRET: read_sinks(setting)})
    except ValueError as error:
        log.error("misconfigured: SCIM_SINKS %s", error)
        return Fixed({})
