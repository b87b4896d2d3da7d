"""azure-core's public pipeline to the table's service: identity or key, retries, TLS and connections are the SDK's."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any

from azure.core import AsyncPipelineClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncHTTPPolicy,
    AsyncRetryPolicy,
    HeadersPolicy,
    RequestIdPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from yarl import URL

Policies = Sequence[AsyncHTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any]]
Credential = AzureNamedKeyCredential | AsyncTokenCredential
"""An account's key (a connection string with a shared access signature has none), or an identity."""
Client = AsyncPipelineClient[HttpRequest, AsyncHttpResponse]

_VERSION = "2019-02-02"
_SCOPE = "https://storage.azure.com/.default"


class SharedKeyLite(SansIOHTTPPolicy[Any, Any]):
    """Signs with the account's key, as connection strings have it (REST API, "Authorize with Shared Key")."""

    def __init__(self, credential: AzureNamedKeyCredential) -> None:
        self._credential = credential

    def on_request(self, request: PipelineRequest[Any]) -> None:
        name, key = self._credential.named_key.name, self._credential.named_key.key
        date = formatdate(usegmt=True)
        # The path as aiohttp sends it, which spells some escapes its own way.
        text = f"{date}\n/{name}{URL(request.http_request.url).raw_path}"
        signature = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
        request.http_request.headers["x-ms-date"] = date
        request.http_request.headers["Authorization"] = f"SharedKeyLite {name}:{base64.b64encode(signature).decode()}"


def open_pipeline(
    endpoint: str, credential: Credential, transport: AsyncHttpTransport[Any, Any], policies: Policies, **options: Any
) -> Client:
    """Return a client of the service at `endpoint`. `policies` see every request on the wire, retries included;
    `options` are those of the retry policy."""
    authorization: Any = (
        SharedKeyLite(credential)
        if isinstance(credential, AzureNamedKeyCredential)
        else AsyncBearerTokenCredentialPolicy(credential, _SCOPE)
    )
    return AsyncPipelineClient(
        endpoint,
        transport=transport,
        policies=[
            RequestIdPolicy(),
            HeadersPolicy({"x-ms-version": _VERSION}),
            UserAgentPolicy("azure-functions-scim"),
            AsyncRetryPolicy(**options),
            authorization,
            *policies,
        ],
    )
