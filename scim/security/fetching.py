"""JSON documents of identity providers: asked for once, with a limit on time and size, without redirects."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp

FAULTS = (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError)
"""What is raised if a document cannot be had, or is none."""
_SECONDS = 5.0
_MAX_BYTES = 2**20


async def fetch_json(
    url: str,
    *,
    ca_file: str | None = None,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    statuses: tuple[int, ...] = (200,),
) -> tuple[int, dict[str, Any]]:
    """Return the status and JSON object at an address; a `form` is posted. Raises one of FAULTS if the status is
    another one, or the body is no JSON object of at most a megabyte."""
    context = ssl.create_default_context(cafile=ca_file)
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    method = "GET" if form is None else "POST"
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.request(method, url, data=form, headers=headers, allow_redirects=False) as response,
    ):
        if response.status not in statuses:
            raise ValueError(f"status {response.status}")
        body = b""
        async for part in response.content.iter_any():
            body += part
            if len(body) > _MAX_BYTES:
                raise ValueError(f"more than {_MAX_BYTES} bytes")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    return response.status, document
