"""Trust: whose signed tokens a connection accepts, with everything pinned that can be.

Two uses: workload identity federation, where the token is an assertion that is exchanged for one of ours (RFC 7523,
RFC 8693), and Entra's own access token, which Entra sends when the admin leaves the secret blank.
"""

from __future__ import annotations

import hashlib
import re

from pydantic import BaseModel, ConfigDict, Field, field_validator

_GUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
GUID = re.compile(_GUID)
"""An id of Entra's, in lower case."""
_URL = r"^https://[^\s?#]+$"

_ENTRA = "https://login.microsoftonline.com"
_ENTRA_ISSUER = re.compile(rf"https://(?:login\.microsoftonline\.com|sts\.windows\.net)/({_GUID})(?:/v2\.0)?/?")
ENTRA_KEYS = f"{_ENTRA}/common/discovery/v2.0/keys"
"""Where the keys are that Entra signs the tokens of all tenants with, in the public cloud."""
SYNC_FABRIC = "00000014-0000-0000-c000-000000000000"
"""The application that Entra's provisioning service is."""
NON_GALLERY_AUDIENCE = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"
"""The audience of the tokens for every custom application on earth: it tells nobody apart, the tenant id does."""
GOOGLE = "https://accounts.google.com"
_GOOGLE_KEYS = "https://www.googleapis.com/oauth2/v3/certs"


def fold_directory(id: str) -> str:
    """Return a directory's id as it is compared: Entra's in lower case, others, which may tell cases apart, as they
    are."""
    return id.lower() if GUID.fullmatch(id.lower()) else id


class Trust(BaseModel):
    """What a token must say: each claim exactly so, signed with RS256 by a key of `jwks_uri`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    issuer: str = Field(pattern=_URL)
    """`iss`."""
    audience: str = Field(min_length=1, max_length=256)
    """`aud`; of an application id all three forms that Entra uses: the id, `api://<id>` and `api://<id>/.default`."""
    subject: str | None = Field(default=None, min_length=1, max_length=256)
    """`sub`."""
    tenant_id: str | None = Field(default=None, pattern=f"^{_GUID}$")
    """`tid`: the Entra tenant, in lower case."""
    app_id: str | None = Field(default=None, pattern=f"^{_GUID}$")
    """`appid` (`azp` in Entra's version 2 tokens): the application that asked for the token."""
    jwks_uri: str = Field(pattern=_URL)
    """Where the issuer's public keys are (RFC 7517 §5)."""

    @field_validator("audience")
    @classmethod
    def _bare(cls, audience: str) -> str:
        bare = audience.strip().lower().removeprefix("api://").removesuffix("/.default")
        return bare if GUID.fullmatch(bare) else audience

    @property
    def audiences(self) -> list[str]:
        """The values of `aud` that are this audience."""
        if GUID.fullmatch(self.audience):
            return [self.audience, f"api://{self.audience}", f"api://{self.audience}/.default"]
        return [self.audience]

    @property
    def id(self) -> str:
        """Eight hex digits that change with whatever is pinned."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]


def find_entra_tenant(issuer: str) -> str | None:
    """Return the Entra tenant of an issuer as Entra's pages show it, in either version; None for another issuer."""
    found = _ENTRA_ISSUER.fullmatch(issuer.strip().lower())
    return found[1] if found else None


def make_entra_federation(tenant_id: str, app_id: str, subject: str, jwks_uri: str | None = None) -> Trust:
    """Return what is trusted of Entra's workload identity federation: `app_id` is that of the workload identity,
    `subject` the object id of the provisioning service that the admin copies from the setup page."""
    tenant_id = tenant_id.strip().lower()
    return Trust(
        issuer=f"{_ENTRA}/{tenant_id}/v2.0",
        audience=app_id,
        subject=subject.strip().lower(),
        tenant_id=tenant_id,
        jwks_uri=jwks_uri or f"{_ENTRA}/{tenant_id}/discovery/v2.0/keys",
    )


def make_entra_issued(tenant_id: str, audience: str | None = None, jwks_uri: str | None = None) -> Trust:
    """Return the access token that Entra's provisioning service sends if the admin left the secret blank (version
    1)."""
    tenant_id = tenant_id.strip().lower()
    return Trust(
        issuer=f"https://sts.windows.net/{tenant_id}/",
        audience=audience or NON_GALLERY_AUDIENCE,
        tenant_id=tenant_id,
        app_id=SYNC_FABRIC,
        jwks_uri=jwks_uri or f"{_ENTRA}/{tenant_id}/discovery/v2.0/keys",
    )


def make_federation(issuer: str, audience: str, subject: str, jwks_uri: str | None = None) -> Trust:
    """Return what is trusted of another issuer, such as Google. ValueError if its keys' address is not known."""
    jwks_uri = jwks_uri or (_GOOGLE_KEYS if issuer == GOOGLE else None)
    if jwks_uri is None:
        raise ValueError(f"where the keys of {issuer} are is not known here: give --jwks-uri, the address of its keys")
    return Trust(issuer=issuer, audience=audience, subject=subject, jwks_uri=jwks_uri)
